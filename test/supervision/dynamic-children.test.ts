// Children that come and go while their supervisor runs, and children with a budget of their own.
//
// Substrate: real trees. Tests about waiting run on a virtual clock.

import test from "ava";
import { UnknownActorError } from "../../supervision/actor/ref.js";
import type { SupervisorSpec } from "../../supervision/tree/child-spec.js";
import { startTree } from "../../supervision/tree/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { actor, deferred, depsWith, EventLog, generous, smallTree } from "./small-tree.js";

const names = (tree: { tree(): { readonly children: readonly { readonly name: string }[] } }): string[] =>
  tree.tree().children.map(({ name }) => name);

function subtree(id: string, children: SupervisorSpec["children"], more: Partial<SupervisorSpec> = {}): SupervisorSpec {
  return { id, strategy: "one_for_one", intensity: generous, children, ...more };
}

test("a child that is added while the tree runs is up when that is said, in its place, and nobody else notices", async (t) => {
  const stops: string[] = [];
  const noted = (id: string) => actor(id, { stop: () => void stops.push(id) });
  const { tree, events } = await smallTree([noted("a"), noted("door")]);
  const handled = deferred<string>();
  const inside = actor<string>("inside", { receive: (_, message) => handled.resolve(message) });
  t.deepEqual(await tree.startChild(subtree("added", [inside, noted("below")]), "door"), { kind: "started" });
  t.is(tree.ref<string>("added/inside").tell("hello"), "ok");
  t.is(await handled.promise, "hello");
  t.deepEqual(names(tree), ["a", "added", "door"]);
  t.deepEqual(
    events.lines("started").filter((line) => /^started (a|door) /.test(line)),
    ["started a 1", "started door 1"],
  );
  await tree.stop();
  t.deepEqual(stops, ["door", "below", "a"], "it stops in its place");
});

test("a child that cannot start is gone without a trace: it costs no restart of anybody and its id is free again", async (t) => {
  const { tree, events } = await smallTree([actor("a")], { intensity: { restarts: 1, withinMs: 60_000 } });
  const broken = actor("added", {
    init: () => {
      throw new Error("no such file");
    },
  });
  for (let tries = 1; tries <= 3; tries += 1) {
    const outcome = await tree.startChild(broken);
    t.true(outcome.kind === "failed" && /no such file/.test(outcome.cause), JSON.stringify(outcome));
    t.deepEqual(names(tree), ["a"]);
    t.throws(() => tree.ref("added"), { instanceOf: UnknownActorError });
  }
  t.deepEqual(events.lines("restarting", "escalated"), []);
  t.deepEqual(await tree.startChild(actor("added")), { kind: "started" });
  await tree.stop();
});

test("a subtree whose actor fails again and again at its first start gives up by its own budget, and is gone", async (t) => {
  const clock = new VirtualClock();
  const events = new EventLog();
  const top: SupervisorSpec = { id: "top", strategy: "one_for_one", intensity: generous, children: [actor("a")] };
  const started = startTree(top, { ...depsWith(events), clock });
  await clock.advance(1_000);
  const tree = await started;
  const broken = actor("inside", {
    init: () => {
      throw new Error("never");
    },
  });
  const adding = tree.startChild(subtree("added", [broken], { intensity: { restarts: 3, withinMs: 60_000 } }));
  await clock.advance(10_000);
  const outcome = await adding;
  t.is(outcome.kind, "failed");
  t.is(events.lines("crashed").length, 4, "one start and three restarts");
  t.deepEqual(names(tree), ["a"]);
  t.is(tree.tree().restarts, 0);
  const stopping = tree.stop();
  await clock.advance(1_000);
  await stopping;
});

test("an added child that crashes is restarted as the others are, also when it crashes at once", async (t) => {
  const { tree, events } = await smallTree([]);
  const born = actor("added", {
    init: ({ incarnation, fail }) => {
      if (incarnation === 1) fail(new Error("at once"));
    },
  });
  await tree.startChild(actor("steady"));
  await tree.startChild(born);
  const receipt = await tree.kill("steady", "crash");
  t.is(receipt.generationAfter, 2);
  t.deepEqual(
    events.lines("started").filter((line) => line.startsWith("started steady")),
    ["started steady 1", "started steady 2"],
  );
  await tree.stop();
});

test("a child that is taken out is stopped in order and forgotten; what was queued is a dead letter, and refs to it are dead", async (t) => {
  const lines: string[] = [];
  const gate = deferred();
  const busy = actor<string>("inside", { receive: () => gate.promise, stop: () => void lines.push("stopped") });
  const { tree } = await smallTree([actor("a")]);
  await tree.startChild(subtree("added", [busy]));
  const ref = tree.ref<string>("added/inside");
  tree.onDeadLetter(({ message, reason }) => lines.push(`${String(message)} ${reason}`));
  ref.tell("in flight");
  ref.tell("queued");
  const leaving = tree.stopChild("added");
  t.deepEqual(await tree.startChild(subtree("added", [])), { kind: "refused", why: "exists" }, "until it is gone");
  gate.resolve();
  t.true(await leaving);
  t.is(ref.tell("later"), "dead");
  t.true(lines.includes("stopped"));
  t.deepEqual(names(tree), ["a"]);
  t.throws(() => tree.ref("added/inside"), { instanceOf: UnknownActorError });
  await t.throwsAsync(tree.kill("added", "kill"), { instanceOf: UnknownActorError });
  t.false(await tree.stopChild("added"));
  t.deepEqual(await tree.startChild(subtree("added", [])), { kind: "started" });
  await tree.stop();
});

test("taking out a child that still starts, or waits for its backoff, ends that; two who want it gone wait for the same end", async (t) => {
  const clock = new VirtualClock();
  const events = new EventLog();
  const top: SupervisorSpec = { id: "top", strategy: "one_for_one", intensity: generous, children: [actor("a")] };
  const opening = startTree(top, { ...depsWith(events), clock });
  await clock.advance(1_000);
  const tree = await opening;
  const slow = tree.startChild(actor("slow", { init: () => new Promise<void>(() => undefined) }));
  const gone = Promise.all([tree.stopChild("slow"), tree.stopChild("slow")]);
  await clock.advance(60_000);
  t.deepEqual(await gone, [true, true]);
  t.deepEqual(await slow, { kind: "failed", cause: "it was stopped while it started" });
  await tree.startChild(
    actor("flapping", {
      init: ({ incarnation }) => {
        if (incarnation > 1) throw new Error("down");
      },
    }),
  );
  await t.throwsAsync(
    Promise.race([tree.kill("flapping", "crash"), clock.advance(200).then(() => Promise.reject(new Error("waits")))]),
  );
  const left = tree.stopChild("flapping");
  await clock.advance(60_000);
  t.true(await left);
  const crashes = events.lines("crashed").length;
  await clock.advance(60_000);
  t.is(events.lines("crashed").length, crashes, "nobody starts it any more");
  t.deepEqual(names(tree), ["a"]);
  const stopping = tree.stop();
  await clock.advance(1_000);
  await stopping;
});

test("a child that is added again under its name counts its incarnations on: what the earlier one wrote under its number is not taken for its own (law 5)", async (t) => {
  const { tree } = await smallTree([]);
  const incarnations: string[] = [];
  const noted = () => actor("inside", { init: ({ incarnation }) => void incarnations.push(`${incarnation}`) });
  for (const _ of [1, 2]) {
    await tree.startChild(subtree("added", [noted()]));
    await tree.kill("added/inside", "kill");
    t.is(tree.tree().children[0]?.children[0]?.restarts, 1);
    await tree.stopChild("added");
  }
  t.deepEqual(incarnations, ["1", "2", "3", "4"]);
  await tree.stop();
});

test("a tree that stops while a child is added stops that child too, and the adding says so", async (t) => {
  const { tree, events } = await smallTree([actor("a")]);
  const begun = deferred();
  const adding = tree.startChild(
    actor(
      "added",
      {
        init: () => {
          begun.resolve();
          return new Promise<void>(() => undefined);
        },
      },
      { shutdownMs: 5 },
    ),
  );
  await begun.promise;
  await tree.stop();
  t.is((await adding).kind, "failed");
  t.is(events.lines("stopped").filter((line) => line.includes("added")).length, 1);
  t.deepEqual(await tree.startChild(actor("late")), { kind: "refused", why: "not_running" });
});

test("only one_for_one takes children while it runs, and a wrong spec is refused as at the start", async (t) => {
  const { tree } = await smallTree([actor("a")], { strategy: "rest_for_one" });
  await t.throwsAsync(tree.startChild(actor("b")), { message: /rest_for_one/ });
  await tree.stop();
  const { tree: other } = await smallTree([actor("a")]);
  t.deepEqual(await other.startChild(actor("a")), { kind: "refused", why: "exists" });
  await t.throwsAsync(other.startChild(subtree("b", [actor("c"), actor("c")])), { message: /two children "c"/ });
  await t.throwsAsync(other.startChild(actor("b", {}, { mailboxMax: 0 })), { message: /must be positive/ });
  await other.stop();
});

const storm = { restarts: 3, withinMs: 60_000 } as const;

test("a contained child that crashes too often stays down alone: its siblings and their budget are untouched, and it can be revived (S4-67)", async (t) => {
  let isWell = false;
  const sick = actor<string>(
    "sick",
    {
      init: ({ incarnation }) => {
        if (incarnation > 1 && !isWell) throw new Error("poison");
      },
    },
    { contained: () => true },
  );
  const { tree, events } = await smallTree([actor("well"), sick], { intensity: storm });
  tree.kill("sick", "crash").catch(() => undefined);
  const left = await events.until(({ kind }) => kind === "left_down");
  t.is(`${left.path}`, "sick");
  t.is(tree.ref("sick").tell("anybody?"), "dead");
  t.is(tree.tree().intensity?.left, storm.restarts, "it cost its supervisor nothing");
  t.deepEqual(events.lines("escalated"), []);
  t.is(tree.spent()["sick~"]?.length, storm.restarts + 1, "and the next incarnation of the node hears of it");
  isWell = true;
  t.true(tree.reviveChild("sick"));
  await events.until(({ kind, path, incarnation }) => kind === "started" && path === "sick" && incarnation > 1);
  t.is(tree.ref("sick").tell("anybody?"), "ok");
  t.false(tree.reviveChild("sick"), "it is up");
  t.false(tree.reviveChild("nobody"));
  await tree.stop();
});

test("the same storm without containment takes the whole tree along", async (t) => {
  const sick = actor("sick", {
    init: ({ incarnation }) => {
      if (incarnation > 1) throw new Error("poison");
    },
  });
  const { tree } = await smallTree([actor("well"), sick], { intensity: storm });
  tree.kill("sick", "crash").catch(() => undefined);
  t.regex((await tree.failed).message, /gave up: more than 3 restarts/);
});

test("a contained subtree gives up by its own budget, then by its place's, and then stays down", async (t) => {
  const inside = actor("inside", {
    init: ({ incarnation }) => {
      if (incarnation > 1) throw new Error("poison");
    },
  });
  const { tree, events } = await smallTree(
    [actor("well"), subtree("sick", [inside], { intensity: storm, contained: () => true })],
    { intensity: storm },
  );
  tree.kill("sick/inside", "crash").catch(() => undefined);
  await events.until(({ kind, path }) => kind === "left_down" && path === "sick");
  t.true(events.lines("escalated").every((line) => line.startsWith("escalated sick ")));
  t.is(tree.tree().children.find(({ name }) => name === "well")?.state, "running");
  t.is(tree.tree().intensity?.left, storm.restarts);
  await tree.stop();
});
