// The figures of a cluster in which somebody sets a clock back: a node's, or the observer's.

import test from "ava";
import { freshAggregate, lookedAt, startMs, Telling } from "./nodes-telling.js";

test("a node whose clock is set back is heard on: the order of its samples is that of its uptime (S0-46)", (t) => {
  const aggregate = freshAggregate();
  const serving = new Telling("serving-1", startMs);
  for (let second = 0; second < 20; second += 1) {
    serving.count("requests", 10);
    const heardAtMs = startMs + second * 1_000;
    const sample = serving.sample(heardAtMs);
    // Its own clock is an hour back from the tenth second on.
    aggregate.take(second < 10 ? sample : { ...sample, atMs: sample.atMs - 3_600_000 }, heardAtMs);
  }
  const { nodes, counters } = aggregate.view(startMs + 19_500, lookedAt());
  t.is(counters.requests, 200);
  t.like(nodes[0], { state: "running", heartbeatAgeMs: 500 });
});

test("an observer whose clock is set back has windows of a minute again at once, sees who is silent, and keeps no more beats than before", (t) => {
  const aggregate = freshAggregate();
  const [serving, gone] = [new Telling("serving-1", startMs), new Telling("serving-2", startMs)];
  let uptimeMs = 0;
  const beat = (who: Telling, heardAtMs: number): void => {
    who.count("knn_searches", 10);
    who.count("knn_failures", 1);
    const { values, ...sample } = who.sample(heardAtMs);
    aggregate.take({ ...sample, values: { ...values, uptimeMs } }, heardAtMs);
  };
  const hourMs = 3_600_000;
  for (let second = 0; second < 300; second += 1) {
    uptimeMs += 1_000;
    beat(gone, startMs + second * 1_000);
    beat(serving, startMs + second * 1_000);
  }
  const nowMs = startMs + 299_000;
  for (let second = 1; second <= 10; second += 1) {
    uptimeMs += 1_000;
    beat(serving, nowMs - hourMs + second * 1_000);
  }
  const { nodes, vitals, counters } = aggregate.view(nowMs - hourMs + 10_000, lookedAt());
  t.deepEqual(
    nodes.map(({ node, state }) => `${node} ${state}`),
    ["serving-1 running", "serving-2 silent"],
  );
  t.is(vitals.knnFailureRate, 0.1);
  t.is(counters.knn_searches, 6_100);
});

test("updates and labels from before a clock was set back are not counted as of this minute", (t) => {
  const aggregate = freshAggregate();
  const hourMs = 3_600_000;
  const scored = (labels: number) =>
    ({
      kind: "scored",
      node: "operator",
      actor: "demo",
      incarnation: 1,
      atMs: 0,
      items: [{ labels, adapting: labels, source: 0 }],
    }) as const;
  for (let second = 0; second < 30; second += 1) {
    aggregate.event(scored(second * 10), startMs + hourMs + second * 1_000);
    aggregate.view(startMs + hourMs + second * 1_000, lookedAt({ applied: second * 100 }));
  }
  aggregate.event(scored(300), startMs);
  aggregate.view(startMs, lookedAt({ applied: 2_900 }));
  const { vitals } = aggregate.view(startMs + 1_000, lookedAt({ applied: 2_901 }));
  t.is(vitals.updateRate, 1);
  t.is(vitals.accuracy.labels, 10);
});

test("an observer that begins after its clock was set back shows nobody as running whom it does not hear (S1-40)", (t) => {
  const before = freshAggregate();
  const [serving, gone] = [new Telling("serving-1", startMs), new Telling("serving-2", startMs)];
  for (const each of [serving, gone]) before.take(each.sample(startMs + 5_000), startMs + 5_000);
  const hourMs = 3_600_000;
  const after = freshAggregate();
  after.restore(before.kept(), Number.POSITIVE_INFINITY);
  for (let second = 6; second <= 12; second += 1) {
    const { values, ...sample } = serving.sample(startMs - hourMs + second * 1_000);
    const heardAtMs = startMs - hourMs + second * 1_000;
    after.take({ ...sample, values: { ...values, uptimeMs: second * 1_000 } }, heardAtMs);
  }
  const { nodes } = after.view(startMs - hourMs + 12_500, lookedAt());
  t.deepEqual(
    nodes.map(({ node, state }) => `${node} ${state}`),
    ["serving-1 running", "serving-2 silent"],
  );
});

test("the peak of a node whose clock is wrong is a peak all the same, at the moment it was here (S0-28)", (t) => {
  for (const offMs of [-3_600_000, -5_000, 0, 5_000, 3_600_000]) {
    const aggregate = freshAggregate();
    const serving = new Telling("serving-1", startMs);
    Object.assign(serving.values, { pool_infer_slots: 4, pool_infer_active: 1, pool_infer_peak: 4 });
    serving.values.pool_infer_peak_at_ms = startMs + offMs + 700;
    const sample = serving.sample(startMs + 1_000);
    aggregate.take({ ...sample, atMs: sample.atMs + offMs }, startMs + 1_000);
    const [infer] = aggregate.view(startMs + 1_100, lookedAt()).pools;
    t.like(infer, { peakUtilizationPct: 100, peakAtMs: startMs + 700 }, `${offMs}`);
  }
});
