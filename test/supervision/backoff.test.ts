// Substrate: a pure function; properties by fast-check.

import test from "ava";
import fc from "fast-check";
import { seededRandom } from "../../models/clock.js";
import { backoffDefaults, nextBackoff } from "../../supervision/tree/backoff.js";

const exact = { initialMs: 10, factor: 2, maxMs: 100, jitter: 0, resetAfterMs: 1_000 };
const noChance = () => 0;

test("the first failure restarts at once, later ones in a row wait twice as long up to the bound", (t) => {
  const delays = [0, 1, 2, 3, 4, 5, 6].map((failures) => nextBackoff(failures, 0, exact, noChance).delayMs);
  t.deepEqual(delays, [0, 10, 20, 40, 80, 100, 100]);
});

test("a healthy time forgets the failures before it", (t) => {
  t.deepEqual(nextBackoff(6, 1_000, exact, noChance), { failures: 1, delayMs: 0 });
  t.is(nextBackoff(6, 999, exact, noChance).failures, 7);
});

test("jitter only shortens, so the bound is a bound", (t) => {
  fc.assert(
    fc.property(fc.nat(2_000), fc.integer(), fc.double({ min: 0, max: 1, noNaN: true }), (failures, seed, jitter) => {
      const { delayMs } = nextBackoff(failures, 0, { ...backoffDefaults, jitter }, seededRandom(seed));
      const full = nextBackoff(failures, 0, { ...backoffDefaults, jitter: 0 }, noChance).delayMs;
      return delayMs >= full * (1 - jitter) && delayMs <= full && full <= backoffDefaults.maxMs;
    }),
  );
  t.pass();
});
