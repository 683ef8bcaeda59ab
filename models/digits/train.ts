// Trains the digits model from nothing, in minutes: `npm run train:digits [-- --seed 1 --epochs 3 --out models/digits]`.
// With `--data DIR` on the four idx files of another set, and with `--trained FILE` only the network is written, as an exporter would that folds
// nothing: what `driftmend model init` takes in.
//
// Owns: the training loop and its gradients where TensorFlow.js has none. Does not own: the graph and the calibration
// that are written afterwards (models/digits/publish.ts).
//
// No augmentation: the source model has to be as blind to drift as a model trained on clean data is.
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { type Network, type NormWeights, trainedGraph } from "../adoption/graph.js";
import { shuffled } from "../chance.js";
import { type Random, seededRandom } from "../clock.js";
import { type DigitSet, pictureSize, readDigits, side } from "./idx.js";
import { classes, convolutions, eps, features, inputName, width } from "./network.js";
import { publish } from "./publish.js";

const batch = 128;
/** Share of the old in the running statistics of batch normalisation. */
const keep = 0.95;
/** Nesterov momentum, learning rate up over the first fifth of the steps, then down to nearly nothing: one cycle. */
const momentum = 0.9;
const rate = { start: 0.01, peak: 0.08, end: 1e-4, warmUp: 0.2 };
const weightDecay = 1e-4;
/** Below this a channel's gamma may not fall; positive gammas let the pool come before the affine. */
const gammaMin = 0.02;

interface TrainableNorm {
  readonly gamma: tf.Variable;
  readonly beta: tf.Variable;
  readonly mean: tf.Variable;
  readonly variance: tf.Variable;
}

interface Layer {
  /** Convolution [3, 3, in, out], or linear [in, out] with its inputs in the order height, width, channel. */
  readonly kernel: tf.Variable;
  readonly norm: TrainableNorm;
}

interface Trainable {
  readonly convolutions: readonly Layer[];
  readonly linear: Layer;
  readonly head: { readonly kernel: tf.Variable; readonly bias: tf.Variable };
}

const write = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      epochs: { type: "string", default: "3" },
      out: { type: "string", default: "models/digits" },
      data: { type: "string" },
      trained: { type: "string" },
    },
  });
  const seed = Number(values.seed);
  await startBackend();
  const [training, test] = await Promise.all([readDigits("training", values.data), readDigits("test", values.data)]);
  const network = newNetwork(seed);
  train(network, training, Number(values.epochs), seededRandom(seed));
  if (values.trained !== undefined) return writeFile(values.trained, trainedGraph(exported(network)));
  const { accuracy, bytes } = await publish(exported(network), { training, test }, seed, values.out);
  write(`${values.out}: ${bytes} bytes; accuracy on the ${test.count} test digits ${(100 * accuracy).toFixed(2)} %`);
}

async function startBackend(): Promise<void> {
  const library = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
  setWasmPaths(join(dirname(library), "wasm-out/"));
  if (!(await tf.setBackend("wasm"))) throw new Error("the WASM backend of TensorFlow.js does not start");
  await tf.ready();
}

function newNetwork(seed: number): Trainable {
  const he = (shape: number[], fanIn: number, salt: number) =>
    tf.variable(tf.randomNormal(shape, 0, Math.sqrt(2 / fanIn), "float32", seed * 100 + salt));
  return {
    convolutions: convolutions.map(([inputs, channels], i) => ({
      kernel: he([3, 3, inputs, channels], 9 * inputs, i),
      norm: newNorm(channels),
    })),
    linear: { kernel: he([features, width], features, 10), norm: newNorm(width) },
    head: { kernel: he([width, classes], width, 11), bias: tf.variable(tf.zeros([classes])) },
  };
}

function newNorm(channels: number): TrainableNorm {
  return {
    gamma: tf.variable(tf.ones([channels])),
    beta: tf.variable(tf.zeros([channels])),
    mean: tf.variable(tf.zeros([channels]), false),
    variance: tf.variable(tf.ones([channels]), false),
  };
}

function train(network: Trainable, digits: DigitSet, epochs: number, random: Random): void {
  const steps = Math.floor(digits.count / batch);
  const optimizer = tf.train.momentum(rate.start, momentum, true);
  const kernels = [...network.convolutions, network.linear, network.head].map(({ kernel }) => kernel);
  const gammas = [...network.convolutions, network.linear].map(({ norm }) => norm.gamma);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = Uint32Array.from(shuffled([...Array(digits.count).keys()], random));
    let total = 0;
    for (let step = 0; step < steps; step++) {
      optimizer.setLearningRate(rateAt((epoch * steps + step) / (epochs * steps)));
      const chosen = order.subarray(step * batch, (step + 1) * batch);
      total += tf.tidy(() => {
        const cost = optimizer.minimize(() => lossOf(network, digits, chosen, kernels), true);
        return cost?.dataSync()[0] ?? Number.NaN;
      });
      for (const gamma of gammas) tf.tidy(() => gamma.assign(tf.maximum(gamma, gammaMin)));
      if ((step + 1) % 100 === 0)
        write(`epoch ${epoch + 1}, step ${step + 1} of ${steps}: loss ${(total / (step + 1)).toFixed(4)}`);
    }
  }
}

function lossOf(network: Trainable, digits: DigitSet, chosen: Uint32Array, kernels: readonly tf.Variable[]): tf.Scalar {
  const { pictures, labels } = batchOf(digits, chosen);
  const fit = tf.losses.softmaxCrossEntropy(tf.oneHot(labels, classes), logitsOf(network, pictures));
  const size = tf.addN(kernels.map((kernel) => kernel.square().sum()));
  return fit.add(size.mul(weightDecay / 2)).asScalar();
}

function rateAt(progress: number): number {
  const { start, peak, end, warmUp } = rate;
  if (progress < warmUp) return start + ((peak - start) * progress) / warmUp;
  const rest = (progress - warmUp) / (1 - warmUp);
  return end + (peak - end) * 0.5 * (1 + Math.cos(Math.PI * rest));
}

/** pictures [n, 28, 28, 1] -> logits [n, 10]. */
function logitsOf(network: Trainable, pictures: tf.Tensor4D): tf.Tensor2D {
  let x: tf.Tensor = pictures;
  for (const { kernel, norm } of network.convolutions) {
    const z = convolve(x, kernel);
    // max(relu(a z + b)) = relu(a max(z) + b) for a > 0: a quarter of the elements to normalise.
    x = normalise(z, pool(z), norm);
  }
  const u = x.reshape([-1, features]).matMul(network.linear.kernel);
  const embedding = normalise(u, u, network.linear.norm);
  return embedding.matMul(network.head.kernel).add(network.head.bias).as2D(-1, classes);
}

/** Normalises `values` with the statistics of `z` [.., channels], which go into the running ones; then ReLU. */
function normalise(z: tf.Tensor, values: tf.Tensor, norm: TrainableNorm): tf.Tensor {
  const rows = z.reshape([-1, norm.gamma.size]);
  const count = rows.shape[0] ?? 0;
  // Means as a product with a constant: several times faster here than tf.moments.
  const average = tf.fill([1, count], 1 / count);
  const mean = average.matMul(rows).reshape([-1]);
  const variance = average.matMul(rows.square()).reshape([-1]).sub(mean.square());
  norm.mean.assign(norm.mean.mul(keep).add(mean.mul(1 - keep)));
  norm.variance.assign(norm.variance.mul(keep).add(variance.mul(1 - keep)));
  const scale = norm.gamma.div(variance.add(eps).sqrt());
  return values
    .mul(scale)
    .add(norm.beta.sub(mean.mul(scale)))
    .relu();
}

/**
 * 3 x 3 convolution, same padding, x [n, h, w, in], kernel [3, 3, in, out]. The WASM backend has no
 * Conv2DBackpropFilter, so both gradients are convolutions themselves: that of the input with the turned kernel, that
 * of the kernel with the batch in the place of the channels: dK[i, j, a, b] = sum x[n, y + i, x + j, a] dy[n, y, x, b].
 */
const convolve = tf.customGrad((...args) => {
  const [x, kernel] = args.filter(isTensor);
  if (x === undefined || kernel === undefined) throw new Error("convolve takes x and kernel");
  keepFor(args, [x, kernel]);
  const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
    const [input, weights] = saved;
    if (input === undefined || weights === undefined) throw new Error("convolve saved nothing");
    const turned = weights.reverse([0, 1]).transpose([0, 1, 3, 2]);
    const padded = input
      .pad([
        [0, 0],
        [1, 1],
        [1, 1],
        [0, 0],
      ])
      .transpose([3, 1, 2, 0]);
    const kernelGradient = tf.conv2d(as4(padded), as4(dy.transpose([1, 2, 0, 3])), 1, "valid");
    return [tf.conv2d(as4(dy), as4(turned), 1, "same"), kernelGradient.transpose([1, 2, 0, 3])];
  };
  return { value: tf.conv2d(as4(x), as4(kernel), 1, "same"), gradFunc };
});

/**
 * 2 x 2 maximum, stride 2, an odd last row and column left out. The WASM backend has no MaxPoolGrad: the gradient goes
 * in equal parts to all elements that equal the maximum (empty ground gives many ties).
 */
const pool = tf.customGrad((...args) => {
  const [z] = args.filter(isTensor);
  if (z === undefined) throw new Error("pool takes z");
  const value = tf.maxPool(as4(z), 2, 2, "valid");
  keepFor(args, [z, value]);
  const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
    const [input, maxima] = saved;
    if (input === undefined || maxima === undefined) throw new Error("pool saved nothing");
    const [, height = 0, width_ = 0] = maxima.shape;
    const spread = (x: tf.Tensor) => tf.image.resizeNearestNeighbor(as4(x), [2 * height, 2 * width_]);
    const even = input.slice([0, 0, 0, 0], [-1, 2 * height, 2 * width_, -1]);
    const hit = even.equal(spread(maxima)).cast("float32");
    const share = dy.div(tf.avgPool(as4(hit), 2, 2, "valid").mul(4));
    const gradient = hit.mul(spread(share));
    const [, h = 0, w = 0] = input.shape;
    return gradient.pad([
      [0, 0],
      [0, h - 2 * height],
      [0, w - 2 * width_],
      [0, 0],
    ]);
  };
  return { value, gradFunc };
});

/** customGrad calls with the tensors and, behind them, a function that keeps tensors for the gradient. */
function keepFor(args: Parameters<Parameters<typeof tf.customGrad>[0]>, tensors: tf.Tensor[]): void {
  const save = args.at(-1);
  if (typeof save === "function") save(tensors);
}

function isTensor(value: unknown): value is tf.Tensor {
  return value instanceof tf.Tensor;
}

function as4(x: tf.Tensor): tf.Tensor4D {
  const [a = 1, b = 1, c = 1, d = 1] = x.shape;
  return x.as4D(a, b, c, d);
}

function batchOf(digits: DigitSet, chosen: Uint32Array): { pictures: tf.Tensor4D; labels: tf.Tensor1D } {
  const pixels = new Float32Array(chosen.length * pictureSize);
  const labels = new Int32Array(chosen.length);
  chosen.forEach((digit, row) => {
    for (let i = 0; i < pictureSize; i++) {
      pixels[row * pictureSize + i] = (digits.pixels[digit * pictureSize + i] ?? 0) / 255;
    }
    labels[row] = digits.labels[digit] ?? 0;
  });
  return { pictures: tf.tensor4d(pixels, [chosen.length, side, side, 1]), labels: tf.tensor1d(labels, "int32") };
}

/** The weights as plain arrays in the layout of ONNX. */
function exported(network: Trainable): Network {
  const floats = (tensor: tf.Tensor): Float32Array => Float32Array.from(tensor.dataSync());
  const norm = ({ gamma, beta, mean, variance }: TrainableNorm): NormWeights => ({
    gamma: floats(gamma),
    beta: floats(beta),
    mean: floats(mean),
    variance: floats(variance),
  });
  const { linear, head } = network;
  return {
    inputName,
    shape: [1, side, side],
    eps,
    width,
    classes,
    convolutions: network.convolutions.map((layer, i) => ({
      inputs: convolutions[i]?.[0] ?? 0,
      channels: layer.norm.gamma.size,
      weight: floats(layer.kernel.transpose([3, 2, 0, 1])),
      norm: norm(layer.norm),
    })),
    linear: {
      features,
      // From height, width, channel to channel, height, width.
      weight: floats(linear.kernel.reshape([3, 3, 64, width]).transpose([2, 0, 1, 3]).reshape([features, width])),
      norm: norm(linear.norm),
    },
    head: Float32Array.from([...floats(head.kernel), ...floats(head.bias)]),
  };
}

await main();
