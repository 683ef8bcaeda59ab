// What of a stranger's classifier can adapt: its normalisation layers and its head, found in the graph.
//
// Owns: the patterns that are known. Does not own: shapes, which only a run shows (models/adoption/adopt.ts), the rewriting
// (models/adoption/rewrite.ts).
//
// S1. Pure. What is not certain from the graph alone is left to the run that follows, and to the proof of equality.
import {
  type FloatTensor,
  floatAttribute,
  floatsOf,
  integerAttribute,
  integersOf,
  namesRead,
  type OnnxGraph,
  type OnnxNode,
  withIntegers,
} from "../onnx-file.js";

/** What the output makes of the logits, and is left off. */
export type Tail = "none" | "softmax" | "log-softmax";

/** logits = embedding W + b. */
export interface Head {
  readonly embedding: string;
  readonly width: number;
  /** [width * classes + classes]: W row-major [width, classes], then b. */
  readonly weights: Float32Array;
}

/** One output that may be the classifier's. */
export interface End {
  readonly output: string;
  readonly logits: string;
  readonly tail: Tail;
  readonly head: Head | null;
}

/** A BatchNormalization: y = gamma (x - mean) / sqrt(variance + eps) + beta per channel. */
export interface Norm {
  readonly name: string;
  readonly x: string;
  readonly y: string;
  readonly gamma: Float32Array;
  readonly beta: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
  readonly eps: number;
  /** What follows and may change places with the affine: see models/adoption/adaptable-layer.ts, Y1. */
  readonly pool: Pooled | null;
}

export interface Pooled {
  readonly node: OnnxNode;
  readonly hasRelu: boolean;
  /** The last result of normalisation, ReLU and pool. */
  readonly y: string;
  /** First results of the nodes that the layer stands for beside the normalisation. */
  readonly replaces: readonly string[];
}

export function endsOf(graph: OnnxGraph, classes: number): readonly End[] {
  const makers = makersOf(graph);
  return graph.outputs
    .filter(({ isFloat32 }) => isFloat32)
    .map(({ name }) => {
      const { logits, tail } = withoutTail(name, makers);
      const head = headOf(logits, makers, graph);
      const fits = head !== null && head.weights.length === (head.width + 1) * classes;
      return { output: name, logits, tail, head: fits ? head : null };
    });
}

/** The normalisation layers that `tensor` depends on, from the input on. */
export function normsBefore(graph: OnnxGraph, tensor: string): readonly Norm[] {
  const needed = needOf(graph, [tensor]);
  const norms: Norm[] = [];
  for (const node of needed) {
    const [x = "", ...rest] = node.input;
    const [y = ""] = node.output;
    const trained = (integerAttribute(node, "training_mode") ?? 0) !== 0;
    if (node.opType !== "BatchNormalization" || node.domain !== "" || trained) continue;
    const [gamma, beta, mean, variance] = rest.map((name) => constantOf(name, graph)?.values);
    if (!gamma || !beta || !mean || !variance) continue;
    const eps = floatAttribute(node, "epsilon") ?? 1e-5;
    const pool = gamma.every((value) => value > 0) ? poolAfter(y, needed, tensor) : null;
    norms.push({ name: node.name || y, x, y, gamma, beta, mean, variance, eps, pool });
  }
  return norms;
}

/** The nodes that `tensors` depend on, in the order of the graph. */
export function needOf(graph: OnnxGraph, tensors: readonly string[]): readonly OnnxNode[] {
  const wanted = new Set(tensors);
  const needed: OnnxNode[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.output.some((name) => wanted.has(name))) continue;
    needed.unshift(node);
    for (const name of namesRead(node)) wanted.add(name);
  }
  return needed;
}

/**
 * The graph with its batch dimension free: reshapes that spell the fixed size copy that dimension instead. Whether it
 * then runs with more rows is for a run to show.
 */
export function withFreeBatch(graph: OnnxGraph): OnnxGraph {
  const size = graph.inputs[0]?.dims?.[0];
  if (typeof size !== "number") return graph;
  const constants = new Map(graph.constants);
  const nodes = graph.nodes.map((node) => {
    const name = node.opType === "Reshape" ? node.input[1] : undefined;
    const tensor = name === undefined ? undefined : graph.constants.get(name);
    const shape = tensor === undefined ? undefined : integersOf(tensor);
    if (name === undefined || shape?.[0] !== size || integerAttribute(node, "allowzero")) return node;
    const free = `${name}/free`;
    constants.set(free, withIntegers(free, [0, ...shape.slice(1)]));
    return { ...node, input: [node.input[0] ?? "", free] };
  });
  const inputs = graph.inputs.map((value) => ({ ...value, dims: ["N", ...(value.dims ?? []).slice(1)] }));
  return { ...graph, nodes, constants, inputs };
}

type Makers = ReadonlyMap<string, OnnxNode>;

function makersOf(graph: OnnxGraph): Makers {
  return new Map(graph.nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
}

/** These hand a classifier's values on as they are. */
const passing = ["Identity", "Dropout"];

function withoutTail(output: string, makers: Makers): { logits: string; tail: Tail } {
  let logits = output;
  let tail: Tail = "none";
  for (let node = makers.get(logits); node !== undefined; node = makers.get(logits)) {
    if (tail === "none" && node.opType === "Softmax") tail = "softmax";
    else if (tail === "none" && node.opType === "LogSoftmax") tail = "log-softmax";
    else if (!passing.includes(node.opType) || node.output[0] !== logits) break;
    logits = node.input[0] ?? "";
  }
  return { logits, tail };
}

/** Gemm, MatMul, or MatMul and Add, with constant weights. */
function headOf(logits: string, makers: Makers, graph: OnnxGraph): Head | null {
  const node = makers.get(logits);
  if (node?.opType === "Gemm") return gemmHead(node, graph);
  if (node?.opType === "MatMul") return matMulHead(node, undefined, graph);
  if (node?.opType !== "Add") return null;
  for (const [product = "", bias = ""] of [node.input, node.input.toReversed()]) {
    const maker = makers.get(product);
    const addend = constantOf(bias, graph);
    if (maker?.opType === "MatMul" && addend !== undefined) return matMulHead(maker, addend, graph);
  }
  return null;
}

function matMulHead(node: OnnxNode, bias: FloatTensor | undefined, graph: OnnxGraph): Head | null {
  const weight = constantOf(node.input[1] ?? "", graph);
  return weight === undefined ? null : headFrom(node.input[0] ?? "", weight, bias, 1, 1);
}

function gemmHead(node: OnnxNode, graph: OnnxGraph): Head | null {
  const stored = constantOf(node.input[1] ?? "", graph);
  const hasBias = (node.input[2] ?? "") !== "";
  const bias = hasBias ? constantOf(node.input[2] ?? "", graph) : undefined;
  if (stored?.dims.length !== 2 || (hasBias && bias === undefined) || integerAttribute(node, "transA")) return null;
  const weight = integerAttribute(node, "transB") ? transposed(stored) : stored;
  const [alpha, beta] = [floatAttribute(node, "alpha") ?? 1, floatAttribute(node, "beta") ?? 1];
  return headFrom(node.input[0] ?? "", weight, bias, alpha, beta);
}

function headFrom(
  embedding: string,
  weight: FloatTensor,
  bias: FloatTensor | undefined,
  alpha: number,
  beta: number,
): Head | null {
  const [width = 0, classes = 0] = weight.dims;
  const addends = bias?.values ?? new Float32Array(1);
  // A row of addends, or one for all classes; anything else differs from row to row.
  if (weight.dims.length !== 2 || (addends.length !== classes && addends.length !== 1)) return null;
  const weights = new Float32Array(width * classes + classes);
  for (let i = 0; i < width * classes; i++) weights[i] = alpha * (weight.values[i] ?? 0);
  for (let k = 0; k < classes; k++) weights[width * classes + k] = beta * (addends[addends.length === 1 ? 0 : k] ?? 0);
  return { embedding, width, weights };
}

/** The value of a constant, through Identity and the transpose that some exporters leave between a weight and its use. */
function constantOf(name: string, graph: OnnxGraph): FloatTensor | undefined {
  const tensor = graph.constants.get(name);
  if (tensor !== undefined) return floatsOf(tensor);
  const maker = graph.nodes.find(({ output }) => output[0] === name);
  if (maker?.opType === "Identity") return constantOf(maker.input[0] ?? "", graph);
  if (maker?.opType !== "Transpose") return undefined;
  const value = constantOf(maker.input[0] ?? "", graph);
  return value?.dims.length === 2 ? transposed(value) : undefined;
}

function transposed({ dims, values }: FloatTensor): FloatTensor {
  const [rows = 0, columns = 0] = dims;
  const turned = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) turned[(i % columns) * rows + Math.floor(i / columns)] = values[i] ?? 0;
  return { dims: [columns, rows], values: turned };
}

/** ReLU and maximum pool behind `y`, in either order, when nothing else reads what lies between. */
function poolAfter(y: string, nodes: readonly OnnxNode[], target: string): Pooled | null {
  const onlyReader = (name: string): OnnxNode | undefined => {
    const readers = nodes.filter((node) => namesRead(node).includes(name));
    return readers.length === 1 && name !== target ? readers[0] : undefined;
  };
  const next = onlyReader(y);
  const afterNext = onlyReader(next?.output[0] ?? "");
  if (next === undefined || next.output.length > 1) return null;
  if (next.opType === "MaxPool" && afterNext?.opType === "Relu") return pooledBy(next, [next, afterNext], true);
  if (next.opType === "MaxPool") return pooledBy(next, [next], false);
  if (next.opType !== "Relu" || afterNext?.opType !== "MaxPool" || afterNext.output.length > 1) return null;
  return pooledBy(afterNext, [next, afterNext], true);
}

function pooledBy(node: OnnxNode, replaced: readonly OnnxNode[], hasRelu: boolean): Pooled {
  const replaces = replaced.map(({ output }) => output[0] ?? "");
  return { node, hasRelu, y: replaces.at(-1) ?? "", replaces };
}
