// The digits network as ONNX graphs, written from arrays: as it was trained, and with its constants folded.
//
// Owns: which operations a network becomes. Does not own: training, the serving graph (models/adoption/rewrite.ts makes it from
// the trained one), the bytes (models/onnx-file.ts).
//
// Both graphs: input [N, ...shape] -> logits [N, classes].
//
// G1. Both give the same logits, within 1e-5. Folded is published as source.onnx, the floor everything is measured against.
import { GraphWriter } from "../onnx-file.js";

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

/** As an exporter would write it that folds nothing: BatchNormalization nodes behind convolutions and the linear layer. */
export function trainedGraph(network: Network): Uint8Array {
  return layered(network, (graph, layer, x) => {
    const { gamma, beta, mean, variance } = layer.norm;
    const constant = (part: string, values: Float32Array) =>
      graph.floats(`${part}/${layer.name}`, values, [values.length]);
    return graph.one(
      "BatchNormalization",
      [
        layer.product(layer.weight, x),
        constant("gamma", gamma),
        constant("beta", beta),
        constant("mean", mean),
        constant("variance", variance),
      ],
      { epsilon: { float: network.eps } },
    );
  });
}

/** Normalisation folded into the weights, everything constant. */
export function sourceGraph(network: Network): Uint8Array {
  return layered(network, (graph, layer, x) => {
    const { factor, bias } = foldedNorm(layer.norm, network.eps);
    const weight = layer.weight.map((value, j) => value * (factor[layer.channelOf(j)] ?? 0));
    return layer.product(weight, x, graph.floats(`bias/${layer.name}`, bias, [bias.length]));
  });
}

/** One layer up to its normalisation. */
interface Layer {
  readonly name: string;
  readonly norm: NormWeights;
  readonly weight: Float32Array;
  /** The channel that weight `index` belongs to. */
  channelOf(index: number): number;
  /** The operation itself. */
  product(weight: Float32Array, x: string, bias?: string): string;
}

/** What both graphs share; `normalise` gives a layer's values behind its normalisation. */
function layered(network: Network, normalise: (graph: GraphWriter, layer: Layer, x: string) => string): Uint8Array {
  const { inputName, convolutions, linear, width, classes, head } = network;
  const graph = new GraphWriter();
  let x = inputName;
  convolutions.forEach((layer, i) => {
    const perChannel = layer.weight.length / layer.channels;
    const name = `convolution${i + 1}`;
    const y = normalise(graph, { ...layer, name, channelOf: (j) => Math.floor(j / perChannel), product }, x);
    x = graph.one("MaxPool", [graph.one("Relu", [y])], { kernel_shape: [2, 2], strides: [2, 2] });
    function product(weight: Float32Array, input: string, bias?: string): string {
      const kernel = graph.floats(name, weight, [layer.channels, layer.inputs, 3, 3]);
      const inputs = [input, kernel, ...(bias === undefined ? [] : [bias])];
      return graph.one("Conv", inputs, { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
    }
  });
  const product = (weight: Float32Array, input: string, bias?: string): string => {
    const matrix = graph.floats("embedding", weight, [linear.features, width]);
    return bias === undefined ? graph.one("MatMul", [input, matrix]) : graph.one("Gemm", [input, matrix, bias]);
  };
  const flat = graph.one("Flatten", [x]);
  const u = normalise(graph, { ...linear, name: "embedding", channelOf: (j) => j % width, product }, flat);
  const matrix = graph.floats("head", head.slice(0, width * classes), [width, classes]);
  const headBias = graph.floats("headBias", head.slice(width * classes), [classes]);
  graph.name(graph.one("Gemm", [graph.one("Relu", [u]), matrix, headBias]), "logits");
  return graph.finish("source", { [inputName]: ["N", ...network.shape] }, { logits: ["N", classes] });
}

function foldedNorm(norm: NormWeights, eps: number): { factor: Float32Array; bias: Float32Array } {
  const factor = norm.gamma.map((gamma, c) => gamma / Math.sqrt((norm.variance[c] ?? 0) + eps));
  const bias = norm.beta.map((beta, c) => beta - (norm.mean[c] ?? 0) * (factor[c] ?? 0));
  return { factor, bias };
}
