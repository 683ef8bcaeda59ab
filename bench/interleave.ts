// Rounds ABCABC: every contender meets the same weather.
//
// Owns: the order of measurements in one process. Does not own: what a measurement is.
import type { Clock } from "../models/clock.js";

/** One contender: does its work `count` times. */
export interface Contender {
  readonly name: string;
  readonly count: number;
  readonly work: (count: number) => void | Promise<void>;
}

export interface Timed {
  readonly name: string;
  /** Microseconds for one piece of work, one value per round. */
  readonly us: readonly number[];
}

/** One round that is not counted, then `rounds` that are. */
export async function interleave(contenders: readonly Contender[], rounds: number, clock: Clock): Promise<Timed[]> {
  const timed = contenders.map(({ name }) => ({ name, us: [] as number[] }));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, { count, work }] of contenders.entries()) {
      const beganAtMs = clock.monotonicMs();
      await work(count);
      const tookMs = clock.monotonicMs() - beganAtMs;
      if (round > 0) timed[index]?.us.push((tookMs * 1000) / count);
    }
  }
  return timed;
}

export function timedOf(timed: readonly Timed[], name: string): readonly number[] {
  const found = timed.find((each) => each.name === name);
  if (found === undefined) throw new Error(`nothing was measured under "${name}"`);
  return found.us;
}
