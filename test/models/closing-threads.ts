// A process that starts threads and closes them while they are in native code, over and over. Told on the command line: memory, engine
// or deaf, and how often. It says `closed N` at the end; a mistake aborts it.
import { Worker } from "node:worker_threads";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { seededRandom } from "../../models/clock.js";
import { loadModel } from "../../models/manifest.js";
import { startMemory } from "../../models/memory/memory.js";
import { startEngine } from "../../models/serving/engine.js";
import { ended, exitOf } from "../../models/threads/thread-end.js";
import { systemClock } from "../../supervision/clock.js";
import { digitsFolder } from "./digits-model.js";

const random = seededRandom(1);

/** Closed as soon as an answer shows that the thread is awake, with seconds of inserts before it. */
async function closeMemory(): Promise<void> {
  const [width, rows] = [64, 500];
  const memory = await startMemory({ width, capacity: 5_000 }, systemClock);
  const embeddings = Float32Array.from({ length: rows * width }, random);
  for (let seq = 1; seq <= 10; seq++) {
    memory.add({
      seq,
      atMs: 0,
      rows,
      indexes: Uint16Array.from({ length: rows }, (_, row) => row),
      embeddings: embeddings.slice(),
      answers: new Uint16Array(rows),
      confidences: new Float32Array(rows),
      priorities: new Float32Array(rows),
    });
  }
  for (let search = random() * 6; search > 0; search--) await memory.search(embeddings.slice(0, width), 1, 5);
  await memory.close();
}

const model = await loadModel(digitsFolder);
const parameters = sourceParameters(model);

async function closeEngine(): Promise<void> {
  const engine = await startEngine(model, systemClock);
  const runs = Array.from({ length: 12 }, () =>
    engine.run(new Float32Array(4 * 784), 4, parameters, new Uint32Array(4)),
  );
  const settled = Promise.allSettled(runs);
  await runs[Math.floor(random() * 4)];
  await engine.close();
  await settled;
}

async function closeDeaf(): Promise<void> {
  const worker = new Worker("require('node:worker_threads').parentPort.postMessage('up'); for (;;);", { eval: true });
  const exited = exitOf(worker);
  await new Promise((resolve) => worker.once("message", resolve));
  const startedMs = systemClock.monotonicMs();
  await ended(worker, exited, systemClock);
  if (systemClock.monotonicMs() - startedMs < 1_000) throw new Error("it was not given time");
}

const closers = new Map([
  ["memory", closeMemory],
  ["engine", closeEngine],
  ["deaf", closeDeaf],
]);
const [, , subject = "", times = "1"] = process.argv;
const close = closers.get(subject);
if (close === undefined) throw new Error(`${subject} cannot be closed`);
for (let i = 0; i < Number(times); i++) await close();
process.stdout.write(`closed ${times}\n`);
