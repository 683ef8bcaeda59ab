// The updater: real policy, real gradients, a store in memory. One writer, each task applied once, the same bits after every crash.

import test from "ava";
import type { UpdaterMessage } from "../../actors/learning/updater.js";
import { seededRandom } from "../../models/clock.js";
import { openLearner } from "../../models/learning/learner.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { answersOf, taskFor } from "../models/small-world.js";
import { deferred } from "../supervision/small-tree.js";
import { MemoryLease, MemoryStore } from "./memory-store.js";
import { settle, smallModel, subjects } from "./small-node.js";
import { committedAll, foldedStraight, learn, writingNode } from "./writing-node.js";

const model = smallModel();

test("elected, the updater applies what is queued and commits what the straight fold of the same logs gives", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 12);
  const { tree } = await writingNode(model, store);
  await committedAll(store);
  const straight = await foldedStraight(model, store);
  const last = store.chain.entries.at(-1);
  t.like(last, { checksum: straight.checksum, version: straight.policy.version, updateSeq: 12, backend: "wasm" });
  t.true(straight.policy.version > 0, "the model did move");
  t.deepEqual(last?.served, straight.policy.served);
  await tree.stop();
});

test("(S2-57) applied and refused together are the tasks, in the counters, in the events and in the commit", async (t) => {
  const cautious = smallModel({ klLimit: 1e-7 });
  for (const subject of [model, cautious]) {
    const store = new MemoryStore(subject);
    learn(subject, store, 10);
    const { tree, around } = await writingNode(subject, store);
    await committedAll(store);
    await settle();
    const counted = Object.entries(around.counters.all()).filter(([name]) => /^updates_(applied|refused)/.test(name));
    t.is(
      counted.reduce((sum, [, n]) => sum + n, 0),
      10,
    );
    t.is(around.bus.events("update").flatMap(({ items }) => items).length, 10);
    const { applied = 0, refused = {} } = store.chain.entries.at(-1)?.counters ?? {};
    t.is(applied + Object.values(refused).reduce((sum, n) => sum + n, 0), 10);
    if (subject === cautious) t.true((refused.kl ?? 0) > 0);
    await tree.stop();
  }
});

test("(S0-12) the mean KL that a node tells is that of the updates it told of", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 12);
  const { tree, around } = await writingNode(model, store);
  await committedAll(store);
  await settle();
  const told = around.bus
    .events("update")
    .flatMap(({ items }) => items.flatMap(({ kl }) => (typeof kl === "number" ? [kl] : [])));
  t.true(told.length > 5);
  const mean = told.reduce((sum, kl) => sum + kl, 0) / told.length;
  t.true(mean > 0 && Math.abs(around.counters.get("mean_kl_divergence") - mean) < 1e-6);
  await tree.stop();
});

test("(S0-13) steps that stay far from the source are told as such, once, and a calm writer says nothing", async (t) => {
  for (const above of [0, 1]) {
    const subject = smallModel({ klAlert: { above, forMs: 0 } });
    const store = new MemoryStore(subject);
    learn(subject, store, 12);
    const { tree, around } = await writingNode(subject, store);
    await committedAll(store);
    await settle();
    t.is(around.bus.events("kl_high").length, above === 0 ? 1 : 0);
    await tree.stop();
  }
});

test("a standby does nothing until the lease is free, and then goes on where the chain ends", async (t) => {
  const store = new MemoryStore(model);
  const lease = new MemoryLease();
  const first = await writingNode(model, store, { acquireLease: lease.acquire });
  await first.around.bus.until(subjects.event("recovered"));
  const second = await writingNode(model, store, { acquireLease: lease.acquire, node: "node-b" });
  learn(model, store, 4);
  await committedAll(store);
  t.like(second.tree.summary("updater"), { role: "standby" });
  t.deepEqual([...new Set(store.chain.entries.map(({ node }) => node))], ["node-a"]);
  await first.tree.stop();
  learn(model, store, 3, 22);
  await committedAll(store);
  t.is(store.chain.entries.at(-1)?.node, "node-b");
  t.is(store.chain.entries.at(-1)?.checksum, (await foldedStraight(model, store)).checksum);
  await second.tree.stop();
});

test("law 3: a commit behind somebody else's is fenced and ends the incarnation; the next one takes up that end", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 3);
  const { tree, events, around } = await writingNode(model, store);
  await committedAll(store);
  const ours = store.chain.entries.at(-1);
  if (ours === undefined) return t.fail("nothing was committed");
  store.chain.append("rival", { ...ours, node: "rival" });
  learn(model, store, 2, 30);
  const crash = await events.until(({ kind }) => kind === "crashed");
  t.regex(JSON.stringify({ ...crash, error: crash.kind === "crashed" ? crash.cause : "" }), /fenced/);
  await committedAll(store);
  t.is(store.chain.entries.at(-1)?.checksum, (await foldedStraight(model, store)).checksum);
  t.is(around.bus.events("recovered").length, 2);
  await tree.stop();
});

test("law 4: killed between apply and commit, the next incarnation ends in the same bits, and each task counts once", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 9);
  const [began, released] = [deferred(), deferred()];
  let commits = 0;
  store.beforeCommit = async () => {
    commits += 1;
    if (commits !== 1) return;
    began.resolve();
    await released.promise;
    throw new Error("the dead incarnation's commit never arrives");
  };
  const { tree, events } = await writingNode(model, store);
  await began.promise;
  t.is(store.chain.lastSeq, 0);
  const killed = tree.kill("updater", "kill");
  released.resolve();
  await killed;
  await events.started("updater", 2);
  await committedAll(store);
  const straight = await foldedStraight(model, store);
  t.is(store.chain.entries.at(-1)?.checksum, straight.checksum);
  t.deepEqual(store.chain.entries.at(-1)?.counters, straight.policy.counters);
  await tree.stop();
});

test("law 4: a recovery that does not give the committed bits is a crash that says so", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 4);
  const first = await writingNode(model, store);
  await committedAll(store);
  await first.tree.stop();
  const last = store.chain.entries.at(-1);
  if (last === undefined) return t.fail("nothing was committed");
  store.chain.append("damaged", { ...last, checksum: "0".repeat(64) });
  const { tree, events } = await writingNode(model, store);
  const crash = await events.until(({ kind }) => kind === "crashed");
  t.regex(
    crash.kind === "crashed" ? crash.cause : "",
    /the fold of the log .* is not what was committed as version \d+/,
  );
  await tree.stop();
});

test("what an earlier incarnation queued is void: it changes nothing and is committed nowhere", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 3);
  const { tree } = await writingNode(model, store);
  await committedAll(store);
  const links = store.chain.lastSeq;
  const update = { seq: 99, entry: { kind: "task", task: taskFor({ seq: 1, index: 0 }) } } as const;
  const self = tree.ref<UpdaterMessage>("updater");
  self.tell({ kind: "update", incarnation: 0, update });
  self.tell({ kind: "elected", incarnation: 0 });
  await settle();
  t.is(store.chain.lastSeq, links);
  t.like(tree.summary("updater"), { updateSeq: 3 });
  await tree.stop();
});

test("a snapshot is stored every so many tasks, and recovery from it gives the same bits", async (t) => {
  const often = smallModel({ snapshotEvery: 4 });
  const store = new MemoryStore(often);
  const first = await writingNode(often, store);
  for (let portion = 0; portion < 3; portion += 1) {
    learn(often, store, 4, 40 + portion);
    await committedAll(store);
  }
  await first.tree.stop();
  t.true(store.snapshots.length >= 2 && store.snapshots.length <= 3, `${store.snapshots.length} snapshots`);
  const { policy } = await foldedStraight(often, store);
  const second = await writingNode(often, store);
  learn(often, store, 2, 50);
  await committedAll(store);
  const straight = await foldedStraight(often, store);
  t.true(straight.policy.version > policy.version);
  t.is(store.chain.entries.at(-1)?.checksum, straight.checksum);
  await second.tree.stop();
});

test("after a commit the next waits a tenth of a second for company, and what came meanwhile is one commit (law 7)", async (t) => {
  const store = new MemoryStore(model);
  const clock = new VirtualClock();
  const { tree, around } = await writingNode(model, store, {}, { clock });
  await around.bus.until(subjects.event("recovered"));
  learn(model, store, 1);
  await committedAll(store);
  await settle();
  learn(model, store, 3, 22);
  await clock.advance(99);
  const told = (): readonly number[] => around.bus.events("commit").map(({ items }) => items.length);
  t.deepEqual(told(), [1], "the first was committed at once, the others wait");
  const all = committedAll(store);
  await clock.advance(1);
  await all;
  await settle();
  t.deepEqual(told(), [1, 3]);
  t.is(store.chain.entries.at(-1)?.checksum, (await foldedStraight(model, store)).checksum);
  await tree.stop();
});

test("without tasks a mark moves the fold on, and clean traffic asks for no step", async (t) => {
  const store = new MemoryStore(model);
  const clock = new VirtualClock();
  const learner = await openLearner("wasm");
  const idle = { ...learner, close: () => undefined };
  const { tree, around } = await writingNode(model, store, { openLearner: async () => idle }, { clock });
  await around.bus.until(subjects.event("recovered"));
  const record = answersOf(model, [0, 1, 2], seededRandom(9));
  for (let seq = 0; seq < 1_999; seq += 1) store.answer(record);
  await clock.advance(5_001);
  t.is(store.updateLog.lastSeq, 0, "not yet enough to be worth a mark");
  store.answer(record);
  await clock.advance(5_001);
  await committedAll(store);
  t.like(store.updateLog.entries[0], { kind: "mark", mark: { experienceSeq: 2_000 } });
  t.like(store.chain.entries.at(-1), { experienceSeq: 2_000, updateSeq: 1, version: 0 });
  await clock.advance(20_000);
  t.is(store.updateLog.lastSeq, 1, "a mark is made once");
  t.is(store.chain.entries.at(-1)?.checksum, (await foldedStraight(model, store)).checksum);
  await tree.stop();
  learner.close();
});

test("a look that meets a full mailbox is not the last one: marks go on after a flood of tasks", async (t) => {
  const store = new MemoryStore(model);
  const clock = new VirtualClock();
  const [began, released] = [deferred(), deferred()];
  const { tree, around } = await writingNode(model, store, {}, { clock });
  await around.bus.until(subjects.event("recovered"));
  store.beforeCommit = async () => {
    began.resolve();
    await released.promise;
  };
  const seq = store.answer(answersOf(model, [0, 1, 2], seededRandom(9)));
  // One experience, many tasks: all but the first are duplicates, and fill the mailbox.
  for (let task = 0; task < 600; task += 1)
    store.updateLog.append(`t${task}`, { kind: "task", task: taskFor({ seq, index: 0 }) });
  await clock.advance(100);
  await began.promise;
  await clock.advance(5_001);
  t.is(tree.tree().children[0]?.mailbox?.depth, 256, "the mailbox is full when the look is due");
  for (let more = 0; more < 2_000; more += 1) store.answer(answersOf(model, [0], seededRandom(more)));
  released.resolve();
  for (let second = 0; second < 30 && store.updateLog.lastSeq === 600; second += 1) await clock.advance(1_000);
  t.is(store.updateLog.entries.at(-1)?.kind, "mark");
  await tree.stop();
});
