// A circuit breaker: when calls to one target keep failing, it is left alone for a while instead of being asked again and again.
//
// Owns: the states and what a call's outcome does to them. Pure: time is an argument, any clock that never goes back will do.
// Does not own: the calls, which target has which breaker and what is said about it (operations/faults/breakers.ts).
//
// C1. Only what happened within the window counts, by time and by number: five failures in a year open nothing.
// C2. It opens at `failureRatio` of at least `callsMin` calls, or at `failuresInRow`. Rejected calls and calls that their caller gave up
//     count for nothing.
// C3. Half open it admits exactly `probes` calls. All of them have to succeed before it closes; the first failure opens it again, for
//     `openFactor` times as long.
// C4. An outcome belongs to the state in which its call was admitted: one that comes later changes nothing.
//
// A call that was admitted must be settled, so it has to be bounded by whoever makes it.

export interface BreakerSettings {
  readonly windowMs: number;
  readonly windowCalls: number;
  /** The ratio says nothing about fewer calls. */
  readonly callsMin: number;
  readonly failureRatio: number;
  readonly failuresInRow: number;
  readonly probes: number;
  readonly openMs: number;
  readonly openFactor: number;
  readonly openMaxMs: number;
}

export const breakerDefaults: BreakerSettings = {
  windowMs: 60_000,
  windowCalls: 20,
  callsMin: 10,
  failureRatio: 0.5,
  failuresInRow: 5,
  probes: 3,
  openMs: 60_000,
  openFactor: 2,
  openMaxMs: 900_000,
};

/** What an admitted call is settled with. */
export interface Permit {
  readonly era: number;
}

/** `retryAtMs` is null while the probes of a half-open breaker are under way: whoever ends next decides. */
export type Admission =
  | { readonly kind: "admitted"; readonly permit: Permit; readonly turned: BreakerTurn | undefined }
  | { readonly kind: "rejected"; readonly retryAtMs: number | null };

/** `given_up`: by its caller, for reasons that say nothing about the target. */
export type CallOutcome = "succeeded" | "failed" | "given_up";

/** A change of state. `failures` of the last `calls`. */
export type BreakerTurn =
  | { readonly kind: "opened"; readonly failures: number; readonly calls: number; readonly untilMs: number }
  | { readonly kind: "half_opened" }
  | { readonly kind: "closed" };

interface Call {
  readonly atMs: number;
  readonly failed: boolean;
}

type State =
  | { readonly kind: "closed"; calls: readonly Call[] }
  | { readonly kind: "open"; readonly untilMs: number; readonly openings: number }
  | { readonly kind: "half_open"; readonly openings: number; admitted: number; succeeded: number };

export class CircuitBreaker {
  readonly #settings: BreakerSettings;
  #state: State = { kind: "closed", calls: [] };
  /** Grows with every change of state. */
  #era = 0;

  constructor(settings: BreakerSettings = breakerDefaults) {
    this.#settings = settings;
  }

  get kind(): State["kind"] {
    return this.#state.kind;
  }

  admit(nowMs: number): Admission {
    const turned = this.#halfOpenIfDue(nowMs);
    const state = this.#state;
    if (state.kind === "open") return { kind: "rejected", retryAtMs: state.untilMs };
    if (state.kind === "half_open") {
      if (state.admitted >= this.#settings.probes) return { kind: "rejected", retryAtMs: null };
      state.admitted += 1;
    }
    return { kind: "admitted", permit: { era: this.#era }, turned };
  }

  /** The change that follows from the outcome, if any. */
  settle(permit: Permit, outcome: CallOutcome, nowMs: number): BreakerTurn | undefined {
    if (permit.era !== this.#era) return undefined;
    const state = this.#state;
    switch (state.kind) {
      case "closed":
        return outcome === "given_up" ? undefined : this.#count({ atMs: nowMs, failed: outcome === "failed" });
      case "half_open":
        return this.#probed(state, outcome, nowMs);
      case "open":
        throw new Error("an open breaker admits nothing");
    }
  }

  #halfOpenIfDue(nowMs: number): BreakerTurn | undefined {
    const state = this.#state;
    if (state.kind !== "open" || nowMs < state.untilMs) return undefined;
    this.#turn({ kind: "half_open", openings: state.openings, admitted: 0, succeeded: 0 });
    return { kind: "half_opened" };
  }

  #count(call: Call): BreakerTurn | undefined {
    const { windowMs, windowCalls, callsMin, failureRatio, failuresInRow } = this.#settings;
    const before = this.#state.kind === "closed" ? this.#state.calls : [];
    const calls = [...before, call].filter(({ atMs }) => call.atMs - atMs < windowMs).slice(-windowCalls);
    this.#state = { kind: "closed", calls };
    const failures = calls.filter(({ failed }) => failed).length;
    const inRow = calls.length - 1 - calls.findLastIndex(({ failed }) => !failed);
    const tooMany = calls.length >= callsMin && failures / calls.length >= failureRatio;
    if (!call.failed || !(tooMany || inRow >= failuresInRow)) return undefined;
    return this.#open(0, failures, calls.length, call.atMs);
  }

  #probed(state: Extract<State, { kind: "half_open" }>, outcome: CallOutcome, nowMs: number): BreakerTurn | undefined {
    if (outcome === "given_up") {
      // It said nothing: another call may probe in its place.
      state.admitted -= 1;
      return undefined;
    }
    if (outcome === "failed") return this.#open(state.openings, 1, state.succeeded + 1, nowMs);
    state.succeeded += 1;
    if (state.succeeded < this.#settings.probes) return undefined;
    this.#turn({ kind: "closed", calls: [] });
    return { kind: "closed" };
  }

  #open(openings: number, failures: number, calls: number, nowMs: number): BreakerTurn {
    const { openMs, openFactor, openMaxMs } = this.#settings;
    const untilMs = nowMs + Math.min(openMaxMs, openMs * openFactor ** openings);
    this.#turn({ kind: "open", untilMs, openings: openings + 1 });
    return { kind: "opened", failures, calls, untilMs };
  }

  #turn(state: State): void {
    this.#state = state;
    this.#era += 1;
  }
}
