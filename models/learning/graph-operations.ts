// ONNX operations in TensorFlow.js, and the gradients that its WASM backend lacks.
//
// Owns: which operations are known, and what each gives. Does not own: the order of evaluation (graph-program.ts).
//
// O1. Values of rank 4 come and go channels-last: [batch, height, width, channels]. Axes in attributes are ONNX's and are turned here.
// O2. What an attribute asks for and is not built here is refused by name.
import { GraphError, type GraphNode } from "./graph-reading.js";
import type { Tensor, Tensor4D, Tensorflow } from "./tensorflow.js";

export interface Operands {
  readonly tf: Tensorflow;
  readonly node: GraphNode;
  /** Undefined where an input is left out, or holds integers. */
  readonly inputs: readonly (Tensor | undefined)[];
  /** The constant integers (or numbers) of an input. */
  readonly integers: (input: number) => readonly number[] | undefined;
}

/** In ONNX's list of types. */
const floats = 1;

type Operation = (operands: Operands) => readonly Tensor[];

export const operations: Readonly<Record<string, Operation>> = {
  Add: elementwise((a, b) => a.add(b)),
  Sub: elementwise((a, b) => a.sub(b)),
  Mul: elementwise((a, b) => a.mul(b)),
  Div: elementwise((a, b) => a.div(b)),
  ArgMax: ({ node, inputs }) => {
    if (numeric(node, "keepdims", 1) !== 0) throw refused(node, "kept dimensions");
    const x = input({ inputs, node }, 0);
    return [x.argMax(axisOf(node, x.rank, 0))];
  },
  BatchNormalization: batchNormalization,
  Cast: ({ node, inputs }) => {
    if (numeric(node, "to", floats) !== floats) throw refused(node, "another type than float32");
    return [input({ inputs, node }, 0).toFloat()];
  },
  Concat: ({ tf, node, inputs }) => {
    const all = inputs.map((_, i) => input({ inputs, node }, i));
    return [tf.concat(all, axisOf(node, all[0]?.rank ?? 0, 1))];
  },
  Conv: convolution,
  Dropout: ({ node, inputs }) => [input({ inputs, node }, 0)],
  Flatten: flatten,
  Gather: ({ tf, node, inputs }) => {
    const [x, rows] = [input({ inputs, node }, 0), input({ inputs, node }, 1)];
    return [tf.gather(x, rows.toInt(), axisOf(node, x.rank, 0))];
  },
  Gemm: gemm,
  GlobalAveragePool: ({ node, inputs }) => [input({ inputs, node }, 0).mean([1, 2], true)],
  Identity: ({ node, inputs }) => [input({ inputs, node }, 0)],
  LpNormalization: ({ node, inputs }) => {
    if (numeric(node, "p", 2) !== 2) throw refused(node, "p other than 2");
    const x = input({ inputs, node }, 0);
    return [x.div(x.norm("euclidean", axisOf(node, x.rank, -1), true))];
  },
  MatMul: ({ tf, node, inputs }) => [tf.matMul(input({ inputs, node }, 0), input({ inputs, node }, 1))],
  MaxPool: maxPool,
  ReduceMean: reduceMean,
  Relu: ({ node, inputs }) => [input({ inputs, node }, 0).relu()],
  Reshape: reshape,
  Softmax: ({ tf, node, inputs }) => {
    const x = input({ inputs, node }, 0);
    if (axisOf(node, x.rank, -1) !== x.rank - 1) throw refused(node, "an axis other than the last");
    return [tf.softmax(x)];
  },
  Split: split,
  Sqrt: ({ node, inputs }) => [input({ inputs, node }, 0).sqrt()],
  TopK: topK,
};

function input({ inputs, node }: Pick<Operands, "inputs" | "node">, index: number): Tensor {
  const found = inputs[index];
  if (found === undefined) throw new GraphError(`${node.op} "${node.name}" lacks its input ${index}`);
  return found;
}

function numeric(node: GraphNode, name: string, otherwise: number): number {
  const value = node.attributes.get(name);
  return typeof value === "number" ? value : otherwise;
}

function list(node: GraphNode, name: string): readonly number[] | undefined {
  const value = node.attributes.get(name);
  return typeof value === "object" ? value : undefined;
}

function refused(node: GraphNode, what: string): GraphError {
  return new GraphError(`${node.op} "${node.name}" with ${what} is not known here`);
}

/** An ONNX axis as this file's values have it. */
function axis(given: number, rank: number): number {
  const positive = given < 0 ? given + rank : given;
  return rank === 4 ? ([0, 3, 1, 2][positive] ?? positive) : positive;
}

function axisOf(node: GraphNode, rank: number, otherwise: number): number {
  return axis(numeric(node, "axis", otherwise), rank);
}

function as4(value: Tensor): Tensor4D {
  const [batch = 1, height = 1, width = 1, channels = 1] = value.shape;
  return value.as4D(batch, height, width, channels);
}

/** ONNX aligns shapes at the end, with the channels before height and width. */
function elementwise(compute: (a: Tensor, b: Tensor) => Tensor): Operation {
  return ({ node, inputs }) => {
    const [a, b] = [input({ inputs, node }, 0), input({ inputs, node }, 1)];
    const rank = Math.max(a.rank, b.rank);
    return [compute(aligned(a, rank), aligned(b, rank))];
  };
}

function aligned(value: Tensor, rank: number): Tensor {
  if (rank !== 4 || value.rank === 4 || value.rank === 0) return value;
  const shape = [...new Array<number>(4 - value.rank).fill(1), ...value.shape];
  return value.reshape(shape).transpose([0, 2, 3, 1]);
}

/** With the statistics it is given (inference). Channels are the last axis of every value. */
function batchNormalization({ tf, node, inputs, integers }: Operands): readonly Tensor[] {
  const [x, scale, shift, mean, variance] = [0, 1, 2, 3, 4].map((i) => input({ inputs, node }, i));
  if (!x || !scale || !shift || !mean || !variance) throw refused(node, "fewer than five inputs");
  const epsilon = numeric(node, "epsilon", 1e-5);
  const isPlain = epsilon === 0 && integers(3)?.every((m) => m === 0) && integers(4)?.every((v) => v === 1);
  if (isPlain) return [x.mul(scale).add(shift)];
  const factor = scale.div(tf.sqrt(variance.add(epsilon)));
  return [x.mul(factor).add(shift.sub(mean.mul(factor)))];
}

function convolution({ tf, node, inputs }: Operands): readonly Tensor[] {
  const [x, kernel] = [as4(input({ inputs, node }, 0)), as4(input({ inputs, node }, 1))];
  if (numeric(node, "group", 1) !== 1) throw refused(node, "groups");
  if (list(node, "dilations")?.some((step) => step !== 1)) throw refused(node, "dilations");
  const [down = 1, right = 1] = list(node, "strides") ?? [];
  const [top = 0, left = 0, bottom = 0, end = 0] = padding(node);
  const isSame = down === 1 && right === 1 && top === bottom && left === end && sameFits(kernel.shape, top, left);
  const y = isSame
    ? sameConvolution(tf, x, kernel)
    : tf.conv2d(padded(x, [top, left, bottom, end]), kernel, [down, right], "valid");
  const bias = inputs[2];
  return [bias === undefined ? y : y.add(bias)];
}

/**
 * The gradient of the input is a convolution itself, with the turned kernel: on the WASM backend that is much quicker than
 * Conv2DBackpropInput. That of the kernel is not asked for (Conv2DBackpropFilter is missing there).
 */
function sameConvolution(tf: Tensorflow, x: Tensor4D, kernel: Tensor4D): Tensor {
  const convolve = tf.customGrad((...args) => {
    keepFor(args, [kernel]);
    const gradFunc = (dy: Tensor, [weights = kernel]: Tensor[]): Tensor => {
      const turned = as4(weights.reverse([0, 1]).transpose([0, 1, 3, 2]));
      return tf.conv2d(as4(dy), turned, 1, "same");
    };
    return { value: tf.conv2d(x, kernel, 1, "same"), gradFunc };
  });
  return convolve(x);
}

function sameFits([height, width]: readonly number[], top: number, left: number): boolean {
  return height === 2 * top + 1 && width === 2 * left + 1;
}

/** top, left, bottom, right */
function padding(node: GraphNode): readonly number[] {
  const auto = node.attributes.get("auto_pad");
  if (auto !== undefined && auto !== "NOTSET" && auto !== "VALID") throw refused(node, `auto_pad ${auto}`);
  return list(node, "pads") ?? [0, 0, 0, 0];
}

function padded(x: Tensor4D, [top = 0, left = 0, bottom = 0, end = 0]: readonly number[]): Tensor4D {
  if (top + left + bottom + end === 0) return x;
  return x.pad([
    [0, 0],
    [top, bottom],
    [left, end],
    [0, 0],
  ]);
}

function flatten({ node, inputs }: Operands): readonly Tensor[] {
  if (numeric(node, "axis", 1) !== 1) throw refused(node, "an axis other than 1");
  const x = inOrder(input({ inputs, node }, 0));
  return [x.reshape([x.shape[0] ?? 1, -1])];
}

/** Channels before height and width again: the order of the elements that a new shape must keep. */
function inOrder(value: Tensor): Tensor {
  if (value.rank !== 4) return value;
  const [, height, width] = value.shape;
  return height === 1 && width === 1 ? value : value.transpose([0, 3, 1, 2]);
}

function gemm({ tf, node, inputs }: Operands): readonly Tensor[] {
  const [a, b] = [input({ inputs, node }, 0), input({ inputs, node }, 1)];
  const alpha = numeric(node, "alpha", 1);
  const beta = numeric(node, "beta", 1);
  const product = tf.matMul(a, b, numeric(node, "transA", 0) === 1, numeric(node, "transB", 0) === 1);
  const scaled = alpha === 1 ? product : product.mul(alpha);
  const bias = inputs[2];
  if (bias === undefined) return [scaled];
  return [scaled.add(beta === 1 ? bias : bias.mul(beta))];
}

/** Windows that tile the picture, as the WASM backend has no MaxPoolGrad and only these are easy to reverse; others as the backend can. */
function maxPool({ tf, node, inputs }: Operands): readonly Tensor[] {
  const x = as4(input({ inputs, node }, 0));
  const [height = 1, width = 1] = list(node, "kernel_shape") ?? [];
  const [down = 1, right = 1] = list(node, "strides") ?? [];
  if (padding(node).some((pad) => pad !== 0)) throw refused(node, "padding");
  if (numeric(node, "ceil_mode", 0) !== 0) throw refused(node, "ceil_mode");
  if (height !== down || width !== right) return [tf.maxPool(x, [height, width], [down, right], "valid")];
  return [tilingMaxPool(tf, x, height, width)];
}

/** The gradient goes in equal parts to all elements that equal the maximum: empty ground gives many ties. */
function tilingMaxPool(tf: Tensorflow, x: Tensor4D, height: number, width: number): Tensor {
  const pool = tf.customGrad((...args) => {
    const value = tf.maxPool(x, [height, width], [height, width], "valid");
    keepFor(args, [x, value]);
    const gradFunc = (dy: Tensor, [whole = x, maxima = value]: Tensor[]): Tensor =>
      spreadBack(tf, dy, as4(whole), maxima, height, width);
    return { value, gradFunc };
  });
  return pool(x);
}

/** customGrad calls with the tensors and, behind them, a function that keeps tensors for the gradient. */
function keepFor(args: readonly unknown[], tensors: readonly Tensor[]): void {
  const save = args.at(-1);
  if (typeof save === "function") save(tensors);
}

function spreadBack(
  tf: Tensorflow,
  dy: Tensor,
  whole: Tensor4D,
  maxima: Tensor,
  height: number,
  width: number,
): Tensor {
  const [, rows = 0, columns = 0] = maxima.shape;
  const [, allRows = 0, allColumns = 0] = whole.shape;
  const [evenRows, evenColumns] = [rows * height, columns * width];
  const spread = (value: Tensor): Tensor => tf.image.resizeNearestNeighbor(as4(value), [evenRows, evenColumns]);
  const even = whole.slice([0, 0, 0, 0], [-1, evenRows, evenColumns, -1]);
  const hit = as4(even.equal(spread(maxima)).cast("float32"));
  const hits = tf.avgPool(hit, [height, width], [height, width], "valid").mul(height * width);
  return padded(as4(hit.mul(spread(dy.div(hits)))), [0, 0, allRows - evenRows, allColumns - evenColumns]);
}

function reduceMean({ node, inputs, integers }: Operands): readonly Tensor[] {
  const x = input({ inputs, node }, 0);
  const axes = list(node, "axes") ?? integers(1);
  if (axes === undefined) throw refused(node, "no axes");
  const keep = numeric(node, "keepdims", 1) === 1;
  const held = axes.map((each) => axis(each, x.rank));
  if (x.rank === 4 && !keep && held.length !== 2) throw refused(node, "a result of rank 3");
  return [x.mean(held, keep)];
}

function reshape({ node, inputs, integers }: Operands): readonly Tensor[] {
  const x = inOrder(input({ inputs, node }, 0));
  const shape = integers(1);
  if (shape === undefined) throw refused(node, "a shape that is computed");
  const made = x.reshape(shape.map((size, i) => (size === 0 ? (x.shape[i] ?? 1) : size)));
  return [made.rank === 4 ? made.transpose([0, 2, 3, 1]) : made];
}

function split({ tf, node, inputs, integers }: Operands): readonly Tensor[] {
  const x = input({ inputs, node }, 0);
  const along = axisOf(node, x.rank, 0);
  const sizes = list(node, "split") ?? integers(1);
  return tf.split(x, sizes === undefined ? node.outputs.length : [...sizes], along);
}

/** Values only: the places have no gradient, and no graph here uses them. */
function topK({ tf, node, inputs, integers }: Operands): readonly Tensor[] {
  const x = input({ inputs, node }, 0);
  const count = integers(1)?.[0];
  if (count === undefined) throw refused(node, "a count that is computed");
  if (numeric(node, "largest", 1) !== 1) throw refused(node, "the smallest");
  if (axisOf(node, x.rank, -1) !== x.rank - 1) throw refused(node, "an axis other than the last");
  return [tf.topk(x, count, numeric(node, "sorted", 1) === 1).values];
}
