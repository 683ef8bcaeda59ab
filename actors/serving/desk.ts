// The desk: every request that is open on this node, and the only place where one is closed.
//
// Owns: admission up to a bound, deadlines, and the rule "answered or refused, exactly once".
// Does not own: who goes when it is full (overflow.ts), what the answer is (voter.ts), where requests come from (intake.ts).
// It outlives the incarnations of the actors between which a request travels: a killed actor redelivers its messages, the desk still
// knows whom to answer.
//
// D1. A request leaves the desk exactly once: settled, or refused with a name.
// D2. A request that is open longer than its deadline is refused with `deadline`; it never hangs.
// D3. A second delivery of an open request id joins the first one: one inference, one experience, each delivery answered. Those who
//     may wait for one request are bounded too.
// D4. Memory that is held for a request's input is let go when the request is closed, and not before.

import type { Clock } from "../../models/clock.js";
import type { InputValues } from "../../models/serving/sent-input.js";
import { decideOverflow, type OverflowSettings, overflowDefaults } from "../../operations/overflow.js";
import type { BatchTimings } from "../../operations/timings/batch-timings.js";
import type { TraceContext } from "../../operations/traces/trace-context.js";
import type { RefusalCode } from "../../transport/messages/wire.js";
import type { Held } from "../../transport/tensors/buffers.js";

/** A way back to whoever asked. */
export interface Answerer {
  answer(payload: Uint8Array): void;
  refuse(code: RefusalCode, message: string, retryAfterMs?: number): void;
}

export interface OpenRequest {
  readonly key: number;
  readonly id: string;
  readonly traceId: string;
  /** float32, the manifest's input shape, already scaled and checked. May be a part of the message that brought it. */
  readonly input: InputValues;
  /** The memory of a large input, which others use when the request is closed: whoever reads it for longer holds it too. */
  readonly held?: Held | undefined;
  readonly explain: boolean;
  /** An earlier try may have been answered elsewhere. */
  readonly isRetry: boolean;
  /** When its message came, before it was decoded. */
  readonly receivedAtMs: number;
  readonly acceptedAtMs: number;
  readonly deadlineAtMs: number;
  /** Of the caller's trace, where it named one. */
  readonly caller: TraceContext | undefined;
  /** Of the micro-batch that it was part of last; undefined until the model took it. */
  timings: BatchTimings | undefined;
}

export interface NewRequest {
  readonly id: string;
  readonly traceId: string;
  readonly input: InputValues;
  /** Belongs to the request once it is opened. */
  readonly held?: Held | undefined;
  readonly explain: boolean;
  readonly isRetry: boolean;
  readonly priority: number;
  readonly deadlineMs: number;
  /** Monotonic; the moment of opening when left out. */
  readonly receivedAtMs?: number;
  readonly caller?: TraceContext | undefined;
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

/** Hears how requests ended. */
export interface DeskEars {
  closed(closed: Closed): void;
  /** Those of one batch that were answered at one moment; each of them by `closed` when left out. */
  answered?(requests: readonly OpenRequest[], nowMs: number): void;
}

export interface DeskSettings extends OverflowSettings {
  readonly sweepEveryMs: number;
}

export const deskDefaults: DeskSettings = { ...overflowDefaults, sweepEveryMs: 10 };

/** Deliveries of one open request at most: a client that tries again stays far below. */
const deliveriesMax = 64;
const retryAfterMs = 50;

interface Entry {
  readonly request: OpenRequest;
  readonly priority: number;
  readonly answerers: Answerer[];
}

export class Desk {
  readonly #open = new Map<number, Entry>();
  readonly #byId = new Map<string, number>();
  readonly #clock: Clock;
  readonly #settings: DeskSettings;
  readonly #ears: DeskEars;
  readonly #waiters: (() => void)[] = [];
  #nextKey = 1;
  #lastRefusal = "";
  #cancelSweep: (() => void) | undefined;

  constructor(clock: Clock, ears: DeskEars | DeskEars["closed"], settings: DeskSettings = deskDefaults) {
    this.#clock = clock;
    this.#ears = typeof ears === "function" ? { closed: ears } : ears;
    this.#settings = settings;
  }

  get size(): number {
    return this.#open.size;
  }

  /** For how long the request is open that was let in first; 0 when none is. */
  oldestMs(nowMs: number): number {
    const [oldest] = this.#open.values();
    return oldest === undefined ? 0 : Math.max(0, nowMs - oldest.request.acceptedAtMs);
  }

  /** Code and message of the newest; empty before the first. */
  get lastRefusal(): string {
    return this.#lastRefusal;
  }

  get settings(): DeskSettings {
    return this.#settings;
  }

  open(wanted: NewRequest, answerer: Answerer): Admission {
    const joined = this.join(wanted.id, answerer);
    if (joined !== undefined) return joined;
    const full = this.#makeRoomFor(wanted.priority);
    if (full !== undefined) return full;
    const acceptedAtMs = this.#clock.monotonicMs();
    const request: OpenRequest = {
      key: this.#nextKey++,
      id: wanted.id,
      traceId: wanted.traceId,
      input: wanted.input,
      held: wanted.held,
      explain: wanted.explain,
      isRetry: wanted.isRetry,
      receivedAtMs: wanted.receivedAtMs ?? acceptedAtMs,
      acceptedAtMs,
      deadlineAtMs: acceptedAtMs + wanted.deadlineMs,
      caller: wanted.caller,
      timings: undefined,
    };
    this.#open.set(request.key, { request, priority: wanted.priority, answerers: [answerer] });
    this.#byId.set(request.id, request.key);
    this.#cancelSweep ??= this.#clock.after(this.#settings.sweepEveryMs, () => this.#sweep());
    return { kind: "opened", request };
  }

  /** Undefined when no request of this id is open. */
  join(id: string, answerer: Answerer): Admission | undefined {
    const known = this.#byId.get(id);
    const earlier = known === undefined ? undefined : this.#open.get(known);
    if (earlier === undefined) return undefined;
    const { length } = earlier.answerers;
    if (length >= deliveriesMax) return overloaded(`request ${id} is open ${length} times already`);
    earlier.answerers.push(answerer);
    return { kind: "joined" };
  }

  /** Whether a request of this priority would be turned away now; asked before its input is fetched. */
  objection(priority: number): Extract<Admission, { readonly kind: "refused" }> | undefined {
    const verdict = decideOverflow(this.#settings, this.#open.values(), this.#open.size, priority);
    if (verdict.kind !== "refuse") return undefined;
    return { kind: "refused", code: verdict.code, message: verdict.message, retryAfterMs };
  }

  isOpen(request: OpenRequest): boolean {
    return this.#open.get(request.key)?.request === request;
  }

  settle(request: OpenRequest, payload: Uint8Array): void {
    const entry = this.#take(request);
    if (entry === undefined) return;
    for (const answerer of entry.answerers) answerer.answer(payload);
    this.#closed(entry, undefined, "");
  }

  /**
   * The requests of one batch, at one moment; `payloadOf` the place of each that is still open. Whoever listens is told `later`: at once, or when
   * the answers are on their way.
   */
  settleAll(
    requests: readonly OpenRequest[],
    payloadOf: (place: number) => Uint8Array,
    later: (tell: () => void) => void = (tell) => tell(),
  ): void {
    const answered: OpenRequest[] = [];
    try {
      for (let place = 0; place < requests.length; place++) {
        const request = requests[place];
        if (request === undefined || !this.isOpen(request)) continue;
        const payload = payloadOf(place);
        for (const answerer of this.#take(request)?.answerers ?? []) answerer.answer(payload);
        answered.push(request);
      }
    } finally {
      const nowMs = this.#clock.monotonicMs();
      later(() => this.#answered(answered, nowMs));
    }
  }

  #answered(answered: readonly OpenRequest[], nowMs: number): void {
    if (this.#ears.answered !== undefined) this.#ears.answered(answered, nowMs);
    else
      for (const request of answered)
        this.#ears.closed({ request, code: undefined, tookMs: nowMs - request.acceptedAtMs });
    for (const { held } of answered) held?.release();
    this.#tellDrained();
  }

  refuse(request: OpenRequest, code: RefusalCode, message: string, retryAfterMs?: number): void {
    const entry = this.#take(request);
    if (entry === undefined) return;
    for (const answerer of entry.answerers) answerer.refuse(code, message, retryAfterMs);
    this.#closed(entry, code, message);
  }

  /** Everything that is still open, by name: whoever worked on it is about to end. */
  refuseAll(code: RefusalCode, message: string): void {
    for (const { request } of [...this.#open.values()]) this.refuse(request, code, message, retryAfterMs);
  }

  /** Resolves once nothing is open; new requests must have been stopped before. Deadlines bound the wait. */
  drained(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Undefined when there is room now, for which another may have had to go. */
  #makeRoomFor(priority: number): Admission | undefined {
    const verdict = decideOverflow(this.#settings, this.#open.values(), this.#open.size, priority);
    switch (verdict.kind) {
      case "admit":
        return undefined;
      case "refuse":
        return { kind: "refused", code: verdict.code, message: verdict.message, retryAfterMs };
      case "evict":
        this.refuse(verdict.victim.request, "shed", verdict.message, retryAfterMs);
        return undefined;
    }
  }

  #take(request: OpenRequest): Entry | undefined {
    const entry = this.#open.get(request.key);
    if (entry?.request !== request) return undefined;
    this.#open.delete(request.key);
    this.#byId.delete(request.id);
    return entry;
  }

  #closed({ request }: Entry, code: RefusalCode | undefined, message: string): void {
    if (code !== undefined) this.#lastRefusal = `${code}: ${message}`;
    this.#ears.closed({ request, code, tookMs: this.#clock.monotonicMs() - request.acceptedAtMs });
    request.held?.release();
    this.#tellDrained();
  }

  #tellDrained(): void {
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
