// The instruments of a process: what they say of planted data.

import test from "ava";
import { type Random, seededRandom } from "../../../models/clock.js";
import { DistributionMeter, Instruments, PoolMeter } from "../../../operations/metrics/instruments.js";
import { PercentileSketch } from "../../../operations/metrics/percentile-sketch.js";

/** Latencies as they are: most short, a long tail. Box and Muller's normal deviate, as an exponent. */
function durations(count: number, random: Random, medianMs = 5): number[] {
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Array.from({ length: count }, () => medianMs * Math.exp(normal()));
}

function exact(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
}

function readBack(bytes: Uint8Array | undefined): PercentileSketch {
  const sketch = bytes && PercentileSketch.decode(bytes);
  if (sketch === undefined) throw new Error("no sketch");
  return sketch;
}

for (const [row, q] of [
  ["S1-7", 0.5],
  ["S1-8", 0.95],
  ["S1-9", 0.99],
] as const)
  test(`(${row}, S1-16) of 10,000 planted durations the p${q * 100} that arrives is within 1 % of the exact one`, (t) => {
    const planted = durations(10_000, seededRandom(1));
    const instruments = new Instruments();
    for (const value of planted) instruments.distribution("job_infer_ms").record(value);
    const heard = readBack(instruments.sketches().job_infer_ms);
    const truth = exact(planted, q);
    t.true(Math.abs(heard.quantile(q) - truth) <= 0.01 * truth, `${heard.quantile(q)} for ${truth}`);
    t.is(heard.count, 10_000);
    t.is(heard.max, Math.max(...planted));
    t.true(Math.abs((heard.mean ?? 0) - planted.reduce((sum, value) => sum + value) / 10_000) < 1e-9);
  });

test("(S1-9) the distributions of three nodes together give the percentiles of all their data within 1 %", (t) => {
  const random = seededRandom(2);
  const planted = [durations(4_000, random, 3), durations(1_000, random, 40), durations(500, random, 200)];
  const merged = new PercentileSketch();
  for (const values of planted) {
    const instruments = new Instruments();
    for (const value of values) instruments.distribution("job_infer_ms").record(value);
    merged.merge(readBack(instruments.sketches().job_infer_ms));
  }
  const pooled = planted.flat();
  t.is(merged.count, pooled.length);
  for (const q of [0.5, 0.95, 0.99]) {
    const truth = exact(pooled, q);
    t.true(Math.abs(merged.quantile(q) - truth) <= 0.01 * truth, `p${q * 100}: ${merged.quantile(q)} for ${truth}`);
  }
});

test("(S1-15) percentiles are in order and none is above the largest value, also in the difference of two beats", (t) => {
  const random = seededRandom(3);
  const distribution = new DistributionMeter();
  for (const value of durations(300, random)) distribution.record(value);
  const before = readBack(distribution.encode());
  for (const value of durations(200, random, 0.5)) distribution.record(value);
  const between = readBack(distribution.encode()).since(before);
  t.is(between.count, 200);
  const found = [0.5, 0.95, 0.99].map((q) => between.quantile(q));
  t.deepEqual(
    found,
    [...found].sort((a, b) => a - b),
  );
  t.true((found[2] ?? 0) <= between.max);
});

test("an unchanged distribution is not encoded again, and one without values is not sent", (t) => {
  const instruments = new Instruments();
  instruments.distribution("queue_infer_ms");
  instruments.distribution("job_infer_ms").record(3);
  const first = instruments.sketches();
  t.deepEqual(Object.keys(first), ["job_infer_ms"]);
  t.is(instruments.sketches().job_infer_ms, first.job_infer_ms);
  instruments.distribution("job_infer_ms").record(3);
  t.not(instruments.sketches().job_infer_ms, first.job_infer_ms);
});

test("a duration across a clock that was set back counts as 0, and what is no number counts nothing", (t) => {
  const distribution = new DistributionMeter();
  for (const value of [-5, Number.NaN, Number.POSITIVE_INFINITY, 2]) distribution.record(value);
  const heard = readBack(distribution.encode());
  t.deepEqual([heard.count, heard.sum, heard.max], [2, 2, 2]);
});

test("instruments that are off measure nothing", (t) => {
  const instruments = new Instruments(false);
  instruments.distribution("job_infer_ms").record(3);
  t.deepEqual(instruments.sketches(), {});
});

test("(S1-1) three of four slots held read as 75 %, and none of none as 0", (t) => {
  const pool = new PoolMeter();
  t.deepEqual(pool.beat(0), { slots: 0, active: 0, peak: 0, peakAtMs: undefined, waiting: 0 });
  pool.resize(4);
  pool.take(3, 0, 0);
  const { slots, active } = pool.beat(1_000);
  t.is((active / slots) * 100, 75);
});

test("work is weighted by its time within the beat, also work that spans several", (t) => {
  const pool = new PoolMeter();
  pool.resize(4);
  pool.beat(0);
  pool.take(4, 200, 0);
  pool.free(2, 600);
  t.is(pool.beat(1_000).active, (4 * 400 + 2 * 400) / 1_000);
  t.is(pool.beat(2_000).active, 2);
  pool.free(2, 2_500);
  t.is(pool.beat(3_000).active, 1);
  t.is(pool.beat(4_000).active, 0);
});

test("(S1-3) after a burst to 100 % and rest the peak stays with its time, and reset clears it", (t) => {
  const pool = new PoolMeter();
  pool.resize(4);
  pool.take(4, 100, 1_700_000_000_100);
  pool.free(4, 200);
  pool.take(1, 300, 1_700_000_000_300);
  pool.free(1, 400);
  t.like(pool.beat(1_000), { peak: 4, peakAtMs: 1_700_000_000_100 });
  pool.resetPeak();
  t.like(pool.beat(2_000), { peak: 0, peakAtMs: undefined });
});

test("(S1-4) twenty-five jobs queued before a paused pool read as 25", (t) => {
  const pool = new PoolMeter();
  pool.resize(1);
  for (let job = 0; job < 25; job += 1) pool.queue(1);
  t.is(pool.beat(1_000).waiting, 25);
  pool.queue(-25);
  t.is(pool.beat(2_000).waiting, 0);
});

test("an observed gauge is that of its newest reader, until this one leaves", (t) => {
  const instruments = new Instruments();
  const forget = instruments.observe("model_version_digits", () => 1);
  const forgetNew = instruments.observe("model_version_digits", () => 2);
  forget();
  t.is(instruments.gauges(0).model_version_digits, 2);
  forgetNew();
  t.deepEqual(instruments.gauges(0), {});
});
