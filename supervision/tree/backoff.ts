// How long to wait before a restart: pure.
//
// Owns: the delay and the count of failures in a row. Does not own: the waiting.
//
// The first failure after a healthy time restarts at once: most crashes do not repeat, and waiting would only lengthen
// the outage. From the second on the wait doubles up to a bound. Jitter only shortens: `maxMs` stays a bound.

import type { Random } from "../../models/clock.js";

export interface BackoffSettings {
  /** Wait before the second restart in a row. */
  readonly initialMs: number;
  readonly factor: number;
  readonly maxMs: number;
  /** Share of the wait that is left to chance, 0..1, so that many children that failed together do not return together. */
  readonly jitter: number;
  /** Having run this long, a child counts as healthy again. */
  readonly resetAfterMs: number;
}

export const backoffDefaults: BackoffSettings = {
  initialMs: 10,
  factor: 2,
  maxMs: 5_000,
  jitter: 0.5,
  resetAfterMs: 10_000,
};

export interface Backoff {
  /** Failures in a row, this one included. */
  readonly failures: number;
  readonly delayMs: number;
}

/** `failures` in a row before this one; `ranMs` how long the ended incarnation had been ready (0 when init failed). */
export function nextBackoff(failures: number, ranMs: number, settings: BackoffSettings, random: Random): Backoff {
  const inRow = ranMs >= settings.resetAfterMs ? 1 : failures + 1;
  if (inRow === 1) return { failures: 1, delayMs: 0 };
  const fullMs = Math.min(settings.maxMs, settings.initialMs * settings.factor ** (inRow - 2));
  return { failures: inRow, delayMs: fullMs * (1 - settings.jitter * random()) };
}
