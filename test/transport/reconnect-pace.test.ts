// The pace at which a lost connection is tried again, under a virtual clock; the library's dial loop is played by hand.

import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { reconnectPace, waitAfterTry } from "../../transport/bus/reconnect-pace.js";

/** As the library's loop does: it tries when as much time has passed since its last try as it is told, and asks again after each wait. */
async function triesWithin(clock: VirtualClock, pace: () => number, ms: number): Promise<readonly number[]> {
  const beganAtMs = clock.monotonicMs();
  const tried: number[] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  while (clock.monotonicMs() - beganAtMs < ms) {
    const waitMs = pace();
    const restMs = lastMs + waitMs - clock.monotonicMs();
    if (restMs > 0) await clock.advance(Math.min(waitMs, restMs));
    else {
      lastMs = clock.monotonicMs();
      tried.push(lastMs - beganAtMs);
      await clock.advance(0.3);
    }
  }
  return tried;
}

const gapsOf = (tried: readonly number[]): readonly number[] =>
  tried.slice(1).map((atMs, index) => atMs - (tried[index] ?? 0));

test("a lost connection is tried at once, then after the time a server takes to start, then often (S2-55)", async (t) => {
  const clock = new VirtualClock();
  const tried = await triesWithin(clock, reconnectPace(clock, seededRandom(1)), 300);
  t.is(tried[0], 0);
  const [first = 0, ...others] = gapsOf(tried);
  t.true(first >= 27 && first <= 50, `${first}`);
  t.true(
    others.every((gap) => gap >= 7 && gap <= 31),
    others.join(" "),
  );
  t.true(tried.length >= 10 && tried.length <= 18, `${tried.length} tries`);
});

test("a long outage is tried more rarely, and its end finds the connections spread", async (t) => {
  const clock = new VirtualClock();
  const tried = await triesWithin(clock, reconnectPace(clock, seededRandom(2)), 60_000);
  const late = gapsOf(tried.filter((atMs) => atMs > 2_000));
  t.true(Math.min(...late) >= 57 && Math.max(...late) <= 241, `${Math.min(...late)} to ${Math.max(...late)}`);
  t.true(tried.length < 500, `${tried.length} tries in a minute`);
});

test("a server that takes connections and drops them at once is met at the pace of an outage", async (t) => {
  const clock = new VirtualClock();
  const pace = reconnectPace(clock, seededRandom(3));
  let tries = 0;
  for (; clock.monotonicMs() < 10_000; await clock.advance(1)) if (pace() === 0) tries += 1;
  t.true(tries < 120, `${tries} tries`);
});

test("a connection that held for a second is a new loss: it is tried at once", async (t) => {
  const clock = new VirtualClock();
  const pace = reconnectPace(clock, seededRandom(4));
  await triesWithin(clock, pace, 5_000);
  await clock.advance(1_100);
  const tried = await triesWithin(clock, pace, 100);
  t.is(tried[0], 0);
  t.true((tried[1] ?? 0) <= 50, `${tried[1]}`);
});

test("no wait is longer or shorter than its bounds, whatever the chance", (t) => {
  for (const chance of [0, 0.5, 0.999_999])
    for (let tries = 1; tries < 2_000; tries += 1) {
      const waitMs = waitAfterTry(tries, () => chance);
      t.true(waitMs >= 10 && waitMs < 240, `${tries}: ${waitMs}`);
    }
});
