// The desk: every request that is open on this node, and the only place where one is closed.
//
// Owns: admission (a bound, and shedding of low priorities before it), deadlines, and the rule "answered or refused, exactly once".
// Does not own: what the answer is (voter.ts), where requests come from (intake.ts).
// It outlives the incarnations of the actors between which a request travels: a killed actor redelivers its messages, the desk still
// knows whom to answer.
//
// D1. A request leaves the desk exactly once: settled, or refused with a name.
// D2. A request that is open longer than its deadline is refused with `deadline`; it never hangs.
// D3. A second delivery of an open request id joins the first one: one inference, one experience, each delivery answered. Those who
//     may wait for one request are bounded too.

import type { Clock } from "../models/clock.js";
import type { RefusalCode } from "../transport/wire.js";

/** A way back to whoever asked. */
export interface Answerer {
  answer(payload: Uint8Array): void;
  refuse(code: RefusalCode, message: string, retryAfterMs?: number): void;
}

export interface OpenRequest {
  readonly key: number;
  readonly id: string;
  readonly traceId: string;
  /** float32, the manifest's input shape, already scaled and checked. */
  readonly input: Float32Array;
  readonly explain: boolean;
  /** An earlier try may have been answered elsewhere. */
  readonly isRetry: boolean;
  readonly acceptedAtMs: number;
  readonly deadlineAtMs: number;
}

export interface NewRequest {
  readonly id: string;
  readonly traceId: string;
  readonly input: Float32Array;
  readonly explain: boolean;
  readonly isRetry: boolean;
  readonly priority: number;
  readonly deadlineMs: number;
}

export type Admission =
  | { readonly kind: "opened"; readonly request: OpenRequest }
  | { readonly kind: "joined" }
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly message: string; readonly retryAfterMs: number };

export interface Closed {
  readonly request: OpenRequest;
  readonly code: RefusalCode | undefined;
  readonly tookMs: number;
}

export interface DeskSettings {
  /** Requests open at once, at most. */
  readonly openMax: number;
  /** From this share of openMax on, requests of less than default priority are shed. */
  readonly shedFrom: number;
  readonly sweepEveryMs: number;
}

export const deskDefaults: DeskSettings = { openMax: 1024, shedFrom: 0.8, sweepEveryMs: 10 };

const defaultPriority = 5;
/** Deliveries of one open request at most: a client that tries again stays far below. */
const deliveriesMax = 64;
const retryAfterMs = 50;

interface Entry {
  readonly request: OpenRequest;
  readonly answerers: Answerer[];
}

export class Desk {
  readonly #open = new Map<number, Entry>();
  readonly #byId = new Map<string, number>();
  readonly #clock: Clock;
  readonly #settings: DeskSettings;
  readonly #onClosed: (closed: Closed) => void;
  readonly #waiters: (() => void)[] = [];
  #nextKey = 1;
  #cancelSweep: (() => void) | undefined;

  constructor(clock: Clock, onClosed: (closed: Closed) => void, settings: DeskSettings = deskDefaults) {
    this.#clock = clock;
    this.#onClosed = onClosed;
    this.#settings = settings;
  }

  get size(): number {
    return this.#open.size;
  }

  open(wanted: NewRequest, answerer: Answerer): Admission {
    const known = this.#byId.get(wanted.id);
    const earlier = known === undefined ? undefined : this.#open.get(known);
    if (earlier !== undefined) {
      const { length } = earlier.answerers;
      if (length >= deliveriesMax) return overloaded(`request ${wanted.id} is open ${length} times already`);
      earlier.answerers.push(answerer);
      return { kind: "joined" };
    }
    const full = this.#refusalFor(wanted.priority);
    if (full !== undefined) return full;
    const acceptedAtMs = this.#clock.monotonicMs();
    const request: OpenRequest = {
      key: this.#nextKey++,
      id: wanted.id,
      traceId: wanted.traceId,
      input: wanted.input,
      explain: wanted.explain,
      isRetry: wanted.isRetry,
      acceptedAtMs,
      deadlineAtMs: acceptedAtMs + wanted.deadlineMs,
    };
    this.#open.set(request.key, { request, answerers: [answerer] });
    this.#byId.set(request.id, request.key);
    this.#cancelSweep ??= this.#clock.after(this.#settings.sweepEveryMs, () => this.#sweep());
    return { kind: "opened", request };
  }

  isOpen(request: OpenRequest): boolean {
    return this.#open.get(request.key)?.request === request;
  }

  settle(request: OpenRequest, payload: Uint8Array): void {
    const entry = this.#take(request);
    if (entry === undefined) return;
    for (const answerer of entry.answerers) answerer.answer(payload);
    this.#closed(entry, undefined);
  }

  refuse(request: OpenRequest, code: RefusalCode, message: string, retryAfterMs?: number): void {
    const entry = this.#take(request);
    if (entry === undefined) return;
    for (const answerer of entry.answerers) answerer.refuse(code, message, retryAfterMs);
    this.#closed(entry, code);
  }

  /** Resolves once nothing is open; new requests must have been stopped before. Deadlines bound the wait. */
  drained(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #refusalFor(priority: number): Admission | undefined {
    const { openMax, shedFrom } = this.#settings;
    if (this.#open.size >= openMax) return overloaded(`${openMax} requests are open on this node`);
    if (priority < defaultPriority && this.#open.size >= openMax * shedFrom)
      return { kind: "refused", code: "shed", message: `priority ${priority} is shed under load`, retryAfterMs };
    return undefined;
  }

  #take(request: OpenRequest): Entry | undefined {
    const entry = this.#open.get(request.key);
    if (entry?.request !== request) return undefined;
    this.#open.delete(request.key);
    this.#byId.delete(request.id);
    return entry;
  }

  #closed(entry: Entry, code: RefusalCode | undefined): void {
    this.#onClosed({ request: entry.request, code, tookMs: this.#clock.monotonicMs() - entry.request.acceptedAtMs });
    if (this.#open.size === 0) for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const { request } of this.#open.values()) {
      if (request.deadlineAtMs <= nowMs)
        this.refuse(request, "deadline", "the deadline passed before an answer was ready");
    }
    this.#cancelSweep =
      this.#open.size === 0 ? undefined : this.#clock.after(this.#settings.sweepEveryMs, () => this.#sweep());
  }
}

function overloaded(message: string): Admission {
  return { kind: "refused", code: "overloaded", message, retryAfterMs };
}
