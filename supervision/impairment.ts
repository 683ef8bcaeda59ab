// Faults that end by themselves: a hang and a slowness, each with a lease.
//
// Owns: what an impaired turn waits for. Does not own: finding the hang (the turn's deadline in cell.ts).
//
// I1. A fault ends after its lease, also when whoever injected it is gone.
// I2. It belongs to one incarnation: a restart cures it.

import type { Clock } from "../models/clock.js";

/** What a slow actor waits before every turn. */
const slowTurnMs = 20;

export interface Impairment {
  readonly mode: "hang" | "slow";
  /** Resolves when the lease ends or the incarnation does. */
  readonly over: Promise<void>;
  /** Waits as long as this fault delays one turn. */
  delay(): Promise<void>;
}

export function impair(mode: "hang" | "slow", forMs: number, clock: Clock, signal: AbortSignal): Impairment {
  const over = clock.delay(forMs, signal);
  return { mode, over, delay: () => (mode === "hang" ? over : clock.delay(Math.min(slowTurnMs, forMs), signal)) };
}
