// A model whose input has 100 MiB, through a whole cluster: by shared memory, in chunks, and over the death of the node that was receiving.

import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../supervision/clock.js";
import { DriftmendClient } from "../../transport/client.js";
import type { Tensor } from "../../transport/messages/codec.js";
import { chunkBytesMax } from "../../transport/tensors/bounds.js";
import { parseSenderOrder } from "../../transport/tensors/chunk-messages.js";
import { type LargeClassifier, largeClassifier } from "../models/large-classifier.js";
import { pythonWithMsgpack, runPython } from "./python.js";
import { nodeOf, type Running, startRunning, statusOf, temporaryStore } from "./running.js";

/** Python source is not compiled: it lies beside the source of this file. */
const program = fileURLToPath(new URL("../../../test/cluster/large_client.py", import.meta.url));
const serving = ["serving-1", "serving-2"];
let store = "";
let large: LargeClassifier;
let running: Running;

test.before(async () => {
  store = await temporaryStore();
  large = await largeClassifier(join(store, "large"), 640);
  // A name of its own: shared memory of a name belongs to the user who first used it on this host.
  const cluster = `large-${randomBytes(4).toString("hex")}`;
  running = await startRunning({ cluster, serving: 2, models: [large.folder] });
});

test.after.always(async () => {
  await running?.stop();
  await rm(store, { recursive: true, force: true });
});

async function connect(t: ExecutionContext, shm: string): Promise<DriftmendClient> {
  const { context } = running;
  const at = { cluster: context.cluster, url: context.natsUrl, ...context.users.client };
  const client = await DriftmendClient.connect({ ...at, clock: systemClock, shm });
  t.teardown(() => client.close());
  return client;
}

/** A counter's sum over the serving nodes. */
async function counted(name: string): Promise<number> {
  const all = await Promise.all(serving.map(async (node) => Number((await statusOf(running, node))[name] ?? 0)));
  return all.reduce((sum, each) => sum + each, 0);
}

const deadlineMs = 60_000;

test.serial(
  "(S2-22) 100 MiB get the answer that the model gives in process, by shared memory and in chunks, through one call",
  async (t) => {
    const picture = large.picture(1);
    t.true(picture.byteLength > 100_000_000 && picture.byteLength > 8 * 1024 * 1024);
    const expected = await large.answer(picture);
    const input: Tensor = { dt: "<f4", sh: large.shape, data: picture };
    for (const [shm, way] of [
      ["/dev/shm", "segment"],
      ["off", "chunks"],
    ] as const) {
      const client = await connect(t, shm);
      const before = await counted(`tensors_by_${way}`);
      const outcome = await client.infer("large", input, { deadlineMs });
      if (outcome.kind !== "reply") return t.fail(JSON.stringify(outcome));
      t.is(outcome.reply.answer.index, expected.index);
      t.true(Math.abs(outcome.reply.confidence - expected.confidence) < 1e-4);
      t.is(await counted(`tensors_by_${way}`), before + 1, way);
    }
  },
);

test.serial("a Python program sends a large tensor in chunks, from the contract alone", async (t) => {
  const python = await pythonWithMsgpack();
  if (python === undefined) {
    t.log("not run: no python3 with msgpack here; apt install python3-msgpack, or pip install msgpack");
    t.pass();
    return;
  }
  const picture = large.picture(0);
  const ink = new Int8Array(picture.length);
  for (let i = 0; i < ink.length; i++) {
    ink[i] = Math.max(-128, Math.min(127, Math.round((picture[i] ?? 0) * 32)));
    picture[i] = (ink[i] ?? 0) / 32;
  }
  const expected = await large.answer(picture);
  const words = [running.cluster.contextFile, "large", "|i1", large.shape.join(",")];
  const said = JSON.parse(await runPython(python, program, words, new Uint8Array(ink.buffer)));
  t.like(said, { sent: ink.byteLength, confirmed: true, reply: { v: 1, answer: { index: expected.index } } });
  t.true(said.pulls > 1 && Math.abs(said.reply.confidence - expected.confidence) < 1e-4, JSON.stringify(said));
});

test.serial(
  "(S2-27) a node that is killed while 100 MiB are on their way to it costs time and nothing else: another one answers",
  async (t) => {
    const client = await connect(t, "off");
    const { bus } = client;
    const picture = large.picture(2);
    const expected = await large.answer(picture);
    const subscribe = bus.subscribe.bind(bus);
    let [killed, dying] = ["", ""];
    // The node that pulls is the one whose subject chunks go to; what it asks for until it is dead is not heard. Its successor has its name,
    // may be there before the next try, and is heard: it may well be the one that answers.
    bus.subscribe = (pattern, options, handler) =>
      subscribe(pattern, options, (message) => {
        const order = parseSenderOrder(message.data);
        const pull = order.kind === "ok" && order.value.kind === "pull" ? order.value : undefined;
        const node = pull?.to.split(".")[2] ?? "";
        if (killed === "" && (pull?.from ?? 0) >= 20 * chunkBytesMax) {
          [killed, dying] = [node, node];
          void nodeOf(running, killed).then(({ pid }) => {
            process.kill(pid, "SIGKILL");
            dying = "";
          });
        }
        return pull !== undefined && node === dying ? undefined : handler(message);
      });
    const outcome = await client.infer("large", { dt: "<f4", sh: large.shape, data: picture }, { deadlineMs });
    t.like(outcome, { kind: "reply", reply: { answer: { index: expected.index } } }, JSON.stringify(outcome));
    t.true(serving.includes(killed) && outcome.tries > 1, `${killed}, ${outcome.tries} tries`);
    if (outcome.kind === "reply") t.true(outcome.reply.node !== killed || outcome.tries > 1);
    const { client: own } = running;
    const again = await own.infer("large", { dt: "<f4", sh: large.shape, data: picture }, { deadlineMs });
    t.like(again, { kind: "reply", reply: { answer: { index: expected.index } } });
  },
);
