// The assertions of a stability run, pure: a healthy run holds all of them, and each thing that is planted fails the one that names it.

import test, { type ExecutionContext } from "ava";
import { type AssertionName, assertionNames, assertionsOn, hold, limits } from "../../../sim/stability/assertions.js";
import type { Facts } from "../../../sim/stability/facts.js";
import { reportOf } from "../../../sim/stability/report/document.js";
import { outcomeOf } from "../../../sim/stability/verb.js";
import { cleanups, crash, elapsedMs, experience, facts, life, mebibyte, points } from "./planted.js";

function failing(of: Facts): readonly AssertionName[] {
  return assertionsOn(of).flatMap(({ name, passed }) => (passed === false ? [name] : []));
}

function found(of: Facts, name: AssertionName) {
  const one = assertionsOn(of).find((each) => each.name === name);
  if (one === undefined) throw new Error(`no assertion ${name}`);
  return one;
}

function only(t: ExecutionContext, planted: Partial<Facts>, name: AssertionName): void {
  t.deepEqual(failing(facts(planted)), [name]);
}

test("a healthy run with crashes holds every assertion, each with what was measured, what is allowed, and how (S0-29)", (t) => {
  const all = assertionsOn(facts());
  t.deepEqual(
    all.map(({ name }) => name),
    assertionNames,
  );
  t.deepEqual(
    all.filter(({ passed }) => passed !== true),
    [],
  );
  for (const { measured, allowed, how } of all) for (const words of [measured, allowed, how]) t.not(words, "");
});

test("a process that leaks 1 MB a second fails, by name and incarnation; the others are not blamed (S0-30)", (t) => {
  const lives = [life("serving-1", 1, elapsedMs, mebibyte), life("operations-1", 1, elapsedMs)];
  only(t, { lives }, "memory_stable");
  const { measured, about, value } = found(facts({ lives }), "memory_stable");
  t.regex(measured, /^serving-1 #1: /);
  t.is(about.length, 1);
  t.true((value ?? 0) > 1.1);
});

test("a leak in a restarted process is seen though no incarnation before it lived long (S0-30)", (t) => {
  only(t, { lives: [life("learning-1", 7, 180_000, mebibyte), life("learning-1", 6, 100_000)] }, "memory_stable");
});

test("memory is judged where a life is long enough, and a long run without such a life fails (S0-30)", (t) => {
  const short = [life("serving-1", 1, 100_000, mebibyte)];
  t.is(found(facts({ lives: short, elapsedMs: 100_000 }), "memory_stable").passed, null);
  t.is(found(facts({ lives: short }), "memory_stable").passed, false);
});

test("a memory of experiences that fills is no leak: what grows before it is full is not compared (S0-30)", (t) => {
  const filling = { ...life("serving-1", 1, elapsedMs, mebibyte), fullAtMs: null };
  t.is(found(facts({ lives: [filling], elapsedMs: 200_000 }), "memory_stable").passed, null);
  const full = { ...filling, fullAtMs: filling.readings.at(-8)?.atMs ?? 0 };
  t.true(
    found(facts({ lives: [full] }), "memory_stable").passed,
    "35 s at 1 MB/s are less than 32 MB between the medians",
  );
});

test("growth by a tenth that is small, and large growth that is less than a tenth, are no leak (S0-30)", (t) => {
  const small = { ...life("serving-1", 1, elapsedMs) };
  const grown = (factor: number, bytes: number) => ({
    ...small,
    readings: small.readings.map((each, i) => ({
      ...each,
      rssBytes: bytes * (i < 60 ? 1 : factor),
    })),
  });
  for (const lives of [[grown(1.5, 50 * mebibyte)], [grown(1.09, 1_000 * mebibyte)]])
    t.true(found(facts({ lives }), "memory_stable").passed);
  t.false(found(facts({ lives: [grown(1.11, 1_000 * mebibyte)] }), "memory_stable").passed);
});

test("a stuck consumer fills the queue beyond what arrives while a crash is repaired (S0-31)", (t) => {
  const stuck = points((ms) => ({ queueSize: Math.round(ms / 100), updatesEnqueued: Math.round(ms / 100) }));
  only(t, { points: stuck.map((each) => ({ ...each, updatesApplied: 0 })) }, "update_queue_bounded");
  const { measured, value, limit } = found(facts({ points: stuck }), "update_queue_bounded");
  t.is(measured, "6,000 tasks at most");
  t.is(value, 6_000);
  t.is(limit, limits.queueFloor);
});

test("the queue may hold what the mean rate brings in the grace, and one more is too much (S0-31)", (t) => {
  const deep = (most: number) => points((ms) => ({ updatesEnqueued: ms / 10, queueSize: ms === 300_000 ? most : 0 }));
  // 100 a second, 30 s.
  t.true(found(facts({ points: deep(3_000) }), "update_queue_bounded").passed);
  t.false(found(facts({ points: deep(3_001) }), "update_queue_bounded").passed);
});

test("one failed search in a hundred fails, none holds, no search is not judged (S0-32)", (t) => {
  only(t, { points: points((ms) => ({ knnFailures: Math.round(ms / 1_000 / 2) })) }, "knn_failures");
  t.is(found(facts({ points: points(() => ({ knnSearches: 0 })) }), "knn_failures").passed, null);
});

test("a log that is never truncated fails, one that is cut back holds (S0-33)", (t) => {
  const growing = points((ms) => ({ logBytes: { [experience]: (ms / elapsedMs) * 120 * mebibyte } }));
  only(t, { points: growing }, "log_truncated");
  t.is(found(facts({ points: growing }), "log_truncated").about.length, 1);
});

test("crashes and cleanups are joined by node and incarnation: a missing, doubled or late one fails (S0-34)", (t) => {
  const crashes = [crash(1, 150_000), crash(2, 400_000)];
  const lost = { node: "learning-1", incarnation: 2, run: "r" };
  const [first] = crashes;
  if (first === undefined) throw new Error("no crash");
  only(t, { crashes, cleanups: cleanups([first], { missing: [lost] }) }, "crashes_cleaned_up");
  only(t, { crashes, cleanups: cleanups(crashes, { doubled: [lost] }) }, "crashes_cleaned_up");
  only(t, { crashes, cleanups: cleanups(crashes, { late: [lost] }) }, "crashes_cleaned_up");
  // Nothing at all was written of it, as when the cleanup is suppressed.
  const none = facts({ crashes, cleanups: cleanups([]) });
  t.deepEqual(failing(none), ["crashes_cleaned_up"]);
  t.is(found(none, "crashes_cleaned_up").measured, "0 cleanups for 2 crashes");
  t.deepEqual(found(none, "crashes_cleaned_up").about, [
    "learning-1 #1: no confirmation",
    "learning-1 #2: no confirmation",
  ]);
});

test("as many cleanups as crashes, of another incarnation, do not make up for one (S0-34)", (t) => {
  const crashes = [crash(1, 150_000)];
  const names = failing(facts({ crashes, cleanups: cleanups([crash(2, 150_000)]) }));
  t.deepEqual(names, ["crashes_cleaned_up", "no_other_deaths"]);
});

test("a death that nobody injected fails though it was cleaned up", (t) => {
  const crashes = [crash(1, 150_000)];
  only(t, { crashes, cleanups: cleanups([...crashes, crash(2, 300_000)]) }, "no_other_deaths");
});

test("updates must go on behind every crash, in time, and never fall (S0-46)", (t) => {
  only(t, { crashes: [crash(1, 150_000), crash(2, 400_000, { recoveryMs: null })] }, "updates_grow");
  only(t, { crashes: [crash(1, 150_000, { recoveryMs: 31_000 })] }, "updates_grow");
  only(t, { crashes: [crash(1, 150_000, { appliedBefore: 500, appliedAfter: 500 })] }, "updates_grow");
  only(t, { updatesDecreased: 1 }, "updates_grow");
  only(t, { points: points((ms) => (ms === 300_000 ? { updatesApplied: 10 } : {})) }, "updates_grow");
});

test("where nothing waits to be learned, no update is due behind a crash (S0-46)", (t) => {
  const crashes = [crash(1, 150_000), crash(2, 400_000, { recoveryMs: null, appliedBefore: 6_000 })];
  const idle = points((ms) => (ms > 400_000 ? { queueSize: 0, updatesApplied: 6_000 } : {}));
  t.deepEqual(failing(facts({ crashes, points: idle })), []);
  const early = points((ms) => (ms > 400_000 && ms < 410_000 ? { queueSize: 0 } : {}));
  t.deepEqual(failing(facts({ crashes, points: early })), ["updates_grow"], "empty before a repair may be due");
});

test("tasks of which none was ever applied fail without any crash", (t) => {
  const { evidence } = facts();
  const updates = { enqueued: 40, applied: 0, refused: {}, rolledBack: 0 };
  only(t, { crashes: [], cleanups: cleanups([]), evidence: { ...evidence, updates } }, "updates_grow");
});

test("accuracy must be above the source model's, once enough answers were scored", (t) => {
  only(t, { accuracy: { scored: 5_000, adapting: 0.6, source: 0.6 } }, "accuracy_above_source");
  t.is(found(facts({ accuracy: { scored: 100, adapting: 0.6, source: 0.6 } }), "accuracy_above_source").passed, null);
});

test("99.5 % must be answered in time, and 99.49 % is too little", (t) => {
  const { punctuality } = facts();
  const answered = (answeredInTime: number) => facts({ punctuality: { ...punctuality, answeredInTime } });
  t.true(found(answered(119_400), "answered_in_time").passed);
  t.deepEqual(failing(answered(119_388)), ["answered_in_time"]);
  t.is(found(answered(119_399), "answered_in_time").measured, "99.49 % (119,399 of 120,000)", "not rounded up");
});

test("a replay that differs fails, and so does a run that hardly saw its cluster", (t) => {
  const { evidence } = facts();
  const replay = { ...evidence.replay, committedChecksum: "0", equal: false };
  only(t, { evidence: { ...evidence, replay } }, "replay_equal");
  only(t, { pointsMissed: 30 }, "metrics_seen");
  t.is(found(facts({ points: [], pointsMissed: 9 }), "metrics_seen").passed, false);
});

test("a violated assertion ends with code 1 and is named with measured and allowed value; an interrupted run with 130 (S0-29)", (t) => {
  const head = { id: "x", command: "c", machine: { cpus: 2, cpuModel: "m", memoryBytes: 1, node: "20" } };
  const end = (of: Facts) => outcomeOf(reportOf(head, of, assertionsOn(of)), assertionsOn(of), "out");
  t.deepEqual(end(facts()), { kind: "done" });
  const bad = end(facts({ points: points((ms) => ({ queueSize: ms / 100 })) }));
  t.is(bad.kind, "failed");
  t.regex("message" in bad ? bad.message : "", /^update_queue_bounded: 6,000 tasks at most; allowed: 500 tasks$/);
  t.deepEqual(end(facts({ interrupted: true, updatesDecreased: 1 })), { kind: "interrupted" });
  t.true(hold(assertionsOn(facts())));
});
