// How suspicious a silence is: the phi-accrual failure detector.
//
// Source: Hayashibara, Defago, Yared and Katayama, "The phi accrual failure detector", SRDS 2004: phi(t) = -log10 P(the next heartbeat
// comes later than t), with intervals taken as normally distributed; the logistic approximation of the normal tail, the acceptable pause
// and the floor of the deviation are those of Akka's PhiAccrualFailureDetector.
//
// Owns: the window of intervals, and phi. Does not own: the clock (times are arguments), the threshold, what follows from a suspicion.
//
// A1. Suspicion never falls while nothing is heard, and a heartbeat brings it down at once.
// A2. The window is bounded, and an interval in it is never longer than the acceptable pause on top of the expected interval: one long
//     silence that was survived does not make the detector blind to the next.

export interface AccrualSettings {
  /** Stands for the interval until one has been seen. */
  readonly expectedIntervalMs: number;
  /** Intervals remembered. */
  readonly window: number;
  /** The deviation is never taken as smaller: intervals that were all alike would make a late heartbeat look impossible. */
  readonly minDeviationMs: number;
  /** A pause that is expected to happen: garbage collection, a starved machine. */
  readonly acceptablePauseMs: number;
}

/** For a heartbeat of about one second. */
export const accrualDefaults: AccrualSettings = {
  expectedIntervalMs: 1_000,
  window: 100,
  minDeviationMs: 100,
  acceptablePauseMs: 2_000,
};

/** Beyond this the tail of the distribution is zero in double precision. */
export const suspicionMax = 300;

export class AccrualDetector {
  readonly #settings: AccrualSettings;
  readonly #intervalsMs: number[] = [];
  #lastMs: number | undefined;

  constructor(settings: AccrualSettings) {
    this.#settings = settings;
  }

  /** A heartbeat came at `atMs`, on the clock that `suspicion` is asked with. */
  heard(atMs: number): void {
    const lastMs = this.#lastMs;
    this.#lastMs = atMs;
    if (lastMs === undefined) return;
    const { expectedIntervalMs, acceptablePauseMs, window } = this.#settings;
    this.#intervalsMs.push(Math.min(Math.max(0, atMs - lastMs), expectedIntervalMs + acceptablePauseMs));
    if (this.#intervalsMs.length > window) this.#intervalsMs.shift();
  }

  /**
   * The silence until `atMs` was the listener's own: it counts neither as an interval nor as suspicion, and what was learned of the
   * intervals stays.
   */
  excuse(atMs: number): void {
    if (this.#lastMs !== undefined) this.#lastMs = Math.max(this.#lastMs, atMs);
  }

  /** Phi: 1 means that a live one is this late once in ten times, 8 once in a hundred million. 0 before the first heartbeat. */
  suspicion(nowMs: number): number {
    if (this.#lastMs === undefined) return 0;
    const { meanMs, deviationMs } = this.#distribution();
    return phi((nowMs - this.#lastMs - meanMs) / deviationMs);
  }

  /** The silence, in ms since the last heartbeat, at which suspicion reaches `threshold`. */
  detectionMs(threshold: number): number {
    const { meanMs, deviationMs } = this.#distribution();
    return meanMs + deviationMs * deviationsAt(threshold);
  }

  /** Milliseconds since the last heartbeat, 0 before the first. */
  silenceMs(nowMs: number): number {
    return this.#lastMs === undefined ? 0 : nowMs - this.#lastMs;
  }

  /** Intervals in the window. */
  get samples(): number {
    return this.#intervalsMs.length;
  }

  #distribution(): { readonly meanMs: number; readonly deviationMs: number } {
    const { expectedIntervalMs, acceptablePauseMs, minDeviationMs } = this.#settings;
    // Akka's guess before the first interval: the expected one, and a quarter of it as deviation.
    if (this.#intervalsMs.length === 0)
      return {
        meanMs: expectedIntervalMs + acceptablePauseMs,
        deviationMs: Math.max(minDeviationMs, expectedIntervalMs / 4),
      };
    const count = this.#intervalsMs.length;
    const mean = this.#intervalsMs.reduce((sum, each) => sum + each, 0) / count;
    const variance = this.#intervalsMs.reduce((sum, each) => sum + (each - mean) ** 2, 0) / count;
    return { meanMs: mean + acceptablePauseMs, deviationMs: Math.max(minDeviationMs, Math.sqrt(variance)) };
  }
}

/** -log10 of the normal distribution's upper tail at `y` deviations, logistic approximation (Akka; error below 1e-4 in the tail's value). */
function phi(y: number): number {
  const exponent = y * (1.5976 + 0.070566 * y * y);
  // log10(1 + e^x), which for a large x is x itself: e^x would overflow.
  const value = exponent > 30 ? exponent * Math.LOG10E : Math.log1p(Math.exp(exponent)) * Math.LOG10E;
  return Math.min(suspicionMax, value);
}

/** The inverse of `phi`. It is monotonic, so halving finds it; 40 deviations are beyond `suspicionMax`. */
function deviationsAt(threshold: number): number {
  let [low, high] = [-10, 40];
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (phi(middle) < threshold) low = middle;
    else high = middle;
  }
  return high;
}
