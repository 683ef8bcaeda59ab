// What can come out of a call to the bus, as closed unions, and how it follows from the client library's errors and headers.
//
// Owns: the unions and the mapping. Does not own: the connection (bus.ts).

import { errors, headers, type MsgHdrs } from "@nats-io/transport-node";

export type Headers = Readonly<Record<string, string>>;

/** What of the client library's message we look at. Reading a field decodes it. */
export interface RawMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply?: string;
  readonly headers?: MsgHdrs;
}

export interface HeaderView {
  get(name: string): string | undefined;
  /** 0 when the message has no status line. */
  readonly status: number;
  readonly description: string;
}

export type RequestFailure =
  | { readonly kind: "timeout" }
  | { readonly kind: "no_responders" }
  | { readonly kind: "closed" }
  | { readonly kind: "denied"; readonly message: string };

export type RequestOutcome =
  | { readonly kind: "reply"; readonly data: Uint8Array; readonly headers: HeaderView }
  | RequestFailure;

/** Throws what is not a failure of the connection or the other side: a broken invariant of the caller. */
export function failureOf(error: unknown): RequestFailure {
  if (error instanceof errors.TimeoutError) return { kind: "timeout" };
  if (error instanceof errors.ClosedConnectionError || error instanceof errors.DrainingConnectionError)
    return { kind: "closed" };
  if (error instanceof errors.NoRespondersError) return { kind: "no_responders" };
  if (error instanceof errors.PermissionViolationError) return { kind: "denied", message: error.message };
  if (error instanceof errors.RequestError)
    return error.cause === undefined ? { kind: "closed" } : failureOf(error.cause);
  throw error;
}

export function natsHeaders(plain: Headers): MsgHdrs {
  const built = headers();
  for (const [name, value] of Object.entries(plain)) built.append(name, value);
  return built;
}

/** Reads the header lines when the first one is asked for, which most messages never are. */
export function viewOf(message: RawMessage): HeaderView {
  return new LazyHeaders(message);
}

class LazyHeaders implements HeaderView {
  readonly #message: RawMessage;

  constructor(message: RawMessage) {
    this.#message = message;
  }

  get(name: string): string | undefined {
    const { headers: found } = this.#message;
    return found?.has(name) === true ? found.get(name) : undefined;
  }

  get status(): number {
    return this.#message.headers?.code ?? 0;
  }

  get description(): string {
    return this.#message.headers?.description ?? "";
  }
}
