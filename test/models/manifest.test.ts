// The shipped digits model, copies of its folder with damage done to them, and inputs of every bad kind.
import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { type InputTensor, loadModel, ModelError, parseManifest, prepareInput } from "../../models/manifest.js";
import { defaults } from "../../models/settings.js";
import { digitsFolder } from "./digits-model.js";

const model = await loadModel(digitsFolder);
const { manifest } = model;

const picture = (sh: readonly number[] = [28, 28], ink = 0.5): InputTensor => ({
  dt: "<f4",
  sh,
  data: new Float32Array(784).fill(ink),
});

async function damagedCopy(damage: (folder: string) => Promise<void>): Promise<ModelError> {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-model-"));
  try {
    await cp(digitsFolder, folder, { recursive: true });
    await damage(folder);
    await loadModel(folder);
  } catch (error) {
    if (error instanceof ModelError) return error;
    throw error;
  } finally {
    await rm(folder, { recursive: true });
  }
  throw new Error("the damaged model was loaded");
}

test("the shipped model loads whole, under a megabyte, at 99 % or better", (t) => {
  t.deepEqual(manifest.labels, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  t.true(manifest.sourceAccuracy >= 0.99);
  t.is(model.calibration.channels, 176);
  t.is(model.calibration.anchorCount, 500);
  t.deepEqual(manifest.learning, defaults);
  const { files } = manifest;
  t.true(files.model.bytes + files.source.bytes + files.calibration.bytes < 1_000_000);
});

for (const file of ["model.onnx", "source.onnx", "calibration.bin"]) {
  test(`one changed byte in ${file} is found by its checksum, and the error names the file (S4-12)`, async (t) => {
    const error = await damagedCopy(async (folder) => {
      const bytes = await readFile(join(folder, file));
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(join(folder, file), bytes);
    });
    t.true(error.file.endsWith(file));
    t.regex(error.problem, /sha256/);
    t.regex(error.action, /restore/);
  });

  test(`a missing ${file} is named`, async (t) => {
    const error = await damagedCopy((folder) => rm(join(folder, file)));
    t.true(error.file.endsWith(file));
    t.regex(error.problem, /cannot be read/);
  });
}

test("appended bytes are found", async (t) => {
  const error = await damagedCopy((folder) => appendFile(join(folder, "model.onnx"), "x"));
  t.true(error.file.endsWith("model.onnx"));
});

test("a manifest that is not JSON, or says more or less than it may, is refused with the field", async (t) => {
  const text = await readFile(join(digitsFolder, "manifest.json"), "utf8");
  const changed = (change: Record<string, unknown>) => JSON.stringify({ ...JSON.parse(text), ...change });
  t.throws(() => parseManifest("{"), { instanceOf: ModelError, message: /not JSON/ });
  t.throws(() => parseManifest(changed({ labels: ["one"] })), { instanceOf: ModelError, message: /labels/ });
  const long = "x".repeat(65);
  t.throws(() => parseManifest(changed({ labels: ["a", long] })), { instanceOf: ModelError, message: /labels/ });
  t.throws(() => parseManifest(changed({ name: "x".repeat(33) })), { instanceOf: ModelError, message: /32 at most/ });
  t.throws(() => parseManifest(changed({ surprise: 1 })), { instanceOf: ModelError, message: /surprise/ });
  t.throws(() => parseManifest(changed({ learning: { gate: 2 } })), { instanceOf: ModelError, message: /gate/ });
  const outside = { file: "../secret", sha256: "0".repeat(64), bytes: 1 };
  const files = { ...manifest.files, model: outside };
  t.throws(() => parseManifest(changed({ files })), { instanceOf: ModelError, message: /without a path/ });
});

test("a manifest may override single learning settings; the others keep their defaults", async (t) => {
  const json = JSON.parse(await readFile(join(digitsFolder, "manifest.json"), "utf8"));
  const parsed = parseManifest(JSON.stringify({ ...json, learning: { gate: 0.5, stages: { head: false } } }));
  t.deepEqual(parsed.learning, { ...defaults, gate: 0.5, stages: { ...defaults.stages, head: false } });
});

test("a calibration of another model is refused although its checksum is right", async (t) => {
  const error = await damagedCopy(async (folder) => {
    const file = join(folder, "manifest.json");
    const json = JSON.parse(await readFile(file, "utf8"));
    json.layers[0].channels = 17;
    await writeFile(file, JSON.stringify(json));
  });
  t.true(error.file.endsWith("calibration.bin"));
  t.regex(error.problem, /channels is 176, the manifest says 177/);
});

test("a picture is taken as [28, 28] and as [1, 28, 28], in ink 0..1 or bytes 0..255", (t) => {
  for (const sh of [
    [28, 28],
    [1, 28, 28],
  ]) {
    t.deepEqual(prepareInput(manifest, picture(sh)), { kind: "ok", values: new Float32Array(784).fill(0.5) });
  }
  const bytes = { dt: "|u1", sh: [28, 28], data: new Uint8Array(784).fill(255) };
  t.deepEqual(prepareInput(manifest, bytes), { kind: "ok", values: new Float32Array(784).fill(1) });
});

const refusals: readonly (readonly [string, InputTensor, "input.dt" | "input.sh" | "input.d"])[] = [
  ["another type", { ...picture(), dt: "<f8" }, "input.dt"],
  ["big-endian floats", { ...picture(), dt: ">f4" }, "input.dt"],
  ["a batch of one", picture([1, 1, 28, 28]), "input.sh"],
  ["a batch of two", { dt: "<f4", sh: [2, 28, 28], data: new Float32Array(1568) }, "input.sh"],
  ["a flat picture", picture([784]), "input.sh"],
  ["colour last", picture([28, 28, 1]), "input.sh"],
  ["a scalar", { dt: "<f4", sh: [], data: new Float32Array(1) }, "input.sh"],
  ["fewer elements than its shape", { ...picture(), data: new Float32Array(783) }, "input.d"],
  ["more elements than its shape", { ...picture(), data: new Float32Array(785) }, "input.d"],
  ["NaN", picture([28, 28], Number.NaN), "input.d"],
  ["infinity", picture([28, 28], Number.POSITIVE_INFINITY), "input.d"],
  ["ink above one", picture([28, 28], 1.01), "input.d"],
  ["ink below zero", picture([28, 28], -0.01), "input.d"],
];

for (const [name, tensor, field] of refusals) {
  test(`an input with ${name} is refused at ${field}`, (t) => {
    const check = prepareInput(manifest, tensor);
    t.is(check.kind, "refused");
    if (check.kind === "refused") t.is(check.field, field);
  });
}
