// When a run may stay in the thread that talks to NATS: a decision over what was measured, without clocks and sessions.

import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { ComputeTime } from "../../models/serving/compute-time.js";
import { type ShortRunSettings, ShortRuns, shortRunDefaults } from "../../models/serving/short-runs.js";

const settings: ShortRunSettings = {
  budgetMs: 1,
  window: 8,
  longMost: 1,
  farTooLongMs: 20,
  awayMs: 100,
  awayMostMs: 350,
  settledRuns: 20,
};

function measured(times: number, ranMs: number, short = new ShortRuns(settings)): ShortRuns {
  for (let run = 0; run < times; run += 1) short.ranThere(ranMs);
  return short;
}

test("(law 10) nothing stays before a whole window was measured, and then only where nearly all of it was short", (t) => {
  t.false(new ShortRuns(settings).mayRunHere(0));
  t.false(measured(7, 0.2).mayRunHere(0));
  t.true(measured(8, 0.2).mayRunHere(0));
  const one = measured(7, 0.2);
  one.ranThere(5);
  t.true(one.mayRunHere(0), "one of eight is allowed");
  one.ranThere(5);
  t.false(one.mayRunHere(0));
  t.true(measured(8, 0.2, one).mayRunHere(0), "a window later they are forgotten");
});

test("(law 10) a model whose runs are slow never stays, whatever comes in between", (t) => {
  const random = seededRandom(5);
  const short = new ShortRuns();
  for (let run = 0; run < 5_000; run += 1) {
    short.ranThere(random() < 0.7 ? 0.3 : 1.5);
    t.false(short.mayRunHere(run));
  }
});

test("(law 10) one that becomes slow goes back to the thread after a few runs, at once where one took far too long", (t) => {
  const slowly = measured(8, 0.2);
  slowly.ranHere(1.5, 0);
  t.true(slowly.mayRunHere(0));
  slowly.ranHere(1.5, 0);
  t.false(slowly.mayRunHere(0));
  const suddenly = measured(8, 0.2);
  suddenly.ranHere(20, 0);
  t.false(suddenly.mayRunHere(0));
});

test("whoever was sent back stays there for a while and measures anew; each time for twice as long, until it went well", (t) => {
  const short = measured(8, 0.2);
  for (const [nowMs, awayMs] of [
    [1_000, 100],
    [2_000, 200],
    [3_000, 350],
    [4_000, 350],
  ] as const) {
    short.ranHere(30, nowMs);
    t.false(measured(7, 0.2, short).mayRunHere(nowMs + 500), "a whole window, too");
    measured(1, 0.2, short);
    t.false(short.mayRunHere(nowMs + awayMs - 1));
    t.true(short.mayRunHere(nowMs + awayMs));
  }
  for (let run = 0; run < settings.settledRuns; run += 1) short.ranHere(0.2, 5_000);
  short.ranHere(30, 5_000);
  measured(8, 0.2, short);
  t.false(short.mayRunHere(5_099));
  t.true(short.mayRunHere(5_100));
});

test("(law 10) of any sequence of runs, no more than the allowed share of a window stays above the budget", (t) => {
  const { window, longMost, budgetMs } = shortRunDefaults;
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = seededRandom(seed);
    const short = new ShortRuns();
    const here: number[] = [];
    for (let nowMs = 0; nowMs < 4_000; nowMs += 1) {
      // Quiet and busy times.
      const ranMs = random() * (Math.floor(nowMs / 500) % 2 === 0 ? 1.02 : 4);
      if (!short.mayRunHere(nowMs)) {
        short.ranThere(ranMs);
        here.length = 0;
        continue;
      }
      short.ranHere(ranMs, nowMs);
      here.push(ranMs);
      t.true(here.slice(-window).filter((each) => each > budgetMs).length <= longMost + 1);
    }
  }
});

test("what another process took of the time is not held against a run, as soon as the clock looks bad; what was computed is", (t) => {
  let nowMs = 0;
  let processorMs = 0;
  const time = new ComputeTime(
    () => nowMs,
    () => processorMs,
  );
  const run = (tookMs: number, computedMs: number): number => {
    const end = time.begin();
    nowMs += tookMs;
    processorMs += computedMs;
    return end();
  };
  t.is(run(0.25, 9), 0.25);
  t.is(run(500, 0.25), 10, "by the clock, which is all that was asked: long, and not far too long");
  t.is(run(500, 0.25), 0.25);
  t.is(run(500, 499), 499, "that is");
  t.is(run(0.25, 9), 0.25, "never more than what passed: other threads compute too");
  for (let quiet = 0; quiet < 64; quiet += 1) run(0.125, 0.125);
  t.is(run(500, 0.25), 10, "not asked for any longer");
});
