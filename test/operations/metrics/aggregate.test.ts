// The figures of a cluster, from samples and looks under a time of the test's own.

import test from "ava";
import fc from "fast-check";
import { Aggregate } from "../../../operations/metrics/aggregate.js";
import { clusterMetricsSchema } from "../../../operations/metrics/cluster-metrics.js";
import { encodeKept, readKept } from "../../../operations/metrics/kept-figures.js";
import { encodeLooked, readLooked } from "../../../operations/metrics/looked.js";
import { PercentileSketch } from "../../../operations/metrics/percentile-sketch.js";
import { cleanup, digits, freshAggregate, lookedAt, pass, startMs, subjects, Telling } from "./nodes-telling.js";

test("figures fit their schema, before anything was heard and after (S0-28)", (t) => {
  const aggregate = freshAggregate();
  const empty = aggregate.view(startMs);
  t.deepEqual(clusterMetricsSchema.parse(empty), empty);
  t.is(empty.vitals.knnFailureRate, null);
  t.is(empty.jobs[0]?.durationMs.p50, null);
  const serving = new Telling("serving-1", startMs);
  serving.count("requests", 7);
  serving.measure("job_infer_ms", 1, 2, 3);
  const later = pass(aggregate, startMs, 3, [serving], () => lookedAt({ lastSeq: 3 }));
  t.deepEqual(clusterMetricsSchema.parse(later), later);
  t.deepEqual(later.window, { seconds: 60, jobs: 100 });
});

test("thirty updates in sixty seconds are a rate of 30 a minute, and none a minute later are 0 (S0-9, S0-10)", (t) => {
  const aggregate = freshAggregate();
  const learning = new Telling("learning-1", startMs);
  const applied = (second: number): number => Math.floor(second / 2);
  const busy = pass(aggregate, startMs, 120, [learning], (second) => lookedAt({ applied: applied(second) }));
  t.true(Math.abs(busy.vitals.updateRate - 30) <= 2, `${busy.vitals.updateRate}`);
  const stalled = pass(aggregate, startMs + 120_000, 61, [learning], () =>
    lookedAt({ applied: 60, lastSeq: 90, committedSeq: 60 }),
  );
  t.is(stalled.vitals.updateRate, 0);
  t.is(stalled.vitals.queueSize, 30, "and something waits: stalled, not idle");
  const idle = pass(aggregate, startMs + 181_000, 2, [learning], () =>
    lookedAt({ applied: 60, lastSeq: 90, committedSeq: 90 }),
  );
  t.is(idle.vitals.queueSize, 0);
});

test("an observer that begins in the middle counts no update of before as one of this minute (S0-9)", (t) => {
  const metrics = pass(freshAggregate(), startMs, 5, [], () => lookedAt({ applied: 5_000 }));
  t.is(metrics.vitals.updateRate, 0);
});

test("the queue is what the log holds and no commit covers, and ages while nobody can look (S0-14, S2-42, S2-60)", (t) => {
  const aggregate = freshAggregate();
  aggregate.view(startMs, lookedAt({ lastSeq: 12, committedSeq: 5, oldestAtMs: startMs - 4_000 }));
  const { queues, vitals } = aggregate.view(startMs + 3_000);
  t.is(vitals.queueSize, 7);
  const update = queues.find(({ name }) => name === "update");
  t.is(update?.depth, 7);
  t.is(update?.oldestAgeMs, 7_000);
  t.deepEqual(
    queues.map(({ name }) => name),
    ["request", "response", "update", "cleanup-confirmation", "dead-letters"],
  );
});

test("requests wait for a slot, responses for their way out: both are told by the nodes (S2-12, S2-60)", (t) => {
  const serving = [new Telling("serving-1", startMs), new Telling("serving-2", startMs)];
  for (const each of serving) Object.assign(each.values, { pool_infer_waiting: 3, open_digits: 5, oldest_open_ms: 40 });
  const { queues } = pass(freshAggregate(), startMs, 1, serving);
  const of = (wanted: string) => queues.find(({ name }) => name === wanted);
  t.is(of("request")?.depth, 6);
  t.is(of("request")?.oldestAgeMs, 40);
  t.is(of("request")?.where, subjects.infer("digits"));
  t.is(of("response")?.depth, 4);
});

test("sums go on over incarnations, whichever beats are lost, and never fall (S0-46)", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(5), fc.constantFrom("beat", "lost", "dies", "late")), { minLength: 5, maxLength: 120 }),
      (story) => {
        const aggregate = freshAggregate();
        let process = new Telling("learning-1", startMs);
        let dead: Telling | undefined;
        let nowMs = startMs;
        let before = 0;
        for (const [more, what] of story) {
          nowMs += 1_000;
          process.count("updates_applied", more);
          if (what !== "lost") aggregate.take(process.sample(nowMs), nowMs);
          if (what === "dies") {
            dead = process;
            process = new Telling("learning-1", nowMs, process.incarnation + 1);
          }
          // A message of a dead process that was under way.
          if (what === "late" && dead !== undefined) aggregate.take(dead.sample(nowMs - 5_000), nowMs);
          const now = aggregate.view(nowMs, lookedAt()).counters.updates_applied ?? 0;
          if (now < before) return false;
          before = now;
        }
        return true;
      },
    ),
  );
  t.pass();
});

test("a hundred incarnations add up to what each of them counted (S0-46)", (t) => {
  const aggregate = freshAggregate();
  let sum = 0;
  for (let incarnation = 1; incarnation <= 100; incarnation += 1) {
    const atMs = startMs + incarnation * 2_000;
    const process = new Telling("learning-1", atMs, incarnation);
    process.count("updates_applied", incarnation);
    sum += incarnation;
    aggregate.take(process.sample(atMs), atMs);
  }
  const metrics = aggregate.view(startMs + 300_000);
  t.is(metrics.counters.updates_applied, sum);
  t.is(metrics.nodes.length, 1);
  t.is(metrics.nodes[0]?.incarnation, 100);
});

test("without what is kept of the dead a sum would fall: the negative control (S0-46)", (t) => {
  const first = freshAggregate();
  const dead = new Telling("learning-1", startMs);
  dead.count("updates_applied", 50);
  first.take(dead.sample(startMs + 1_000), startMs + 1_000);
  const alive = new Telling("learning-1", startMs + 2_000, 2);
  alive.count("updates_applied", 1);
  first.take(alive.sample(startMs + 3_000), startMs + 3_000);
  const kept = readKept(encodeKept({ atMs: startMs + 3_000, figures: first.kept(), points: [], frozen: {} }));
  t.truthy(kept);
  const laterMs = startMs + 4_000;
  const forgetful = freshAggregate();
  forgetful.take(alive.sample(laterMs), laterMs);
  t.is(forgetful.view(laterMs).counters.updates_applied, 1);
  const successor = freshAggregate();
  if (kept !== undefined) successor.restore(kept.figures, Number.POSITIVE_INFINITY);
  successor.take(alive.sample(laterMs), laterMs);
  t.is(successor.view(laterMs).counters.updates_applied, 51);
});

test("an observer that folds the same past has the same figures, second by second (S1-40)", (t) => {
  const [one, other] = [freshAggregate(), freshAggregate()];
  const serving = new Telling("serving-1", startMs);
  const learning = new Telling("learning-1", startMs);
  for (let second = 1; second <= 90; second += 1) {
    const nowMs = startMs + second * 1_000;
    serving.count("requests", 3);
    serving.measure("job_infer_ms", second, 2 * second);
    Object.assign(serving.values, { pool_infer_slots: 4, pool_infer_active: 1, pool_infer_waiting: second });
    learning.count("updates_applied");
    const looked = readLooked(encodeLooked(lookedAt({ lastSeq: second, committedSeq: second - 1, applied: second })));
    for (const aggregate of [one, other])
      for (const process of [serving, learning]) aggregate.take(process.sample(nowMs), nowMs);
    t.deepEqual(one.view(nowMs, looked), other.view(nowMs, looked));
  }
});

test("each pool has its share in use and what waits, each node what it takes of the machine, each phase its durations (S1-23, S2-43, S2-61)", (t) => {
  const aggregate = freshAggregate();
  const serving = new Telling("serving-1", startMs);
  Object.assign(serving.values, { pool_infer_slots: 8, pool_infer_active: 6, pool_infer_waiting: 3 });
  Object.assign(serving.values, { cpuPct: 42, rssBytes: 5e8, openFiles: 31, diskFreeBytes: 7e9, loopDelayMaxMs: 12 });
  for (let job = 0; job < 30; job += 1) serving.measure("phase_infer_remember_ms", 4);
  const { pools, nodes, jobs } = pass(aggregate, startMs, 1, [serving]);
  t.like(pools[0], { name: "infer", slots: 8, active: 6, utilizationPct: 75, queueDepth: 3 });
  t.like(nodes[0], { cpuPct: 42, rssBytes: 5e8, openFiles: 31, diskFreeBytes: 7e9, loopDelayMaxMs: 12 });
  const remembered = jobs[0]?.phases.find(({ phase }) => phase === "remember");
  t.like(remembered, { section: "store" });
  t.is(remembered?.durationMs.count, 30);
  t.true(Math.abs((remembered?.durationMs.p95 ?? 0) - 4) <= 0.04, `${remembered?.durationMs.p95}`);
});

test("percentiles of three nodes together are those of their pooled samples (S1-9)", (t) => {
  const serving = [1, 2, 3].map((n) => new Telling(`serving-${n}`, startMs));
  const pooled = new PercentileSketch();
  const aggregate = freshAggregate();
  for (let second = 1; second <= 30; second += 1) {
    for (const [index, process] of serving.entries())
      for (let job = 0; job < 20; job += 1) {
        const tookMs = (index + 1) * 10 + ((job * 7 + second * 13) % 50);
        process.measure("job_infer_ms", tookMs);
        pooled.add(tookMs);
      }
    pass(aggregate, startMs + (second - 1) * 1_000, 1, serving);
  }
  const found = aggregate.view(startMs + 31_000).jobs.find(({ kind }) => kind === "infer")?.durationMs;
  t.is(found?.count, 1_800);
  t.is(found?.p99, pooled.quantile(0.99));
  t.is(found?.p50, pooled.quantile(0.5));
});

test("percentiles that too few samples would have to carry are null, with their count (I-5)", (t) => {
  const distribution = (samples: number) => {
    const serving = new Telling("serving-1", startMs);
    serving.measure("job_infer_ms", ...Array.from({ length: samples }, (_, i) => i + 1));
    const metrics = pass(freshAggregate(), startMs, 1, [serving]);
    return metrics.jobs.find(({ kind }) => kind === "infer")?.durationMs;
  };
  t.like(distribution(19), { count: 19, p95: null, p99: null });
  t.true((distribution(20)?.p95 ?? 0) > 0);
  t.is(distribution(99)?.p99, null);
  t.true((distribution(100)?.p99 ?? 0) > 0);
});

test("a minute later a burst is out of every rate and distribution (S1-14)", (t) => {
  const aggregate = freshAggregate();
  const serving = new Telling("serving-1", startMs);
  serving.measure("job_infer_ms", ...Array.from({ length: 200 }, () => 900));
  serving.count("jobs_infer_finished", 100);
  serving.count("jobs_infer_failed", 100);
  serving.count("knn_searches", 10);
  serving.count("knn_failures", 5);
  const burst = pass(aggregate, startMs, 1, [serving]);
  t.is(burst.jobs[0]?.successRate, 0.5);
  t.is(burst.vitals.knnFailureRate, 0.5);
  const quiet = pass(aggregate, startMs + 1_000, 61, [serving]);
  t.is(quiet.jobs[0]?.durationMs.count, 0);
  t.is(quiet.jobs[0]?.successRate, null);
  t.is(quiet.jobs[0]?.finished, 100);
  t.is(quiet.vitals.knnFailureRate, null);
  t.is(quiet.counters.job_infer_ms_count, 200);
});

test("what a process did before it was first heard is not of this minute; what a fresh one did is", (t) => {
  const aggregate = freshAggregate();
  const old = new Telling("serving-1", startMs - 3_600_000);
  old.count("knn_searches", 1_000);
  old.measure("job_infer_ms", ...Array.from({ length: 50 }, () => 5));
  const fresh = new Telling("serving-2", startMs);
  fresh.measure("job_infer_ms", 1);
  const metrics = pass(aggregate, startMs, 2, [old, fresh]);
  t.is(metrics.vitals.knnFailureRate, null);
  t.is(metrics.jobs[0]?.durationMs.count, 1);
  t.is(metrics.counters.knn_searches, 1_000);
});

test("the highest utilization stays with its moment, until it is told to count anew (S1-3)", (t) => {
  const aggregate = freshAggregate();
  const serving = new Telling("serving-1", startMs);
  Object.assign(serving.values, { pool_infer_slots: 8, pool_infer_active: 8, pool_infer_peak: 8 });
  serving.values.pool_infer_peak_at_ms = startMs + 700;
  pass(aggregate, startMs, 1, [serving]);
  serving.values.pool_infer_active = 0;
  const idle = pass(aggregate, startMs + 1_000, 90, [serving]).pools[0];
  t.like(idle, { utilizationPct: 0, peakUtilizationPct: 100 });
  t.true(Math.abs((idle?.peakAtMs ?? 0) - startMs - 1_000) <= 1_000);
  aggregate.resetPeaks(startMs + 91_500);
  t.like(pass(aggregate, startMs + 92_000, 3, [serving]).pools[0], { peakUtilizationPct: 0, peakAtMs: null });
});

test("nodes are running, silent or gone, each with the age of its heartbeat (S2-41)", (t) => {
  const aggregate = freshAggregate();
  const [a, b, c] = ["a", "b", "c"].map((node) => new Telling(node, startMs));
  if (a === undefined || b === undefined || c === undefined) throw new Error("three");
  pass(aggregate, startMs, 2, [a, b, c]);
  aggregate.event({ kind: "node_left", node: "c", actor: "host", incarnation: 1, atMs: 0, items: [] }, startMs);
  aggregate.event(
    { kind: "node_ready", node: "a", actor: "host", incarnation: 1, atMs: 0, items: [{ roles: "serving,learning" }] },
    startMs,
  );
  const { nodes } = pass(aggregate, startMs + 2_000, 8, [a]);
  t.deepEqual(
    nodes.map(({ node, state, heartbeatAgeMs }) => ({ node, state, heartbeatAgeMs })),
    [
      { node: "a", state: "running", heartbeatAgeMs: 0 },
      { node: "b", state: "silent", heartbeatAgeMs: 8_000 },
      { node: "c", state: "left", heartbeatAgeMs: 8_000 },
    ],
  );
  t.deepEqual(nodes[0]?.roles, ["serving", "learning"]);
});

test("an outage of the broker makes no node silent (S2-41)", (t) => {
  const aggregate = freshAggregate();
  const node = new Telling("a", startMs);
  pass(aggregate, startMs, 2, [node]);
  aggregate.hearsAgain(startMs + 30_000);
  t.is(aggregate.view(startMs + 31_000).nodes[0]?.state, "running");
  t.is(aggregate.view(startMs + 36_000).nodes[0]?.state, "silent");
});

test("deaths, confirmations and restarts of this run are counted, those of former runs are not (S2-12)", (t) => {
  const aggregate = freshAggregate();
  const node = new Telling("learning-1", startMs, 2);
  aggregate.cleanup({ ...cleanup("died", "learning-1", 7, startMs - 90_000), run: "former" });
  aggregate.cleanup(cleanup("died", "learning-1", 1, startMs - 1_000));
  const waiting = pass(aggregate, startMs, 1, [node]);
  t.deepEqual(waiting.cleanups, { deaths: 1, confirmed: 0, overdue: 0 });
  t.like(
    waiting.queues.find(({ name }) => name === "cleanup-confirmation"),
    { depth: 1, oldestAgeMs: 2_000, where: subjects.cleanupStream },
  );
  aggregate.cleanup(cleanup("cleanup_confirmed", "learning-1", 1, startMs + 1_000));
  aggregate.cleanup(cleanup("started", "learning-1", 2, startMs + 1_100));
  const over = aggregate.view(startMs + 2_000);
  t.deepEqual(over.cleanups, { deaths: 1, confirmed: 1, overdue: 0 });
  t.is(over.restarts.nodes, 1);
  t.is(over.leases.reclaimed, 1);
});

test("leases and sizes of the logs are shown as they were looked up (S2-40, S2-59)", (t) => {
  const stream = { stream: "KV_test-leases", messages: 1, bytes: 190, maxBytes: 1_048_576 };
  const metrics = freshAggregate().view(
    startMs,
    lookedAt({}, { streams: [stream], leases: { held: 1, oldestAgeMs: 250 } }),
  );
  t.deepEqual(metrics.logs, [stream]);
  t.deepEqual(metrics.leases, { held: 1, oldestAgeMs: 250, reclaimed: 0 });
  const idle = freshAggregate().view(startMs, lookedAt());
  t.deepEqual(idle.leases, { held: 0, oldestAgeMs: null, reclaimed: 0 });
});

test("accuracy comes from late feedback, and from a labelled stream where one tells how it goes", (t) => {
  const aggregate = freshAggregate();
  const serving = new Telling("serving-1", startMs);
  pass(aggregate, startMs, 1, [serving]);
  serving.count("feedback_labels", 20);
  serving.count("feedback_right", 15);
  const fed = pass(aggregate, startMs + 1_000, 1, [serving]);
  t.deepEqual(fed.vitals.accuracy, { adapting: 0.75, source: null, labels: 20, by: "feedback" });
  const scored = (labels: number, adapting: number, source: number, actor = "demo-1") =>
    aggregate.event(
      { kind: "scored", node: "sim", actor, incarnation: 1, atMs: 0, items: [{ labels, adapting, source }] },
      startMs + 2_000,
    );
  scored(100, 90, 60);
  scored(200, 180, 110);
  scored(50, 50, 50, "demo-2");
  const streamed = pass(aggregate, startMs + 2_000, 1, [serving]);
  t.deepEqual(streamed.vitals.accuracy, { adapting: 230 / 250, source: 160 / 250, labels: 250, by: "stream" });
});

test("the mean KL is that of whoever takes the steps, not of a writer that lost its lease", (t) => {
  const aggregate = freshAggregate();
  const former = new Telling("learning-1", startMs);
  const present = new Telling("learning-2", startMs);
  Object.assign(former.values, { mean_kl_divergence: 0.5, updates_applied: 10 });
  t.is(pass(aggregate, startMs, 3, [former, present]).vitals.meanKlDivergence, 0.5);
  Object.assign(present.values, { mean_kl_divergence: 0.1, updates_applied: 1 });
  t.is(pass(aggregate, startMs + 3_000, 3, [former, present]).vitals.meanKlDivergence, 0.1);
});

test("a model's figures join what its nodes say and what the log says", (t) => {
  const serving = new Telling("serving-1", startMs);
  Object.assign(serving.values, {
    model_version_digits: 3,
    experiences_digits: 150,
    remembered_digits: 140,
    capacity_digits: 10_000,
    domains_digits: 4,
    rolled_back_digits: 2,
  });
  serving.count("answers_digits", 40);
  serving.count("gate_learn_digits", 10);
  serving.measure("confidence_digits", 0.5, 1);
  const looked = lookedAt({ lastSeq: 20, committedSeq: 18, version: 4, applied: 16, refused: { kl: 2 } });
  const [model] = pass(freshAggregate(), startMs, 1, [serving], () => looked).models;
  t.like(model, { mode: "ensemble", version: 4, experiences: 150, remembered: 140, domains: 4, confidence: 0.75 });
  t.deepEqual(model?.updates, { enqueued: 20, applied: 16, refused: { kl: 2 }, rolledBack: 2 });
  t.is(model?.gateRate, 0.25);
  const cold = new Aggregate({ subjects, models: [digits] }).view(startMs).models[0];
  t.is(cold?.mode, "cold");
});
