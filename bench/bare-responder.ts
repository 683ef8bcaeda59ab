// NATS and ONNX Runtime and nothing else: the least that a process needs to answer a request, as its own process.
//
// Measures: what the full loop is held against. No validation, no memory, no log, no supervision.
//
//   unbatched   one run of the model for each request, in the thread that talks to NATS
//   batched     takes what is queued while a run is in flight; the model is in a worker thread
import { Worker } from "node:worker_threads";
import { connect, type Msg } from "@nats-io/transport-node";
import { Packr } from "msgpackr";
import { loadModel } from "../models/manifest.js";
import { openSession } from "../models/serving/onnx-session.js";
import { reportReady, watchParent } from "../supervision/process/parent-watch.js";
import type { BareReply, BareRun } from "./bare-thread.js";
import { type CountOrder, type CountReport, passwordVariable } from "./conversation.js";

const [url = "", user = "", subject = "", way = "", folder = ""] = process.argv.slice(2);
const { [passwordVariable]: pass = "" } = process.env;
const batchMax = 64;
const pixels = 28 * 28;
const classes = 10;

const packr = new Packr({ useRecords: false });
const model = await loadModel(folder);
let runs = 0;
let rows = 0;

function pictureIn(message: Msg): Float32Array {
  const { input } = packr.unpack(message.data) as { readonly input: { readonly d: Uint8Array } };
  const { buffer, byteOffset, byteLength } = input.d;
  if (byteOffset % 4 === 0) return new Float32Array(buffer, byteOffset, byteLength / 4);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

function answer(message: Msg, logits: Float32Array): void {
  let best = 0;
  for (let index = 1; index < logits.length; index += 1)
    if (logitAt(logits, index) > logitAt(logits, best)) best = index;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - logitAt(logits, best));
  message.respond(packr.pack({ v: 1, answer: { index: best, label: `${best}` }, confidence: 1 / sum }));
}

function logitAt(logits: Float32Array, index: number): number {
  return logits[index] ?? Number.NaN;
}

async function unbatched(): Promise<(message: Msg) => void> {
  const session = await openSession(model.sourceBytes);
  await session.run(new Float32Array(pixels), 1);
  return (message) => {
    runs += 1;
    rows += 1;
    session.run(pictureIn(message), 1).then((logits) => answer(message, logits), fail);
  };
}

async function batched(): Promise<(message: Msg) => void> {
  const source = Uint8Array.from(model.sourceBytes);
  const worker = new Worker(new URL("./bare-thread.js", import.meta.url), { workerData: source });
  worker.once("error", fail);
  await new Promise((resolve) => worker.once("message", resolve));
  const queued: Msg[] = [];
  let running: readonly Msg[] = [];
  worker.on("message", ({ logits }: BareReply) => {
    const answered = running;
    running = [];
    run();
    for (const [row, message] of answered.entries())
      answer(message, logits.subarray(row * classes, (row + 1) * classes));
  });
  const run = (): void => {
    if (running.length > 0 || queued.length === 0) return;
    running = queued.splice(0, batchMax);
    const input = new Float32Array(running.length * pixels);
    for (const [row, message] of running.entries()) input.set(pictureIn(message), row * pixels);
    runs += 1;
    rows += running.length;
    worker.postMessage({ input, rows: running.length } satisfies BareRun, [input.buffer]);
  };
  return (message) => {
    queued.push(message);
    run();
  };
}

function fail(error: unknown): void {
  process.stderr.write(`bare responder: ${String(error)}\n`);
  process.exit(1);
}

watchParent(() => process.exit(1));
const handle = await (way === "batched" ? batched() : unbatched());
const connection = await connect({ servers: url, name: `bench-${way}`, user, pass });
connection.subscribe(subject, { callback: (_error, message) => handle(message) });
await connection.flush();
process.on("message", ({ id }: CountOrder) =>
  process.send?.({ kind: "counted", id, runs, rows } satisfies CountReport),
);
reportReady();
