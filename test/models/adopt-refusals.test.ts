// Substrate: small ONNX files that cannot be taken in, or only as something else than they look like.
import test from "ava";
import { adopt } from "../../models/adoption/adopt.js";
import { sizeOf } from "../../models/manifest.js";
import { adopted, adoption, picture, refusal } from "./adopting.js";
import {
  circle,
  cutWeights,
  dictionaries,
  externalWeights,
  halfInput,
  listedConstants,
  twoInputs,
} from "./odd-files.js";
import { classes, classifier, ownRows, pictureClassifier, plainClassifier } from "./small-classifiers.js";

for (const batch of [1, "N"] as const)
  test.serial(
    `answers that change with the rows beside them are refused by the proof, also when few rows show it (batch ${batch})`,
    async (t) => {
      const bytes = classifier([batch, 5], ({ graph, floats }) => {
        const beyond = graph.one("Relu", [
          graph.one("Sub", ["input", graph.floats("limit", Float32Array.of(50), [1])]),
        ]);
        const x = graph.one("Add", ["input", graph.one("ReduceMax", [beyond], { axes: [0], keepdims: 1 })]);
        return graph.one("Gemm", [x, floats("w", [5, classes]), floats("b", [classes])]);
      });
      const rows = await ownRows(plainClassifier(), [5], 100);
      t.is(await refusal(bytes, rows).then((text) => text.slice(0, 7)), "adopted");
      const values = rows.values.slice();
      values[5 * 70] = 60;
      t.regex(
        await refusal(bytes, { ...rows, values }),
        /does not answer as before: values differ by up to .* nothing was written/,
      );
    },
  );

const refusals: readonly (readonly [string, () => Uint8Array, readonly number[], RegExp])[] = [
  ["bytes that are no ONNX", () => Uint8Array.of(1, 2, 3), [5], /not an ONNX model/],
  ["a text", () => Buffer.from("hello, this is no model at all\n"), [5], /not an ONNX model/],
  ["nothing", () => new Uint8Array(), [5], /not an ONNX model/],
  ["rows of another shape", () => plainClassifier(), [6], /its input "input" is \[N, 5\], x is \[rows, 6\]/],
  ["another number of outputs", () => wide(), [5], /no output of 3 values for each row.*\[rows, 4\].*--labels/],
  ["a result that is made of itself", () => circle(), [5], /no order in which they can run -> see what onnx.checker/],
  ["weights that are cut off", () => cutWeights(), [5], /ONNX Runtime cannot run it/],
  ["an opset below 9", () => plainClassifier(null, 8), [5], /opset 8.*convert_version/],
];

for (const [what, bytes, shape, message] of refusals)
  test.serial(`${what}: refused in one line that says what to do`, async (t) => {
    const rows = { shape, values: new Float32Array(20 * sizeOf(shape)), labels: new Uint8Array(20) };
    const text = await refusal(bytes(), rows);
    t.regex(text, message);
    t.notRegex(text, /\n/);
  });

function wide(): Uint8Array {
  return classifier(["N", 5], ({ graph, floats }) =>
    graph.one("Gemm", ["input", floats("w", [5, 4]), floats("b", [4])]),
  );
}

test.serial("two inputs, another input type, weights in another file: each refused with its reason", async (t) => {
  const rows = { shape: [5], values: new Float32Array(100), labels: new Uint8Array(20) };
  t.regex(await refusal(twoInputs(), rows), /takes 2 inputs: input, other -> export it with exactly one/);
  t.regex(await refusal(halfInput(), rows), /its input "input" is FLOAT16 -> export it in float32/);
  t.regex(await refusal(externalWeights(), rows), /external data.*save_as_external_data=False/);
  t.regex(await refusal(dictionaries(), rows), /logits: not a tensor.*'zipmap': False/);
});

test.serial("an old file lists its constants among the inputs: they count as constants", async (t) => {
  const bytes = listedConstants();
  const model = await adopted(bytes, await ownRows(plainClassifier(), [5]));
  t.is(model.inspected.plan.width, 8);
  t.true(model.proof.serving < 1e-5);
});

test.serial("a signal ends it between two steps", async (t) => {
  const bytes = plainClassifier();
  const stop = new AbortController();
  const said: string[] = [];
  const step = (text: string): void => {
    said.push(text);
    if (text === "calibrating") stop.abort();
  };
  t.deepEqual(await adopt(bytes, await ownRows(bytes, [5]), adoption, step, stop.signal), { kind: "interrupted" });
  t.is(said.length, 2);
});

test.serial("a file cut off anywhere is refused, never thrown about", async (t) => {
  const bytes = pictureClassifier();
  const rows = { shape: picture, values: new Float32Array(20 * 64), labels: new Uint8Array(20) };
  for (let length = 1; length < bytes.length; length += Math.ceil(bytes.length / 40))
    t.not(await refusal(bytes.slice(0, length), rows), "adopted");
});
