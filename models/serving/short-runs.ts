// Which runs are so short that they may be computed in the thread that talks to NATS (law 10).
//
// Handing a run to the engine's thread and taking it back costs two wakings of a thread, which is more than a small model costs. What is known of the
// next run is how long the last ones took (compute-time.ts): of one row, looks included.
//
// Owns: the decision. Does not own: clocks, sessions, what else speaks against it (near-runs.ts).
//
// S1. Nothing is taken for short before a whole window of runs was measured, and no more than `longMost` of them took longer than the budget.
// S2. One run here that took `farTooLongMs`, or one too many over the budget, ends it: for `awayMs`, and each time for twice as long, until it went
//     well for `settledRuns`. What was measured before is forgotten then, so that coming back takes a whole window too.

export interface ShortRunSettings {
  /** A run may take as long. */
  readonly budgetMs: number;
  /** Runs that are looked at, and of these how many may take longer: an upper quantile. */
  readonly window: number;
  readonly longMost: number;
  /** One that takes as long is one too many. */
  readonly farTooLongMs: number;
  readonly awayMs: number;
  readonly awayMostMs: number;
  readonly settledRuns: number;
}

/** p94 below a millisecond: that of clean digits is 0.45, and of drifted ones with their looks below 1. */
export const shortRunDefaults: ShortRunSettings = {
  budgetMs: 1,
  window: 64,
  longMost: 4,
  farTooLongMs: 20,
  awayMs: 1_000,
  awayMostMs: 60_000,
  settledRuns: 1_024,
};

export class ShortRuns {
  readonly #settings: ShortRunSettings;
  /** 1 = took longer than the budget. */
  readonly #isLong: Uint8Array;
  #next = 0;
  #measured = 0;
  #long = 0;
  #awayMs: number;
  #awayUntilMs = Number.NEGATIVE_INFINITY;
  #wentWell = 0;

  constructor(settings: ShortRunSettings = shortRunDefaults) {
    this.#settings = settings;
    this.#isLong = new Uint8Array(settings.window);
    this.#awayMs = settings.awayMs;
  }

  /** Whether the next run of one row may be computed here. `nowMs` is monotonic. */
  mayRunHere(nowMs: number): boolean {
    return this.#areShort() && nowMs >= this.#awayUntilMs;
  }

  /** A run of one row in the engine's thread took `ranMs`, without its way there and back. */
  ranThere(ranMs: number): void {
    this.#note(ranMs);
  }

  /** The same, here. */
  ranHere(ranMs: number, nowMs: number): void {
    this.#note(ranMs);
    if (this.#areShort() && ranMs < this.#settings.farTooLongMs) {
      this.#wentWell += 1;
      if (this.#wentWell >= this.#settings.settledRuns) this.#awayMs = this.#settings.awayMs;
      return;
    }
    this.#awayUntilMs = nowMs + this.#awayMs;
    this.#awayMs = Math.min(this.#settings.awayMostMs, this.#awayMs * 2);
    this.#wentWell = 0;
    this.#measured = 0;
    this.#long = 0;
    this.#isLong.fill(0);
  }

  #areShort(): boolean {
    return this.#measured >= this.#settings.window && this.#long <= this.#settings.longMost;
  }

  #note(ranMs: number): void {
    const isLong = ranMs > this.#settings.budgetMs ? 1 : 0;
    this.#long += isLong - (this.#isLong[this.#next] ?? 0);
    this.#isLong[this.#next] = isLong;
    this.#next = (this.#next + 1) % this.#settings.window;
    this.#measured = Math.min(this.#settings.window, this.#measured + 1);
  }
}
