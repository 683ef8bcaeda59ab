// The built-in rules against figures, under invented time: each threshold from both sides.
import test from "ava";
import { builtInRules } from "../../../operations/health/default-rules.js";
import {
  check,
  distribution,
  failing,
  figures,
  healthOf,
  hourMs,
  job,
  minuteMs,
  model,
  node,
  pool,
  queue,
  run,
  startMs,
} from "./figures.js";

const tenSeconds = 10_000;

test("a cluster in good order is healthy, and every check passes (S0-7)", (t) => {
  const report = run(healthOf(), { untilMs: 10 * minuteMs }, () => ({}));
  t.deepEqual(failing(report), []);
  t.is(report.status, "healthy");
  t.is(report.sinceMs, startMs);
});

test("utilisation above 95 % is critical after 5 min, not after 4 min 50 s, and a dip resets (S1-27)", (t) => {
  const health = healthOf();
  const held = (untilMs: number, fromMs = 0) =>
    run(health, { fromMs, untilMs, stepMs: tenSeconds }, () => ({ pools: [pool("infer", 96)] }));
  t.false(failing(held(290_000)).includes("critical pool_capacity infer"));
  run(health, { fromMs: 300_000, untilMs: 300_000 }, () => ({ pools: [pool("infer", 95)] }));
  t.false(failing(held(600_000, 310_000)).includes("critical pool_capacity infer"), "the dip reset it");
  const report = held(620_000, 610_000);
  t.true(failing(report).includes("critical pool_capacity infer"));
  t.is(report.status, "unhealthy");
});

test("the message of a full pool says its value and for how long (S1-20)", (t) => {
  const report = run(healthOf(), { untilMs: 5 * minuteMs, stepMs: tenSeconds }, () => ({ pools: [pool("infer", 96)] }));
  t.is(check(report, "pool_capacity", "critical", "infer").message, "pool.utilization 96 % is > 95 % for 5 m 00 s");
});

test("utilisation above 80 % is a warning after 10 min, not after 9 min 50 s (S1-31)", (t) => {
  const health = healthOf();
  const held = (fromMs: number, untilMs: number) =>
    run(health, { fromMs, untilMs, stepMs: tenSeconds }, () => ({ pools: [pool("infer", 81)] }));
  t.false(failing(held(0, 590_000)).includes("warning pool_capacity infer"));
  const report = held(600_000, 610_000);
  t.true(failing(report).includes("warning pool_capacity infer"));
  t.is(report.status, "degraded");
});

test("utilisation above 60 % is information: it is shown, degrades nothing and notifies nobody (S1-35)", (t) => {
  const report = run(healthOf(), { untilMs: hourMs, stepMs: tenSeconds }, () => ({ pools: [pool("infer", 61)] }));
  t.deepEqual(failing(report), ["info pool_capacity infer"]);
  t.is(report.status, "healthy");
  t.like(check(report, "pool_capacity", "info", "infer"), { status: "warn", alert: null });
});

test("101 waiting jobs are critical, 100 are not; more than 20 are information (S1-29, S1-36)", (t) => {
  const held = (depth: number) =>
    failing(run(healthOf(), { untilMs: 15_000 }, () => ({ pools: [pool("infer", 30, depth)] })));
  t.deepEqual(held(101), ["critical queue_depth infer", "info queue_depth infer"]);
  t.deepEqual(held(100), ["info queue_depth infer"]);
  t.deepEqual(held(21), ["info queue_depth infer"]);
  t.deepEqual(held(20), []);
});

test("92 % of successful jobs pass, 79 % warn, 49 % fail (S1-21, S1-28, S1-32)", (t) => {
  const held = (share: number) => run(healthOf(), { untilMs: 15_000 }, () => ({ jobs: [job("infer", share)] }));
  t.is(held(0.92).status, "healthy");
  t.like(check(held(0.92), "job_success", "warning", "infer"), { status: "pass", value: 92, threshold: 80 });
  t.deepEqual(failing(held(0.79)), ["warning job_success infer"]);
  t.is(held(0.79).status, "degraded");
  t.like(check(held(0.49), "job_success", "critical", "infer"), { status: "fail", value: 49, threshold: 50 });
  t.is(held(0.49).status, "unhealthy");
  t.is(held(0.5).status, "degraded", "half of them is not below half");
});

test("one failing job of one is no verdict, nor are 19 of 19 (S1-28)", (t) => {
  const held = (count: number) =>
    failing(run(healthOf(), { untilMs: minuteMs }, () => ({ jobs: [job("infer", 0, count)] })));
  t.deepEqual(held(1), []);
  t.deepEqual(held(19), []);
  t.deepEqual(held(20), ["critical job_success infer", "warning job_success infer"]);
});

test("failing jobs count as samples, also where only successful ones are timed (S1-28)", (t) => {
  const report = run(healthOf(), { untilMs: 90_000 }, (elapsedMs) => ({
    jobs: [{ ...job("infer", 0, 0), failed: elapsedMs / 1_000 }],
  }));
  t.true(failing(report).includes("critical job_success infer"));
});

test("no update while updates wait is a stall within two windows; an idle updater is not stalled (S0-10)", (t) => {
  const vitals = { ...figures(0).vitals, updateRate: 0 };
  const waiting = { vitals: { ...vitals, queueSize: 3 } };
  const health = healthOf();
  run(health, { untilMs: 10 * minuteMs }, () => ({ vitals }));
  t.deepEqual(failing(run(health, { fromMs: 601_000, untilMs: 640_000 }, () => waiting)), []);
  // The rate falls to zero a window after the last update; the rule takes less than another.
  const report = run(health, { fromMs: 641_000, untilMs: 660_000 }, () => waiting);
  t.deepEqual(failing(report), ["warning update_rate_stalled cluster"]);
  t.is(check(report, "update_rate_stalled", "warning", "cluster").alert, "update_rate_stalled");
  t.deepEqual(failing(run(health, { fromMs: 661_000, untilMs: 661_000 }, () => ({ vitals }))), []);
});

test("a queue that grows is told, one of the same depth that stands is not (S0-15)", (t) => {
  const held = (trend: "increasing" | "stable", depth: number) =>
    failing(run(healthOf(), { untilMs: minuteMs }, () => ({ queues: [queue("update", depth, trend)] })));
  t.deepEqual(held("increasing", 400), ["warning queue_growing update"]);
  t.deepEqual(held("stable", 400), []);
  t.deepEqual(held("increasing", 20), [], "too few for a claim");
});

test("of several models' update queues each is looked at for itself, also by a rule about update", (t) => {
  const of = (model: string, depth: number, trend: "increasing" | "stable") => ({
    ...queue("update", depth, trend),
    where: `driftmend-update-${model}`,
  });
  for (const growing of [0, 1]) {
    const queues = ["one", "two"].map((model, index) =>
      index === growing ? of(model, 400, "increasing") : of(model, 0, "stable"),
    );
    const about = `driftmend-update-${growing === 0 ? "one" : "two"}`;
    t.deepEqual(failing(run(healthOf(), { untilMs: minuteMs }, () => ({ queues }))), [
      `warning queue_growing ${about}`,
    ]);
    const own = healthOf("checks: [{ name: deep, severity: warning, when: queue.depth > 100, about: update }]");
    t.true(failing(run(own, { untilMs: minuteMs }, () => ({ queues }))).includes(`warning deep ${about}`));
  }
});

test("KL that stays high is drift in danger, one spike is not (S0-13)", (t) => {
  const high = { models: [model({ kl: distribution(0.3) })] };
  const health = healthOf();
  t.deepEqual(failing(run(health, { untilMs: 25_000 }, () => high)), []);
  t.deepEqual(failing(run(health, { fromMs: 26_000, untilMs: 31_000 }, () => high)), ["warning kl_drift digits"]);
  // One step of 50 nats among a hundred small ones lifts the mean for as long as it is in the window.
  const spike = { models: [model({ kl: { ...distribution(0.5), p50: 0.01 } })] };
  t.deepEqual(failing(run(healthOf(), { untilMs: 5 * minuteMs }, () => spike)), []);
  const few = { models: [model({ kl: distribution(50, 1) })] };
  t.deepEqual(failing(run(healthOf(), { untilMs: 5 * minuteMs }, () => few)), []);
});

test("the limit of KL is the one that the model's settings name, where they are known (S0-18)", (t) => {
  const held = (limit: number) =>
    failing(
      run(healthOf("", { klLimitOf: () => limit }), { untilMs: minuteMs }, () => ({
        models: [model({ kl: distribution(0.1) })],
      })),
    );
  t.deepEqual(held(0.05), ["warning kl_drift digits"]);
  t.deepEqual(held(0.2), []);
});

test("failing searches in memory are told, with enough of them", (t) => {
  const held = (share: number, perSecond: number) =>
    failing(
      run(healthOf(), { untilMs: minuteMs }, (elapsedMs) => ({
        vitals: { ...figures(0).vitals, knnFailureRate: share },
        counters: { knn_searches: (elapsedMs / 1_000) * perSecond },
      })),
    );
  t.deepEqual(held(0.11, 10), ["warning knn_failing cluster"]);
  t.deepEqual(held(0.1, 10), []);
  t.deepEqual(held(1, 0.1), []);
});

test("a model below its source is told, when enough labels say so", (t) => {
  const held = (adapting: number | null, labels: number) =>
    failing(
      run(healthOf(), { untilMs: 2 * minuteMs }, () => ({
        vitals: { ...figures(0).vitals, accuracy: { adapting, source: 0.8, labels, by: "stream" } },
      })),
    );
  t.deepEqual(held(0.75, 100), ["warning model_below_source cluster"]);
  t.deepEqual(held(0.75, 99), []);
  t.deepEqual(held(0.79, 500), [], "within what chance does");
  t.deepEqual(held(null, 500), []);
});

test("a source model that gives most answers because it does better is told", (t) => {
  const held = (bySource: number) =>
    failing(
      run(healthOf(), { untilMs: 5 * minuteMs }, (elapsedMs) => ({
        models: [model({ answersBySource: (elapsedMs / 1_000) * bySource })],
        counters: { answers_digits: (elapsedMs / 1_000) * 10 },
      })),
    );
  t.deepEqual(held(6), ["warning source_answers digits"]);
  t.deepEqual(held(4), []);
});

test("a model is measured by its own answers: one that is asked much hides nothing of another", (t) => {
  const report = run(healthOf(), { untilMs: 5 * minuteMs }, (elapsedMs) => ({
    models: [model({ name: "busy" }), model({ name: "quiet", answersBySource: elapsedMs / 1_000 })],
    counters: { answers_busy: elapsedMs, answers_quiet: elapsedMs / 1_000 },
  }));
  t.deepEqual(failing(report), ["warning source_answers quiet"]);
});

test("more than ten restarts of nodes in a minute are a storm; ten in an hour are life", (t) => {
  const held = (everyMs: number) =>
    failing(
      run(healthOf(), { untilMs: 5 * minuteMs }, (elapsedMs) => ({
        restarts: { nodes: Math.floor(elapsedMs / everyMs), actors: 0 },
      })),
    );
  t.deepEqual(held(5_000), ["warning restart_storm cluster"]);
  t.deepEqual(held(minuteMs), []);
});

test("a log near its bound is told; a stream that drops its oldest is full by its nature", (t) => {
  const log = (stream: string, bytes: number) => ({ stream, messages: 1, bytes, maxBytes: 1_000 });
  const held = (bytes: number) =>
    failing(
      run(healthOf(), { untilMs: 15_000 }, () => ({
        logs: [log("driftmend-update-digits", bytes), log("driftmend-snapshot-digits", 999)],
      })),
    );
  t.deepEqual(held(960), [
    "critical log_backpressure driftmend-update-digits",
    "warning log_backpressure driftmend-update-digits",
  ]);
  t.deepEqual(held(900), ["warning log_backpressure driftmend-update-digits"]);
  t.deepEqual(held(800), []);
});

test("a death that stays unconfirmed and a lease that nobody renews are told (S2-40)", (t) => {
  const cleanups = { deaths: 4, confirmed: 3, overdue: 0 };
  t.deepEqual(failing(run(healthOf(), { untilMs: 25_000 }, () => ({ cleanups }))), []);
  t.deepEqual(failing(run(healthOf(), { untilMs: 35_000 }, () => ({ cleanups }))), ["warning cleanup cluster"]);
  const leases = { held: 1, oldestAgeMs: 11_000, reclaimed: 0 };
  t.deepEqual(failing(run(healthOf(), { untilMs: 6_000 }, () => ({ leases }))), ["warning lease_age cluster"]);
});

test("a silent node changes the status with the next report, one that left does not (S0-7, S2-41)", (t) => {
  const silent = (heartbeatAgeMs: number, state: "silent" | "left" = "silent") => ({
    nodes: [node("serving-1", { heartbeatAgeMs, state })],
  });
  const health = healthOf();
  t.is(run(health, { untilMs: 10_000 }, () => ({})).status, "healthy");
  t.is(run(health, { fromMs: 11_000, untilMs: 11_000 }, () => silent(3_100)).status, "degraded");
  t.is(run(health, { fromMs: 12_000, untilMs: 12_000 }, () => silent(5_100)).status, "unhealthy");
  t.is(run(health, { fromMs: 13_000, untilMs: 13_000 }, () => silent(60_000, "left")).status, "healthy");
});

test("disk, memory and event loop of each node are looked at", (t) => {
  const held = (changes: Parameters<typeof node>[1]) =>
    failing(run(healthOf(), { untilMs: 12 * minuteMs }, () => ({ nodes: [node("serving-1", changes)] })));
  t.deepEqual(held({ diskFreeBytes: 100 * 2 ** 20 }), ["critical disk serving-1", "warning disk serving-1"]);
  t.deepEqual(held({ diskFreeBytes: 600 * 2 ** 20 }), ["warning disk serving-1"]);
  t.deepEqual(held({ diskFreeBytes: null }), []);
  t.deepEqual(held({ rssBytes: 3 * 2 ** 30 }), ["warning memory serving-1"]);
  t.deepEqual(held({ loopDelayMaxMs: 600 }), ["warning event_loop serving-1"]);
});

test("the error budget of 99.5 % is watched over two windows: a burst of a minute pages nobody after a quiet hour (I-25)", (t) => {
  const jobs = (finished: number, failed: number) => ({ jobs: [{ ...job("infer", null), finished, failed }] });
  const health = healthOf();
  const quiet = (elapsedMs: number) => jobs(elapsedMs / 100, 0);
  run(health, { untilMs: hourMs, stepMs: 5_000 }, quiet);
  // A tenth of the requests fails for five minutes: 20 times the budget's pace in the short window, below 2 in the long one.
  const burst = (elapsedMs: number) =>
    jobs(hourMs / 100 + ((elapsedMs - hourMs) / 100) * 0.9, (elapsedMs - hourMs) / 1_000);
  const short = run(health, { fromMs: hourMs + 5_000, untilMs: hourMs + 5 * minuteMs, stepMs: 5_000 }, burst);
  t.false(failing(short).some((each) => each.startsWith("critical availability")));
  const long = run(health, { fromMs: hourMs + 5 * minuteMs, untilMs: 2 * hourMs, stepMs: 5_000 }, burst);
  t.true(failing(long).includes("critical availability cluster"));
  t.is(Math.round(check(long, "availability", "critical", "cluster").value ?? 0), 20);
});

test("double the usual latency is told, and what is usual takes ten minutes to know (S1-33)", (t) => {
  const health = healthOf();
  const at = (meanMs: number) => ({ jobs: [job("infer", 1, 100, meanMs)] });
  const before = run(health, { untilMs: 9 * minuteMs, stepMs: tenSeconds }, () => at(10));
  t.is(check(before, "latency", "warning", "infer").value, null);
  run(health, { fromMs: 9 * minuteMs, untilMs: 30 * minuteMs, stepMs: tenSeconds }, () => at(10));
  const calm = run(health, { fromMs: 30 * minuteMs, untilMs: 40 * minuteMs, stepMs: tenSeconds }, () => at(19));
  t.deepEqual(failing(calm), []);
  const report = run(health, { fromMs: 40 * minuteMs, untilMs: 43 * minuteMs, stepMs: tenSeconds }, () => at(21));
  t.deepEqual(failing(report), ["warning latency infer"]);
  t.is(
    check(report, "latency", "warning", "infer").message,
    "job.duration_mean 2.1x (21 ms, usual 10 ms) is > 2x for 3 m 00 s",
  );
});

test("latency that drifts by 1 % an hour is told once it is twice the frozen reference, which does not follow (S1-33)", (t) => {
  const health = healthOf();
  let firedAtHour: number | undefined;
  for (let hour = 0; hour < 90 && firedAtHour === undefined; hour += 1) {
    const report = run(
      health,
      { fromMs: hour * hourMs, untilMs: (hour + 1) * hourMs - minuteMs, stepMs: minuteMs },
      () => ({
        jobs: [job("infer", 1, 100, 10 * 1.01 ** hour)],
      }),
    );
    if (failing(report).includes("warning latency infer")) firedAtHour = hour;
  }
  // 1.01^70 is just above 2.
  t.is(firedAtHour, 70);
});

test("what had become better than the frozen reference and is bad again is told too (S1-33)", (t) => {
  const health = healthOf();
  const at = (meanMs: number) => () => ({ jobs: [job("infer", 1, 100, meanMs)] });
  run(health, { untilMs: 30 * minuteMs, stepMs: tenSeconds }, at(10));
  run(health, { fromMs: 30 * minuteMs, untilMs: 2 * hourMs, stepMs: tenSeconds }, at(4));
  const report = run(health, { fromMs: 2 * hourMs, untilMs: 2 * hourMs + 3 * minuteMs, stepMs: tenSeconds }, at(9));
  t.deepEqual(failing(report), ["warning latency infer"]);
});

test("a frozen reference survives the process that found it, when it is given back (S1-33)", (t) => {
  const first = healthOf();
  const at = (meanMs: number) => () => ({ jobs: [job("infer", 1, 100, meanMs)] });
  run(first, { untilMs: 20 * minuteMs, stepMs: tenSeconds }, at(10));
  const frozen = first.frozen();
  t.is(Object.values(frozen)[0], 10);
  const next = healthOf("", { frozen });
  t.deepEqual(failing(run(next, { untilMs: 3 * minuteMs, stepMs: tenSeconds }, at(25))), ["warning latency infer"]);
});

test("every built-in rule that notifies or degrades says what to do (S1-34)", (t) => {
  const silent = builtInRules().filter(({ severity, recommend }) => severity !== "info" && recommend === undefined);
  t.deepEqual(
    silent.map(({ name }) => name),
    [],
  );
  t.true(builtInRules().length > 20);
});

test("information never notifies (S1-35, S1-36)", (t) => {
  t.deepEqual(
    builtInRules().filter(({ severity, alert }) => severity === "info" && alert !== undefined),
    [],
  );
});
