// Small ONNX classifiers as exporters write them, with random weights, and clean rows labelled by their own answers.
//
// Channels differ much in mean and size, so that a normalisation that went missing would be seen.

import type { CleanRows } from "../../models/adoption/inspect.js";
import { standardNormal } from "../../models/chance.js";
import { seededRandom } from "../../models/clock.js";
import { sizeOf } from "../../models/manifest.js";
import { argmax } from "../../models/numbers/softmax.js";
import { GraphWriter, type Shape } from "../../models/onnx-file.js";
import { openAnySession } from "../../models/serving/onnx-session.js";

export const classes = 3;
export const labels = ["a", "b", "c"];

export interface Building {
  readonly graph: GraphWriter;
  /** Values in -size..size, reproducible. */
  floats(name: string, dims: readonly number[], size?: number): string;
  /** BatchNormalization over `channels` of x; gammas from `low` up. */
  norm(x: string, channels: number, low?: number): string;
}

/** `build` adds nodes from "input" on and gives the name of its result. */
export function classifier(
  shape: Shape,
  build: (building: Building) => string,
  { opset = 13, output = "logits", seed = 5 } = {},
): Uint8Array {
  const graph = new GraphWriter(opset);
  const random = seededRandom(seed);
  const values = (count: number, low: number, high: number) =>
    Float32Array.from({ length: count }, () => low + (high - low) * random());
  let norms = 0;
  const building: Building = {
    graph,
    floats: (name, dims, size = 1) => graph.floats(name, values(sizeOf(dims), -size, size), dims),
    norm(x, channels, low = 0.5) {
      const parts = [
        ["gamma", low, 2],
        ["beta", -1, 1],
        ["mean", -0.5, 0.5],
        ["variance", 0.5, 3],
      ] as const;
      const constants = parts.map(([part, from, to]) =>
        graph.floats(`${part}${norms}`, values(channels, from, to), [channels]),
      );
      norms += 1;
      return graph.one("BatchNormalization", [x, ...constants], { epsilon: { float: 10 ** -(2 + norms) } });
    },
  };
  graph.name(build(building), output);
  return graph.finish("classifier", { input: shape }, { [output]: null });
}

/** Rows drawn at random, labelled by the model itself: too few of a label for a rehearsal. `batch` is what the file takes at once. */
export async function ownRows(
  bytes: Uint8Array,
  shape: readonly number[],
  count = 50,
  batch = count,
): Promise<CleanRows> {
  const random = seededRandom(9);
  const size = sizeOf(shape);
  const values = Float32Array.from({ length: count * size }, () => standardNormal(random));
  const session = await openAnySession(bytes);
  const own: number[] = [];
  for (let row = 0; row < count; row += batch) {
    const input = values.slice(row * size, (row + batch) * size);
    const [output] = await session.run(input, [batch, ...shape], ["logits"]);
    for (let i = 0; i < batch; i++) own.push(argmax(output?.data.subarray(i * classes, (i + 1) * classes) ?? input));
  }
  await session.close();
  return { shape, values, labels: Uint8Array.from(own) };
}

/** Rows close around one centre for each class, the one that the model is surest of: clean data as a trained model knows them. */
export async function clusteredRows(bytes: Uint8Array, shape: readonly number[], count = 150): Promise<CleanRows> {
  const drawn = await ownRows(bytes, shape, 400);
  const session = await openAnySession(bytes);
  const [output] = await session.run(drawn.values, [400, ...shape], ["logits"]);
  await session.close();
  const sureness = (row: number): number => {
    const [first = 0, second = 0] = [...(output?.data.subarray(row * classes, (row + 1) * classes) ?? [])].sort(
      (a, b) => b - a,
    );
    return first - second;
  };
  const centres = labels.map((_, label) => {
    const rows = [...drawn.labels.keys()].filter((row) => drawn.labels[row] === label);
    return rows.reduce((best, row) => (sureness(row) > sureness(best) ? row : best), rows[0] ?? 0);
  });
  const random = seededRandom(3);
  const size = sizeOf(shape);
  const own = Uint8Array.from({ length: count }, (_, row) => row % classes);
  const values = Float32Array.from({ length: count * size }, (_, i) => {
    const centre = centres[Math.floor(i / size) % classes] ?? 0;
    return (drawn.values[centre * size + (i % size)] ?? 0) + 0.05 * standardNormal(random);
  });
  return { shape, values, labels: own };
}

/** Convolution, normalisation, ReLU, maximum pool; linear layer, normalisation, ReLU; linear head. */
export function pictureClassifier(batch: number | "N" = "N", opset = 13, low = 0.5, seed = 228): Uint8Array {
  return classifier(
    [batch, 1, 8, 8],
    ({ graph, floats, norm }) => {
      const kernel = floats("kernel", [4, 1, 3, 3], 0.5);
      const z = graph.one("Conv", ["input", kernel, floats("bias", [4])], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
      const x = graph.one("MaxPool", [graph.one("Relu", [norm(z, 4, low)])], { kernel_shape: [2, 2], strides: [2, 2] });
      const flat = graph.one("Reshape", [x, graph.integers("flat", [batch === "N" ? -1 : batch, 64])]);
      const u = graph.one("Gemm", [flat, floats("linear", [6, 64], 0.3), floats("linearBias", [6])], { transB: 1 });
      const embedding = graph.one("Relu", [norm(u, 6)]);
      return graph.one("Gemm", [embedding, floats("head", [classes, 6]), floats("headBias", [classes], 0.1)], {
        transB: 1,
      });
    },
    { opset, seed },
  );
}

/** Linear layers without any normalisation, as MatMul and Add; `tail` is put behind the logits. */
export function plainClassifier(tail: "Softmax" | "LogSoftmax" | null = null, opset = 13, seed = 56): Uint8Array {
  return classifier(
    ["N", 5],
    ({ graph, floats }) => {
      const u = graph.one("Add", [graph.one("MatMul", ["input", floats("w1", [5, 8])]), floats("b1", [8])]);
      const product = graph.one("MatMul", [graph.one("Relu", [u]), floats("w2", [8, classes])]);
      const logits = graph.one("Add", [floats("b2", [classes]), product]);
      return tail === null ? logits : graph.one(tail, [logits], { axis: 1 });
    },
    { opset, seed },
  );
}
