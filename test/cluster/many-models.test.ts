// Several models in one cluster: one is added while requests for the other run, both learn, both come back, one goes again. Each has its log,
// its writer and its restarts. The negative controls send half a model, and one whose bytes are not those of its record.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { packModel } from "../../models/adoption/model-package.js";
import { loadModel } from "../../models/manifest.js";
import { ModelLog } from "../../operations/log/model-log.js";
import { replayModel } from "../../operations/log/replay.js";
import { systemClock } from "../../supervision/clock.js";
import { contextFile } from "../../transport/access/context.js";
import { lastSubjects, streamState } from "../../transport/log/jetstream.js";
import { openLease } from "../../transport/log/lease.js";
import { openModelRegistry } from "../../transport/log/model-registry.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { discovery } from "../../transport/subjects.js";
import { hardDigits, type Picture, someDigits, tensorOf } from "./pictures.js";
import { ask, typedIn } from "./program.js";
import {
  folder,
  Heard,
  nodeOf,
  nodeReady,
  type Running,
  settledCommit,
  startRunning,
  strike,
  temporaryStore,
  treeOf,
} from "./running.js";

const testWithinMs = 120_000;
let running: Running;
let base = "";
let folders: Readonly<Record<"digits" | "numbers", string>>;
let clean: readonly Picture[];
let hard: readonly Picture[];

/** The digits under another name, or with a short cold phase, so that learning is soon seen. */
async function variant(name: string): Promise<string> {
  const place = join(base, name);
  await cp(folder, place, { recursive: true, filter: (source) => !source.endsWith(".ts") });
  const file = join(place, "manifest.json");
  const manifest = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...manifest, name, learning: { ...manifest.learning, coldStart: 10 } }));
  return place;
}

test.before(async () => {
  base = await temporaryStore();
  folders = { digits: await variant("digits"), numbers: await variant("numbers") };
  [clean, hard] = await Promise.all([someDigits(24), hardDigits(6)]);
  running = await startRunning({ models: [folders.digits] });
});

test.after.always(async () => {
  await running?.stop();
  if (base !== "") await rm(base, { recursive: true, force: true });
});

let asked = 0;
/** Answered, or what was said instead. */
async function answer(model: string, picture: Picture | undefined, deadlineMs = 20_000): Promise<string> {
  asked += 1;
  const ink = picture?.ink ?? new Float32Array(784);
  const outcome = await running.client.infer(model, tensorOf(ink), {
    id: `many.${model}.${asked}`,
    deadlineMs,
  });
  if (outcome.kind === "reply") return "answered";
  return outcome.kind === "refusal" ? outcome.refusal.code : outcome.why;
}

/** Asks for the digits until it is told to stop; what was not answered. */
function digitsMeanwhile(): { stop(): Promise<{ readonly answered: number; readonly otherwise: readonly string[] }> } {
  let isOver = false;
  const said: string[] = [];
  const asking = (async () => {
    for (let index = 0; !isOver; index += 1) said.push(await answer("digits", clean[index % clean.length]));
  })();
  return {
    stop: async () => {
      isOver = true;
      await asking;
      const otherwise = said.filter((each) => each !== "answered");
      return { answered: said.length - otherwise.length, otherwise };
    },
  };
}

function logOf(model: "digits" | "numbers"): Promise<ModelLog> {
  return loadModel(folders[model]).then(
    (loaded) => new ModelLog(running.operator, running.subjects, loaded, systemClock, () => undefined),
  );
}

/** Pid and generations of everything that runs, but for the model of the name. */
async function lives(but: string): Promise<readonly string[]> {
  const lines = (node: TreeNode, above: string): string[] => {
    const path = `${above}/${node.name}`;
    if (node.name.startsWith(but)) return [];
    return [
      `${path} ${node.pid ?? ""} ${node.generation} ${node.state}`,
      ...node.children.flatMap((child) => lines(child, path)),
    ];
  };
  return lines(await treeOf(running), "");
}

async function learned(t: ExecutionContext, model: "digits" | "numbers"): Promise<void> {
  for (const picture of [...clean.slice(0, 14), ...hard]) t.is(await answer(model, picture), "answered");
  const log = await logOf(model);
  const commit = await settledCommit({ ...running, log });
  t.true((commit?.updateSeq ?? 0) > 0, `${model} has updates`);
  const replayed = await replayModel({
    ...{ bus: running.operator, subjects: running.subjects, model, folder: folders[model], clock: systemClock },
  });
  t.true(replayed.equal, `${model}: ${replayed.checksum} is not ${replayed.committedChecksum}`);
}

test.serial(
  "half a model is nobody's: without its record, and with a record that its bytes do not fit, nothing is served",
  async (t) => {
    t.timeout(testWithinMs);
    const half = fileURLToPath(new URL("half-adder.js", import.meta.url));
    const child = spawn(process.execPath, [half, contextFile(running.store), folders.numbers], { stdio: "ignore" });
    const [, signal] = await once(child, "exit");
    t.is(signal, "SIGKILL");
    const { operator, subjects } = running;
    const pieces = await lastSubjects(
      operator,
      subjects.modelsStream,
      subjects.modelPieces("numbers", "x").replace(/x$/, "*"),
    );
    t.is(pieces.kind === "subjects" ? pieces.subjects.length : 0, 1, "it had begun");
    t.is(await answer("numbers", clean[0]), "unknown_model");
    const failed = await Heard.on(operator, subjects.event("model_failed"));
    const alerted = new Promise<void>((resolve) => {
      operator.subscribe(subjects.alert("critical", "model_failed"), {}, () => resolve());
    });
    await operator.flush();
    const registry = openModelRegistry(operator, systemClock, subjects);
    const { package: packed, parts } = await packModel(folders.numbers);
    const sent = await registry.upload(packed, parts);
    if (sent.kind !== "uploaded") return t.fail(sent.why);
    const said = await registry.say({ ...sent.added, sha256: "0".repeat(64) }, 0);
    await failed.find(
      "the refusal",
      ({ items: [item] }) => item?.about === "serving-1/numbers" && /sha256/.test(String(item.cause)),
    );
    t.is(await answer("digits", clean[0]), "answered");
    t.is(await answer("numbers", clean[0], 1_000), "not_ready", "it was added, and this node cannot serve it");
    await alerted;
    const next = said.kind === "committed" ? said.seq : 0;
    const gone = await registry.say({ kind: "removed", name: "numbers", sha256: "0".repeat(64), atMs: 1 }, next);
    await registry.say({ kind: "purged", name: "numbers", atMs: 2 }, gone.kind === "committed" ? gone.seq : 0);
    failed.stop();
  },
);

test.serial(
  "a model is added while requests run: none of the others fails, nothing is restarted, every node has it",
  async (t) => {
    t.timeout(testWithinMs);
    const before = await lives("numbers");
    const meanwhile = digitsMeanwhile();
    const added = await ask(running.store, "model", "add", folders.numbers);
    t.like(added, { model: "numbers", outcome: "added", nodes: [{ state: "up" }, { state: "up" }, { state: "up" }] });
    t.is(await answer("numbers", clean[0]), "answered");
    const { answered, otherwise } = await meanwhile.stop();
    t.deepEqual(otherwise, []);
    t.true(answered > 0);
    t.deepEqual(await lives("numbers"), before);
    t.like(await ask(running.store, "model", "add", folders.numbers), { outcome: "already" });
    const info = await running.client.bus.requestMany(discovery.info, new Uint8Array(), { waitMs: 1_500 });
    t.true(info.some(({ data }) => new TextDecoder().decode(data).includes('"subject":"driftmend.infer.numbers"')));
    const other = await typedIn(base, "model", "add", folder, "--context", contextFile(running.store)).ended;
    t.is(other.code, 1);
    t.regex(other.stderr, /was started with another model of the name digits/);
  },
);

test.serial(
  "both learn, each in a chain of its own, and the fold of each log is what was committed (S4-24)",
  async (t) => {
    t.timeout(testWithinMs);
    await learned(t, "digits");
    await learned(t, "numbers");
    t.like(await ask(running.store, "replay", "numbers", "--verify"), { model: "numbers", equal: true });
  },
);

test.serial("kill -9 of the serving and the learning node: both models are back, and both learn on", async (t) => {
  t.timeout(testWithinMs);
  const heard = await Heard.on(running.operator, running.subjects.event("node_ready"));
  const killed = ["serving-1", "learning-1"].map(async (name) => {
    const { pid, generation } = await nodeOf(running, name);
    process.kill(pid, "SIGKILL");
    await nodeReady(heard, name, generation + 1);
  });
  await Promise.all(killed);
  heard.stop();
  await learned(t, "numbers");
  await learned(t, "digits");
});

test.serial(
  "a storm of restarts in one model takes that one down, alone: the node and the other model go on (S4-67)",
  async (t) => {
    t.timeout(testWithinMs);
    const before = await lives("numbers");
    const left = await Heard.on(running.operator, running.subjects.event("left_down"));
    let isOver = false;
    const storm = (async () => {
      while (!isOver) {
        strike(running, { node: "serving-1", path: "numbers", mode: "kill" }).catch(() => undefined);
        await systemClock.delay(20);
      }
    })();
    await left.find("numbers down", ({ actor }) => actor === "numbers");
    isOver = true;
    await storm;
    left.stop();
    for (const picture of clean.slice(0, 5)) t.is(await answer("digits", picture), "answered");
    t.deepEqual(await lives("numbers"), before);
  },
);

test.serial(
  "a model that is removed is unknown, its lease is free, its log is kept for it and for no other, until it is purged",
  async (t) => {
    t.timeout(testWithinMs);
    const { operator, subjects, store } = running;
    const stateOf = async () => streamState(operator, subjects.stream("experience", "numbers"));
    const logged = await stateOf();
    const meanwhile = digitsMeanwhile();
    t.like(await ask(store, "model", "rm", "numbers"), { outcome: "removed", log: "kept" });
    t.is(await answer("numbers", clean[0]), "unknown_model");
    t.is((await openLease(operator, systemClock, subjects.leaseBucket, "numbers").look()).kind, "free");
    t.deepEqual((await meanwhile.stop()).otherwise, []);
    t.deepEqual(await stateOf(), logged);
    t.like(await ask(store, "model", "add", folders.numbers), { outcome: "added" });
    t.is(await answer("numbers", clean[0]), "answered");
    const on = await stateOf();
    t.true(
      on.kind === "state" && logged.kind === "state" && on.state.lastSeq > logged.state.lastSeq,
      "it goes on with its log",
    );
    t.like(await ask(store, "model", "rm", "numbers", "--purge-log"), { log: "purged" });
    t.like(await stateOf(), { kind: "unavailable", why: "no_stream" });
  },
);
