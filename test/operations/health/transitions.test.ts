// The status over time: its transitions, what a reload of the rules does to it, and the shape of every check.
import test from "ava";
import { openHealth } from "../../../operations/health/health.js";
import { healthReportSchema } from "../../../operations/health/health-report.js";
import {
  check,
  distribution,
  failing,
  figures,
  healthOf,
  job,
  minuteMs,
  model,
  pool,
  queue,
  rulesIn,
  run,
  startMs,
} from "./figures.js";

test("healthy, degraded, unhealthy and back, each with its since and its reasons, in order (S1-18)", (t) => {
  const health = healthOf();
  const share = (elapsedMs: number) =>
    elapsedMs < 30_000 ? 1 : elapsedMs < 60_000 ? 0.7 : elapsedMs < 90_000 ? 0.3 : 1;
  const since: number[] = [];
  for (const untilMs of [29_000, 59_000, 89_000, 120_000])
    since.push(
      run(health, { fromMs: untilMs - 29_000, untilMs }, (elapsedMs) => ({ jobs: [job("infer", share(elapsedMs))] }))
        .sinceMs,
    );
  t.deepEqual(
    health.transitions.map(({ from, to, atMs }) => [from, to, atMs - startMs]),
    [
      ["healthy", "degraded", 40_000],
      ["degraded", "unhealthy", 70_000],
      ["unhealthy", "healthy", 91_000],
    ],
  );
  t.deepEqual(
    since.map((atMs) => atMs - startMs),
    [0, 40_000, 70_000, 91_000],
  );
  t.deepEqual(health.transitions[1]?.because, ["job_success infer"]);
  t.deepEqual(health.transitions[2]?.because, []);
});

test("the same reports in the same order give the same health, live or replayed", (t) => {
  const at = (elapsedMs: number) => ({ pools: [pool("infer", (elapsedMs / 1_000) % 100, elapsedMs % 130)] });
  const [one, other] = [healthOf(), healthOf()];
  t.deepEqual(run(one, { untilMs: 10 * minuteMs }, at), run(other, { untilMs: 10 * minuteMs }, at));
  t.deepEqual(one.transitions, other.transitions);
});

test("every check has all its fields, and exceeds its threshold exactly when it does not pass (S1-19)", (t) => {
  const report = run(healthOf(), { untilMs: 11 * minuteMs, stepMs: 10_000 }, () => ({
    pools: [pool("infer", 97, 300), pool("update", 85, 0, 1)],
    jobs: [job("infer", 0.7), job("update", null, 0)],
  }));
  t.deepEqual(healthReportSchema.parse(report), report);
  t.true(report.checks.some(({ status }) => status === "fail"));
  t.true(report.checks.some(({ status }) => status === "pass"));
  for (const each of report.checks) {
    t.is(each.thresholdExceeded, each.status !== "pass", each.name);
    t.true(each.message.length > 0);
    t.true(each.sinceMs >= startMs && each.sinceMs <= report.atMs);
  }
});

test("what was never measured passes, and says that it is not known", (t) => {
  const report = run(healthOf(), { untilMs: minuteMs }, () => ({
    models: [],
    nodes: [],
    queues: [],
    logs: [],
    jobs: [],
  }));
  t.like(check(report, "kl_drift", "warning", "cluster"), { status: "pass", value: null });
  t.regex(check(report, "kl_drift", "warning", "cluster").message, /not known/);
  t.is(report.status, "healthy");
});

test("a changed threshold holds from the next report on, and changes when the alert fires (S0-18)", (t) => {
  const written = (limit: string) =>
    rulesIn(
      `checks:\n  - {name: kl_drift, severity: warning, when: "model.kl > ${limit}", for: 30s, alert: kl_drift}\n`,
    );
  let rules = written("0.5 nats");
  const health = openHealth({ rules: () => ({ rules, source: "ops.yaml", rejected: null }) });
  const at = () => ({ models: [model({ kl: distribution(0.3) })] });
  t.deepEqual(failing(run(health, { untilMs: 5 * minuteMs }, at)), []);
  rules = written("0.2 nats");
  t.deepEqual(
    failing(run(health, { fromMs: 301_000, untilMs: 330_000 }, at)),
    [],
    "its time begins with the new question",
  );
  t.deepEqual(failing(run(health, { fromMs: 331_000, untilMs: 332_000 }, at)), ["warning kl_drift digits"]);
  const { sinceMs } = check(run(health, { fromMs: 333_000, untilMs: 340_000 }, at), "kl_drift", "warning", "digits");
  rules = written("0.25 nats");
  const kept = run(health, { fromMs: 341_000, untilMs: 350_000 }, at);
  t.is(check(kept, "kl_drift", "warning", "digits").sinceMs, sinceMs, "what fails by the new rule too goes on failing");
  rules = written("0.4 nats");
  t.deepEqual(failing(run(health, { fromMs: 351_000, untilMs: 351_000 }, at)), []);
});

test("what was pending begins anew when the question changed, and goes on when only its time did", (t) => {
  const written = (when: string, forText: string) =>
    rulesIn(`checks:\n  - {name: kl_drift, severity: warning, when: ${when}, for: ${forText}}\n`);
  let rules = written("model.kl > 0.1", "30s");
  const health = openHealth({ rules: () => ({ rules, source: "ops.yaml", rejected: null }) });
  const at = () => ({ models: [model({ kl: distribution(0.3) })] });
  run(health, { untilMs: 20_000 }, at);
  rules = written("model.kl > 0.2", "30s");
  t.deepEqual(failing(run(health, { fromMs: 21_000, untilMs: 50_000 }, at)), []);
  rules = written("model.kl > 0.2", "29s");
  t.deepEqual(failing(run(health, { fromMs: 51_000, untilMs: 51_000 }, at)), ["warning kl_drift digits"]);
});

test("with a clear level the other comparisons of a condition end it as well", (t) => {
  const health = healthOf(
    'checks:\n  - {name: mine, severity: warning, when: queue.depth > 20 and queue.trend == increasing, clear: "< 10"}\n',
  );
  const at = (depth: number, trend: "increasing" | "stable") => () => ({ queues: [queue("update", depth, trend)] });
  t.deepEqual(failing(run(health, { untilMs: 0 }, at(25, "increasing"))), ["warning mine update"]);
  t.deepEqual(failing(run(health, { fromMs: 1_000, untilMs: 1_000 }, at(15, "increasing"))), ["warning mine update"]);
  t.deepEqual(failing(run(health, { fromMs: 2_000, untilMs: 2_000 }, at(15, "stable"))), []);
});

test("a rule that was not touched keeps its time over a reload of others", (t) => {
  let rules = rulesIn("");
  const health = openHealth({ rules: () => ({ rules, source: "ops.yaml", rejected: null }) });
  const full = () => ({ pools: [pool("infer", 96)] });
  run(health, { untilMs: 200_000, stepMs: 10_000 }, full);
  rules = rulesIn("checks:\n  - {name: memory, off: true}\n");
  const report = run(health, { fromMs: 210_000, untilMs: 300_000, stepMs: 10_000 }, full);
  t.true(failing(report).includes("critical pool_capacity infer"));
});

test("what is gone takes its check along, and a rule that is gone too", (t) => {
  let rules = rulesIn("");
  const health = openHealth({ rules: () => ({ rules, source: "ops.yaml", rejected: null }) });
  const failingJobs = () => ({ jobs: [job("infer", 0.7)] });
  t.is(run(health, { untilMs: 20_000 }, failingJobs).status, "degraded");
  t.is(run(health, { fromMs: 21_000, untilMs: 21_000 }, () => ({ jobs: [] })).status, "healthy");
  t.is(run(health, { fromMs: 22_000, untilMs: 40_000 }, failingJobs).status, "degraded");
  rules = rules.filter(({ name }) => name !== "job_success");
  t.is(run(health, { fromMs: 41_000, untilMs: 41_000 }, failingJobs).status, "healthy");
});

test("a rule can be about some things only", (t) => {
  const health = healthOf(
    "checks:\n  - {name: pool_capacity, severity: warning, when: pool.utilization > 80, about: infer}\n",
  );
  const report = health.evaluate(figures(startMs, { pools: [pool("infer", 90), pool("update", 90)] }));
  t.deepEqual(failing(report), ["warning pool_capacity infer"]);
});

test("the report says where its rules came from, and what was wrong with newer ones", (t) => {
  const health = openHealth({ rules: () => ({ rules: [], source: "ops.yaml", rejected: "ops.yaml:1:1: bad" }) });
  t.deepEqual(health.evaluate(figures(startMs)).rules, { source: "ops.yaml", rejected: "ops.yaml:1:1: bad" });
});

test("a check that fails in two severities is one alert and one recommendation, the more severe one's (S1-30)", (t) => {
  const report = run(healthOf(), { untilMs: minuteMs }, () => ({ jobs: [job("infer", 0.3)] }));
  t.deepEqual(failing(report), ["critical job_success infer", "warning job_success infer"]);
  t.is(check(report, "job_success", "critical", "infer").alert, "jobs_failing");
  t.is(check(report, "job_success", "warning", "infer").alert, null);
  t.deepEqual(
    report.recommendations.map(({ check: name, about }) => `${name} ${about}`),
    ["job_success infer"],
  );
});
