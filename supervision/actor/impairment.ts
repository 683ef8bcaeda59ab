// Faults that end by themselves: a hang and a slowness, each with a lease.
//
// Owns: what an impaired turn waits for. Does not own: finding the hang (the turn's deadline in cell.ts).
//
// I1. A fault ends after its lease, also when whoever injected it is gone.
// I2. It belongs to one incarnation: a restart cures it.
// I3. It may be ended before its lease, by whoever keeps the ledger of faults.

import type { Clock } from "../../models/clock.js";

/** What a slow actor waits before every turn. */
const slowTurnMs = 20;

export interface Impairment {
  readonly mode: "hang" | "slow";
  /** Resolves when the lease ends, the incarnation does, or somebody ended it. */
  readonly over: Promise<void>;
  /** Waits as long as this fault delays one turn. */
  delay(): Promise<void>;
  /** Ends it now. */
  end(): void;
}

export function impair(mode: "hang" | "slow", forMs: number, clock: Clock, signal: AbortSignal): Impairment {
  const ending = new AbortController();
  const end = (): void => ending.abort();
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  const over = clock.delay(forMs, ending.signal).then(() => signal.removeEventListener("abort", end));
  const slow = (): Promise<void> => clock.delay(Math.min(slowTurnMs, forMs), ending.signal);
  return { mode, over, delay: () => (mode === "hang" ? over : slow()), end };
}
