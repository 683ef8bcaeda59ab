// Skips and restores in the fold: what they change, what they leave alone, and that a state with them survives as bytes.

import test from "ava";
import { seededRandom } from "../../models/clock.js";
import type { Restore } from "../../models/experience.js";
import { openLearner } from "../../models/learning/learner.js";
import {
  applyRestore,
  applySkip,
  applyTask,
  checksum,
  decidingArrays,
  foldExperience,
  misfit,
  type Policy,
  sourcePolicy,
} from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import { answersOf, labelFor, smallSubject, taskFor } from "./small-world.js";

const learner = await openLearner("wasm");
const subject = smallSubject();

/** Some experience, and `tasks` steps. */
async function learned(tasks: number): Promise<Policy> {
  const policy = sourcePolicy(subject);
  const random = seededRandom(5);
  for (let seq = 1; seq <= 3; seq += 1)
    foldExperience(policy, seq, answersOf(subject, [0, 1, 2, 0, 1, 2], random, 0.6), subject);
  for (let seq = 1; seq <= tasks; seq += 1)
    await applyTask(policy, seq, taskFor({ seq: 3, index: seq }), learner, subject);
  return policy;
}

function restoreOf({ head, served, firstMoment, secondMoment, steps, updateSeq, version }: Policy): Restore {
  const from = { updateSeq, version };
  return { model: "small", node: "n1", atMs: 1, from, head, served, firstMoment, secondMoment, steps };
}

test("a restore takes parameters and optimiser back, as the next version, and leaves what came from experience", async (t) => {
  const [early, late] = [await learned(2), await learned(5)];
  const before = structuredClone(late);
  applyRestore(late, 9, restoreOf(early));
  for (const name of ["head", "served", "firstMoment", "secondMoment", "steps"] as const)
    t.deepEqual(late[name], early[name]);
  t.like(late, { version: before.version + 1, updateSeq: 9, experienceSeq: 3, horizonSeq: 3, tasks: before.tasks });
  const [kept, were] = [decidingArrays(late), decidingArrays(before)];
  for (const name of Object.keys(kept).filter((each) => /^(moment|replay|recent)/.test(each)))
    t.deepEqual(kept[name], were[name]);
  t.not(checksum(late), checksum(early));
});

test("the next step after a restore is the step that the restored parameters give", async (t) => {
  const [early, late] = [await learned(2), await learned(5)];
  applyRestore(late, 9, restoreOf(early));
  const again = await learned(5);
  applyRestore(again, 9, restoreOf(early));
  for (const policy of [late, again]) await applyTask(policy, 10, taskFor({ seq: 3, index: 0 }), learner, subject);
  t.is(checksum(late), checksum(again));
  t.notDeepEqual(late.head, early.head);
});

test("parameters of another shape, of another model, or not finite are refused, and nothing changes", async (t) => {
  const policy = await learned(3);
  const before = checksum(policy);
  const good = restoreOf(await learned(1));
  const bad: readonly Restore[] = [
    { ...good, head: good.head.slice(1) },
    { ...good, served: good.served.map(() => Number.NaN) },
    { ...good, model: "other" },
  ];
  for (const restore of bad) t.throws(() => applyRestore(policy, 9, restore));
  t.throws(() => applyRestore(policy, 3, good), { message: /comes after/ });
  t.is(checksum(policy), before);
});

test("a skip moves the position on, counts, and leaves version, horizon and parameters alone", async (t) => {
  const [policy, same] = [await learned(3), await learned(3)];
  t.deepEqual(applySkip(policy, 4), { kind: "refused", guard: "poison", version: same.version });
  t.is(policy.counters.refused.poison, 1);
  t.like(policy, { updateSeq: 4, version: same.version, horizonSeq: same.horizonSeq, tasks: same.tasks });
  t.deepEqual(policy.head, same.head);
  t.throws(() => applySkip(policy, 4), { message: /comes after/ });
});

test("a state with skips and restores comes back from its bytes; one stored before there were skips does too", async (t) => {
  const policy = await learned(3);
  applySkip(policy, 4);
  applyRestore(policy, 5, restoreOf(await learned(1)));
  const decoded = decodePolicy(encodePolicy(policy), subject);
  t.deepEqual(decoded, { kind: "policy", policy });
  // The head of the blocks is JSON; blanks keep its length.
  const bytes = Buffer.from(encodePolicy(policy));
  const named = ',"poison":1';
  const at = bytes.indexOf(named);
  t.true(at > 0);
  bytes.write(" ".repeat(named.length), at);
  const older = decodePolicy(bytes, subject);
  t.is(older.kind === "policy" ? older.policy.counters.refused.poison : -1, 0);
});

test("a record that does not fit the model is named as such", (t) => {
  const record = answersOf(subject, [0, 1], seededRandom(1));
  t.is(misfit(record, subject), null);
  t.is(misfit(labelFor({ seq: 1, index: 0 }, 1), subject), null);
  t.regex(misfit({ ...record, moments: record.moments.slice(1) }, subject) ?? "", /shape/);
  t.regex(misfit({ ...record, model: "other" }, subject) ?? "", /of other/);
});
