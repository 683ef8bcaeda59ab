// ONNX Runtime, in the calling thread: a run blocks it. The engine's thread, evaluations and the demo's source shadow use it.
//
// Owns: sessions and the layout of their inputs and outputs. Does not own: threads (models/engine.ts), the graph's
// content (models/graph.ts).
//
// O1. One intra-op thread: equal bits for equal inputs, and as many sessions side by side as there are cores.
import { InferenceSession, Tensor } from "onnxruntime-node";
import { sizeOf } from "./manifest.js";
import { type AdaptableGraph, type AdaptableSession, type Parameters, parameterSizes, type Run } from "./pass.js";

/** The source model: input in, logits out. */
export interface Session {
  /** input [rows, ...shape] -> logits [rows, classes]. */
  run(input: Float32Array, rows: number): Promise<Float32Array>;
  close(): Promise<void>;
}

const options: InferenceSession.SessionOptions = {
  executionProviders: ["cpu"],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: "sequential",
  graphOptimizationLevel: "all",
  logSeverityLevel: 3,
};

/** Opens source.onnx. Rejects where ONNX Runtime refuses the bytes. */
export async function openSession(bytes: Uint8Array): Promise<Session> {
  const session = await InferenceSession.create(bytes, options);
  const inputName = session.inputNames[0] ?? "input";
  const metadata = session.inputMetadata[0];
  const shape = metadata?.isTensor ? metadata.shape.slice(1).map(Number) : [];
  return {
    async run(input, rows) {
      const outputs = await session.run({ [inputName]: new Tensor("float32", input, [rows, ...shape]) }, ["logits"]);
      return float32(outputs, "logits");
    },
    close: () => session.release(),
  };
}

/** Opens model.onnx. Rejects where ONNX Runtime refuses the bytes. */
export async function openAdaptableSession(bytes: Uint8Array, graph: AdaptableGraph): Promise<AdaptableSession> {
  const session = await InferenceSession.create(bytes, options);
  const { inputName, shape, signatureSize, domains, channels, width, classes } = graph;
  const sizes = parameterSizes(graph);
  // Parameters never change and serve many runs: their tensors are made, and checked, once.
  const known = new WeakMap<object, Readonly<Record<string, Tensor>>>();
  const tensorsOf = (parameters: Omit<Parameters, "plan">): Readonly<Record<string, Tensor>> => {
    const made = known.get(parameters);
    if (made !== undefined) return made;
    const tensors = {
      signatures: new Tensor("float32", parameters.signatures, [signatureSize, domains]),
      limits: new Tensor("float32", parameters.limits, [domains]),
      table: new Tensor("float32", parameters.table, [domains + 1, 2 * channels]),
      head: new Tensor("float32", parameters.head, [sizes.head]),
    };
    known.set(parameters, tensors);
    return tensors;
  };
  const run = async (input: Float32Array, rows: number, parameters: Omit<Parameters, "plan">): Promise<Run> => {
    const outputs = await session.run({
      ...tensorsOf(parameters),
      [inputName]: new Tensor("float32", input, [rows, ...shape]),
    });
    return {
      rows,
      logits: float32(outputs, "logits", rows * classes),
      embeddings: float32(outputs, "embedding", rows * width),
      moments: float32(outputs, "moments", rows * 2 * channels),
      density: float32(outputs, "density", rows),
      domains: new Uint8Array(float32(outputs, "domain", rows)),
    };
  };
  const warmUp = async (): Promise<void> => {
    const parameters = {
      signatures: new Float32Array(sizes.signatures),
      limits: new Float32Array(sizes.limits),
      table: new Float32Array(sizes.table).fill(1),
      head: new Float32Array(sizes.head),
    };
    await run(new Float32Array(sizeOf(shape)), 1, parameters);
  };
  return { run, warmUp, close: () => session.release() };
}

/** An output as float32, of `length` values if given; throws where the graph gave something else. */
function float32(outputs: InferenceSession.ReturnType, name: string, length?: number): Float32Array {
  const data = outputs[name]?.data;
  if (!(data instanceof Float32Array)) throw new Error(`the graph gave no float32 "${name}"`);
  if (length !== undefined && data.length !== length) {
    throw new Error(`"${name}" has ${data.length} values instead of ${length}`);
  }
  return data;
}

/** Any graph with one float32 input, seen from outside. */
export interface AnySession {
  /** input [..dims]; gives the named outputs as they are, float32 ones only. */
  run(input: Float32Array, dims: readonly number[], outputs: readonly string[]): Promise<readonly AnyOutput[]>;
  close(): Promise<void>;
}

export interface AnyOutput {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Opens a stranger's graph. Rejects where ONNX Runtime refuses the bytes; what is wrong is said by the error alone, not on stderr. */
export async function openAnySession(bytes: Uint8Array): Promise<AnySession> {
  const session = await InferenceSession.create(bytes, { ...options, logSeverityLevel: 4 });
  const inputName = session.inputNames[0] ?? "input";
  return {
    async run(input, dims, names) {
      const outputs = await session.run({ [inputName]: new Tensor("float32", input, dims) }, names);
      return names.map((name) => ({ dims: outputs[name]?.dims ?? [], data: float32(outputs, name) }));
    },
    close: () => session.release(),
  };
}
