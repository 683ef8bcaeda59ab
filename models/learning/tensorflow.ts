// TensorFlow.js: the only file that knows it.
//
// Owns: which backends there are and how each is reached, the gradient of a head as a TensorFlow.js computation, the turns of all who
// compute with it.
// Does not own: which backend is taken (learner.ts), the guards around a step (guarded-step.ts), whole graphs (graph-program.ts).
//
// T1. No network: the WASM files come from node_modules. One thread and SIMD, so that equal inputs give equal bits.
// T2. No tensor outlives a call.
import { createRequire } from "node:module";
import { dirname } from "node:path";
import type { HeadBatch, HeadGradient } from "./head-gradient.js";

export type Tensorflow = typeof import("@tensorflow/tfjs");
export type Tensor = import("@tensorflow/tfjs").Tensor;
export type Tensor4D = import("@tensorflow/tfjs").Tensor4D;
export type Scalar = import("@tensorflow/tfjs").Scalar;
type Tensor1D = import("@tensorflow/tfjs").Tensor1D;
type Tensor2D = import("@tensorflow/tfjs").Tensor2D;

/** In order of preference. */
export const backends = ["tfjs-node-gpu", "tfjs-node", "wasm", "cpu"] as const;
export type Backend = (typeof backends)[number];

export type Opened =
  | { readonly kind: "open"; readonly gradient: (head: Float32Array, batch: HeadBatch) => Promise<HeadGradient> }
  | { readonly kind: "unavailable"; readonly why: string };

const require = createRequire(import.meta.url);
/** Backends register themselves once in a process; asked again, the same one answers. */
const opened = new Map<Backend, Promise<Opened>>();

export function openBackend(backend: Backend): Promise<Opened> {
  const known = opened.get(backend);
  if (known !== undefined) return known;
  const opening = open(backend).catch((error: Error): Opened => ({ kind: "unavailable", why: firstLine(error) }));
  opened.set(backend, opening);
  return opening;
}

async function open(backend: Backend): Promise<Opened> {
  if (backend === "tfjs-node-gpu" || backend === "tfjs-node") {
    const name = `@tensorflow/${backend}`;
    try {
      require.resolve(name);
    } catch {
      return { kind: "unavailable", why: `${name} is not installed` };
    }
    require(name);
    return ready("tensorflow");
  }
  if (backend === "wasm") {
    const wasm: typeof import("@tensorflow/tfjs-backend-wasm") = require("@tensorflow/tfjs-backend-wasm");
    wasm.setThreadsCount(1);
    wasm.setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);
  }
  return ready(backend);
}

async function ready(registered: string): Promise<Opened> {
  const tf = library();
  // Production mode silences the banner that the cpu backend prints on its first use.
  tf.enableProdMode();
  const starts = await inTurn(async () => {
    const isSet = await tf.setBackend(registered);
    await tf.ready();
    return isSet;
  });
  if (!starts) return { kind: "unavailable", why: `${registered} does not start here` };
  return { kind: "open", gradient: (head, batch) => computeOn(registered, (own) => headGradient(own, head, batch)) };
}

/** The whole package, not tfjs-core: that one registers no gradients. */
function library(): Tensorflow {
  return require("@tensorflow/tfjs");
}

/** Other arithmetic than a head's, on the first backend that starts. */
export interface Arithmetic {
  readonly backend: Backend;
  /** `work` is synchronous: nobody else computes meanwhile. Tensors it makes are its own to dispose of. */
  compute<T>(work: (tf: Tensorflow) => T): Promise<T>;
}

export async function openArithmetic(candidates: readonly Backend[] = backends): Promise<Arithmetic> {
  const reasons: string[] = [];
  for (const backend of candidates) {
    const found = await openBackend(backend);
    if (found.kind === "open") return arithmeticOn(backend);
    reasons.push(`${backend}: ${found.why}`);
  }
  throw new Error(`no backend to compute with (${reasons.join("; ")})`);
}

function arithmeticOn(backend: Backend): Arithmetic {
  const registered = backend === "wasm" || backend === "cpu" ? backend : "tensorflow";
  return { backend, compute: (work) => computeOn(registered, work) };
}

function computeOn<T>(registered: string, work: (tf: Tensorflow) => T): Promise<T> {
  return inTurn(async () => {
    const tf = library();
    if (tf.getBackend() !== registered) await tf.setBackend(registered);
    return work(tf);
  });
}

let last: Promise<unknown> = Promise.resolve();

/** The backend is one for the whole process: without turns, another learner would set its own between our choice and our arithmetic. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = last.then(work);
  last = mine.catch(() => undefined);
  return mine;
}

/** L as in head-gradient.ts, differentiated by TensorFlow.js. */
function headGradient(tf: Tensorflow, head: Float32Array, batch: HeadBatch): HeadGradient {
  const { rows, width, classes, klWeight } = batch;
  return tf.tidy(() => {
    const x = tf.tensor2d(batch.embeddings, [rows, width]);
    const votes = tf.tensor2d(oneHot(batch), [rows, classes]);
    const baseLog = tf.tensor2d(batch.baseLog, [rows, classes]);
    const parts: Scalar[] = [];
    const loss = (weights: Tensor2D, bias: Tensor1D): Scalar => {
      const policyLog = tf.logSoftmax(tf.add(tf.matMul(x, weights), bias));
      const reward = tf.mean<Scalar>(tf.sum(tf.mul(tf.exp(policyLog), votes), 1));
      const kl = tf.mean<Scalar>(tf.sum(tf.mul(tf.exp(baseLog), tf.sub(baseLog, policyLog)), 1));
      const penalty = tf.mul<Scalar>(kl, klWeight);
      parts.push(tf.keep(reward), tf.keep(penalty));
      return tf.sub<Scalar>(penalty, reward);
    };
    const weights = tf.tensor2d(head.slice(0, width * classes), [width, classes]);
    const bias = tf.tensor1d(head.slice(width * classes));
    const { grads } = tf.valueAndGrads((...inputs) => loss(rank2(inputs[0]), rank1(inputs[1])))([weights, bias]);
    const gradient = new Float32Array(head.length);
    gradient.set(grads[0]?.dataSync<"float32">() ?? [], 0);
    gradient.set(grads[1]?.dataSync<"float32">() ?? [], width * classes);
    const [reward = Number.NaN, penalty = Number.NaN] = parts.map((part) => part.dataSync()[0]);
    for (const part of parts) part.dispose();
    return { gradient, reward, penalty };
  });
}

function rank2(tensor: import("@tensorflow/tfjs").Tensor | undefined): Tensor2D {
  if (tensor === undefined) throw new Error("the weights did not reach the loss");
  return tensor.as2D(tensor.shape[0] ?? 0, tensor.shape[1] ?? 0);
}

function rank1(tensor: import("@tensorflow/tfjs").Tensor | undefined): Tensor1D {
  if (tensor === undefined) throw new Error("the bias did not reach the loss");
  return tensor.as1D();
}

function oneHot({ rows, classes, votes }: HeadBatch): Float32Array {
  const hot = new Float32Array(rows * classes);
  for (const [row, vote] of votes.entries()) hot[row * classes + vote] = 1;
  return hot;
}

function firstLine(error: Error): string {
  return error.message.split("\n")[0] ?? error.name;
}
