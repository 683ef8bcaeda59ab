// The position rule: how far the experience is folded before an update follows from the two logs alone, never from timing.

import test from "ava";
import { seededRandom } from "../../models/clock.js";
import type { ExperienceRecord, UpdateEntry } from "../../models/experience.js";
import { openLearner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import { checksum, sourcePolicy } from "../../models/policy/policy.js";
import { LogFold, type LoggedExperience } from "../../operations/log/log-fold.js";
import { MemoryLog } from "../actors/memory-log.js";
import { settle, smallModel } from "../actors/small-node.js";
import { answersOf, labelFor, taskFor } from "../models/small-world.js";

const learner = await openLearner("wasm");
const model: Model = smallModel();

function experiences(count: number): MemoryLog<ExperienceRecord | undefined> {
  const random = seededRandom(4);
  const log = new MemoryLog<ExperienceRecord | undefined>();
  for (let seq = 1; seq <= count; seq += 1) log.append(`${seq}`, answersOf(model, [0, 1, 2, 0, 1, 2], random, 0.6));
  return log;
}

async function* read(log: MemoryLog<ExperienceRecord | undefined>): AsyncGenerator<LoggedExperience> {
  for await (const { seq, entry } of log.follow(1, new AbortController().signal)) yield { seq, record: entry };
}

function foldOver(log: MemoryLog<ExperienceRecord | undefined>): LogFold {
  return new LogFold(sourcePolicy(model), read(log), learner, model);
}

const task = (seq: number, index = 0): UpdateEntry => ({ kind: "task", task: taskFor({ seq, index }) });
const mark = (experienceSeq: number): UpdateEntry => ({
  kind: "mark",
  mark: { model: "small", node: "n1", atMs: 0, experienceSeq },
});

test("before an update the experience is folded up to the highest position that any update so far names, and no further", async (t) => {
  const fold = foldOver(experiences(9));
  const steps = [
    { seq: 1, entry: task(3), foldedUpTo: 3 },
    { seq: 2, entry: task(7), foldedUpTo: 7 },
    { seq: 4, entry: task(2), foldedUpTo: 7 },
    { seq: 5, entry: task(7, 1), foldedUpTo: 7 },
  ];
  for (const { foldedUpTo, ...update } of steps) {
    t.is((await fold.apply(update))?.kind, "applied");
    t.like(fold.policy, { updateSeq: update.seq, experienceSeq: foldedUpTo });
  }
});

test("a mark folds the experience and learns nothing", async (t) => {
  const fold = foldOver(experiences(5));
  t.is(await fold.apply({ seq: 1, entry: mark(4) }), undefined);
  t.like(fold.policy, { experienceSeq: 4, updateSeq: 1, version: 0, experiences: 24 });
});

test("an update whose experience has not arrived waits for it; what it then gives is the same as if it had been there", async (t) => {
  const whole = experiences(6);
  const early = foldOver(whole);
  await early.apply({ seq: 1, entry: task(6) });
  const late = new MemoryLog<ExperienceRecord | undefined>();
  const fold = foldOver(late);
  let isApplied = false;
  const applied = fold.apply({ seq: 1, entry: task(6) }).then(() => {
    isApplied = true;
  });
  for (const [index, record] of whole.entries.entries()) {
    await settle();
    t.false(isApplied);
    late.append(`${index}`, record);
  }
  await applied;
  t.is(checksum(fold.policy), checksum(early.policy));
});

test("negative control: folding what happens to be there already, instead of what is named, gives other bits", async (t) => {
  const log = experiences(8);
  const fold = foldOver(log);
  await fold.apply({ seq: 1, entry: task(4) });
  const eager = foldOver(log);
  await eager.apply({ seq: 1, entry: mark(8) });
  await eager.apply({ seq: 2, entry: task(4) });
  t.notDeepEqual(eager.policy.served, fold.policy.served);
});

test("late labels are folded in their place", async (t) => {
  const log = experiences(3);
  log.append("label", labelFor({ seq: 3, index: 0 }, 1));
  const fold = foldOver(log);
  await fold.apply({ seq: 1, entry: mark(4) });
  t.is(fold.policy.counters.labelsUsed, 1);
});

test("a record that nobody can read is passed by, also when a mark names it as the end of the log", async (t) => {
  const log = experiences(3);
  log.append("unreadable", undefined);
  const fold = foldOver(log);
  await fold.apply({ seq: 1, entry: mark(4) });
  t.like(fold.policy, { experienceSeq: 4, experiences: 18 });
});

test("a log that ends before the position an update names is an error that says so", async (t) => {
  const fold = new LogFold(
    sourcePolicy(model),
    (async function* () {
      yield* [];
    })(),
    learner,
    model,
  );
  await t.throwsAsync(fold.apply({ seq: 1, entry: task(1) }), { message: /ended before the position/ });
});
