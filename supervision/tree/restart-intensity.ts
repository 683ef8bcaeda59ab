// How often a supervisor may restart before it gives up: a pure count within a window.
//
// Source: OTP supervisor.erl, add_restart/3.
// Owns: the count, and what of it is handed on. Does not own: what giving up means (supervisor.ts, process-root.ts).
//
// I1. Budgets of nested levels add, they do not multiply. A supervisor keeps its history through its own restart, and a node that gave up
//     hands its histories to its next incarnation. So what always crashes is started at most 1 + r1 + r2 + ... + rn times within the
//     shortest window of the levels above it before the outermost gives up; when histories were forgotten it would be the product.

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

/** Ages in ms of the restarts in each supervisor's window, by its path: what a node hands on when it gives up (I1). */
export type SpentBudgets = Readonly<Record<string, readonly number[]>>;

export function agesOf(history: RestartHistory, atMs: number, intensity: RestartIntensity): readonly number[] {
  return within(history, atMs, intensity).map((restartedAtMs) => Math.round(atMs - restartedAtMs));
}

/** The other way round, in a process with another monotonic clock: times may lie before its zero. */
export function historyOf(agesMs: readonly number[], atMs: number): RestartHistory {
  return agesMs.map((ageMs) => atMs - ageMs);
}

/** As old as they are `byMs` later. */
export function aged(spent: SpentBudgets, byMs: number): SpentBudgets {
  return Object.fromEntries(Object.entries(spent).map(([path, ages]) => [path, ages.map((age) => age + byMs)]));
}
