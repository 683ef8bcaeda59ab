// How a node's models come and go, one step at a time for each: the real roster and roll, a tree and a registry that do as they are told.
//
// Substrate: a virtual clock; no actors, no broker.

import test from "ava";
import { Roster, type RosterDeps } from "../../actors/host/roster.js";
import { ModelRoll } from "../../actors/model-roll.js";
import { Desk } from "../../actors/serving/desk.js";
import type { ModelWiring } from "../../actors/wiring/model-wiring.js";
import type { Acquired } from "../../operations/registry/model-cache.js";
import type { AddOutcome } from "../../supervision/tree/supervisor.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { type AddedModel, modelBounds, type Standings } from "../../transport/log/model-records.js";
import { actor, deferred } from "../supervision/small-tree.js";
import { smallModel } from "./small-node.js";

const sha = (digit: string): string => digit.repeat(64);

function added(name: string, sha256: string, bytes = 100): AddedModel {
  return {
    kind: "added",
    name,
    upload: "u",
    pieces: 1,
    bytes,
    sha256,
    files: [{ file: "manifest.json", bytes }],
    atMs: 1,
  };
}

const serving = (...models: readonly AddedModel[]): Standings =>
  new Map(
    models.map((model, index) => [model.name, { seq: index + 1, served: model, logOf: model.sha256, isPurged: false }]),
  );

/** A model on the roll whose actors nobody starts. */
function wiringOf(name: string, clock: VirtualClock): ModelWiring {
  const unused = (): never => {
    throw new Error("no actor runs here");
  };
  const base = smallModel();
  const model = { ...base, manifest: { ...base.manifest, name } };
  const parts = { buffer: unused, voter: unused, relay: unused, inference: unused, served: unused, updater: unused };
  const engine = { begin: () => undefined, end: async () => undefined };
  return { name, model, desk: new Desk(clock, () => undefined), engine, ...parts };
}

/** Writes down what it is told to do, and does as if. */
function treeThat(steps: string[], outcomes: ReadonlyMap<string, AddOutcome>) {
  return {
    startChild: async ({ id }: { readonly id: string }): Promise<AddOutcome> => {
      steps.push(`start ${id}`);
      return outcomes.get(id) ?? { kind: "started" };
    },
    stopChild: async (id: string) => {
      steps.push(`stop ${id}`);
      return true;
    },
    reviveChild: (id: string) => {
      steps.push(`revive ${id}`);
      return true;
    },
  };
}

function scene(over: Partial<RosterDeps> = {}) {
  const clock = new VirtualClock();
  const said: string[] = [];
  const steps: string[] = [];
  const roll = new ModelRoll<ModelWiring>();
  const acquired = new Map<string, Promise<Acquired>>();
  const startOutcome = new Map<string, AddOutcome>();
  const given = { ...smallModel(), folder: "given" };
  roll.enter(wiringOf(given.manifest.name, clock));
  const roster = new Roster({
    node: "node-a",
    incarnation: 1,
    given: [{ model: given, sha256: sha("0") }],
    wiring: {
      roll,
      admit: (model) => {
        const wired = wiringOf(model.manifest.name, clock);
        roll.enter(wired);
        return wired;
      },
    },
    partsOf: ({ name }) => [actor(name), actor(`${name}-updater`)],
    acquire: ({ name }) => {
      steps.push(`acquire ${name}`);
      return acquired.get(name) ?? Promise.resolve({ kind: "model", model: wiringOf(name, clock).model });
    },
    drop: async ({ name }) => void steps.push(`drop ${name}`),
    ensureStreams: async () => ({ kind: "ready" }),
    telemetry: {
      event: (kind, _, items) =>
        void said.push(
          `${kind} ${items()
            .map(({ about }) => about)
            .join()}`,
        ),
    },
    clock,
    doorMs: 1_000,
    before: "registrar",
    ...over,
  });
  const tree = treeThat(steps, startOutcome);
  const settle = (): Promise<void> => clock.advance(1);
  const stateOf = (name: string): unknown => {
    const { models } = roster.summary();
    const listed = Array.isArray(models) ? models : [];
    return listed.find((each) => each.name === name)?.state;
  };
  const given0 = given.manifest.name;
  return { clock, said, steps, roll, roster, tree, acquired, startOutcome, settle, stateOf, given: given0 };
}

test("a model of the registry is loaded before there is a tree, or started in it, every part in order; then its door opens", async (t) => {
  const { roster, tree, steps, said, roll, settle, given } = scene();
  await roster.begin(serving(added("early", sha("a"))));
  t.deepEqual(steps, ["acquire early"]);
  t.deepEqual(roll.names, [given, "early"], "it is in the tree from the start");
  roster.attach(tree);
  const late = deferred<Acquired>();
  roster.follow(serving(added("early", sha("a")), added("late", sha("b"))));
  await settle();
  t.deepEqual(steps.slice(1), ["acquire late", "start late", "start late-updater"]);
  t.deepEqual(said, ["model_loaded node-a/early", "model_loaded node-a/late"]);
  t.deepEqual([...roll.doors(({ name }) => name).keys()], [given, "early", "late"]);
  late.resolve({ kind: "failed", cause: "unused" });
});

test("while a model is being loaded a request for it is told to try again; one that nobody added is unknown", async (t) => {
  const { roster, tree, roll, acquired, settle } = scene();
  const loading = deferred<Acquired>();
  acquired.set("mail", loading.promise);
  roster.attach(tree);
  roster.follow(serving(added("mail", sha("a"))));
  await settle();
  t.is(roll.absence("mail").code, "not_ready");
  t.is(roll.absence("post").code, "unknown_model");
  t.is(roll.doors((wiring) => wiring).get("mail"), undefined);
});

test("a model that cannot be had, or whose part cannot start, is told, leaves nothing, keeps nobody up, and is tried again later each time", async (t) => {
  const { roster, tree, steps, said, startOutcome, settle, clock, stateOf, roll, given } = scene();
  roster.attach(tree);
  startOutcome.set("bad-updater", { kind: "failed", cause: "no memory" });
  roster.follow(serving(added("bad", sha("a")), added("good", sha("b"))));
  await settle();
  t.deepEqual([stateOf("bad"), stateOf("good")], ["failed", "up"]);
  t.true(steps.includes("stop bad"), "the part that had started");
  t.deepEqual(roll.names, [given, "good"]);
  t.deepEqual([...said].sort(), ["model_failed node-a/bad", "model_loaded node-a/good"]);
  const tries = (): number => steps.filter((step) => step === "acquire bad").length;
  for (const [waitMs, after] of [
    [4_900, 1],
    [200, 2],
    [9_800, 2],
    [400, 3],
  ] as const) {
    await clock.advance(waitMs);
    roster.tick();
    await settle();
    t.is(tries(), after);
  }
  startOutcome.clear();
  await clock.advance(30_000);
  roster.tick();
  await settle();
  t.is(stateOf("bad"), "up");
  t.is(said.at(-1), "model_loaded node-a/bad", "which ends its alert");
});

test("a model goes in order: its door, what is open, its parts in reverse, its folder", async (t) => {
  const { roster, tree, steps, said, roll, settle, clock } = scene();
  roster.attach(tree);
  roster.follow(serving(added("mail", sha("a"))));
  await settle();
  const desk = roll.all.find(({ name }) => name === "mail")?.desk;
  const answers: string[] = [];
  desk?.open(
    {
      id: "r1",
      traceId: "t",
      input: new Float32Array(1),
      explain: false,
      isRetry: false,
      priority: 5,
      deadlineMs: 60_000,
      caller: undefined,
      receivedAtMs: 0,
    },
    { answer: () => void answers.push("answered"), refuse: (code) => void answers.push(code) },
  );
  steps.length = 0;
  roster.follow(new Map());
  await settle();
  t.is(roll.absence("mail").code, "unknown_model", "its door is shut at once");
  t.deepEqual([steps, answers], [[], []], "what is open is waited for");
  await clock.advance(1_500);
  t.deepEqual(answers, ["not_ready"], "as long as the door's time, and then it is refused by name");
  t.deepEqual(steps, ["stop mail-updater", "stop mail", "drop mail"]);
  t.is(said.at(-1), "model_unloaded node-a/mail");
  t.false(roll.names.includes("mail"));
});

test("what changes while a model is loaded is done after it: removed in the middle it goes again, another one takes its place", async (t) => {
  const { roster, tree, steps, acquired, settle, stateOf } = scene();
  const loading = deferred<Acquired>();
  acquired.set("mail", loading.promise);
  roster.attach(tree);
  roster.follow(serving(added("mail", sha("a"))));
  await settle();
  roster.follow(new Map());
  roster.follow(serving(added("mail", sha("b"))));
  acquired.delete("mail");
  loading.resolve({ kind: "failed", cause: "it was half written" });
  await settle();
  t.deepEqual(steps, ["acquire mail", "drop mail", "acquire mail", "start mail", "start mail-updater"]);
  t.is(stateOf("mail"), "up");
});

test("a model whose part spent its restarts is down alone: told, its requests told to try again, revived after a while", async (t) => {
  const { roster, tree, steps, said, roll, settle, clock, stateOf, given } = scene();
  roster.attach(tree);
  roster.follow(serving(added("mail", sha("a"))));
  await settle();
  roster.leftDown("mail", "poison");
  t.is(stateOf("mail"), "down");
  t.like(roll.absence("mail"), { code: "not_ready" });
  t.deepEqual([...roll.doors(({ name }) => name).keys()], [given]);
  t.is(said.at(-1), "model_failed node-a/mail");
  await clock.advance(5_000);
  roster.tick();
  t.true(steps.includes("revive mail"));
  t.is(stateOf("mail"), "up");
  t.is(said.at(-1), "model_failed node-a/mail", "not told to be well before it has run for a while");
  await clock.advance(10_000);
  roster.tick();
  t.is(said.at(-1), "model_loaded node-a/mail");
  roster.leftDown(`${given}-updater`, "its own log");
  t.is(stateOf(given), "down");
  t.deepEqual([...roll.doors(({ name }) => name).keys()], [given, "mail"], "who only lost its writer still answers");
});

test("a part that is left down while the next one starts keeps the door shut, and is revived like any other", async (t) => {
  const { roster, tree, steps, said, roll, settle, clock, stateOf, given } = scene();
  const writer = deferred<AddOutcome>();
  const slowly = {
    ...tree,
    startChild: async (spec: { readonly id: string }): Promise<AddOutcome> => {
      const outcome = await tree.startChild(spec);
      return spec.id === "mail-updater" ? writer.promise : outcome;
    },
  };
  roster.attach(slowly);
  roster.follow(serving(added("mail", sha("a"))));
  await settle();
  roster.leftDown("mail", "poison");
  writer.resolve({ kind: "started" });
  await settle();
  t.is(stateOf("mail"), "down");
  t.like(roll.absence("mail"), { code: "not_ready", message: "mail is down on this node: poison" });
  t.deepEqual([...roll.doors(({ name }) => name).keys()], [given]);
  t.deepEqual(said, ["model_failed node-a/mail"]);
  await clock.advance(5_000);
  roster.tick();
  t.true(steps.includes("revive mail"));
  t.is(stateOf("mail"), "up");
});

test("a model that goes is told as gone, whatever becomes of its parts and its folder meanwhile, and the node goes on", async (t) => {
  const { roster, tree, said, settle, clock, stateOf } = scene({
    drop: () => Promise.reject(new Error("the disk is read-only")),
  });
  roster.attach(tree);
  roster.follow(serving(added("mail", sha("a"))));
  await settle();
  roster.follow(new Map());
  roster.leftDown("mail", "it was being stopped");
  await clock.advance(1_500);
  await settle();
  t.is(stateOf("mail"), undefined);
  t.deepEqual(said, ["model_loaded node-a/mail", "model_unloaded node-a/mail"]);
  roster.follow(serving(added("mail", sha("a"))));
  await settle();
  t.is(stateOf("mail"), "up", "and may come again");
});

test("a model that the node was started with stays, and another one under its name is refused and told once", async (t) => {
  const { roster, tree, said, steps, settle, given, stateOf } = scene();
  roster.attach(tree);
  for (const _ of [1, 2]) roster.follow(serving(added(given, sha("f"))));
  await settle();
  t.deepEqual([said, steps], [[`model_failed node-a/${given}`], []]);
  roster.follow(serving(added(given, sha("0"))));
  roster.follow(new Map());
  await settle();
  t.is(stateOf(given), "up");
  t.deepEqual(steps, []);
});

test("the bounds of a node are kept by name: how many models, and how many bytes", async (t) => {
  const many = Array.from({ length: modelBounds.modelsMax }, (_, index) => added(`m${index}`, sha("a")));
  const { roster, tree, settle, stateOf } = scene();
  roster.attach(tree);
  roster.follow(serving(...many));
  await settle();
  const states = many.map(({ name }) => stateOf(name));
  t.is(states.filter((state) => state === "failed").length, 1, "with the one it was started with");
  const large = scene();
  large.roster.attach(large.tree);
  const half = modelBounds.packageMaxBytes;
  large.roster.follow(serving(added("x", sha("a"), half), added("y", sha("b"), half), added("z", sha("c"), half)));
  await large.settle();
  const causes = JSON.stringify(large.roster.summary());
  t.regex(causes, /nodeMaxBytes: /);
});
