// Substrate: the published digits model. Its trained network is put together again from its own files, written as an
// exporter would write it, and rewritten by the same code that takes in other people's models.
import test from "ava";
import { embedWith, sourceParameters } from "../../models/calibrate.js";
import type { Calibration } from "../../models/calibration.js";
import { adaptableDigits } from "../../models/digits/calibrate.js";
import { readDigits } from "../../models/digits/idx.js";
import { type Network, sourceGraph, trainedGraph } from "../../models/graph.js";
import { inspect } from "../../models/inspect.js";
import { loadModel } from "../../models/manifest.js";
import { sourceNormalisation } from "../../models/moments.js";
import { floatsOf, readOnnx } from "../../models/onnx-file.js";
import { openAdaptableSession, openSession } from "../../models/onnx-session.js";
import { servingGraph } from "../../models/rewrite.js";
import { digitsFolder, firstDigits } from "./digits-model.js";

const model = await loadModel(digitsFolder);
const { calibration, manifest } = model;
const { channels, width, classes } = calibration;
const network = networkOf();
const rows = 64;
const { input, labels } = await firstDigits(rows);
const inspected = await inspect(
  trainedGraph(network),
  { shape: network.shape, values: input, labels: Uint8Array.from(labels) },
  classes,
);

/** The weights stand in the published graph as constants, the statistics in its calibration. */
function networkOf(): Network {
  const read = readOnnx(model.modelBytes);
  if (read.kind === "refused") throw new Error(read.message);
  const weight = (name: string) => {
    const tensor = read.graph.constants.get(name);
    const floats = tensor === undefined ? undefined : floatsOf(tensor);
    if (floats === undefined) throw new Error(`${name} is missing`);
    return floats.values;
  };
  let from = 0;
  const norm = (count: number) => {
    const part = (name: "gamma" | "beta" | "mean" | "variance") => calibration[name].slice(from, from + count);
    const own = { gamma: part("gamma"), beta: part("beta"), mean: part("mean"), variance: part("variance") };
    from += count;
    return own;
  };
  const sizes = [
    [1, 16],
    [16, 32],
    [32, 64],
  ] as const;
  const convolutions = sizes.map(([inputs, outputs], i) => ({
    inputs,
    channels: outputs,
    weight: weight(`kernel${i}`),
    norm: norm(outputs),
  }));
  const linear = { features: 576, weight: weight("linear"), norm: norm(width) };
  const { eps, head } = calibration;
  return { inputName: "input", shape: [1, 28, 28], eps, convolutions, linear, width, classes, head };
}

test.serial("the digits network is seen whole: four layers in order, head, statistics", (t) => {
  if (inspected.kind === "refused") return t.fail(inspected.message);
  t.deepEqual(
    inspected.plan.layers.map(({ norm, rank }) => [norm.gamma.length, rank, norm.pool?.hasRelu ?? null]),
    [
      [16, 4, true],
      [32, 4, true],
      [64, 4, true],
      [64, 2, null],
    ],
  );
  t.deepEqual(inspected.remarks, []);
  t.deepEqual(inspected.stages, { moments: true, head: true });
  for (const part of ["mean", "variance", "gamma", "beta", "head", "channels", "firstLayerChannels"] as const)
    t.deepEqual(inspected.source[part], calibration[part], part);
  t.is(inspected.source.eps, Math.fround(calibration.eps));
});

test.serial("rewriting the digits network gives the published serving graph's results, bit for bit", async (t) => {
  if (inspected.kind === "refused") return t.fail(inspected.message);
  const graph = { inputName: "input", shape: network.shape, channels, width, classes };
  const rewritten = servingGraph(inspected.graph, inspected.plan, calibration.anchors);
  const [own, published] = [
    await openAdaptableSession(rewritten, graph),
    await openAdaptableSession(model.modelBytes, { ...graph, inputName: manifest.input.name }),
  ];
  const source = { ...sourceNormalisation(calibration), head: calibration.head };
  const shifted = {
    ...source,
    scale: source.scale.map((value) => 1.3 * value),
    shift: source.shift.map((v) => v - 0.1),
  };
  for (const parameters of [source, shifted])
    for (const count of [1, rows])
      t.deepEqual(
        await own.run(input.slice(0, count * 784), count, parameters),
        await published.run(input.slice(0, count * 784), count, parameters),
      );
  await Promise.all([own.close(), published.close()]);
});

test.serial("folding the digits network gives the published source graph's logits, bit for bit", async (t) => {
  const [own, published] = [await openSession(sourceGraph(network)), await openSession(model.sourceBytes)];
  t.deepEqual(await own.run(input, rows), await published.run(input, rows));
  await Promise.all([own.close(), published.close()]);
});

test.serial("calibrating the digits network measures what its published calibration holds", async (t) => {
  const { calibration: measured, serving } = await adaptableDigits(network, await readDigits("training"), 1);
  t.deepEqual(measured.anchorLabels, calibration.anchorLabels);
  const levels = (of: Calibration) => [
    of.density.mean,
    of.density.deviation,
    of.density.low,
    of.density.high,
    of.momentDistance99,
  ];
  levels(measured).forEach((level, i) => void t.true(Math.abs(level / (levels(calibration)[i] ?? 0) - 1) < 1e-3));
  for (const part of ["classMean", "classSquare", "anchorEmbeddings"] as const)
    t.true(
      measured[part].every((value, i) => Math.abs(value - (calibration[part][i] ?? Number.NaN)) < 1e-3),
      part,
    );
  t.true(serving.length > 0);
});

test.serial("rows through the rewritten graph come in order, whatever the size of a run", async (t) => {
  if (inspected.kind === "refused") return t.fail(inspected.message);
  const { graph, plan, source } = inspected;
  const shape = { inputName: plan.inputName, shape: plan.shape, inputSize: 784 };
  const embed = embedWith(
    source,
    shape,
    (anchors) => servingGraph(graph, plan, anchors),
    (row, into) => into.set(input.subarray((row % rows) * 784, ((row % rows) + 1) * 784)),
  );
  t.deepEqual(sourceParameters(source), { ...sourceNormalisation(calibration), head: calibration.head });
  const seen: number[] = [];
  for await (const { logits, rows: count } of embed(
    Uint32Array.from({ length: 130 }, (_, i) => 129 - i),
    calibration.anchors,
  ))
    for (let i = 0; i < count; i++) seen.push(logits[i * classes] ?? 0);
  t.is(seen.length, 130);
  t.true(Math.abs((seen[129] ?? 0) - (seen[65] ?? 1)) < 1e-4, "row 0 and row 64 are the same digit");
});
