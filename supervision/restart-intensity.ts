// How often a supervisor may restart before it gives up: a pure count within a window.
//
// Source: OTP supervisor.erl, add_restart/3.
// Owns: the count. Does not own: what giving up means (supervisor.ts, process-root.ts).

export interface RestartIntensity {
  /** Restarts allowed within the window; one more and the supervisor gives up. 0 allows none. */
  readonly restarts: number;
  readonly withinMs: number;
}

/** Times of the restarts inside the window, oldest first. */
export type RestartHistory = readonly number[];

export type RestartVerdict =
  | { readonly kind: "allowed"; readonly history: RestartHistory }
  | { readonly kind: "exceeded"; readonly history: RestartHistory };

/** Records a restart at `atMs` (monotonic) and says whether it is still within the intensity. */
export function recordRestart(history: RestartHistory, atMs: number, intensity: RestartIntensity): RestartVerdict {
  const recent = [...within(history, atMs, intensity), atMs];
  return { kind: recent.length > intensity.restarts ? "exceeded" : "allowed", history: recent };
}

/** Restarts left at `atMs` before the next one is too many; never below zero. */
export function restartsLeft(history: RestartHistory, atMs: number, intensity: RestartIntensity): number {
  return Math.max(0, intensity.restarts - within(history, atMs, intensity).length);
}

function within(history: RestartHistory, atMs: number, intensity: RestartIntensity): RestartHistory {
  return history.filter((at) => at > atMs - intensity.withinMs);
}
