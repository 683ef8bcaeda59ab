// The serving graph with gradients: the entropy of its answers, differentiated by scale and shift, or by gamma and beta of batch
// normalisation that uses the statistics of the batch itself.
//
// Owns: where the layers of the serving graph are, the loss. Does not own: the operations (models/learning/graph-program.ts), steps (tent.ts).
//
// G1. L = mean over rows of H(softmax(logits)), nats (Tent: Wang et al., ICLR 2021, eq. 1).
// G2. With the statistics of the batch the gradient goes through them, as in training: they follow from the same inputs.
import type { Calibration } from "../../../models/calibration.js";
import { type Bound, GraphProgram, type Values } from "../../../models/learning/graph-program.js";
import { GraphError, type ProgramGraph, readGraph } from "../../../models/learning/graph-reading.js";
import {
  type Arithmetic,
  openArithmetic,
  type Scalar,
  type Tensor,
  type Tensorflow,
} from "../../../models/learning/tensorflow.js";
import type { Model } from "../../../models/manifest.js";
import { stacked } from "./serving-graph.js";

export interface EntropyGradient {
  /** [n, classes] */
  readonly logits: Float32Array;
  /** [n, 2C] */
  readonly moments: Float32Array;
  /** Mean over rows. */
  readonly entropyNats: number;
  /** By the first and by the second of the two that were given; [C] each. */
  readonly byFirst: Float32Array;
  readonly bySecond: Float32Array;
}

/** Names in the serving graph that belong to one normalisation layer. */
interface Layer {
  /** [n, channels]; [1, channels] does as well. */
  readonly scale: string;
  readonly shift: string;
  /** [n, channels] first and second moments before it. */
  readonly first: string;
  readonly second: string;
}

type Pair = readonly [Float32Array, Float32Array];
/** `layers` are those of the graph with the places of their channels. */
type Parameters = (
  tf: Tensorflow,
  layers: readonly (Layer & Place)[],
  first: Tensor,
  second: Tensor,
) => ReadonlyMap<string, Bound>;

interface Place {
  readonly start: number;
  readonly channels: number;
}

export class GradientGraph {
  passes = 0;
  readonly #model: Model;
  readonly #arithmetic: Arithmetic;
  readonly #program: GraphProgram;
  readonly #layers: readonly (Layer & Place)[];

  private constructor(model: Model, arithmetic: Arithmetic, program: GraphProgram) {
    this.#model = model;
    this.#arithmetic = arithmetic;
    this.#program = program;
    let start = 0;
    this.#layers = layersOf(program.graph).map((layer, index) => {
      const channels = model.manifest.layers[index]?.channels ?? 0;
      start += channels;
      return { ...layer, start: start - channels, channels };
    });
  }

  /** Throws GraphError where the model's graph is not understood. */
  static async open(model: Model, arithmetic?: Arithmetic): Promise<GradientGraph> {
    const own = arithmetic ?? (await openArithmetic());
    const graph = readGraph(model.modelBytes);
    return new GradientGraph(model, own, await own.compute((tf) => new GraphProgram(tf, graph)));
  }

  /** By scale and shift, which are what they are. */
  entropyByAffine(inputs: readonly Float32Array[], scale: Float32Array, shift: Float32Array): Promise<EntropyGradient> {
    return this.#entropy(inputs, [scale, shift], affineParameters);
  }

  /** By gamma and beta, around the mean and variance of this batch. */
  entropyByNorm(inputs: readonly Float32Array[], gamma: Float32Array, beta: Float32Array): Promise<EntropyGradient> {
    return this.#entropy(inputs, [gamma, beta], this.#normalised(1));
  }

  /** Logits [n, classes] with the statistics of the batch, mixed with the source's: the batch has the weight `share` (0..1). */
  logitsByNorm(
    inputs: readonly Float32Array[],
    gamma: Float32Array,
    beta: Float32Array,
    share: number,
  ): Promise<Float32Array> {
    this.passes += inputs.length;
    return this.#arithmetic.compute((tf) =>
      tf.tidy(() => {
        const bound = this.#normalised(share)(tf, this.#layers, tf.tensor1d(gamma), tf.tensor1d(beta));
        return this.#values(tf, inputs, bound)("logits").dataSync<"float32">();
      }),
    );
  }

  close(): Promise<void> {
    return this.#arithmetic.compute(() => this.#program.close());
  }

  #entropy(inputs: readonly Float32Array[], given: Pair, parameters: Parameters): Promise<EntropyGradient> {
    this.passes += 2 * inputs.length;
    return this.#arithmetic.compute((tf) =>
      tf.tidy(() => {
        const kept: Tensor[] = [];
        const loss = (first: Tensor, second: Tensor): Tensor => {
          const values = this.#values(tf, inputs, parameters(tf, this.#layers, first, second));
          kept.push(tf.keep(values("logits")), tf.keep(values("moments")));
          return meanEntropy(tf, values("logits"));
        };
        const { value, grads } = tf.valueAndGrads((...tensors) => scalar(loss(nth(tensors, 0), nth(tensors, 1))))(
          given.map((values) => tf.tensor1d(values)),
        );
        const [logits, moments] = kept.map((tensor) => tensor.dataSync<"float32">());
        for (const tensor of kept) tensor.dispose();
        return {
          logits: logits ?? new Float32Array(),
          moments: moments ?? new Float32Array(),
          entropyNats: value.dataSync()[0] ?? Number.NaN,
          byFirst: nth(grads, 0).dataSync<"float32">(),
          bySecond: nth(grads, 1).dataSync<"float32">(),
        };
      }),
    );
  }

  #values(tf: Tensorflow, inputs: readonly Float32Array[], parameters: ReadonlyMap<string, Bound>): Values {
    const { manifest, calibration } = this.#model;
    const { name, shape } = manifest.input;
    const input = tf.tensor(stacked(inputs), [inputs.length, ...shape]);
    const head = tf.tensor1d(calibration.head);
    return this.#program.evaluate(new Map<string, Bound>([[name, input], ["head", head], ...parameters]));
  }

  /** scale = gamma / sqrt(var + eps), shift = beta - mean scale of each layer, with the statistics of what reaches it. */
  #normalised(share: number): Parameters {
    const { calibration } = this.#model;
    return (tf, layers, gamma, beta) => {
      const bound = new Map<string, Bound>();
      for (const layer of layers) {
        const statistics = (values: Values) => layerStatistics(tf, values, layer, calibration, share);
        bound.set(layer.scale, (values) => {
          const { variance } = statistics(values);
          return partOf(gamma, layer).div(tf.sqrt(variance.add(calibration.eps)));
        });
        bound.set(layer.shift, (values) => {
          const { mean } = statistics(values);
          return partOf(beta, layer).sub(mean.mul(values(layer.scale)));
        });
      }
      return bound;
    };
  }
}

function layerStatistics(
  tf: Tensorflow,
  values: Values,
  { first, second, start, channels }: Layer & Place,
  { mean, variance }: Calibration,
  share: number,
): { readonly mean: Tensor; readonly variance: Tensor } {
  const own = values(first).mean(0);
  // Rounding may take a channel that does not vary below zero.
  const spread = values(second).mean(0).sub(own.square()).relu();
  if (share === 1) return { mean: own, variance: spread };
  const mixed = (batch: Tensor, source: Float32Array): Tensor =>
    batch.mul(share).add(tf.tensor1d(source.slice(start, start + channels)).mul(1 - share));
  return { mean: mixed(own, mean), variance: mixed(spread, variance) };
}

const affineParameters: Parameters = (_tf, layers, scale, shift) =>
  new Map<string, Bound>(
    layers.flatMap((layer) => [
      [layer.scale, partOf(scale, layer)] as const,
      [layer.shift, partOf(shift, layer)] as const,
    ]),
  );

/** [1, channels] of [C] */
function partOf(values: Tensor, { start, channels }: Place): Tensor {
  return values.slice([start], [channels]).reshape([1, channels]);
}

function meanEntropy(tf: Tensorflow, logits: Tensor): Tensor {
  const logs = tf.logSoftmax(logits);
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.exp(logs), logs), 1)));
}

/**
 * The serving graph takes each row's scale and shift from "table" and splits them by layer: all scales, then all shifts. "moments" holds the
 * first moments of every layer, then the second.
 */
function layersOf(graph: ProgramGraph): readonly Layer[] {
  const parameters = parametersOf(graph);
  const moments = momentsOf(graph);
  const scales = parameters.slice(0, parameters.length / 2);
  const layers = scales.map((scale, layer) => ({
    scale,
    shift: parameters[layer + scales.length],
    first: moments[layer],
    second: moments[layer + scales.length],
  }));
  return layers.map(({ scale, shift, first, second }) => {
    if (shift === undefined || first === undefined || second === undefined)
      throw new GraphError("the serving graph has not as many moments as layers");
    return { scale, shift, first, second };
  });
}

function parametersOf({ nodes }: ProgramGraph): readonly string[] {
  const gathered = nodes.find(({ op, inputs }) => op === "Gather" && inputs[0] === "table")?.outputs[0];
  const split = nodes.find(({ op, inputs }) => op === "Split" && inputs[0] === gathered);
  if (gathered === undefined || split === undefined)
    throw new GraphError('the serving graph has no Split of what it gathers from "table"');
  return split.outputs;
}

function momentsOf({ nodes }: ProgramGraph): readonly string[] {
  const node = nodes.find(({ op, outputs }) => op === "Concat" && outputs[0] === "moments");
  if (node === undefined) throw new GraphError('the serving graph has no Concat that gives "moments"');
  return node.inputs;
}

function nth(tensors: readonly Tensor[], index: number): Tensor {
  const tensor = tensors[index];
  if (tensor === undefined) throw new Error(`TensorFlow.js gave no tensor ${index}`);
  return tensor;
}

function scalar(tensor: Tensor): Scalar {
  return tensor.asScalar();
}
