// The model behind a peer's wire: every peer runs the same graph in the same way, so that only the wire differs.
//
// Owns: the queue, the batches, their count. Does not own: the wire, the model's thread (bench/bare-thread.ts).
//
//   unbatched   one run for each request, in the thread that talks
//   in thread   takes what is queued, in the thread that talks
//   batched     takes what is queued while a run is in flight; the model is in a worker thread
import { Worker } from "node:worker_threads";
import { loadModel } from "../../models/manifest.js";
import { openSession } from "../../models/serving/onnx-session.js";
import type { BareReply, BareRun } from "../bare-thread.js";

export const ways = ["unbatched", "in thread", "batched"] as const;
export type Way = (typeof ways)[number];

export interface Answer {
  readonly index: number;
  readonly confidence: number;
}

/** input [rows, 784] -> logits [rows, 10]. */
export type Run = (input: Float32Array, rows: number) => Promise<Float32Array>;

interface Queued {
  readonly picture: Float32Array;
  readonly answer: (answer: Answer) => void;
}

export const pixels = 28 * 28;
const classes = 10;
const batchMax = 64;

export class Runner {
  /** Runs of the model so far, and the rows in them. */
  readonly counted = { runs: 0, rows: 0 };
  readonly #run: Run;
  readonly #batchMax: number;
  readonly #queued: Queued[] = [];
  #running = false;

  constructor(run: Run, most: number) {
    this.#run = run;
    this.#batchMax = most;
  }

  infer(picture: Float32Array): Promise<Answer> {
    return new Promise((answer, reject) => {
      this.#queued.push({ picture, answer });
      if (this.#running) return;
      this.#running = true;
      this.#work().catch(reject);
    });
  }

  async #work(): Promise<void> {
    // What comes in this turn of the event loop belongs to the first batch.
    await undefined;
    while (this.#queued.length > 0) {
      const batch = this.#queued.splice(0, this.#batchMax);
      this.counted.runs += 1;
      this.counted.rows += batch.length;
      const logits = await this.#run(inputOf(batch), batch.length);
      for (const [row, { answer }] of batch.entries())
        answer(answerIn(logits.subarray(row * classes, (row + 1) * classes)));
    }
    this.#running = false;
  }
}

function inputOf(batch: readonly Queued[]): Float32Array {
  const [only] = batch;
  if (only !== undefined && batch.length === 1) return only.picture;
  const input = new Float32Array(batch.length * pixels);
  for (const [row, { picture }] of batch.entries()) input.set(picture, row * pixels);
  return input;
}

/** The most probable class and its softmax. */
export function answerIn(logits: Float32Array): Answer {
  let index = 0;
  for (const [at, logit] of logits.entries()) if (logit > (logits[index] ?? Number.NaN)) index = at;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - (logits[index] ?? Number.NaN));
  return { index, confidence: 1 / sum };
}

export async function openRunner(folder: string, way: Way): Promise<Runner> {
  const { sourceBytes } = await loadModel(folder);
  if (way === "batched") return new Runner(await inWorker(Uint8Array.from(sourceBytes)), batchMax);
  const session = await openSession(sourceBytes);
  await session.run(new Float32Array(pixels), 1);
  return new Runner((input, rows) => session.run(input, rows), way === "unbatched" ? 1 : batchMax);
}

async function inWorker(source: Uint8Array): Promise<Run> {
  const worker = new Worker(new URL("../bare-thread.js", import.meta.url), { workerData: source });
  const failed = new Promise<never>((_, reject) => worker.once("error", reject));
  failed.catch(() => undefined);
  const reply = (): Promise<Float32Array> =>
    Promise.race([
      failed,
      new Promise<Float32Array>((resolve) => worker.once("message", ({ logits }: BareReply) => resolve(logits))),
    ]);
  await reply();
  return (input, rows) => {
    const answered = reply();
    // A picture that stands alone lies in memory that the wire may use again.
    const own = rows === 1 ? input.slice() : input;
    const { buffer } = own;
    worker.postMessage({ input: own, rows } satisfies BareRun, buffer instanceof ArrayBuffer ? [buffer] : []);
    return answered;
  };
}

/** The bytes of a picture, little-endian floats, wherever they begin. */
export function pictureIn({ buffer, byteOffset, byteLength }: Uint8Array): Float32Array {
  if (byteLength !== 4 * pixels) throw new RangeError(`a picture has ${4 * pixels} bytes, not ${byteLength}`);
  if (byteOffset % 4 === 0) return new Float32Array(buffer, byteOffset, pixels);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

export function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
