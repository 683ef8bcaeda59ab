// ONNX Runtime, in the calling thread: a run blocks it. The engine's thread, evaluations and the demo's source shadow use it.
//
// Owns: sessions and the layout of their inputs and outputs. Does not own: threads (models/serving/engine.ts), the graph's
// content (models/adoption/graph.ts).
//
// O1. One intra-op thread: equal bits for equal inputs on the CPU, and as many sessions side by side as there are cores.
// O2. Outputs are in this process's memory when they are handed on, wherever they were computed.
import { env, InferenceSession, Tensor } from "onnxruntime-node";
import {
  type AdaptableGraph,
  type AdaptableSession,
  type Parameters,
  parameterSizes,
  type Run,
} from "../adaptation/pass.js";
import { type ExecutionProvider, openOn, type RunsOn, reasonOf } from "./execution-provider.js";

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

/** The part of a session that a run needs. */
interface Ran {
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Outputs>;
  release(): Promise<void>;
}

/** Of one run, by name; `getData` fetches what lies in a GPU's memory, and lets go of it there. */
type Outputs = Readonly<Record<string, Output>>;

interface Output {
  readonly dims: readonly number[];
  readonly location: string;
  /** Throws where the values lie elsewhere. */
  readonly data: unknown;
  getData(release?: boolean): Promise<unknown>;
}

export type Opening = (bytes: Uint8Array, options: InferenceSession.SessionOptions) => Promise<Ran>;

const openHere: Opening = (bytes, given) => InferenceSession.create(bytes, given);

export interface ProvidedSession extends AdaptableSession {
  readonly runsOn: RunsOn;
}

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

/** Opens model.onnx, on the CPU where `wanted` is not available. Rejects where ONNX Runtime refuses the bytes. */
export async function openAdaptableSession(
  bytes: Uint8Array,
  graph: AdaptableGraph,
  wanted: ExecutionProvider = "cpu",
  open: Opening = openHere,
): Promise<ProvidedSession> {
  // ONNX Runtime writes to stderr what it throws too; the first session of a process decides. What is thrown is told once, by whoever asked.
  if (wanted !== "cpu") env.logLevel = "fatal";
  const { session, runsOn } = await openOn(wanted, async (provider) => {
    const session = adaptable(await open(bytes, { ...options, executionProviders: [provider] }), graph);
    // A library may load and find that the GPU is not one of its kind; the first run tells.
    if (provider !== "cpu") await session.warmUp().catch((error) => closedFor(session, error));
    return session;
  });
  return { ...session, runsOn };
}

async function closedFor(session: AdaptableSession, error: unknown): Promise<never> {
  await session.close();
  throw error;
}

/** Why CUDA is not available here, tried with a graph that the CPU opens; undefined where it is. */
export async function whyNoCuda(bytes: Uint8Array): Promise<string | undefined> {
  env.logLevel = "fatal";
  const opened = InferenceSession.create(bytes, { ...options, executionProviders: ["cuda"] });
  return opened.then(
    (session) => session.release().then(() => undefined),
    (error: unknown) => reasonOf(error),
  );
}

function adaptable(session: Ran, graph: AdaptableGraph): AdaptableSession {
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
    const values = isHere(outputs) ? outputs : await fetched(outputs);
    return {
      rows,
      logits: float32(values, "logits", rows * classes),
      embeddings: float32(values, "embedding", rows * width),
      moments: float32(values, "moments", rows * 2 * channels),
      density: float32(values, "density", rows),
      domains: new Uint8Array(float32(values, "domain", rows)),
    };
  };
  const warmUp = async (): Promise<void> => {
    const parameters = {
      signatures: new Float32Array(sizes.signatures),
      limits: new Float32Array(sizes.limits),
      table: new Float32Array(sizes.table).fill(1),
      head: new Float32Array(sizes.head),
    };
    await run(new Float32Array(shape.reduce((size, axis) => size * axis, 1)), 1, parameters);
  };
  return { run, warmUp, close: () => session.release() };
}

type Values = Readonly<Record<string, { readonly data: unknown }>>;

/** On the CPU they are: then nobody waits for them. */
function isHere(outputs: Outputs): boolean {
  for (const name in outputs) if (outputs[name]?.location !== "cpu") return false;
  return true;
}

async function fetched(outputs: Outputs): Promise<Values> {
  const fetch = async ([name, output]: [string, Output]) => [name, { data: await output.getData(true) }] as const;
  return Object.fromEntries(await Promise.all(Object.entries(outputs).map(fetch)));
}

/** An output as float32, of `length` values if given; throws where the graph gave something else. */
function float32(outputs: Values, name: string, length?: number): Float32Array {
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
