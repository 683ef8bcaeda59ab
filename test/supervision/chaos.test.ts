// Faults and their receipts, and the look inside a tree.

import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { UnknownActorError } from "../../supervision/actor/ref.js";
import { ChaosRefusedError } from "../../supervision/faults/chaos.js";
import { startTree } from "../../supervision/tree/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { actor, deferred, depsWith, EventLog, generous, smallTree } from "./small-tree.js";

test("a crash fault crashes, but no message in flight is blamed for it", async (t) => {
  const begun = deferred();
  const done = deferred();
  const { tree, events } = await smallTree([
    actor<string>(
      "a",
      {
        receive: async (_state, _message, turn) => {
          begun.resolve();
          if (turn.incarnation === 1) await new Promise(() => undefined);
          turn.onCommit(done.resolve);
        },
      },
      { maxDeliver: 1 },
    ),
  ]);
  tree.ref<string>("a").tell("x");
  await begun.promise;
  const receipt = await tree.kill("a", "crash");
  await done.promise;
  t.like(receipt, { target: "a", mode: "crash", generationBefore: 1, generationAfter: 2, redelivered: 1, lost: 0 });
  t.is(receipt.cause, "crash in outside: chaos crash");
  t.deepEqual(events.lines("chaos_began", "crashed", "chaos_ended", "dead_letter"), [
    "chaos_began a 1",
    "crashed a 1",
    "chaos_ended a 2",
  ]);
  await tree.stop();
});

/** A tree on a virtual clock with one actor that counts. */
async function countingTree(turnMaxMs?: number) {
  const clock = new VirtualClock();
  const events = new EventLog();
  const handled: number[] = [];
  const counting = actor<string>(
    "counting",
    { receive: () => void handled.push(clock.monotonicMs()) },
    turnMaxMs === undefined ? {} : { turnMaxMs },
  );
  const starting = startTree(
    { id: "top", strategy: "one_for_one", intensity: generous, children: [counting] },
    { ...depsWith(events), clock },
  );
  await clock.advance(0);
  return { tree: await starting, clock, events, handled };
}

test("a hang ends by itself after its lease, and the messages of that time are handled then", async (t) => {
  const { tree, clock, handled } = await countingTree();
  const fault = tree.kill("counting", "hang", 500);
  tree.ref<string>("counting").tell("a");
  await clock.advance(499);
  t.deepEqual(handled, []);
  await clock.advance(1);
  t.deepEqual(handled, [500]);
  t.like(await fault, { generationBefore: 1, generationAfter: 1, detectMs: null, repairMs: 500, lost: 0 });
});

test("a hang that is halted ends at once, in the same incarnation, and its receipt says when", async (t) => {
  const { tree, clock, handled } = await countingTree();
  const halt = new AbortController();
  const fault = tree.kill("counting", "hang", 60_000, halt.signal);
  tree.ref<string>("counting").tell("a");
  await clock.advance(200);
  t.deepEqual(handled, []);
  halt.abort();
  await clock.advance(0);
  t.deepEqual(handled, [200]);
  t.like(await fault, { generationBefore: 1, generationAfter: 1, detectMs: null, repairMs: 200, lost: 0, cause: null });
});

test("a hang is found by the turn's deadline, also in an idle actor, and a restart cures it", async (t) => {
  const { tree, clock, events, handled } = await countingTree(100);
  const fault = tree.kill("counting", "hang", 60_000);
  await clock.advance(50);
  tree.ref<string>("counting").tell("a");
  await clock.advance(50);
  t.deepEqual(handled, [100]);
  t.like(await fault, { generationAfter: 2, detectMs: 100, repairMs: 100, lost: 0 });
  t.deepEqual(
    events.all.flatMap((event) => (event.kind === "crashed" ? [event.cause] : [])),
    ["hang: turn exceeded 100 ms, chaos hang"],
  );
});

test("slowness delays every turn until its lease ends", async (t) => {
  const { tree, clock, handled } = await countingTree();
  const fault = tree.kill("counting", "slow", 50);
  const ref = tree.ref<string>("counting");
  ref.tell("a");
  await clock.advance(30);
  ref.tell("b");
  await clock.advance(40);
  ref.tell("c");
  await clock.advance(0);
  t.deepEqual(handled, [20, 50, 70]);
  t.like(await fault, { generationAfter: 1, detectMs: null, repairMs: 50 });
});

test("a handler that takes longer than turnMaxMs is a hang, and its message counts a crash", async (t) => {
  const clock = new VirtualClock();
  const events = new EventLog();
  const stuck = actor<string>(
    "stuck",
    { receive: () => new Promise(() => undefined) },
    { turnMaxMs: 10, maxDeliver: 2 },
  );
  const starting = startTree(
    { id: "top", strategy: "one_for_one", intensity: generous, children: [stuck] },
    { ...depsWith(events), clock },
  );
  await clock.advance(0);
  const tree = await starting;
  tree.ref<string>("stuck").tell("endless");
  await clock.advance(100);
  t.deepEqual(events.lines("crashed", "dead_letter"), ["crashed stuck 1", "dead_letter stuck 2", "crashed stuck 2"]);
});

test("a supervisor is killed with all actors below it, and its parent restarts it; the messages stay", async (t) => {
  const done = deferred();
  const { tree, events } = await smallTree([
    {
      id: "group",
      strategy: "one_for_one",
      intensity: { restarts: 0, withinMs: 1_000 },
      children: [actor("a"), actor<string>("b", { receive: (_state, _message, turn) => turn.onCommit(done.resolve) })],
    },
  ]);
  const killed = tree.kill("group", "kill");
  tree.ref<string>("group/b").tell("while it is down");
  t.like(await killed, { target: "group", generationBefore: 1, generationAfter: 2, lost: 0 });
  await done.promise;
  t.deepEqual(events.lines("started").slice(-3), ["started group/a 2", "started group/b 2", "started group 2"]);
  await tree.stop();
});

test("a fault for what does not exist, does not run, or cannot have it is refused", async (t) => {
  const { tree } = await smallTree([actor("temporary", {}, { restart: "temporary" })]);
  await t.throwsAsync(tree.kill("nobody", "kill"), { instanceOf: UnknownActorError, message: /known: .*temporary/ });
  await t.throwsAsync(tree.kill("/", "hang"), { instanceOf: ChaosRefusedError, message: /only an actor can hang/ });
  await tree.kill("temporary", "kill");
  await t.throwsAsync(tree.kill("temporary", "kill"), { instanceOf: ChaosRefusedError, message: /it is not running/ });
  await tree.stop();
});

test("the tree shows kinds, generations, states, mailboxes, strategy and what is left of the intensity (S0-40)", async (t) => {
  const { tree } = await smallTree(
    [actor<string>("a", { summary: () => ({ size: 3 }) }, { mailboxMax: 5 }), actor("b")],
    { intensity: { restarts: 4, withinMs: 60_000 } },
  );
  await tree.kill("a", "kill");
  t.like(tree.tree(), {
    name: "node-a",
    kind: "node",
    generation: 1,
    state: "running",
    strategy: "one_for_one",
    intensity: { restarts: 4, withinMs: 60_000, left: 3 },
  });
  t.deepEqual(tree.tree().children[0], {
    name: "a",
    kind: "actor",
    generation: 2,
    state: "running",
    restarts: 1,
    lastExit: "killed: chaos kill",
    mailbox: { depth: 0, capacity: 5 },
    children: [],
  });
  t.deepEqual(tree.summary("a"), { size: 3 });
  t.is(tree.summary("b"), undefined);
  await tree.stop();
});

test("on a virtual clock a run of crashes and backoffs follows from its seed, event by event", async (t) => {
  const run = async (seed: number): Promise<string[]> => {
    const random = seededRandom(seed);
    const clock = new VirtualClock();
    const events = new EventLog();
    const fragile = (id: string) =>
      actor<number>(id, {
        receive: () => {
          if (random() < 0.3) throw new Error("chance");
        },
      });
    const starting = startTree(
      { id: "top", strategy: "rest_for_one", intensity: generous, children: [fragile("a"), fragile("b")] },
      { ...depsWith(events), clock, random },
    );
    await clock.advance(0);
    const tree = await starting;
    for (let index = 0; index < 40; index += 1) {
      tree.ref<number>(random() < 0.5 ? "a" : "b").tell(index);
      await clock.advance(7);
    }
    await tree.stop();
    return events.all.map(({ kind, path, incarnation, atMs }) => `${atMs} ${kind} ${path} ${incarnation}`);
  };
  const [first, again, other] = [await run(3), await run(3), await run(4)];
  t.true(first.length > 20);
  t.deepEqual(first, again);
  t.notDeepEqual(first, other);
});
