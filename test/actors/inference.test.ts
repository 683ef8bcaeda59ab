// Inference with the real engine and the digits model: batches, the cold boundary, new heads, lost threads.

import type { Worker } from "node:worker_threads";
import test from "ava";
import { type HeadSource, type InferenceDeps, inference } from "../../actors/serving/inference.js";
import { pictureSize } from "../../models/digits/idx.js";
import type { Model } from "../../models/manifest.js";
import { openSession } from "../../models/serving/onnx-session.js";
import { childPath, TOP_PATH } from "../../supervision/path.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { TensorBuffers } from "../../transport/tensors/buffers.js";
import {
  anythingElse,
  digits,
  headFor,
  idsOf,
  pictures,
  type Run,
  runs,
  scene,
  unadapted,
  watchedEngine,
} from "./inference-scene.js";
import { openAt, quietDesk, settle } from "./small-node.js";

test("requests that are queued go through the model in one run, under an id of their own", async (t) => {
  const { tree, buffer, ask } = await scene();
  ask("a", "b", "c", "d", "e");
  const found = await runs(buffer, 5);
  t.deepEqual(found.map(idsOf), [["a", "b", "c", "d", "e"]]);
  t.is(found[0]?.embedded.rows, 5);
  ask("f");
  const [first, second] = await runs(buffer, 6);
  t.not(first?.batchId, second?.batchId);
  t.like(tree.summary("inference"), { runs: 2, rows: 6, mode: "ensemble" });
  await tree.stop();
});

test("(S0-2) request N is cold and request N+1 is not, also inside one batch", async (t) => {
  const { tree, buffer, ask } = await scene({ coldStart: 3 });
  ask("a", "b");
  await runs(buffer, 2);
  ask("c", "d", "e");
  const found = await runs(buffer, 5);
  t.deepEqual(
    found.map((run) => [run.cold, ...idsOf(run)]),
    [
      [true, "a", "b"],
      [true, "c"],
      [false, "d", "e"],
    ],
  );
  await tree.stop();
});

test("(S0-6) with N experiences in the log the first request after a restart is not cold", async (t) => {
  const { tree, buffer, ask } = await scene({ coldStart: 3, remembered: 3 });
  ask("a");
  t.deepEqual(
    (await runs(buffer, 1)).map(({ cold }) => cold),
    [false],
  );
  await tree.stop();
});

test("(S0-3) a cold run gives the same bits whatever was adapted and whatever head is served, and they are the source model's answer", async (t) => {
  const { tree, buffer, ask } = await scene({
    coldStart: 12,
    adapted: anythingElse,
    latest: () => ({ seq: 4, version: 9, head: headFor(1) }),
  });
  ask("a");
  const [run] = await runs(buffer, 1);
  const source = await openSession(digits.sourceBytes);
  const expected = await source.run(pictures[0] ?? new Float32Array(0), 1);
  t.is(run?.version, 0);
  const plain = await scene();
  plain.ask("a");
  const [unlearned] = await runs(plain.buffer, 1);
  await plain.tree.stop();
  t.deepEqual(run?.embedded.logits, unlearned?.embedded.logits);
  const [ours, theirs] = [run?.embedded.logits ?? [], expected];
  t.is([...ours].indexOf(Math.max(...ours)), [...theirs].indexOf(Math.max(...theirs)));
  for (const [label, logit] of theirs.entries()) t.true(Math.abs(logit - (ours[label] ?? 0)) < 1e-4);
  await tree.stop();
});

test("a committed head is used from the next run on, and the run says its version", async (t) => {
  const { tree, buffer, ask, commit } = await scene();
  ask("a");
  await runs(buffer, 1);
  commit({ version: 5, head: headFor(7) });
  ask("b");
  const [before, after] = await runs(buffer, 2);
  t.is(before?.version, 0);
  t.is(after?.version, 5);
  t.deepEqual(
    [...(after?.embedded.logits ?? [])],
    [...Array.from({ length: 10 }, (_, label) => (label === 7 ? 10 : 0))],
  );
  t.like(tree.summary("inference"), { modelVersion: 5 });
  await tree.stop();
});

test("what the memory adapted is used from the next run on", async (t) => {
  const { tree, buffer, ask, tell } = await scene();
  ask("a");
  await runs(buffer, 1);
  tell({ kind: "remembered", arrived: 1, experiences: 1, adapted: anythingElse });
  ask("b");
  const [before, after] = await runs(buffer, 2);
  t.deepEqual([before?.embedded.domains[0], after?.embedded.domains[0]], [0, 1]);
  t.true(before?.embedded.embeddings.some((value) => value !== 0));
  t.true(after?.embedded.embeddings.every((value) => value === after.embedded.embeddings[0]));
  await tree.stop();
});

test("as long as the memory tells what it told before, runs get the same object, which goes to the engine's thread once", async (t) => {
  const { given, openEngine } = watchedEngine();
  const { tree, buffer, ask, tell } = await scene({ openEngine });
  const told = [unadapted, anythingElse, anythingElse, { ...anythingElse, plan: unadapted.plan }, { ...unadapted }];
  for (const [i, adapted] of told.entries()) {
    ask(`told-${i}`);
    await runs(buffer, i + 1);
    await settle();
    tell({ kind: "remembered", arrived: 1, experiences: i + 1, adapted });
  }
  ask("last");
  await runs(buffer, told.length + 1);
  const isSame = given.slice(1).map((parameters, i) => parameters === given[i]);
  t.deepEqual(isSame, [true, false, true, true, false]);
  await tree.stop();
});

test("which looks a request gets follows from its id: the same ones in another run, beside others", async (t) => {
  // Every input is of a domain that is not home: the source is asked about some of them.
  const away = { ...unadapted, limits: unadapted.limits.map((limit, domain) => (domain === 1 ? 1e9 : limit)) };
  const { tree, buffer, tell, desk, askers } = await scene({ adapted: away });
  const looked = (run: Run | undefined): string[] => {
    const rows = new Set(run?.embedded.looks.rows);
    return idsOf(run).filter((_, row) => rows.has(row));
  };
  const names = Array.from({ length: 60 }, (_, i) => `look-${i}`);
  const tellAll = (ids: readonly string[], around: string): void => {
    for (const id of ids)
      tell({ kind: "request", request: openAt(desk, askers, id, { input: pictures[0] ?? new Float32Array(0) }) });
    tell({ kind: "request", request: openAt(desk, askers, around, { input: pictures[1] ?? new Float32Array(0) }) });
  };
  tellAll(names, "first");
  const once = (await runs(buffer, 61)).flatMap(looked);
  for (const message of buffer.messages)
    if (message.kind === "recall")
      for (const request of message.batch.requests) desk.refuse(request, "deadline", "again");
  tellAll([...names].reverse(), "second");
  const all = (await runs(buffer, 122)).flatMap(looked);
  const again = all.slice(once.length).filter((id) => id !== "second");
  t.true(once.length > 0 && once.length < 60, `${once.length} of 60 were looked at by the source too`);
  t.deepEqual(again.sort(), once.filter((id) => id !== "first").sort());
  await tree.stop();
});

test("a head that an earlier incarnation queued does not replace the newer one that this one began with", async (t) => {
  const { tree, buffer, tell, ask } = await scene({ latest: () => ({ seq: 6, version: 6, head: headFor(6) }) });
  tell({ kind: "committed", served: { version: 5, head: headFor(5) } });
  ask("a");
  t.is((await runs(buffer, 1))[0]?.version, 6);
  await tree.stop();
});

test("a request that was closed meanwhile, by its deadline, is not run", async (t) => {
  const { tree, buffer, desk, askers, tell, ask } = await scene();
  const late = openAt(desk, askers, "late", { input: pictures[0] ?? new Float32Array(0) });
  tell({ kind: "request", request: late });
  desk.refuse(late, "deadline", "too late");
  ask("a");
  t.deepEqual((await runs(buffer, 1)).map(idsOf), [["a"]]);
  t.like(tree.summary("inference"), { rows: 1 });
  await tree.stop();
});

// Serial: it hears of every thread that is started meanwhile.
test.serial(
  "when the engine's thread dies the next incarnation has one of its own and runs what was under way",
  async (t) => {
    const threads: Worker[] = [];
    const note = (thread: Worker): number => threads.push(thread);
    process.on("worker", note);
    const { tree, events, buffer, ask } = await scene();
    process.off("worker", note);
    ask("a", "b");
    await Promise.all(threads.map((thread) => thread.terminate()));
    await events.started("inference", 2);
    await runs(buffer, 2);
    ask("c");
    const ran = (await runs(buffer, 3)).flatMap(idsOf);
    t.deepEqual(ran.sort(), ["a", "b", "c"], "each once");
    t.is(events.lines("crashed").length, 1);
    await settle();
    await tree.stop();
  },
);

test("(S2-25) the memory of a large input is free when the model has read it and the request is closed; nothing is kept for a shadow", async (t) => {
  const { tree, askers, buffer, desk, tell } = await scene();
  const buffers = new TensorBuffers(new VirtualClock());
  const bytes = pictureSize * Float32Array.BYTES_PER_ELEMENT;
  const plain = openAt(desk, askers, "plain", { input: pictures[0] ?? new Float32Array() });
  const room = await buffers.take(bytes, new AbortController().signal);
  if (room.kind !== "room") return t.fail(room.kind);
  const input = new Float32Array(room.held.bytes.buffer, 0, pictureSize);
  input.set(pictures[0] ?? []);
  const large = openAt(desk, askers, "large", { input, held: room.held });
  tell({ kind: "request", request: large });
  const [first] = await runs(buffer, 1);
  tell({ kind: "request", request: plain });
  const [, second] = await runs(buffer, 2);
  t.deepEqual(first?.embedded.logits, second?.embedded.logits, "the same picture, the same bits");
  t.is(buffers.figures.heldBytes, bytes, "not closed yet");
  desk.settle(large, new Uint8Array());
  t.is(buffers.figures.heldBytes, 0);
  tell({ kind: "request", request: large });
  await settle();
  t.is((await runs(buffer, 2)).length, 2, "closed, it is not run again");
  await tree.stop();
});

test("a run is bounded by the bytes of its inputs, too", (t) => {
  const deps = { model: digits, desk: quietDesk(), heads: noHeads, buffer: nobody, origin: "test" };
  t.is(inference(deps).batchMax, 64);
  const { manifest } = digits;
  const withShape = (...shape: number[]): Model => ({
    ...digits,
    manifest: { ...manifest, input: { ...manifest.input, shape } },
  });
  t.is(inference({ ...deps, model: withShape(1024, 1024) }).batchMax, 8);
  t.is(inference({ ...deps, model: withShape(5120, 5120) }).batchMax, 1);
});

const noHeads: HeadSource = { latest: () => Promise.reject(new Error("none")), follow: async () => undefined };
const nobody: InferenceDeps["buffer"] = { path: childPath(TOP_PATH, "nobody"), tell: () => "dead" };
