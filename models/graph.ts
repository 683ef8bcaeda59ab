// ONNX graphs, written from arrays: the serving graph, whose normalisation and head are inputs, and the source graph.
//
// Owns: which operations a network becomes. Does not own: training, running (models/onnx-session.ts).
//
// Serving graph: input [N, ...shape], scale [C], shift [C], head [width * classes + classes]
//             -> logits [N, classes], embedding [N, width], moments [N, 2C], density [N].
// Source graph:  input [N, ...shape] -> logits [N, classes].
//
// G1. At the source's normalisation and head both graphs give the same logits, within 1e-5.
// G2. Weights of convolutions and linear layers are constants: only then does ONNX Runtime keep its blocked layout
//     (NCHWc). So parameters act behind the pool: a z + b with a > 0 does not change which element is the maximum, and
//     a quarter of the elements is left. Moments are global average pools, which stay in that layout. Against affine
//     before the pool and ReduceMean: 0.078 instead of 0.093 ms for 1 row, 2.94 instead of 5.16 ms for 64; the source
//     graph takes 0.039 and 1.81 (one thread, AVX-512 Xeon).
// G3. Every gamma is positive (see G2); the writer refuses others.
import onnxProto from "onnx-proto";

const { onnx } = onnxProto;

/** Batch normalisation as trained; all [channels]. */
export interface NormWeights {
  readonly gamma: Float32Array;
  readonly beta: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
}

/** 3 x 3, same padding, no bias; then normalisation, ReLU and a 2 x 2 maximum. weight [channels, inputs, 3, 3]. */
export interface Convolution {
  readonly inputs: number;
  readonly channels: number;
  readonly weight: Float32Array;
  readonly norm: NormWeights;
}

/** A picture network: convolutions, one linear layer with normalisation and ReLU (the embedding), a linear head. */
export interface Network {
  readonly inputName: string;
  /** Without batch: [channels, height, width]. */
  readonly shape: readonly number[];
  readonly eps: number;
  readonly convolutions: readonly Convolution[];
  /** weight [features, width], features in the order channel, height, width. */
  readonly linear: { readonly features: number; readonly weight: Float32Array; readonly norm: NormWeights };
  readonly width: number;
  readonly classes: number;
  /** W [width, classes] row-major, then b [classes]. */
  readonly head: Float32Array;
}

const neighbours = 5;

/** The serving graph. anchors [n >= 5, width], of unit length. */
export function servingGraph(network: Network, anchors: Float32Array): Uint8Array {
  const { inputName, convolutions, linear, width, classes } = network;
  const channels = [...convolutions.map((layer) => layer.channels), width];
  const total = channels.reduce((sum, count) => sum + count, 0);
  for (const norm of [...convolutions, linear].map((layer) => layer.norm)) assertPositive(norm.gamma);
  const graph = new GraphWriter();
  const split = graph.integers("channels", channels);
  const scales = graph.add("Split", ["scale", split], {}, channels.length);
  const shifts = graph.add("Split", ["shift", split], {}, channels.length);
  const affine = (x: string, layer: number) =>
    affineRelu(graph, x, scales[layer] ?? "", shifts[layer] ?? "", channels[layer] ?? 0);
  const firsts: string[] = [];
  const seconds: string[] = [];
  let x = inputName;
  convolutions.forEach((layer, i) => {
    const z = convolution(graph, [x, kernelOf(graph, `kernel${i}`, layer.weight, layer)]);
    firsts.push(spatialMean(graph, z));
    seconds.push(spatialMean(graph, graph.one("Mul", [z, z])));
    x = affine(pooled(graph, z), i);
  });
  const weight = graph.floats("linear", linear.weight, [linear.features, width]);
  const u = graph.one("MatMul", [graph.one("Flatten", [x]), weight]);
  const embedding = affine(u, convolutions.length);
  graph.name(embedding, "embedding");
  graph.name(graph.one("Concat", [...firsts, u, ...seconds, graph.one("Mul", [u, u])], { axis: 1 }), "moments");
  const [headWeight = "", headBias = ""] = graph.add(
    "Split",
    ["head", graph.integers("headSizes", [width * classes, classes])],
    {},
    2,
  );
  const headMatrix = graph.one("Reshape", [headWeight, graph.integers("headShape", [width, classes])]);
  graph.name(graph.one("Gemm", [embedding, headMatrix, headBias]), "logits");
  graph.name(densityOf(graph, embedding, anchors, width), "density");
  return graph.finish(
    "serving",
    { [inputName]: ["N", ...network.shape], scale: [total], shift: [total], head: [width * classes + classes] },
    { logits: ["N", classes], embedding: ["N", width], moments: ["N", 2 * total], density: ["N"] },
  );
}

/** The source graph: normalisation folded into the weights, everything constant. */
export function sourceGraph(network: Network): Uint8Array {
  const { inputName, convolutions, linear, width, classes, head, eps } = network;
  const graph = new GraphWriter();
  let x = inputName;
  convolutions.forEach((layer, i) => {
    const { factor, bias } = foldedNorm(layer.norm, eps);
    const perChannel = layer.weight.length / layer.channels;
    const weight = layer.weight.map((value, j) => value * (factor[Math.floor(j / perChannel)] ?? 0));
    const kernel = kernelOf(graph, `kernel${i}`, weight, layer);
    const y = convolution(graph, [x, kernel, graph.floats(`bias${i}`, bias, [layer.channels])]);
    x = pooled(graph, graph.one("Relu", [y]));
  });
  const { factor, bias } = foldedNorm(linear.norm, eps);
  const weight = linear.weight.map((value, j) => value * (factor[j % width] ?? 0));
  const u = graph.one("Gemm", [
    graph.one("Flatten", [x]),
    graph.floats("linear", weight, [linear.features, width]),
    graph.floats("linearBias", bias, [width]),
  ]);
  const matrix = graph.floats("head", head.slice(0, width * classes), [width, classes]);
  const headBias = graph.floats("headBias", head.slice(width * classes), [classes]);
  graph.name(graph.one("Gemm", [graph.one("Relu", [u]), matrix, headBias]), "logits");
  return graph.finish("source", { [inputName]: ["N", ...network.shape] }, { logits: ["N", classes] });
}

function kernelOf(graph: GraphWriter, name: string, weight: Float32Array, layer: Convolution): string {
  return graph.floats(name, weight, [layer.channels, layer.inputs, 3, 3]);
}

function convolution(graph: GraphWriter, inputs: readonly string[]): string {
  return graph.one("Conv", inputs, { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
}

function pooled(graph: GraphWriter, x: string): string {
  return graph.one("MaxPool", [x], { kernel_shape: [2, 2], strides: [2, 2] });
}

function spatialMean(graph: GraphWriter, x: string): string {
  return graph.one("Flatten", [graph.one("GlobalAveragePool", [x])]);
}

/** relu(scale x + shift) per channel. A BatchNormalization of mean 0 and variance 1 is one kernel; Mul and Add are two. */
function affineRelu(graph: GraphWriter, x: string, scale: string, shift: string, channels: number): string {
  const zeros = graph.floats(`zeros${channels}_${scale}`, new Float32Array(channels), [channels]);
  const ones = graph.floats(`ones${channels}_${scale}`, new Float32Array(channels).fill(1), [channels]);
  return graph.one("Relu", [
    graph.one("BatchNormalization", [x, scale, shift, zeros, ones], { epsilon: { float: 0 } }),
  ]);
}

/** Mean cosine of each embedding to its nearest anchors. */
function densityOf(graph: GraphWriter, embedding: string, anchors: Float32Array, width: number): string {
  const count = anchors.length / width;
  const columns = new Float32Array(anchors.length);
  for (let i = 0; i < anchors.length; i++) columns[(i % width) * count + Math.floor(i / width)] = anchors[i] ?? 0;
  const unit = graph.one("LpNormalization", [embedding], { axis: 1, p: 2 });
  const cosines = graph.one("MatMul", [unit, graph.floats("anchors", columns, [width, count])]);
  const [nearest = ""] = graph.add(
    "TopK",
    [cosines, graph.integers("neighbours", [neighbours])],
    { axis: 1, sorted: 0 },
    2,
  );
  return graph.one("ReduceMean", [nearest], { axes: [1], keepdims: 0 });
}

function foldedNorm(norm: NormWeights, eps: number): { factor: Float32Array; bias: Float32Array } {
  const factor = norm.gamma.map((gamma, c) => gamma / Math.sqrt((norm.variance[c] ?? 0) + eps));
  const bias = norm.beta.map((beta, c) => beta - (norm.mean[c] ?? 0) * (factor[c] ?? 0));
  return { factor, bias };
}

function assertPositive(gamma: Float32Array): void {
  if (!gamma.every((value) => value > 0))
    throw new RangeError("a gamma is not positive: turn the signs of its channel");
}

type Attribute = number | { readonly float: number } | readonly number[];

interface Node {
  readonly opType: string;
  readonly name: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: onnxProto.onnx.IAttributeProto[];
}

/** Collects nodes and constants; names every result. */
class GraphWriter {
  readonly #nodes: Node[] = [];
  readonly #outputs = new Map<string, string>();
  readonly #constants: onnxProto.onnx.ITensorProto[] = [];
  #results = 0;

  /** Adds one operation and returns the names of its results. */
  add(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    results = 1,
  ): string[] {
    const output = Array.from({ length: results }, () => `${op.toLowerCase()}${this.#results++}`);
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
    this.#nodes.push({ opType: op, input: inputs, output, name: output[0] ?? op, attribute });
    return [...output];
  }

  one(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.add(op, inputs, attributes)[0] ?? "";
  }

  floats(name: string, values: Float32Array, dims: readonly number[]): string {
    this.#constants.push({
      name,
      dims: [...dims],
      dataType: onnx.TensorProto.DataType.FLOAT,
      rawData: bytesOf(values),
    });
    return name;
  }

  integers(name: string, values: readonly number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    this.#constants.push({
      name,
      dims: [values.length],
      dataType: onnx.TensorProto.DataType.INT64,
      rawData: bytesOf(data),
    });
    return name;
  }

  /** Gives a result the name of an output. */
  name(result: string, output: string): void {
    this.#outputs.set(result, output);
  }

  /** The model's bytes. "N" in a shape is the free batch dimension. */
  finish(
    name: string,
    inputs: Readonly<Record<string, readonly (number | "N")[]>>,
    outputs: Readonly<Record<string, readonly (number | "N")[]>>,
  ): Uint8Array {
    const renamed = (names: readonly string[]) => names.map((result) => this.#outputs.get(result) ?? result);
    const node = this.#nodes.map((step) => ({ ...step, input: renamed(step.input), output: renamed(step.output) }));
    return onnx.ModelProto.encode({
      irVersion: 8,
      producerName: "driftmend",
      opsetImport: [{ domain: "", version: 13 }],
      graph: {
        name,
        node,
        initializer: this.#constants,
        input: Object.entries(inputs).map(([input, shape]) => valueInfo(input, shape)),
        output: Object.entries(outputs).map(([output, shape]) => valueInfo(output, shape)),
      },
    }).finish();
  }
}

function valueInfo(name: string, shape: readonly (number | "N")[]): onnxProto.onnx.IValueInfoProto {
  const dim = shape.map((size) => (size === "N" ? { dimParam: "N" } : { dimValue: size }));
  return { name, type: { tensorType: { elemType: onnx.TensorProto.DataType.FLOAT, shape: { dim } } } };
}

function attributeOf(name: string, value: Attribute): onnxProto.onnx.IAttributeProto {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === "number") return { name, type: AttributeType.INT, i: value };
  if ("float" in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: [...value] };
}

function bytesOf(values: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
