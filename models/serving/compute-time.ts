// How long a piece of work kept its thread computing.
//
// The clock says it for nothing, but calls a run slow while another process has the processor. Whoever waits for a processor would wait for it
// anywhere, so that must not decide where to compute. What the process itself was given says it better, and costs as much as a small run's
// outputs: it is asked for while the clock looks bad.
//
// Owns: this measure. Does not own: what is decided by it (short-runs.ts).
//
// Source: getrusage(2), RUSAGE_SELF, which is of all threads of the process: too much rather than too little.

/** A run that took as long by the clock makes the next ones doubtful. */
const doubtFromMs = 0.75;
const doubtfulRuns = 64;
/** What the clock alone says is never more than this: long, but not what the next decision may rest on alone. */
const byClockMostMs = 10;
const microsPerMs = 1_000;

export class ComputeTime {
  readonly #monotonicMs: () => number;
  readonly #processorMs: () => number;
  #doubtful = 0;

  constructor(monotonicMs: () => number, processorMs: () => number = processorOfProcessMs) {
    this.#monotonicMs = monotonicMs;
    this.#processorMs = processorMs;
  }

  /** Begins now; the returned function ends it and gives milliseconds. */
  begin(): () => number {
    const before = this.#doubtful > 0 ? this.#processorMs() : undefined;
    const beganAtMs = this.#monotonicMs();
    return () => {
      const tookMs = this.#monotonicMs() - beganAtMs;
      this.#doubtful = tookMs >= doubtFromMs ? doubtfulRuns : Math.max(0, this.#doubtful - 1);
      if (before === undefined) return Math.min(tookMs, byClockMostMs);
      return Math.min(tookMs, this.#processorMs() - before);
    };
  }
}

function processorOfProcessMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / microsPerMs;
}
