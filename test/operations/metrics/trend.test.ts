// The words that trends say: slope tests on series that are known to rise, to fall, or to be noise.

import test from "ava";
import { seededRandom } from "../../../models/clock.js";
import type { Trend } from "../../../operations/metrics/cluster-metrics.js";
import { ShareTrend, SlopeTrend } from "../../../operations/metrics/trend.js";

/** What is said second by second. */
function words(values: readonly number[]): Trend[] {
  const trend = new SlopeTrend();
  return values.map((value, second) => trend.add(second * 1_000, value));
}

const seconds = (count: number, of: (second: number) => number): number[] =>
  Array.from({ length: count }, (_, i) => of(i));
const random = (seed: number): (() => number) => {
  const chance = seededRandom(seed);
  return () => chance();
};

test("a queue that rises, stands or falls gets its word (S1-5)", (t) => {
  t.is(words(seconds(60, (s) => 10 + 2 * s)).at(-1), "increasing");
  t.is(words(seconds(60, () => 40)).at(-1), "stable");
  t.is(words(seconds(60, (s) => 200 - 3 * s)).at(-1), "decreasing");
  t.is(words(seconds(60, () => 0)).at(-1), "stable");
});

test("noise of 10 % on a flat line never says anything but stable, whatever the seed (S1-5)", (t) => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const chance = random(seed);
    const said = words(seconds(180, () => 100 * (0.9 + 0.2 * chance())));
    t.deepEqual([...new Set(said)], ["stable"], `seed ${seed}`);
  }
});

test("a producer twice as fast as its worker is seen, one that is just as fast is not, at the same depth (S0-15)", (t) => {
  const perSecond = 4;
  const queue = (produced: number): number[] => {
    let depth = 100;
    return seconds(60, () => {
      depth += produced - perSecond;
      return depth;
    });
  };
  t.is(words(queue(2 * perSecond)).at(-1), "increasing");
  t.is(words(queue(perSecond)).at(-1), "stable");
});

test("a word that is said stays while half of its reason is left (S1-5)", (t) => {
  const trend = new SlopeTrend();
  let atMs = 0;
  const go = (count: number, of: (second: number) => number): Trend[] =>
    seconds(count, of).map((value) => {
      atMs += 1_000;
      return trend.add(atMs, value);
    });
  t.is(go(60, (s) => 100 + s).at(-1), "increasing");
  const slower = go(60, (s) => 160 + s * 0.6);
  t.is(slower.at(-1), "increasing", "a rise of a fifth would not have begun it");
  t.is(words(seconds(60, (s) => 160 + s * 0.6)).at(-1), "stable", "and does not, where nothing was said before");
  t.is(go(90, () => 200).at(-1), "stable");
});

test("a few jobs more or less in a queue of a few are no growth", (t) => {
  t.deepEqual([...new Set(words(seconds(60, (s) => (s < 30 ? 0 : 1))))], ["stable"]);
});

test("a rising share of failures is increasing, the same share of ever more jobs is stable (S1-12)", (t) => {
  const rising = new ShareTrend();
  const steady = new ShareTrend();
  const [rose, stood] = [new Set<Trend>(), new Set<Trend>()];
  for (let second = 0; second < 60; second += 1) {
    rose.add(rising.add(second * 1_000, 10, Math.min(9, Math.floor(second / 3))));
    const jobs = 10 + 10 * second;
    stood.add(steady.add(second * 1_000, jobs, jobs / 5));
  }
  t.true(rose.has("increasing"));
  t.deepEqual([...stood], ["stable"]);
});

test("failures by chance at a steady share are stable, at whatever pace jobs come, but for one look in a hundred (S1-12)", (t) => {
  let [looks, wrong] = [0, 0];
  for (let seed = 1; seed <= 40; seed += 1) {
    const chance = random(seed);
    const trend = new ShareTrend();
    for (let second = 0; second < 300; second += 1) {
      const jobs = 1 + Math.floor(chance() * 20);
      const failed = Array.from({ length: jobs }, () => chance()).filter((each) => each < 0.05).length;
      looks += 1;
      if (trend.add(second * 1_000, jobs, failed) !== "stable") wrong += 1;
    }
  }
  t.true(wrong / looks <= 0.01, `${wrong} of ${looks}`);
});

test("a burst of failures leaves with the newest hundred jobs (S1-14)", (t) => {
  const trend = new ShareTrend();
  for (let second = 0; second < 20; second += 1) trend.add(second * 1_000, 10, 0);
  let worst: Trend = "stable";
  for (let second = 20; second < 26; second += 1) worst = trend.add(second * 1_000, 10, 9);
  t.is(worst, "increasing");
  let after: Trend = worst;
  for (let second = 26; second < 60; second += 1) after = trend.add(second * 1_000, 10, 0);
  t.is(after, "stable");
});
