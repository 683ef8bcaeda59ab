// Who starts, stops and restarts, in which order, and when a supervisor gives up.
//
// Substrate: real trees. Tests about waiting run on a virtual clock.

import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { startTree } from "../../supervision/tree/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { actor, deferred, depsWith, EventLog, generous, smallTree } from "./small-tree.js";

/** Actors that write down their inits and stops. */
function diary(lines: string[], ...ids: readonly string[]) {
  return ids.map((id) =>
    actor(id, {
      init: ({ incarnation }) => void lines.push(`init ${id} ${incarnation}`),
      stop: () => void lines.push(`stop ${id}`),
    }),
  );
}

test("children start in order, each ready before the next, and stop in reverse", async (t) => {
  const lines: string[] = [];
  const slowInit = actor("b", {
    init: async () => {
      await systemClock.delay(5);
      lines.push("init b 1");
    },
    stop: () => void lines.push("stop b"),
  });
  const [a, c] = diary(lines, "a", "c");
  if (a === undefined || c === undefined) return t.fail();
  const { tree } = await smallTree([a, slowInit, c]);
  await tree.stop();
  t.deepEqual(lines, ["init a 1", "init b 1", "init c 1", "stop c", "stop b", "stop a"]);
});

test("one_for_one leaves the siblings alone", async (t) => {
  const lines: string[] = [];
  const { tree } = await smallTree(diary(lines, "a", "b", "c"));
  lines.length = 0;
  await tree.kill("b", "crash");
  t.deepEqual(lines, ["stop b", "init b 2"]);
  await tree.stop();
});

test("rest_for_one stops what was started later in reverse, then starts it in order", async (t) => {
  const lines: string[] = [];
  const { tree, events } = await smallTree(diary(lines, "a", "b", "c", "d"), { strategy: "rest_for_one" });
  lines.length = 0;
  await tree.kill("b", "crash");
  await events.started("d", 2);
  t.deepEqual(lines, ["stop b", "stop d", "stop c", "init b 2", "init c 2", "init d 2"]);
  await tree.stop();
});

test("one_for_all restarts all, and messages queued meanwhile are handled by the next incarnations", async (t) => {
  const lines: string[] = [];
  const { tree, events } = await smallTree(diary(lines, "a", "b", "c"), { strategy: "one_for_all" });
  lines.length = 0;
  const killed = tree.kill("b", "kill");
  t.is(tree.ref<string>("b").tell("while it is down"), "ok");
  await killed;
  await events.started("c", 2);
  t.deepEqual(lines, ["stop b", "stop c", "stop a", "init a 2", "init b 2", "init c 2"]);
  await tree.stop();
});

test("stop and cleanup of an ended incarnation precede the next init, also when it was killed (law 6) (S0-43)", async (t) => {
  const lines: string[] = [];
  const { tree, events } = await smallTree(diary(lines, "a"), {
    deps: {
      confirmCleanup: async ({ path, incarnation }) => {
        lines.push(`cleanup ${path} ${incarnation}`);
        return { leasesCleaned: 2 };
      },
    },
  });
  const receipt = await tree.kill("a", "kill");
  t.deepEqual(lines, ["init a 1", "stop a", "cleanup a 1", "init a 2"]);
  t.is(receipt.leasesCleaned, 2);
  t.deepEqual(events.lines("started", "stopped", "cleanup_confirmed").slice(0, 4), [
    "started a 1",
    "started / 1",
    "stopped a 1",
    "cleanup_confirmed a 1",
  ]);
  await tree.stop();
});

test("a stop and a cleanup that never end are not waited for longer than their bounds, and the supervisor vouches", async (t) => {
  const clock = new VirtualClock();
  const events = new EventLog();
  const never = () => new Promise<never>(() => undefined);
  const starting = startTree(
    {
      id: "top",
      strategy: "one_for_one",
      intensity: generous,
      children: [actor("a", { stop: never }, { shutdownMs: 300 })],
    },
    { ...depsWith(events), clock, confirmCleanup: never },
  );
  await clock.advance(0);
  const tree = await starting;
  const killed = tree.kill("a", "kill");
  await clock.advance(2_299);
  t.is(events.lines("cleanup_confirmed").length, 0);
  await clock.advance(1);
  const confirmed = await events.until(({ kind }) => kind === "cleanup_confirmed");
  t.like(confirmed, { by: "supervisor", leasesCleaned: 0 });
  t.like(await killed, { generationAfter: 2, repairMs: 2_300 });
});

test("a turn under way may finish during an orderly stop; when it does not, it is stopped by force", async (t) => {
  const gate = deferred();
  const begun = deferred();
  const handled: string[] = [];
  const finishing = actor<string>("finishing", {
    receive: async (_state, message) => {
      begun.resolve();
      await gate.promise;
      handled.push(message);
    },
  });
  const stuck = actor<string>("stuck", { receive: () => new Promise(() => undefined) }, { shutdownMs: 10 });
  const { tree, events } = await smallTree([finishing, stuck]);
  tree.ref<string>("finishing").tell("a");
  tree.ref<string>("stuck").tell("b");
  await begun.promise;
  const stopped = tree.stop();
  gate.resolve();
  await stopped;
  t.deepEqual(handled, ["a"]);
  t.deepEqual(events.lines("stopped"), ["stopped stuck 1", "stopped finishing 1", "stopped / 1"]);
  t.deepEqual(events.lines("dead_letter"), ["dead_letter stuck 1"]);
});

test("a transient actor that exits normally stays down, a temporary one stays down after a crash", async (t) => {
  const leave = { receive: (_state: unknown, _message: string, turn: { exit(): void }) => turn.exit() };
  const { tree, events } = await smallTree([
    actor<string>("transient", leave, { restart: "transient" }),
    actor<string>("permanent", leave),
    actor("temporary", {}, { restart: "temporary" }),
  ]);
  for (const path of ["transient", "permanent"]) tree.ref<string>(path).tell("go");
  await events.until(({ kind, path }) => kind === "retired" && path === "transient");
  await events.started("permanent", 2);
  const receipt = await tree.kill("temporary", "crash");
  t.is(receipt.repairMs, null);
  t.deepEqual(
    tree.tree().children.map(({ name, state }) => `${name} ${state}`),
    ["transient stopped", "permanent running", "temporary stopped"],
  );
  t.is(tree.ref<string>("transient").tell("too late"), "dead");
  await tree.stop();
});

test("restarts back off, stop at the intensity, and escalate to the parent, which restarts the subtree (S4-67)", async (t) => {
  const crashes = { restarts: 2, withinMs: 10_000 };
  const fragile = actor<string>(
    "fragile",
    {
      receive: () => {
        throw new Error("broken");
      },
    },
    { maxDeliver: 3 },
  );
  const { tree, events } = await smallTree([
    { id: "group", strategy: "one_for_one", intensity: crashes, children: [actor("sibling"), fragile] },
    actor("bystander"),
  ]);
  tree.ref<string>("group/fragile").tell("poison");
  await events.started("group", 2);
  t.deepEqual(events.lines("escalated", "dead_letter"), ["dead_letter group/fragile 3", "escalated group 1"]);
  t.deepEqual(
    events.lines("started").filter((line) => !line.includes(" / ")),
    [
      ...["started group/sibling 1", "started group/fragile 1", "started group 1", "started bystander 1"],
      ...["started group/fragile 2", "started group/fragile 3"],
      ...["started group/sibling 2", "started group/fragile 4", "started group 2"],
    ],
  );
  const group = tree.tree().children[0];
  t.like(group, { kind: "supervisor", generation: 2, restarts: 1, intensity: { ...crashes, left: 0 } });
  await tree.stop();
});

test("when the top supervisor gives up the tree has failed, with everything stopped", async (t) => {
  const lines: string[] = [];
  const { tree } = await smallTree(diary(lines, "a", "b"), { intensity: { restarts: 0, withinMs: 1_000 } });
  void tree.kill("a", "crash").catch(() => undefined);
  const error = await tree.failed;
  t.is(error.name, "EscalationError");
  t.regex(error.message, /"\/" gave up: more than 0 restarts in 1000 ms; "a" ended with crash in outside/);
  t.deepEqual(lines, ["init a 1", "init b 1", "stop a", "stop b"]);
});

test("a child whose init fails during the start is tried again; the siblings before it keep running", async (t) => {
  const lines: string[] = [];
  const flaky = actor("b", {
    init: ({ incarnation }) => {
      lines.push(`init b ${incarnation}`);
      if (incarnation < 3) throw new Error("not yet");
    },
  });
  const [a, c] = diary(lines, "a", "c");
  if (a === undefined || c === undefined) return t.fail();
  const { tree } = await smallTree([a, flaky, c]);
  t.deepEqual(lines, ["init a 1", "init b 1", "init b 2", "init b 3", "init c 1"]);
  await tree.stop();
});

test("an incarnation can be crashed from outside a turn, and a death watch hears of it after its cleanup", async (t) => {
  let fail: (error: Error) => void = () => undefined;
  const { tree, events } = await smallTree([
    actor("worker", {
      init: (life) => {
        fail = life.fail;
      },
    }),
  ]);
  const heard: string[] = [];
  tree.watch("worker", ({ incarnation, reason }) => heard.push(`${incarnation} ${reason.kind}`));
  const failFirst = fail;
  failFirst(new Error("its thread died"));
  await events.started("worker", 2);
  failFirst(new Error("again"));
  t.deepEqual(heard, ["1 crash"]);
  t.is(tree.tree().children[0]?.lastExit, "crash in outside: its thread died");
  await tree.stop();
});

test("an init that never returns does not hold up the stop of the tree longer than its bound", async (t) => {
  const clock = new VirtualClock();
  const events = new EventLog();
  const hanging = actor(
    "hanging",
    { init: ({ incarnation }) => (incarnation === 1 ? undefined : new Promise(() => undefined)) },
    { shutdownMs: 100 },
  );
  const starting = startTree(
    { id: "top", strategy: "one_for_one", intensity: generous, children: [actor("a"), hanging] },
    { ...depsWith(events), clock },
  );
  await clock.advance(0);
  const tree = await starting;
  void tree.kill("hanging", "kill");
  await clock.advance(0);
  t.is(tree.tree().children[1]?.state, "starting");
  const stopped = tree.stop();
  await clock.advance(100);
  await stopped;
  t.deepEqual(events.lines("stopped").slice(-3), ["stopped hanging 2", "stopped a 1", "stopped / 1"]);
});

test("a spec with two children of one id, a bad id or a bound that is not positive is refused", async (t) => {
  await t.throwsAsync(smallTree([actor("a"), actor("a")]), { message: /two children "a"/ });
  await t.throwsAsync(smallTree([actor("a b")]), { message: /actor id "a b" must match/ });
  await t.throwsAsync(smallTree([actor("a", {}, { mailboxMax: 0 })]), { message: /mailboxMax must be positive/ });
});
