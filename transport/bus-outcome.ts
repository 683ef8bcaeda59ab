// What can come out of a call to the bus, as closed unions, and how it follows from the client library's errors and headers.
//
// Owns: the unions and the mapping. Does not own: the connection (bus.ts).

import { errors, headers, type MsgHdrs } from "@nats-io/transport-node";

export type Headers = Readonly<Record<string, string>>;

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
  for (const [name, value] of Object.entries(plain)) built.set(name, value);
  return built;
}

export function viewOf(found: MsgHdrs | undefined): HeaderView {
  return {
    get: (name) => (found?.has(name) === true ? found.get(name) : undefined),
    status: found?.code ?? 0,
    description: found?.description ?? "",
  };
}
