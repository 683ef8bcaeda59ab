// The policy as a fold: the same log gives the same bits, whatever happens in between. Real gradients (WASM), a small model.
//
// Promises come with negative controls: the same scene without the guard must show the harm.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import type { ExperienceRecord, UpdateTask } from "../../models/experience.js";
import { openLearner } from "../../models/learning/learner.js";
import type { Subject } from "../../models/manifest.js";
import {
  applyMark,
  applyTask,
  checksum,
  foldExperience,
  type Policy,
  type StepOutcome,
  sourcePolicy,
} from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import { defaults } from "../../models/settings.js";
import { answersOf, besideSource, labelFor, smallSubject, taskFor, width } from "./small-world.js";

const learner = await openLearner("wasm");

type Entry =
  | { readonly kind: "experience"; readonly seq: number; readonly record: ExperienceRecord }
  | { readonly kind: "update"; readonly seq: number; readonly task: UpdateTask };

/** Two records, then one more before each task; now and then a late label. */
function logOf(subject: Subject, tasks: number): Entry[] {
  const random = seededRandom(21);
  const entries: Entry[] = [];
  let seq = 0;
  const answer = (): void => {
    seq += 1;
    const record = answersOf(subject, [0, 1, 2, 0, 1, 2], random, 0.6);
    entries.push({ kind: "experience", seq, record: seq % 2 === 0 ? besideSource(record) : record });
  };
  answer();
  answer();
  for (let update = 1; update <= tasks; update++) {
    answer();
    const position = { seq, index: update % 6 };
    entries.push({ kind: "update", seq: update * 3, task: taskFor(position, random()) });
    if (update % 4 === 0) {
      // The label comes into the log before the next record, and so before the next task.
      entries.push({ kind: "experience", seq: seq + 1, record: labelFor({ seq, index: 0 }, 1) });
      seq += 1;
    }
  }
  return entries;
}

async function fold(policy: Policy, entries: readonly Entry[], subject: Subject): Promise<StepOutcome[]> {
  const outcomes: StepOutcome[] = [];
  for (const entry of entries) {
    if (entry.kind === "experience") foldExperience(policy, entry.seq, entry.record, subject);
    else outcomes.push(await applyTask(policy, entry.seq, entry.task, learner, subject));
  }
  return outcomes;
}

/** A policy that has folded enough to be warm; the next experience is 4, the next update 1. */
function warmPolicy(subject: Subject): Policy {
  const policy = sourcePolicy(subject);
  const random = seededRandom(5);
  for (let seq = 1; seq <= 3; seq++) {
    foldExperience(policy, seq, answersOf(subject, [0, 1, 2, 0, 1, 2], random), subject);
  }
  return policy;
}

test("the same log gives the same state, bit for bit, and the model does move", async (t) => {
  const subject = smallSubject();
  const log = logOf(subject, 24);
  const [one, two] = [sourcePolicy(subject), sourcePolicy(subject)];
  t.is(checksum(one), checksum(two));
  const outcomes = await fold(one, log, subject);
  t.deepEqual(await fold(two, log, subject), outcomes);
  t.is(checksum(one), checksum(two));
  t.deepEqual(one, two);
  t.is(one.version, outcomes.filter((outcome) => outcome.kind === "applied").length);
  t.true(one.version > 20);
  t.notDeepEqual(one.served, subject.calibration.head);
  t.true(one.counters.labelsUsed > 0);
});

test("a snapshot taken anywhere in the log, read back, ends in the same bits", async (t) => {
  const subject = smallSubject();
  const log = logOf(subject, 12);
  const straight = sourcePolicy(subject);
  await fold(straight, log, subject);
  for (const cut of [0, 1, 7, 8, 9, 20, log.length]) {
    const before = sourcePolicy(subject);
    await fold(before, log.slice(0, cut), subject);
    const decoded = decodePolicy(encodePolicy(before), subject);
    if (decoded.kind !== "policy") return t.fail(decoded.why);
    t.is(checksum(decoded.policy), checksum(before));
    await fold(decoded.policy, log.slice(cut), subject);
    t.is(checksum(decoded.policy), checksum(straight), `cut at ${cut}`);
    t.deepEqual(decoded.policy, straight);
  }
});

test("a second task for the same experience changes nothing; without the window it would", async (t) => {
  const subject = smallSubject();
  const twice = warmPolicy(subject);
  const task = taskFor({ seq: 3, index: 1 });
  await applyTask(twice, 1, task, learner, subject);
  const { head } = twice;
  const again = await applyTask(twice, 2, task, learner, subject);
  t.deepEqual(again, { kind: "duplicate", version: 1 });
  t.is(twice.head, head);
  t.is(twice.updateSeq, 2);

  const forgetful = warmPolicy(subject);
  await applyTask(forgetful, 1, task, learner, subject);
  forgetful.recentTasks.fill(-1);
  t.is((await applyTask(forgetful, 2, task, learner, subject)).kind, "applied");
  t.notDeepEqual(forgetful.head, twice.head);
});

test("(S2-8) a planted bad update is refused for its KL and the version stays; with the guard off it passes", async (t) => {
  const settings = { learningRate: { min: 5, max: 5 }, anchorLossMax: 1, restore: 0, klWeight: 0 };
  const guarded = smallSubject({ ...settings, klLimit: 0.05 });
  const policy = warmPolicy(guarded);
  // Poison: class 0 is taught to be class 1 with a rate that is far too large.
  const batch = answersOf(guarded, [0, 0, 0, 0, 0, 0], seededRandom(8));
  const poison = { ...batch, answers: new Uint16Array(6).fill(1), confidences: new Float32Array(6).fill(1) };
  foldExperience(policy, 4, poison, guarded);
  const before = { head: policy.head.slice(), served: policy.served.slice() };
  const outcome = await applyTask(policy, 1, taskFor({ seq: 4, index: 0 }), learner, guarded);
  if (outcome.kind !== "refused" || outcome.guard !== "kl") return t.fail(JSON.stringify(outcome));
  t.true(outcome.kl > 0.05);
  t.is(outcome.version, 0);
  t.is(policy.counters.refused.kl, 1);
  t.deepEqual({ head: policy.head, served: policy.served }, before);

  const open = smallSubject({ ...settings, klLimit: Number.POSITIVE_INFINITY });
  const harmed = warmPolicy(open);
  foldExperience(harmed, 4, poison, open);
  const passed = await applyTask(harmed, 1, taskFor({ seq: 4, index: 0 }), learner, open);
  t.is(passed.kind, "applied");
  t.is(harmed.version, 1);
});

test("an update that costs anchors is refused by that name; without the limit it passes", async (t) => {
  const settings = { learningRate: { min: 5, max: 5 }, klLimit: 1e9, restore: 0, klWeight: 0 };
  for (const [anchorLossMax, kind] of [
    [0.005, "refused"],
    [1, "applied"],
  ] as const) {
    const subject = smallSubject({ ...settings, anchorLossMax });
    const policy = warmPolicy(subject);
    const batch = answersOf(subject, new Array(12).fill(0), seededRandom(8));
    foldExperience(
      policy,
      4,
      { ...batch, answers: new Uint16Array(12).fill(1), confidences: new Float32Array(12).fill(1) },
      subject,
    );
    const outcome = await applyTask(policy, 1, taskFor({ seq: 4, index: 0 }), learner, subject);
    t.is(outcome.kind, kind);
    if (outcome.kind === "refused") t.is(outcome.guard, "anchors");
  }
});

test("(S2-9) (S2-44) the report says the rate, the norm before and after the clip, and counts the clip", async (t) => {
  const subject = smallSubject({ clipNorm: 1e-3 });
  const policy = warmPolicy(subject);
  for (const [i, [confidence, rate]] of [
    [0, 3e-3],
    [0.5, 1.5e-3],
    [1, 1e-4],
  ].entries()) {
    const outcome = await applyTask(policy, i + 1, taskFor({ seq: 3, index: i }, confidence), learner, subject);
    if (outcome.kind !== "applied") return t.fail(JSON.stringify(outcome));
    t.is(outcome.learningRate, rate ?? 0);
    t.true(outcome.gradNorm > 1e-3 && outcome.clippedNorm === 1e-3 && outcome.clipped);
    t.is(outcome.loss, outcome.penalty - outcome.reward);
  }
  t.is(policy.counters.clipped, 3);
});

test("(S2-10) what is served after a step is 0.9 of what was served and 0.1 of the new head", async (t) => {
  const subject = smallSubject();
  const policy = warmPolicy(subject);
  for (let seq = 1; seq <= 3; seq++) {
    const before = policy.served;
    await applyTask(policy, seq, taskFor({ seq: 3, index: seq }), learner, subject);
    for (const [i, served] of policy.served.entries()) {
      t.true(Math.abs(served - (0.9 * (before[i] ?? 0) + 0.1 * (policy.head[i] ?? 0))) < 1e-6);
    }
  }
});

test("(S0-4) while cold, without material, or switched off, a task is refused by name and nothing moves", async (t) => {
  const scenes = [
    [smallSubject({ coldStart: 1_000 }), [0, 1, 2], "cold"],
    [smallSubject({ coldStart: 1 }), [0, 0, 0], "no_material"],
    [smallSubject({ coldStart: 1, stages: { ...defaults.stages, head: false } }), [0, 1, 2], "disabled"],
  ] as const;
  for (const [subject, labels, guard] of scenes) {
    const policy = sourcePolicy(subject);
    foldExperience(policy, 1, answersOf(subject, labels, seededRandom(1)), subject);
    const outcome = await applyTask(policy, 1, taskFor({ seq: 1, index: 0 }), learner, subject);
    t.deepEqual(outcome, { kind: "refused", guard, version: 0 });
    t.deepEqual(policy.head, subject.calibration.head);
    t.is(policy.counters.refused[guard], 1);
  }
});

test("a gradient that is no number is refused as nan", async (t) => {
  const subject = smallSubject();
  const policy = warmPolicy(subject);
  const broken = {
    ...learner,
    headGradient: async () => ({ gradient: policy.head.map(() => Number.NaN), reward: 0, penalty: 0 }),
  };
  const outcome = await applyTask(policy, 1, taskFor({ seq: 3, index: 0 }), broken, subject);
  t.like(outcome, { kind: "refused", guard: "nan", version: 0 });
});

test("a learner that fails leaves the state as it was, so that the task can be tried again", async (t) => {
  const subject = smallSubject();
  const policy = warmPolicy(subject);
  const before = checksum(policy);
  const broken = { ...learner, headGradient: () => Promise.reject(new Error("out of memory")) };
  await t.throwsAsync(applyTask(policy, 1, taskFor({ seq: 3, index: 0 }), broken, subject));
  t.is(checksum(policy), before);
});

test("folding out of order, too little or too much before a task is a broken invariant", async (t) => {
  const subject = smallSubject();
  const policy = warmPolicy(subject);
  const batch = answersOf(subject, [0, 1], seededRandom(1));
  t.throws(() => foldExperience(policy, 3, batch, subject), { message: "experience 3 comes after 3" });
  t.throws(() => foldExperience(policy, 4, { ...batch, model: "other" }, subject));
  t.throws(() => foldExperience(policy, 4, { ...batch, embeddings: batch.embeddings.slice(1) }, subject));
  const apply = (seq: number, at: number) => applyTask(policy, seq, taskFor({ seq: at, index: 0 }), learner, subject);
  await t.throwsAsync(apply(1, 4), { message: /needs experience up to 4/ });
  await t.throwsAsync(apply(1, 2), { message: /needs experience up to 2/ });
  await apply(1, 3);
  await t.throwsAsync(apply(1, 3), { message: "update 1 comes after 1" });
});

test("a mark moves the fold on without a step, and a snapshot remembers that it did", async (t) => {
  const subject = smallSubject();
  const mark = { model: "small", node: "n1", atMs: 1, experienceSeq: 3 };
  const policy = warmPolicy(subject);
  const head = policy.head;
  applyMark(policy, 4, mark);
  t.deepEqual([policy.updateSeq, policy.horizonSeq, policy.version], [4, 3, 0]);
  t.is(policy.head, head);
  t.throws(() => applyMark(policy, 4, mark), { message: "update 4 comes after 4" });
  t.throws(() => applyMark(policy, 5, { ...mark, experienceSeq: 9 }), { message: /needs experience up to 9/ });
  t.throws(() => applyMark(policy, 5, { ...mark, model: "other" }), { message: /a mark of other/ });
  const decoded = decodePolicy(encodePolicy(policy), subject);
  t.is(decoded.kind === "policy" ? decoded.policy.horizonSeq : -1, 3);
  const late = await applyTask(policy, 5, taskFor({ seq: 2, index: 0 }), learner, subject);
  t.is(late.kind, "applied");
});

test("rows that are not finite are left out and counted; confident rows and late labels become material", (t) => {
  const subject = smallSubject();
  const policy = sourcePolicy(subject);
  const batch = answersOf(subject, [0, 1, 2], seededRandom(2));
  batch.embeddings[width] = Number.NaN;
  batch.confidences[2] = 0.1;
  foldExperience(policy, 1, batch, subject);
  t.is(policy.counters.rowsSkipped, 1);
  t.deepEqual(
    Array.from(policy.replay.keys).filter((key) => key >= 0),
    [65_536],
  );
  foldExperience(policy, 2, labelFor({ seq: 1, index: 2 }, 2), subject);
  foldExperience(policy, 3, labelFor({ seq: 1, index: 1 }, 2), subject);
  foldExperience(policy, 4, labelFor({ seq: 1, index: 2 }, 9), subject);
  t.deepEqual([policy.counters.labelsUsed, policy.counters.labelsMissed], [1, 2]);
  t.is(
    policy.replay.verified.reduce((sum, one) => sum + one, 0),
    1,
  );
});

test("a snapshot of another model, a damaged one and one with other settings are refused with a reason", async (t) => {
  const subject = smallSubject();
  const policy = warmPolicy(subject);
  const bytes = encodePolicy(policy);
  const why = (found: ReturnType<typeof decodePolicy>): string => (found.kind === "refused" ? found.why : "taken");
  t.regex(why(decodePolicy(bytes, smallSubject({}, "other"))), /a policy of small .* not of other/);
  const damaged = bytes.slice();
  damaged[bytes.length - 9] = (bytes[bytes.length - 9] ?? 0) ^ 1;
  t.regex(why(decodePolicy(damaged, subject)), /checksum/);
  t.not(why(decodePolicy(bytes.slice(0, -8), subject)), "taken");
  t.not(why(decodePolicy(new Uint8Array(3), subject)), "taken");
  t.regex(why(decodePolicy(bytes, smallSubject({ replayPerClass: 6 }))), /replayEmbeddings/);
  t.is(why(decodePolicy(bytes, subject)), "taken");
});

/** A scene in which a second node answered the rows of record 4 again, as record 5. */
function repeatedScene(subject: Subject) {
  const record = answersOf(subject, [0, 1, 2, 0, 1, 2], seededRandom(31));
  return { record, again: { ...record, node: "n2" }, other: answersOf(subject, [2, 1, 0], seededRandom(32)) };
}

test("of two records of one request the first counts, and a task that names the second is a duplicate (S0-47)", async (t) => {
  const subject = smallSubject();
  const { record, again, other } = repeatedScene(subject);
  const [once, twice] = [warmPolicy(subject), warmPolicy(subject)];
  foldExperience(once, 4, record, subject);
  foldExperience(once, 6, other, subject);
  foldExperience(twice, 4, record, subject);
  foldExperience(twice, 5, again, subject);
  foldExperience(twice, 6, other, subject);
  t.is(twice.counters.rowsRepeated, 6);
  t.deepEqual(twice.adaptation, once.adaptation);
  t.deepEqual(twice.replay, once.replay);
  t.is(twice.experiences, once.experiences);
  const outcome = await applyTask(twice, 1, taskFor({ seq: 6, index: 0 }), learner, subject);
  t.is(outcome.kind, "applied");
  t.is((await applyTask(twice, 2, taskFor({ seq: 5, index: 2 }), learner, subject)).kind, "duplicate");
  const restored = decodePolicy(encodePolicy(twice), subject);
  if (restored.kind !== "policy") return t.fail(restored.why);
  foldExperience(restored.policy, 7, { ...record, node: "n3" }, subject);
  t.is(restored.policy.counters.rowsRepeated, 12, "a snapshot remembers the ids");
});

test("negative control: under ids of their own the same rows are learned from twice", (t) => {
  const subject = smallSubject();
  const { record, again } = repeatedScene(subject);
  const policy = warmPolicy(subject);
  const before = policy.experiences;
  foldExperience(policy, 4, record, subject);
  foldExperience(policy, 5, { ...again, ids: again.ids.map((id) => `${id}.again`) }, subject);
  t.is(policy.experiences, before + 12);
});
