// Trains a spam filter on the early mails: `node dist/models/mail/train.js [--seed 1 --epochs 12 --out DIR --corpus DIR]`.
//
// Writes mail.onnx, as an exporter would write it that folds nothing, and clean.npz: early mails that were not trained
// on. Both are what anybody has who brings a model along: `driftmend model init` takes them in.
//
// Owns: the training loop. Does not own: the mails (corpus.ts), their features (features.ts).
//
// T1. Nothing that arrived after `earlyUntilMs` is looked at.
// T2. Deterministic for a seed, on one machine.
import { mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import * as tf from "@tensorflow/tfjs";
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { shuffled } from "../chance.js";
import { type Random, seededRandom } from "../clock.js";
import { npzOf } from "../numbers/npz.js";
import { GraphWriter } from "../onnx-file.js";
import { earlyUntilMs, labels, readMails } from "./corpus.js";
import { buckets, featuresOf } from "./features.js";

/** Inputs and outputs of the linear layers that are followed by normalisation and ReLU; the last width is the embedding's. */
const layers = [
  [buckets, 64],
  [64, 32],
] as const;
const width = 32;
const classes = labels.length;
const eps = 1e-5;
const batch = 64;
/** Share of the old in the running statistics of batch normalisation. */
const keep = 0.95;
const learningRate = 2e-3;
/** Of the early mails, this share is not trained on. */
const heldOut = 0.3;

interface Layer {
  readonly kernel: tf.Variable;
  readonly gamma: tf.Variable;
  readonly beta: tf.Variable;
  readonly mean: tf.Variable;
  readonly variance: tf.Variable;
}

interface Network {
  readonly layers: readonly Layer[];
  readonly head: { readonly kernel: tf.Variable; readonly bias: tf.Variable };
}

interface Example {
  readonly features: Float32Array;
  readonly label: number;
}

const write = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      epochs: { type: "string", default: "12" },
      out: { type: "string", default: "spam-filter" },
      corpus: { type: "string" },
    },
  });
  const random = seededRandom(Number(values.seed));
  await startBackend();
  const mails = await readMails(values.corpus);
  const early = mails.filter(({ arrivedAtMs }) => arrivedAtMs < earlyUntilMs);
  const labelled = early.map(({ text, isSpam }) => ({ features: featuresOf(text), label: Number(isSpam) }));
  const examples = shuffled(labelled, random);
  const clean = examples.splice(0, Math.floor(heldOut * examples.length));
  write(
    `${mails.length} mails, ${early.length} of them early: ${examples.length} to train on, ${clean.length} held out`,
  );
  const network = newNetwork(Number(values.seed));
  train(network, examples, Number(values.epochs), random);
  await mkdir(values.out, { recursive: true });
  await writeFile(join(values.out, "mail.onnx"), exported(network));
  const x = new Float32Array(clean.length * buckets);
  clean.forEach(({ features }, row) => void x.set(features, row * buckets));
  const arrays = {
    x: { shape: [clean.length, buckets], values: x },
    y: { shape: [clean.length], values: Uint8Array.from(clean, ({ label }) => label) },
  };
  await writeFile(join(values.out, "clean.npz"), npzOf(arrays));
  write(
    `${values.out}: mail.onnx and clean.npz. Now: driftmend model init ${values.out}/mail.onnx --labels ham,spam \\`,
  );
  write(`  --data ${values.out}/clean.npz --out ${values.out}/model`);
}

async function startBackend(): Promise<void> {
  const library = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
  setThreadsCount(1);
  setWasmPaths(join(dirname(library), "wasm-out/"));
  if (!(await tf.setBackend("wasm"))) throw new Error("the WASM backend of TensorFlow.js does not start");
  await tf.ready();
}

function newNetwork(seed: number): Network {
  const he = (inputs: number, outputs: number, salt: number) =>
    tf.variable(tf.randomNormal([inputs, outputs], 0, Math.sqrt(2 / inputs), "float32", seed * 100 + salt));
  return {
    layers: layers.map(([inputs, outputs], i) => ({
      kernel: he(inputs, outputs, i),
      gamma: tf.variable(tf.ones([outputs])),
      beta: tf.variable(tf.zeros([outputs])),
      mean: tf.variable(tf.zeros([outputs]), false),
      variance: tf.variable(tf.ones([outputs]), false),
    })),
    head: { kernel: he(width, classes, 9), bias: tf.variable(tf.zeros([classes])) },
  };
}

function train(network: Network, examples: Example[], epochs: number, random: Random): void {
  const optimizer = tf.train.adam(learningRate);
  const steps = Math.floor(examples.length / batch);
  let order = examples;
  for (let epoch = 0; epoch < epochs; epoch++) {
    order = shuffled(order, random);
    let total = 0;
    for (let step = 0; step < steps; step++) {
      const chosen = order.slice(step * batch, (step + 1) * batch);
      total += tf.tidy(() => optimizer.minimize(() => lossOf(network, chosen), true)?.dataSync()[0] ?? Number.NaN);
    }
    write(`epoch ${epoch + 1} of ${epochs}: loss ${(total / steps).toFixed(4)}`);
  }
}

function lossOf(network: Network, chosen: readonly Example[]): tf.Scalar {
  const input = new Float32Array(chosen.length * buckets);
  chosen.forEach(({ features }, row) => void input.set(features, row * buckets));
  let x: tf.Tensor2D = tf.tensor2d(input, [chosen.length, buckets]);
  for (const layer of network.layers)
    x = normalised(x.matMul(layer.kernel).as2D(chosen.length, layer.gamma.size), layer);
  const logits = x.matMul(network.head.kernel).add(network.head.bias).as2D(chosen.length, classes);
  const truth = tf.oneHot(
    tf.tensor1d(
      chosen.map(({ label }) => label),
      "int32",
    ),
    classes,
  );
  return tf.losses.softmaxCrossEntropy(truth, logits).asScalar();
}

/** relu(gamma (u - mean) / sqrt(variance + eps) + beta) with the batch's statistics, which go into the running ones. */
function normalised(u: tf.Tensor2D, { gamma, beta, mean, variance }: Layer): tf.Tensor2D {
  const own = u.mean(0);
  const spread = u.square().mean(0).sub(own.square());
  mean.assign(mean.mul(keep).add(own.mul(1 - keep)));
  variance.assign(variance.mul(keep).add(spread.mul(1 - keep)));
  const [rows, channels] = u.shape;
  return u.sub(own).div(spread.add(eps).sqrt()).mul(gamma).add(beta).relu().as2D(rows, channels);
}

function exported(network: Network): Uint8Array {
  const graph = new GraphWriter(17);
  const constant = (name: string, tensor: tf.Tensor): string =>
    graph.floats(name, Float32Array.from(tensor.dataSync()), tensor.shape);
  let x = "words";
  network.layers.forEach(({ kernel, ...norm }, i) => {
    const u = graph.one("MatMul", [x, constant(`kernel${i}`, kernel)]);
    const parts = (["gamma", "beta", "mean", "variance"] as const).map((part) => constant(`${part}${i}`, norm[part]));
    x = graph.one("Relu", [graph.one("BatchNormalization", [u, ...parts], { epsilon: { float: eps } })]);
  });
  const product = graph.one("MatMul", [x, constant("headKernel", network.head.kernel)]);
  const logits = graph.one("Add", [product, constant("headBias", network.head.bias)]);
  graph.name(graph.one("Softmax", [logits], { axis: 1 }), "probabilities");
  return graph.finish("mail", { words: ["N", buckets] }, { probabilities: ["N", classes] });
}

await main();
