// What the assertions stand on, pure: the fitted line, latency from when a request was due, recovery from the chain of commits, kills.

import test from "ava";
import { seededRandom } from "../../../models/clock.js";
import { faultSchedule } from "../../../operations/faults/fault-schedule.js";
import { historyOf } from "../../../sim/stability/history.js";
import { LearningWatch } from "../../../sim/stability/learning-watch.js";
import { judgeMemory } from "../../../sim/stability/memory.js";
import { Punctuality } from "../../../sim/stability/punctuality.js";
import { spreadOf } from "../../../sim/stability/report/document.js";
import { atMostMs, requestsPerIteration } from "../../../sim/stability/run.js";
import { trendLine } from "../../../sim/stability/trend-line.js";
import { VitalWatch } from "../../../sim/stability/vital-watch.js";
import { clusterFigures } from "./figures.js";
import { elapsedMs, life, mebibyte } from "./planted.js";

const hourMs = 3_600_000;

test("the fitted slope is the true one though a third of the samples lie far off (S0-37)", (t) => {
  const random = seededRandom(5);
  const readings = Array.from({ length: 300 }, (_, i) => ({
    atMs: i * 10_000,
    value: 100 + 0.5 * i + (random() < 0.3 ? 500 * random() : random()),
  }));
  const line = trendLine(readings);
  const perHour = 0.5 * (hourMs / 10_000);
  t.true(Math.abs((line?.perHour ?? 0) - perHour) < 0.1 * perHour, `${line?.perHour}`);
  t.true((line?.lowPerHour ?? 0) > 0);
});

test("without a trend the interval holds 0, and too few samples have no line", (t) => {
  const random = seededRandom(6);
  const line = trendLine(Array.from({ length: 200 }, (_, i) => ({ atMs: i * 5_000, value: 100 + random() })));
  t.true((line?.lowPerHour ?? 1) <= 0 && (line?.highPerHour ?? -1) >= 0);
  t.is(trendLine([{ atMs: 0, value: 1 }]), null);
  t.is(trendLine(Array.from({ length: 20 }, () => ({ atMs: 0, value: 1 }))), null);
});

test("a leak is rising with its MB per hour, a steady process is not (S0-37)", (t) => {
  const [leaking, steady] = judgeMemory([life("a-1", 1, elapsedMs, mebibyte), life("b-1", 1, elapsedMs)]);
  t.true(leaking?.judged?.rising);
  t.true(Math.abs((leaking?.judged?.rss?.perHour ?? 0) / mebibyte - 3_600) < 100);
  t.true(Math.abs((leaking?.judged?.growthIn8hBytes ?? 0) / mebibyte - 28_800) < 800);
  t.false(steady?.judged?.rising);
});

test("latency counts from when a request was due: a stall delays all that were due in it (S0-24)", (t) => {
  const figures = new Punctuality(100, 5_000);
  // 100 a second for 10 s; the answers of the whole second second come together at its end.
  for (let i = 0; i < 1_000; i += 1) {
    const dueAtMs = 10 * i;
    const isStalled = dueAtMs >= 1_000 && dueAtMs < 2_000;
    figures.take({
      dueAtMs,
      sentAtMs: isStalled ? 2_000 : dueAtMs,
      endedAtMs: isStalled ? 2_001 : dueAtMs + 1,
      answered: true,
    });
  }
  const { latencyMs, limitedBy, sentPerSecond } = figures.figures();
  t.true((latencyMs?.p99 ?? 0) > 850, "from when they left all took 1 ms");
  t.true((latencyMs?.p50 ?? 9) < 1.1);
  t.is(limitedBy, "nobody");
  t.true(Math.abs(sentPerSecond - 100) < 0.5);
});

test("a rate that was not reached names the side that limited it (S0-24)", (t) => {
  const of = (sentEveryMs: number, answered: boolean) => {
    const figures = new Punctuality(100, 5_000);
    for (let i = 0; i < 200; i += 1)
      figures.take({
        dueAtMs: 10 * i,
        sentAtMs: sentEveryMs * i,
        endedAtMs: sentEveryMs * i + 5,
        answered: answered || i % 10 > 0,
      });
    return figures.figures().limitedBy;
  };
  t.is(of(10, true), "nobody");
  t.is(of(12, true), "load");
  t.is(of(10, false), "cluster");
});

test("an answer behind its deadline is not in time, whoever was late (S0-24)", (t) => {
  const figures = new Punctuality(100, 1_000);
  figures.take({ dueAtMs: 0, sentAtMs: 900, endedAtMs: 1_001, answered: true });
  figures.take({ dueAtMs: 10, sentAtMs: 10, endedAtMs: 20, answered: true });
  t.is(figures.inTime, 0.5);
});

const kill = { pid: 7, at: "", signal: "SIGKILL", nextPid: 8, node: "learning-1", incarnation: 1, atMs: 60_000 };

test("a crash has recovered when a later life has applied an update, not when it has begun (S0-45)", (t) => {
  const watch = new LearningWatch(0);
  for (let s = 0; s <= 60; s += 1)
    watch.take({ node: "learning-1", incarnation: 1, applied: 10 * s, atMs: s * 1_000 - 1 });
  watch.take({ node: "learning-1", incarnation: 2, applied: 600, atMs: 61_000 });
  watch.take({ node: "learning-1", incarnation: 2, applied: 603, atMs: 61_400 });
  watch.killed(kill);
  for (let s = 62; s < 80; s += 1) watch.take({ node: "learning-1", incarnation: 2, applied: 10 * s, atMs: s * 1_000 });
  const [crash] = watch.crashes();
  t.like(crash, { recoveryMs: 1_400, appliedBefore: 600, appliedAfter: 790 });
  t.true((crash?.backToPaceMs ?? 0) >= 1_400 && (crash?.backToPaceMs ?? 99_999) < 8_000);
  t.is(watch.bySecond().find(({ second }) => second === 60)?.applied, 0, "the dip");
});

test("a crash without an update behind it has no recovery, and a total that falls is counted (S0-46)", (t) => {
  const watch = new LearningWatch(0);
  watch.take({ node: "learning-1", incarnation: 1, applied: 5, atMs: 59_000 });
  watch.take({ node: "learning-1", incarnation: 2, applied: 5, atMs: 61_000 });
  watch.killed(kill);
  t.like(watch.crashes()[0], { recoveryMs: null, backToPaceMs: null, appliedBefore: 5, appliedAfter: 5 });
  watch.take({ node: "learning-1", incarnation: 2, applied: 4, atMs: 62_000 });
  t.is(watch.decreased, 1);
});

test("another node that takes over repairs a crash too", (t) => {
  const watch = new LearningWatch(0);
  watch.take({ node: "learning-1", incarnation: 1, applied: 5, atMs: 59_000 });
  watch.killed(kill);
  watch.take({ node: "learning-2", incarnation: 1, applied: 6, atMs: 60_300 });
  t.is(watch.crashes()[0]?.recoveryMs, 300);
});

test("an iteration is a second of requests: 10,000 of them with probability 0.01 kill the same each run, about 100 times (S0-26)", (t) => {
  t.is(requestsPerIteration(200), 200);
  t.is(requestsPerIteration(0.2), 1);
  const strikes = () => {
    const schedule = faultSchedule({ probability: 0.01, seed: 9, targets: ["nodes"], modes: ["sigkill"] });
    return Array.from({ length: 10_000 }, (_, i) => (schedule.next().value === undefined ? -1 : i)).filter(
      (i) => i >= 0,
    );
  };
  t.deepEqual(strikes(), strikes());
  t.true(Math.abs(strikes().length - 100) <= 3 * Math.sqrt(99));
});

test("of both limits the first ends a run (S0-20)", (t) => {
  t.is(atMostMs({ requests: 1_000, durationMs: 60_000, rate: 100 }), 10_000);
  t.is(atMostMs({ requests: 100_000, durationMs: 60_000, rate: 100 }), 60_000);
  t.is(atMostMs({ requests: null, durationMs: 28_800_000, rate: 100 }), 28_800_000);
});

test("a look keeps the cluster's own figures, and lives are told apart by incarnation (S0-28, S0-35)", (t) => {
  const watch = new VitalWatch();
  const load = { answered: 900, elapsedMs: 5_000, requestsPerSecond: 200, p50Ms: 5, p99Ms: 50 };
  const point = watch.take(clusterFigures(1, 1_000), load);
  t.like(point, {
    updateRate: 620,
    knnFailureRate: 0.01,
    meanKlDivergence: 0.002,
    queueSize: 7,
    knnFailures: 3,
    p99Ms: 50,
  });
  t.is(point.logBytes["driftmend-experience-digits"], 4_096);
  watch.take(clusterFigures(2, 6_000), load);
  t.deepEqual(
    watch.lives.map(({ node, incarnation, readings, fullAtMs }) => [node, incarnation, readings.length, fullAtMs]),
    [
      ["learning-1", 1, 1, null],
      ["operations-1", 1, 2, 1_000],
      ["learning-1", 2, 1, null],
    ],
  );
});

test("a line of the history is flat, its numbers are the sample's, and what is not known has no key (S0-28, I-15)", (t) => {
  const metrics = clusterFigures(1, 1_795_000_000_500);
  const point = new VitalWatch().take(metrics, {
    answered: 1,
    elapsedMs: 2_500,
    requestsPerSecond: 10,
    p50Ms: null,
    p99Ms: null,
  });
  const line = historyOf({ step: 4, point, metrics });
  t.like(line, { _step: 4, _timestamp: 1_795_000_000.5, _runtime: 2.5, update_rate: 620, queue_size: 7 });
  t.is(line["nodes/learning-1/rss_bytes"], 100 * mebibyte);
  t.false("p50_ms" in line);
  t.true(Object.values(line).every((value) => typeof value === "number"));
});

test("a spread is by nearest rank, of what was measured", (t) => {
  t.deepEqual(spreadOf([null, 30, 10, 20]), { n: 3, p50: 20, p95: 30, max: 30 });
  t.deepEqual(spreadOf([null]), { n: 0, p50: null, p95: null, max: null });
});
