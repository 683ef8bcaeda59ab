// The interpreter of ONNX graphs on TensorFlow.js, held to ONNX Runtime: the shipped graphs, and a small graph of the other operations.
import { fileURLToPath } from "node:url";
import test from "ava";
import onnxProto from "onnx-proto";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { graphOf as servedAs } from "../../models/adaptation/pass.js";
import { seededRandom } from "../../models/clock.js";
import { GraphProgram } from "../../models/learning/graph-program.js";
import { GraphError, readGraph } from "../../models/learning/graph-reading.js";
import { openArithmetic, type Tensor } from "../../models/learning/tensorflow.js";
import { loadModel } from "../../models/manifest.js";
import { openAdaptableSession, openSession } from "../../models/serving/onnx-session.js";
import { loadDigitPool } from "../../sim/digits.js";
import { driftingStream } from "../../sim/stream.js";

const { onnx } = onnxProto;
const model = await loadModel(fileURLToPath(new URL("../../../models/digits", import.meta.url)));
const { calibration } = model;
const arithmetic = await openArithmetic(["wasm"]);
const rows = 6;
const pictures = new Float32Array(rows * 784);
const stream = driftingStream({ pool: await loadDigitPool(), seed: 4, variant: "mixed" });
for (let row = 0; row < rows; row++) pictures.set(stream.next().value.picture, row * 784);

function farthest(a: Float32Array, b: Float32Array): number {
  return a.length === b.length ? Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? Number.NaN)))) : Number.NaN;
}

test("the serving graph gives what ONNX Runtime gives, every output within 1e-4", async (t) => {
  const session = await openAdaptableSession(model.modelBytes, servedAs(model));
  const source = sourceParameters(model);
  const { size } = calibration.signature;
  const domains = source.limits.length;
  // The first domain is home, so that some rows are of no domain and some of one; each has other numbers than the source.
  const limits = source.limits.map((limit, domain) => (domain === 0 ? 0 : limit));
  const table = source.table.map((value, i) => (1.1 + 0.1 * Math.floor(i / (2 * calibration.channels))) * value - 0.05);
  const moved = { ...source, limits, table };
  const expected = await session.run(pictures, rows, moved);
  t.is(new Set(expected.domains).size, 2);
  const found = await arithmetic.compute((tf) => {
    const program = new GraphProgram(tf, readGraph(model.modelBytes));
    const outputs = tf.tidy(() => {
      const values = program.evaluate(
        new Map<string, Tensor>([
          ["input", tf.tensor(pictures, [rows, 1, 28, 28])],
          ["signatures", tf.tensor2d(moved.signatures, [size, domains])],
          ["limits", tf.tensor1d(moved.limits)],
          ["table", tf.tensor2d(moved.table, [domains + 1, 2 * calibration.channels])],
          ["head", tf.tensor1d(moved.head)],
        ]),
      );
      return {
        logits: values("logits").dataSync<"float32">(),
        embeddings: values("embedding").dataSync<"float32">(),
        moments: values("moments").dataSync<"float32">(),
        density: values("density").dataSync<"float32">(),
        domains: values("domain").dataSync<"float32">(),
      };
    });
    program.close();
    return outputs;
  });
  t.deepEqual([...found.domains], [...expected.domains]);
  t.true(farthest(found.logits, expected.logits) < 1e-4);
  t.true(farthest(found.embeddings, expected.embeddings) < 1e-4);
  t.true(farthest(found.density, expected.density) < 1e-4);
  // Squares of up to some hundred: float32 has no more digits.
  const largest = Math.max(...expected.moments.map(Math.abs));
  t.true(farthest(found.moments, expected.moments) < 1e-6 * largest + 1e-4);
  await session.close();
});

test("the source graph gives the logits of ONNX Runtime within 1e-4, and no tensor stays behind", async (t) => {
  const session = await openSession(model.sourceBytes);
  const expected = await session.run(pictures, rows);
  await arithmetic.compute((tf) => {
    const before = tf.memory().numTensors;
    const program = new GraphProgram(tf, readGraph(model.sourceBytes));
    const logits = tf.tidy(() =>
      program
        .evaluate(new Map([["input", tf.tensor(pictures, [rows, 1, 28, 28])]]))("logits")
        .dataSync<"float32">(),
    );
    t.true(farthest(logits, expected) < 1e-4);
    program.close();
    t.is(tf.memory().numTensors, before);
  });
  await session.close();
});

interface Step {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly ints?: Readonly<Record<string, readonly number[]>>;
  readonly int?: Readonly<Record<string, number>>;
}

type Constant = { readonly dims: readonly number[]; readonly values: Float32Array | readonly number[] };

function graphOf(steps: readonly Step[], shape: readonly number[], constants: Readonly<Record<string, Constant>>) {
  const { AttributeType } = onnx.AttributeProto;
  const { DataType } = onnx.TensorProto;
  const info = (name: string, dims: readonly number[]) => ({
    name,
    type: {
      tensorType: {
        elemType: DataType.FLOAT,
        shape: { dim: [{ dimParam: "N" }, ...dims.map((dimValue) => ({ dimValue }))] },
      },
    },
  });
  return onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 13 }],
    graph: {
      name: "small",
      node: steps.map(({ op, inputs, output, ints = {}, int = {} }) => ({
        opType: op,
        name: output,
        input: [...inputs],
        output: [output],
        attribute: [
          ...Object.entries(ints).map(([name, list]) => ({ name, type: AttributeType.INTS, ints: [...list] })),
          ...Object.entries(int).map(([name, i]) => ({ name, type: AttributeType.INT, i })),
        ],
      })),
      initializer: Object.entries(constants).map(([name, { dims, values }]) =>
        values instanceof Float32Array
          ? { name, dims: [...dims], dataType: DataType.FLOAT, floatData: [...values] }
          : { name, dims: [...dims], dataType: DataType.INT64, int64Data: [...values] },
      ),
      input: [info("input", shape)],
      output: [info("logits", [4])],
    },
  }).finish();
}

test("strided and padded convolution, biases of any rank, other pools, reshapes and a turned Gemm are those of ONNX Runtime", async (t) => {
  const random = seededRandom(5);
  const noise = (length: number) => Float32Array.from({ length }, () => 2 * random() - 1);
  const bytes = graphOf(
    [
      {
        op: "Conv",
        inputs: ["input", "kernel", "bias"],
        output: "z",
        ints: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
      },
      { op: "Add", inputs: ["z", "perChannel"], output: "moved" },
      { op: "Mul", inputs: ["moved", "plane"], output: "weighed" },
      { op: "MaxPool", inputs: ["weighed"], output: "pooled", ints: { kernel_shape: [2, 2], strides: [1, 1] } },
      { op: "Reshape", inputs: ["pooled", "square"], output: "squared" },
      { op: "ReduceMean", inputs: ["squared"], output: "means", ints: { axes: [2, 3] }, int: { keepdims: 0 } },
      { op: "Gemm", inputs: ["means", "head"], output: "raw", int: { transB: 1 } },
      { op: "Softmax", inputs: ["raw"], output: "shares", int: { axis: -1 } },
      { op: "Sub", inputs: ["shares", "means"], output: "less" },
      { op: "Div", inputs: ["less", "scalar"], output: "logits" },
    ],
    [2, 8, 8],
    {
      kernel: { dims: [4, 2, 3, 3], values: noise(72) },
      bias: { dims: [4], values: noise(4) },
      perChannel: { dims: [4, 1, 1], values: noise(4) },
      plane: { dims: [1, 1, 4, 4], values: noise(16) },
      square: { dims: [4], values: [0, 4, 9, 1] },
      head: { dims: [4, 4], values: noise(16) },
      scalar: { dims: [1], values: Float32Array.of(0.5) },
    },
  );
  const input = noise(3 * 128);
  const session = await openSession(bytes);
  const expected = await session.run(input, 3);
  const found = await arithmetic.compute((tf) =>
    tf.tidy(() =>
      new GraphProgram(tf, readGraph(bytes))
        .evaluate(new Map([["input", tf.tensor(input, [3, 2, 8, 8])]]))("logits")
        .dataSync<"float32">(),
    ),
  );
  t.true(farthest(found, expected) < 1e-5);
  await session.close();
});

test("an operation that is not known is refused by name, before anything is computed", async (t) => {
  const bytes = graphOf([{ op: "Erf", inputs: ["input"], output: "logits" }], [4], {});
  await arithmetic.compute((tf) =>
    t.throws(() => new GraphProgram(tf, readGraph(bytes)), { instanceOf: GraphError, message: /Erf/ }),
  );
});
