// The bus: one connection to NATS, with failures as values and one listener for everything that happens to it.
//
// Owns: connecting, reconnecting for ever, what becomes of calls while the connection is down.
// Does not own: the union of failures (bus-outcome.ts), subjects (subjects.ts), payloads (codec.ts and above), the log (log.ts).
//
// B1. While disconnected nothing is buffered: `publish` says false, `request` waits inside its own timeout. (The library would take
//     the bytes and drop them on the next dial.)
// B2. A handler that throws ends neither the connection nor its subscription: it becomes the event `handler_failed`.
// B3. `closed` settles once, when nothing will bring the connection back: a crash of whoever owns it.
// B4. What is unhurried has no headers and no reply, and leaves in company (unhurried.ts).
// B5. A request that says so is asked again when the connection comes back: what it asked may have died with the server (`again`).

import { connect, createInbox, errors, type NatsConnection } from "@nats-io/transport-node";
import type { Clock } from "../../models/clock.js";
import { checkTls, type Tls } from "../access/tls-files.js";
import { type Timeouts, timeoutDefaults } from "../timeouts.js";
import { Delivery } from "./bus-delivery.js";
import { failureOf, type Headers, type HeaderView, type RequestOutcome, viewOf } from "./bus-outcome.js";
import { Requests } from "./bus-requests.js";
import { ConnectError, connectFailure, signIn } from "./bus-sign-in.js";
import { sendOptions, wireOver } from "./bus-wire.js";
import { reconnectPace } from "./reconnect-pace.js";
import { factsOf, type ServerFacts } from "./server-facts.js";
import { pingEveryMs, serversIn } from "./server-list.js";
import { Unhurried } from "./unhurried.js";
import { letGo } from "./vanished-peer.js";

export interface BusOptions {
  /** One server's address, or several of one cluster with commas between: tried in this order, at first and when the connection is lost. */
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
  /** The user's seed, instead of a password: it signs what the server asks, and does not leave the process. */
  readonly nkey?: string;
  /** Shown in the server's connection list. */
  readonly name: string;
  readonly inboxPrefix?: string;
  readonly clock: Clock;
  readonly tls?: Tls;
  /** For everything that is done over this connection; `connect` is for the first connection only. */
  readonly timeouts?: Timeouts;
}

export interface Incoming {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: HeaderView;
  readonly replyTo: string | undefined;
  /** False when there is nobody to answer, when the answer is wanted elsewhere than in an inbox, or when the connection is down. */
  respond(data: Uint8Array, headers?: Headers): boolean;
}

export type { RequestOutcome } from "./bus-outcome.js";
export { ConnectError } from "./bus-sign-in.js";

export type BusEvent =
  | { readonly kind: "disconnected"; readonly server: string }
  | { readonly kind: "reconnected"; readonly server: string; readonly outageMs: number }
  | { readonly kind: "denied"; readonly operation: "publish" | "subscription"; readonly subject: string }
  | { readonly kind: "slow_consumer"; readonly subject: string; readonly pending: number }
  | { readonly kind: "handler_failed"; readonly subject: string; readonly error: Error }
  | { readonly kind: "server_error"; readonly error: Error }
  | { readonly kind: "server_leaving"; readonly server: string }
  /** For good (B3): for who listens only for a while, and would stay with the promise `closed` as long as the connection does. */
  | { readonly kind: "closed" };

export interface Subscribed {
  unsubscribe(): void;
  /** Takes no more messages; resolves when those already received were handled. */
  drain(): Promise<void>;
}

export interface RequestOptions {
  readonly timeoutMs: number;
  readonly headers?: Headers;
  readonly again?: Headers;
}

export interface Bus {
  readonly connected: boolean;
  readonly serverVersion: string;
  readonly payloadMaxBytes: number;
  /** Undefined while disconnected, and where there is no server. */
  readonly server?: ServerFacts | undefined;
  /** Users have inboxes of their own, and rights. */
  readonly hasUsers?: boolean;
  /** Those of the process, for whoever waits for something that travels over this connection. */
  readonly timeouts: Timeouts;
  readonly closed: Promise<Error | undefined>;
  publish(
    subject: string,
    data: Uint8Array,
    options?: { readonly headers?: Headers; readonly replyTo?: string; readonly unhurried?: boolean },
  ): boolean;
  /** `again`: whoever is asked twice does it once, and with which headers he is asked again once the connection was lost and came back. */
  request(subject: string, data: Uint8Array, options: RequestOptions): Promise<RequestOutcome>;
  /** Every reply that comes within `waitMs`, or until `stallMs` pass without one. For discovery. */
  requestMany(
    subject: string,
    data: Uint8Array,
    options: { readonly waitMs: number; readonly stallMs?: number },
  ): Promise<readonly { readonly data: Uint8Array; readonly headers: HeaderView }[]>;
  subscribe(
    subject: string,
    options: { readonly queue?: string },
    handler: (message: Incoming) => void | Promise<void>,
  ): Subscribed;
  /** A fresh inbox under the user's own prefix. */
  inbox(): string;
  /** Returns a function that stops listening. */
  onEvent(listener: (event: BusEvent) => void): () => void;
  /** Resolves true once the server has taken everything published before; false when the connection broke. */
  flush(): Promise<boolean>;
  drain(): Promise<void>;
  close(): Promise<void>;
  /** Undefined while disconnected. */
  rttMs(): Promise<number | undefined>;
}

export async function connectBus(options: BusOptions): Promise<Bus> {
  const { timeouts = timeoutDefaults, tls } = options;
  const flaw = tls === undefined ? undefined : await checkTls(tls);
  if (flaw !== undefined) throw new ConnectError("untrusted", options.url, undefined, flaw);
  const servers = serversIn(options.url);
  const identity = signIn(options);
  try {
    const connection = await connect({
      servers,
      // The first is the nearest: whoever names several puts his own machine's first.
      noRandomize: true,
      name: options.name,
      ...identity,
      ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
      ...(tls === undefined ? {} : { tls }),
      timeout: timeouts.connect,
      maxReconnectAttempts: -1,
      reconnectDelayHandler: reconnectPace(options.clock),
      pingInterval: pingEveryMs(servers),
      noEcho: false,
      noAsyncTraces: true,
    });
    return new NatsBus(connection, options.clock, options.inboxPrefix, timeouts);
  } catch (error) {
    throw connectFailure(error, options.url, tls);
  }
}

class NatsBus implements Bus {
  readonly closed: Promise<Error | undefined>;
  readonly timeouts: Timeouts;
  readonly #connection: NatsConnection;
  readonly #clock: Clock;
  readonly #inboxPrefix: string | undefined;
  readonly #listeners = new Set<(event: BusEvent) => void>();
  readonly #waiters = new Set<() => void>();
  readonly #requests: Requests;
  #disconnectedAtMs: number | undefined;
  #payloadMaxBytes: number;
  readonly #unhurried: Unhurried;

  constructor(connection: NatsConnection, clock: Clock, inboxPrefix: string | undefined, timeouts: Timeouts) {
    this.timeouts = timeouts;
    this.#connection = connection;
    this.#clock = clock;
    this.#inboxPrefix = inboxPrefix;
    this.#payloadMaxBytes = connection.info?.max_payload ?? 0;
    this.#unhurried = new Unhurried(clock, (subject, data) => this.publish(subject, data));
    this.#requests = new Requests(wireOver(connection), clock, createInbox(inboxPrefix));
    this.closed = connection.closed().then((error) => {
      this.#wakeWaiters();
      this.#requests.close();
      this.#emit({ kind: "closed" });
      return error instanceof Error ? error : undefined;
    });
    void this.#followStatus();
  }

  get connected(): boolean {
    return this.#disconnectedAtMs === undefined && !this.#connection.isClosed();
  }

  get hasUsers(): boolean {
    return this.#inboxPrefix !== undefined;
  }

  get serverVersion(): string {
    return this.#connection.info?.version ?? "";
  }

  get payloadMaxBytes(): number {
    // While disconnected there is no info: the bound of the server that was there holds until another says otherwise.
    this.#payloadMaxBytes = this.#connection.info?.max_payload ?? this.#payloadMaxBytes;
    return this.#payloadMaxBytes;
  }

  get server(): ServerFacts | undefined {
    return this.#connection.info === undefined ? undefined : factsOf(this.#connection.info);
  }

  publish(subject: string, data: Uint8Array, options: Parameters<Bus["publish"]>[2] = {}): boolean {
    if (!this.connected || this.#connection.isDraining()) return false;
    if (options.unhurried === true) return this.#unhurried.add(subject, data);
    this.#connection.publish(subject, data, sendOptions(options.headers, options.replyTo));
    this.#unhurried.send();
    return true;
  }

  async request(subject: string, data: Uint8Array, options: RequestOptions): Promise<RequestOutcome> {
    const leftMs = this.connected ? options.timeoutMs : await this.#reconnectedWithin(options.timeoutMs);
    if (this.#connection.isClosed() || this.#connection.isDraining()) return { kind: "closed" };
    if (leftMs < 1) return { kind: "timeout" };
    try {
      return await this.#requests.ask(subject, data, leftMs, options.headers, options.again);
    } catch (error) {
      return failureOf(error);
    }
  }

  async requestMany(subject: string, data: Uint8Array, options: { waitMs: number; stallMs?: number }) {
    const replies: { readonly data: Uint8Array; readonly headers: HeaderView }[] = [];
    if (!this.connected) return replies;
    try {
      const found = await this.#connection.requestMany(subject, data, {
        strategy: "stall",
        maxWait: options.waitMs,
        stall: options.stallMs ?? this.timeouts.discoverStall,
      });
      for await (const reply of found) replies.push({ data: reply.data, headers: viewOf(reply) });
    } catch (error) {
      // Nobody there, or the connection broke: what came until then is the answer. Anything else is a bug.
      failureOf(error);
    }
    return replies;
  }

  subscribe(
    subject: string,
    options: { queue?: string },
    handler: (message: Incoming) => void | Promise<void>,
  ): Subscribed {
    const failed = (error: unknown): void => {
      this.#emit({ kind: "handler_failed", subject, error: error instanceof Error ? error : new Error(String(error)) });
    };
    const subscription = this.#connection.subscribe(subject, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        // A denied subscription also arrives as a status, which is where it is reported.
        if (error !== null) return;
        try {
          const handled = handler(new Delivery(message, this.#respond, this.#inboxPrefix !== undefined));
          if (handled !== undefined) handled.catch(failed);
        } catch (thrown) {
          failed(thrown);
        }
      },
    });
    return {
      unsubscribe: () => {
        if (!this.#connection.isClosed()) subscription.unsubscribe();
      },
      drain: async () => {
        if (!this.#connection.isClosed() && !subscription.isClosed()) await subscription.drain();
      },
    };
  }

  inbox(): string {
    return createInbox(this.#inboxPrefix);
  }

  onEvent(listener: (event: BusEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async flush(): Promise<boolean> {
    if (!this.connected) return false;
    this.#unhurried.send();
    const flushed = this.#connection.flush().then(
      () => true,
      () => false,
    );
    return this.#withinFlush(flushed, false);
  }

  async drain(): Promise<void> {
    this.#unhurried.send();
    if (!this.#connection.isClosed() && !this.#connection.isDraining()) await this.#connection.drain();
  }

  async close(): Promise<void> {
    if (!this.#connection.isClosed()) await this.#connection.close();
  }

  async rttMs(): Promise<number | undefined> {
    if (!this.connected) return undefined;
    return this.#withinFlush(
      this.#connection.rtt().catch(() => undefined),
      undefined,
    );
  }

  /** A server that is stopped and not gone takes a ping and never answers it. */
  async #withinFlush<T>(work: Promise<T>, late: T): Promise<T> {
    const done = new AbortController();
    const outcome = await Promise.race([work, this.#clock.delay(this.timeouts.flush, done.signal).then(() => late)]);
    done.abort();
    return outcome;
  }

  readonly #respond = (subject: string, data: Uint8Array, headers: Headers | undefined): boolean =>
    this.publish(subject, data, headers === undefined ? {} : { headers });

  /** Milliseconds left of `timeoutMs` when the connection is back; 0 when it did not come back in time. */
  async #reconnectedWithin(timeoutMs: number): Promise<number> {
    const startedAtMs = this.#clock.monotonicMs();
    const cancel = new AbortController();
    await new Promise<void>((resolve) => {
      this.#waiters.add(resolve);
      void this.#clock.delay(timeoutMs, cancel.signal).then(() => {
        this.#waiters.delete(resolve);
        resolve();
      });
    });
    cancel.abort();
    return this.connected ? timeoutMs - (this.#clock.monotonicMs() - startedAtMs) : 0;
  }

  async #followStatus(): Promise<void> {
    for await (const status of this.#connection.status()) {
      switch (status.type) {
        case "disconnect":
          this.#disconnectedAtMs ??= this.#clock.monotonicMs();
          this.#emit({ kind: "disconnected", server: status.server });
          break;
        case "reconnect":
          this.#reconnected(status.server);
          break;
        case "slowConsumer":
          this.#emit({ kind: "slow_consumer", subject: status.sub.getSubject(), pending: status.pending });
          break;
        case "ldm":
          this.#emit({ kind: "server_leaving", server: status.server });
          break;
        case "error":
          this.#failed(status.error);
          break;
        case "staleConnection":
          letGo(this.#connection, this.#clock, () => this.connected);
          break;
        case "reconnecting":
        case "update":
        case "ping":
        case "forceReconnect":
        case "close":
          break;
        default:
          status satisfies never;
      }
    }
  }

  #failed(error: Error): void {
    if (error instanceof errors.PermissionViolationError) {
      if (error.operation === "publish") this.#requests.denied(error.subject, error.message);
      this.#emit({ kind: "denied", operation: error.operation, subject: error.subject });
    } else this.#emit({ kind: "server_error", error });
  }

  #reconnected(server: string): void {
    const outageMs = this.#clock.monotonicMs() - (this.#disconnectedAtMs ?? this.#clock.monotonicMs());
    this.#disconnectedAtMs = undefined;
    if (!this.#connection.isClosed() && !this.#connection.isDraining()) this.#requests.askAgain();
    this.#wakeWaiters();
    this.#emit({ kind: "reconnected", server, outageMs });
  }

  #wakeWaiters(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }

  #emit(event: BusEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
