// How long a lost connection waits between its tries to come back.
//
// Owns: the pace of one connection's tries, and its chance. Does not own: the tries (the client library's dial loop asks before each of them).
//
// N1. The first try is made at once: most often a connection broke, or another server of the list is there.
// N2. A server that was killed takes a while to start, so the second try waits; then tries are close, while one is expected back; then rarer, so
//     that a long outage ends without all at once.
// N3. The pace goes on from one loss to the next within `calmMs`: a server that takes connections and drops them is met at this pace too.
//
// The library draws a wait anew whenever it looks at the clock, so that short draws never count: of 20 to 80 ms it waits 65, not 50.

import { randomInt } from "node:crypto";
import type { Clock, Random } from "../../models/clock.js";

/** Uniform in [leastMs, mostMs). */
interface Wait {
  readonly leastMs: number;
  readonly mostMs: number;
}

const starting: Wait = { leastMs: 30, mostMs: 50 };
const expected: Wait = { leastMs: 10, mostMs: 30 };
const expectedTries = 20;
const growth = 1.5;
const rarest: Wait = { leastMs: 60, mostMs: 240 };
const calmMs = 1_000;
/** The library looks at another clock, in whole milliseconds: a wait that is over here is over there. */
const toleranceMs = 2;
const chanceSteps = 2 ** 32;

/** The wait behind the `tries`-th try in a row, from 1 on, in milliseconds. */
export function waitAfterTry(tries: number, chance: Random): number {
  if (tries === 1) return drawn(starting, 1, chance);
  return drawn(expected, growth ** Math.max(0, tries - expectedTries), chance);
}

function drawn({ leastMs, mostMs }: Wait, times: number, chance: Random): number {
  const least = Math.min(leastMs * times, rarest.leastMs);
  const most = Math.min(mostMs * times, rarest.mostMs);
  return least + chance() * (most - least);
}

/** For one connection: what the library is to wait since its last try, 0 when it may try now. */
export function reconnectPace(
  clock: Pick<Clock, "monotonicMs">,
  chance: Random = () => randomInt(chanceSteps) / chanceSteps,
): () => number {
  let tries = 0;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let waitMs = 0;
  return () => {
    const sinceMs = clock.monotonicMs() - triedAtMs;
    if (sinceMs < waitMs - toleranceMs) return waitMs;
    tries = sinceMs > calmMs ? 1 : tries + 1;
    triedAtMs = clock.monotonicMs();
    waitMs = waitAfterTry(tries, chance);
    return 0;
  };
}
