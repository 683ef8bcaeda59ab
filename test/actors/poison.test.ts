// Updates that end their writer each time, or that no fold can ever take in: skipped by a commit that names them, by every fold alike.

import test, { type ExecutionContext } from "ava";
import type { PoisonedUpdate } from "../../actors/learning/updater.js";
import type { UpdateTask } from "../../models/experience.js";
import { openLearner } from "../../models/learning/learner.js";
import { checksum, type Policy, sourcePolicy } from "../../models/policy/policy.js";
import { maxDeliver } from "../../operations/log/attempts.js";
import { LogFold } from "../../operations/log/log-fold.js";
import { taskFor } from "../models/small-world.js";
import { deferred } from "../supervision/small-tree.js";
import { Trap, wrapped } from "../writer/wrapped-store.js";
import { MemoryStore } from "./memory-store.js";
import { smallModel, subjects } from "./small-node.js";
import { committedAll, foldedStraight, learn, writingNode } from "./writing-node.js";

const model = smallModel();
/** Position of the poisoned task: the fifth of those that `learn` enqueues, behind two warm records. */
const poisonAt = 7;
const isPoison = ({ experience }: UpdateTask): boolean => experience.seq === poisonAt;
const never = new AbortController().signal;

/** The logs folded without any actor, passing by what the newest commit says was skipped. */
async function foldedWithSkips(store: MemoryStore): Promise<Policy> {
  const learner = await openLearner("wasm");
  const skipped = new Set(store.chain.entries.at(-1)?.skipped?.seqs);
  const fold = new LogFold(sourcePolicy(model), store.experiences(1, never), learner, model, skipped);
  for (const [index, entry] of store.updateLog.entries.entries()) await fold.apply({ seq: index + 1, entry });
  learner.close();
  return fold.policy;
}

async function poisonedRun(t: ExecutionContext) {
  const store = new MemoryStore(model);
  learn(model, store, 12);
  const trap = new Trap(isPoison, () => {
    throw new Error("this task cannot be learned");
  });
  const told: PoisonedUpdate[] = [];
  const node = await writingNode(model, store, {
    store: trap.store(store),
    openLearner: async () => trap.learner(await openLearner("wasm")),
    onPoison: (poisoned) => told.push(poisoned),
  });
  t.teardown(() => node.tree.stop());
  await committedAll(store);
  return { store, trap, told, ...node };
}

test("a task that makes the learner throw each time is skipped by a commit that names it, and learning goes on (S2-35)", async (t) => {
  const { store, trap, told, around, events } = await poisonedRun(t);
  const last = store.chain.entries.at(-1);
  t.deepEqual(last?.skipped, { seqs: [5], wholeFrom: 0 });
  t.is(last?.counters.refused.poison, 1);
  t.is(last?.updateSeq, 12);
  t.true((last?.version ?? 0) > 5, "what came after it was learned");
  t.true(trap.sprung >= maxDeliver && trap.sprung <= maxDeliver + 2, `sprung ${trap.sprung} times`);
  t.is(events.all.filter(({ kind }) => kind === "crashed").length, trap.sprung);
  t.like(told, [{ attempts: maxDeliver, cause: "this task cannot be learned", update: { seq: 5 } }]);
  await around.bus.until(subjects.event("update_poisoned"));
  const [event, ...more] = around.bus.events("update_poisoned").flatMap(({ items }) => items);
  t.deepEqual(more, []);
  t.like(event, { seq: 5, of_seq: poisonAt, task: `${poisonAt}.4`, attempts: maxDeliver, model: "small" });
  t.is(event?.traceId, "0".repeat(32));
  t.is(event?.cause, "this task cannot be learned");
  t.is(last?.checksum, checksum(await foldedWithSkips(store)));
});

test("negative control: a fold that does not look at what was skipped differs from what was committed", async (t) => {
  const { store } = await poisonedRun(t);
  const straight = await foldedStraight(model, store);
  t.not(straight.checksum, store.chain.entries.at(-1)?.checksum);
});

test("negative control: a writer that does not look at what was skipped cannot recover", async (t) => {
  const { store, tree } = await poisonedRun(t);
  await tree.stop();
  const forgetful = wrapped(store, {
    lastCommit: async () => {
      const last = await store.lastCommit();
      if (last === undefined) return undefined;
      const { skipped: _, ...commit } = last.commit;
      return { seq: last.seq, commit };
    },
  });
  const { tree: next, events } = await writingNode(model, store, { store: forgetful });
  const crash = await events.until(({ kind }) => kind === "crashed");
  t.regex(crash.kind === "crashed" ? crash.cause : "", /is not what was committed/);
  await next.stop();
});

test("a writer that knows recovers behind a skipped update, from the source and from a snapshot", async (t) => {
  const [seldom, often] = [smallModel({ snapshotEvery: 100 }), smallModel({ snapshotEvery: 6 })];
  for (const subject of [seldom, often]) {
    const store = new MemoryStore(subject);
    learn(subject, store, 12);
    const trap = new Trap(isPoison, () => {
      throw new Error("no");
    });
    const learner = async () => trap.learner(await openLearner("wasm"));
    const first = await writingNode(subject, store, { store: trap.store(store), openLearner: learner });
    await committedAll(store);
    await first.tree.stop();
    const second = await writingNode(subject, store);
    learn(subject, store, 3, 77);
    await committedAll(store);
    t.is(store.snapshots.length > 0, subject === often);
    t.is(store.chain.entries.at(-1)?.checksum, checksum(await foldedWithSkips(store)));
    await second.tree.stop();
  }
});

const hopelessTasks = {
  "of a position behind the end of the log": taskFor({ seq: 9_999, index: 0 }),
  "of another model": taskFor({ seq: 1, index: 0 }, 0.4, "other"),
};

for (const [what, task] of Object.entries(hopelessTasks))
  test(`a task ${what} is skipped at once instead of being waited for`, async (t) => {
    const store = new MemoryStore(model);
    learn(model, store, 3);
    store.updateLog.append("hopeless", { kind: "task", task });
    learn(model, store, 3, 31);
    const { tree, events, around } = await writingNode(model, store);
    await committedAll(store);
    t.deepEqual(store.chain.entries.at(-1)?.skipped?.seqs, [4]);
    t.is(events.all.filter(({ kind }) => kind === "crashed").length, 0);
    await around.bus.until(subjects.event("update_poisoned"));
    t.like(around.bus.events("update_poisoned")[0]?.items[0], { seq: 4, attempts: 0 });
    t.is(store.chain.entries.at(-1)?.checksum, checksum(await foldedWithSkips(store)));
    await tree.stop();
  });

test("a mark and a task whose place is truncated are skipped too; a place that was folded already is none of those", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 3);
  let firstSeq = 1;
  const gap = wrapped(store, { state: async (kind) => ({ ...(await store.state(kind)), firstSeq }) });
  const { tree } = await writingNode(model, store, { store: gap });
  await committedAll(store);
  firstSeq = 8;
  const mark = { model: "small", node: "n1", atMs: 0, experienceSeq: 70_000 };
  store.updateLog.append("far mark", { kind: "mark", mark });
  store.updateLog.append("late", { kind: "task", task: taskFor({ seq: 1, index: 3 }) });
  store.updateLog.append("gone", { kind: "task", task: taskFor({ seq: 7, index: 3 }) });
  learn(model, store, 4, 32);
  await committedAll(store);
  t.deepEqual(store.chain.entries.at(-1)?.skipped?.seqs, [4, 6]);
  await tree.stop();
});

test("a kill from outside counts against no update, however often it comes in the middle of the same one", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 1);
  let [began, released] = [deferred(), deferred()];
  const gated = wrapped(store, {
    commit: async (commit, expected) => {
      // The commit that covers the update, not the one that says it begins, nor the one that takes that back.
      if (commit.updateSeq === 1 && kills > 0) {
        began.resolve();
        await released.promise;
      }
      return store.commit(commit, expected);
    },
  });
  let kills = 8;
  const { tree, events } = await writingNode(model, store, { store: gated });
  for (let incarnation = 2; kills > 0; incarnation += 1) {
    await began.promise;
    const mine = released;
    kills -= 1;
    const next = deferred();
    [began, released] = [next, deferred()];
    const killed = tree.kill("updater", "kill");
    await events.started("updater", incarnation);
    await killed;
    mine.resolve();
  }
  await committedAll(store);
  t.is(store.chain.entries.at(-1)?.skipped, undefined);
  t.is(store.chain.entries.at(-1)?.checksum, (await foldedStraight(model, store)).checksum);
  await tree.stop();
});

test("law 3: without an update to apply a writer commits nothing, so idle restarts leave no trace in the chain", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 2);
  const { tree, events } = await writingNode(model, store);
  await committedAll(store);
  // The first one takes back what the young writer said of the next update.
  await tree.kill("updater", "kill");
  await events.started("updater", 2);
  const links = store.chain.lastSeq;
  for (let incarnation = 3; incarnation < 7; incarnation += 1) {
    await tree.kill("updater", "kill");
    await events.started("updater", incarnation);
  }
  t.is(store.chain.lastSeq, links);
  await tree.stop();
});
