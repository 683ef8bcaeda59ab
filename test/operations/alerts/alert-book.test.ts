// What becomes an alert, what it counts, and when it is over: instant, time is a number.

import test from "ava";
import { AlertBook, bookLimits } from "../../../operations/alerts/alert-book.js";
import { dueGroup } from "../../../operations/alerts/alert-groups.js";
import { savedAlertsSchema } from "../../../operations/alerts/alert-record.js";
import { alertingKinds, eventRules } from "../../../operations/alerts/alert-rules.js";
import { failing, healthOf, metricsOf, nodeOf, passing } from "./reports.js";

const event = (kind: string, about = "a") => ({ kind, about, detail: `why ${kind}` });
const shown = (changes: ReturnType<AlertBook["hear"]>) =>
  changes.map(({ kind, alert }) => `${alert.fingerprint} ${kind}`);

test("an alert fires once; each repetition counts and renews it", (t) => {
  const book = new AlertBook();
  const [fired] = book.hear(event("node_silent"), 1_000);
  t.like(fired, { kind: "fired", alert: { name: "node_silent", severity: "critical", about: "a", count: 1 } });
  t.deepEqual(book.hear(event("node_silent"), 2_000), []);
  t.like(book.alerts[0], { count: 2, sinceMs: 1_000, heardAtMs: 2_000 });
});

test("the same rule about two subjects is two alerts", (t) => {
  const book = new AlertBook();
  const changes = ["a", "b"].flatMap((about) => book.hear(event("crashed", about), 0));
  t.deepEqual(shown(changes), ["actor_crashed:a fired", "actor_crashed:b fired"]);
});

test("an alert ends with its event, with what it had counted, and may fire anew", (t) => {
  const book = new AlertBook();
  book.hear(event("node_silent"), 1_000);
  book.hear(event("node_silent"), 2_000);
  t.deepEqual(book.hear(event("node_heard", "b"), 3_000), [], "another node's return ends nothing here");
  t.like(book.hear(event("node_heard"), 3_000)[0], { kind: "resolved", alert: { count: 2, sinceMs: 1_000 } });
  t.deepEqual(book.hear(event("node_heard"), 3_001), [], "and ends once");
  t.like(book.hear(event("node_silent"), 4_000)[0], { kind: "fired", alert: { count: 1, sinceMs: 4_000 } });
});

test("a node that hung and was killed is silent no more once its next incarnation is ready, and dead no more once it is heard again", (t) => {
  const book = new AlertBook();
  for (const kind of ["node_silent", "node_died"]) book.hear(event(kind), 1_000);
  t.deepEqual(shown(book.hear(event("node_ready"), 2_000)), ["node_silent:a resolved", "node_died:a resolved"]);
  book.hear(event("node_died"), 3_000);
  t.deepEqual(shown(book.hear(event("node_heard"), 4_000)), ["node_died:a resolved"]);
});

test("every event's alert is over after its quiet time, once, and not a moment before", (t) => {
  for (const rule of eventRules) {
    const book = new AlertBook();
    book.hear(event(rule.firesOn), 0);
    book.hear(event(rule.firesOn), 500);
    t.deepEqual(book.pass(500 + rule.quietAfterMs - 1), []);
    t.like(book.pass(500 + rule.quietAfterMs)[0], { kind: "resolved", alert: { name: rule.name, count: 2 } });
    t.deepEqual(book.pass(Number.MAX_SAFE_INTEGER), []);
  }
});

test("what is listened for is what fires or ends a rule, and nothing else is an alert", (t) => {
  for (const { firesOn, endsOn } of eventRules)
    for (const kind of [firesOn, ...endsOn]) t.true(alertingKinds.includes(kind));
  t.is(new Set(alertingKinds).size, alertingKinds.length);
  t.deepEqual(new AlertBook().hear(event("vote"), 0), []);
});

test("a failing check is the alert that its rule names, with its figures and what to do; it ends when it passes (S1-34)", (t) => {
  const book = new AlertBook();
  const text = "Increase infer slots from 5 to 8";
  const check = failing("pool", { alert: "pool_saturated", about: "infer", value: 97, threshold: 95 });
  const advised = healthOf([check], [{ check: "pool", about: "infer", text }]);
  t.deepEqual(shown(book.report(metricsOf(), advised, 1)), ["pool_saturated:infer fired"]);
  t.deepEqual(book.report(metricsOf(), advised, 2), [], "a second later it is the same alert");
  t.like(book.list(2).alerts[0], { value: 97, threshold: 95, advice: text, count: 1, sinceMs: 1, state: "firing" });
  t.deepEqual(book.report(metricsOf(), healthOf([passing("other")]), 3).length, 1, "nor when its rule is gone");
  t.like(book.list(3).alerts[0], { state: "resolved", resolvedAtMs: 3 });
});

test("a check whose rule names no alert raises none", (t) => {
  t.deepEqual(new AlertBook().report(metricsOf(), healthOf([failing("loop_delay", { alert: null })]), 1), []);
});

test("the worker's word and the engine's word on divergence both appear; on the log they are one alert (S0-18)", (t) => {
  const book = new AlertBook();
  book.hear(event("kl_high", "digits"), 1);
  book.hear({ kind: "log_backpressure", about: "digits-experience", detail: "no room" }, 1);
  const log = failing("log_fill", {
    alert: "log_backpressure",
    about: "driftmend-experience-digits",
    severity: "critical",
  });
  book.report(metricsOf(), healthOf([failing("kl_drift"), log]), 2);
  t.deepEqual(book.alerts.map(({ fingerprint }) => fingerprint).sort(), [
    "kl_drift:digits",
    "kl_high:digits",
    "log_backpressure:digits-experience",
  ]);
  t.deepEqual(book.hear({ kind: "log_flows", about: "digits-experience", detail: "" }, 3), [], "the check still fails");
  t.deepEqual(shown(book.report(metricsOf(), healthOf([failing("kl_drift")]), 4)), [
    "log_backpressure:digits-experience resolved",
  ]);
});

test("each critical alert opens one intent, however often it repeats, and a new one when it fires anew (S1-30)", (t) => {
  const book = new AlertBook();
  const intents = () => book.list(0).alerts.map(({ intent }) => intent);
  for (let at = 1; at <= 50; at += 1) book.hear(event("node_died"), at);
  book.hear(event("crashed", "a/voter"), 60);
  t.deepEqual(intents(), ["node_died:a@1", null], "a warning asks for no remediation");
  const next = new AlertBook();
  next.adopt(book.saved("x"), 70);
  next.hear(event("node_died"), 71);
  t.is(next.list(71).alerts[0]?.intent, "node_died:a@1", "the next incarnation knows it");
  next.hear(event("node_ready"), 80);
  next.hear(event("node_died"), 90);
  t.is(next.list(90).alerts[0]?.intent, "node_died:a@90");
});

test("a node whose return nobody heard of is back when its heartbeats are", (t) => {
  const book = new AlertBook();
  book.hear(event("node_died", "serving-1"), 10_000);
  const report = (atMs: number, heartbeatAgeMs: number) =>
    book.report(metricsOf([nodeOf("serving-1", { heartbeatAgeMs })], atMs), healthOf([]), atMs);
  t.deepEqual(report(10_500, 900), [], "that beat was before its death");
  t.deepEqual(report(11_500, 900), [], "and so might be that one");
  t.deepEqual(shown(report(15_000, 100)), ["node_died:serving-1 resolved"]);
});

test("only what fires can be acknowledged; a new firing is not", (t) => {
  const book = new AlertBook();
  t.false(book.acknowledge("node_died:a", "ada", "", 1));
  book.hear(event("node_died"), 2);
  t.true(book.acknowledge("node_died:a", "ada", "on it", 3));
  t.like(book.list(3).alerts[0], { acknowledged: { by: "ada", note: "on it", atMs: 3 } });
  book.hear(event("node_ready"), 4);
  t.false(book.acknowledge("node_died:a", "ada", "", 5));
  book.hear(event("node_died"), 6);
  t.is(book.list(6).alerts[0]?.acknowledged, null);
});

test("a silence is about a name or one fingerprint, ends by itself, and can be taken back", (t) => {
  const book = new AlertBook();
  for (const about of ["a", "b"]) book.hear(event("node_died", about), 1);
  const silence = { by: "ada", note: "", untilMs: 100 };
  book.silence({ ...silence, matches: "node_died:a" });
  const silenced = (at: number) =>
    book
      .list(at)
      .alerts.filter(({ silencedUntilMs }) => silencedUntilMs !== null)
      .map(({ about }) => about);
  t.deepEqual(silenced(2), ["a"]);
  book.silence({ ...silence, matches: "node_died" });
  t.deepEqual(silenced(2).sort(), ["a", "b"]);
  t.true(book.unsilence("node_died"));
  t.false(book.unsilence("node_died"));
  t.deepEqual(silenced(99), ["a"]);
  book.pass(100);
  t.deepEqual(book.silences, []);
});

test("the book is bounded: a flood of subjects is one alert about the others, of resolved ones the newest stay", (t) => {
  const book = new AlertBook();
  for (let i = 0; i < 1_000; i += 1) book.hear(event("permission_violation", `subject.${i}`), i);
  t.is(book.alerts.length, bookLimits.subjectsOfName + 1);
  t.like(book.alerts.at(-1), { about: "(others)", count: 1_000 - bookLimits.subjectsOfName });
  for (let i = 0; i < 500; i += 1) {
    book.hear(event("node_died", `n${i}`), i);
    book.hear(event("node_ready", `n${i}`), i);
    book.pass(i);
  }
  t.is(book.alerts.filter(({ resolvedAtMs }) => resolvedAtMs !== null).length, bookLimits.resolved);
  for (let i = 0; i < 100; i += 1) book.silence({ matches: `m${i}`, untilMs: 1e9, by: "", note: "" });
  t.is(book.silences.length, bookLimits.silences);
  t.true(JSON.stringify(book.saved("x")).length < 500_000, "and fits one message");
});

test("what is kept can be read back, and nothing is lost on the way", (t) => {
  const book = new AlertBook();
  book.hear(event("node_died"), 1);
  book.acknowledge("node_died:a", "ada", "", 2);
  book.silence({ matches: "node_died", untilMs: 50, by: "ada", note: "" });
  book.told("slack", { firing: ["node_died:a"], resolved: [] }, 3);
  const saved = savedAlertsSchema.parse(JSON.parse(JSON.stringify(book.saved("x"))));
  const next = new AlertBook();
  t.deepEqual(next.adopt(saved, 4), []);
  t.deepEqual(next.list(4), book.list(4));
  t.deepEqual(next.saved("x"), saved);
});

test("a new leader that takes over a full book adds nothing beyond its bound", (t) => {
  const kept = new AlertBook();
  kept.hear(event("node_died", "kept"), 1);
  const saved = kept.saved("x");
  const [one] = saved.alerts;
  const full = Array.from({ length: bookLimits.alerts }, (_, i) => ({ ...one, fingerprint: `node_died:k${i}` }));
  const own = new AlertBook();
  own.hear(event("node_died", "new"), 2);
  t.deepEqual(own.adopt(savedAlertsSchema.parse({ ...saved, alerts: full }), 3), []);
  t.is(own.alerts.length, bookLimits.alerts);
});

test("a new leader adds what it heard itself: what ended meanwhile is over, what began fires", (t) => {
  const kept = new AlertBook();
  for (const about of ["gone", "still"]) kept.hear(event("node_died", about), 1);
  const own = new AlertBook();
  own.hear(event("node_died", "gone"), 1);
  own.hear(event("node_ready", "gone"), 5);
  own.hear(event("node_died", "new"), 6);
  t.deepEqual(shown(own.adopt(kept.saved("x"), 7)), ["node_died:gone resolved", "node_died:new fired"]);
  t.deepEqual(
    own
      .list(7)
      .alerts.map(({ about, state }) => `${about} ${state}`)
      .sort(),
    ["gone resolved", "new firing", "still firing"],
  );
});

const hourMs = 3_600_000;

test("a clock that is set back keeps no alert firing for want of quiet (S1-35)", (t) => {
  const book = new AlertBook();
  book.hear(event("crashed"), 2 * hourMs);
  t.deepEqual(book.pass(hourMs), []);
  t.deepEqual(shown(book.pass(hourMs + 59_999)), []);
  t.deepEqual(shown(book.pass(hourMs + 60_000)), ["actor_crashed:a resolved"]);
});

test("a clock that is set back leaves no sink without news: the pause between two messages counts from then on (S1-35)", (t) => {
  const settings = { groupWaitMs: 5_000, groupIntervalMs: 60_000, repeatIntervalMs: 4 * hourMs };
  const book = new AlertBook();
  book.hear(event("node_died", "before"), 2 * hourMs);
  book.told("slack", { firing: ["node_died:before"], resolved: [] }, 2 * hourMs);
  book.pass(hourMs);
  book.hear(event("node_died", "after"), hourMs);
  t.is(dueGroup(book, "slack", settings, hourMs + 59_999), undefined);
  const due = dueGroup(book, "slack", settings, hourMs + 60_000);
  t.deepEqual(
    due?.begun.map(({ about }) => about),
    ["after"],
  );
});
