// Substrate: the published digits model. Its trained network is put together again from its own files, written as an
// exporter would write it, and rewritten by the same code that takes in other people's models.
import test from "ava";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { sourceNormalisation } from "../../models/adaptation/domains.js";
import { graphOf } from "../../models/adaptation/pass.js";
import { signatureOf, squaredDistance } from "../../models/adaptation/signature.js";
import { embedWith } from "../../models/adoption/calibrate.js";
import { type Network, sourceGraph, trainedGraph } from "../../models/adoption/graph.js";
import { inspect } from "../../models/adoption/inspect.js";
import { servingGraph } from "../../models/adoption/rewrite.js";
import type { Calibration } from "../../models/calibration.js";
import { adaptableDigits } from "../../models/digits/calibrate.js";
import { readDigits } from "../../models/digits/idx.js";
import { loadModel } from "../../models/manifest.js";
import { floatsOf, readOnnx } from "../../models/onnx-file.js";
import { openAdaptableSession, openSession } from "../../models/serving/onnx-session.js";
import { digitsFolder, firstDigits } from "./digits-model.js";

const model = await loadModel(digitsFolder);
const { calibration } = model;
const { channels, width, classes } = calibration;
const network = networkOf();
const rows = 64;
const { input, labels } = await firstDigits(rows);
const inspected = await inspect(
  trainedGraph(network),
  { shape: network.shape, values: input, labels: Uint8Array.from(labels) },
  classes,
);

/** Weights and statistics stand in the published graph as they were trained: its calibration states them around other means. */
function networkOf(): Network {
  const read = readOnnx(model.modelBytes);
  if (read.kind === "refused") throw new Error(read.message);
  const trained = (name: string) => {
    const tensor = read.graph.constants.get(`source/driftmend/${name}`);
    const floats = tensor === undefined ? undefined : floatsOf(tensor);
    if (floats === undefined) throw new Error(`${name} is missing`);
    return floats.values;
  };
  const norm = (layer: string) => ({
    gamma: trained(`gamma/${layer}`),
    beta: trained(`beta/${layer}`),
    mean: trained(`mean/${layer}`),
    variance: trained(`variance/${layer}`),
  });
  const sizes = [
    [1, 16],
    [16, 32],
    [32, 64],
  ] as const;
  const convolutions = sizes.map(([inputs, outputs], i) => ({
    inputs,
    channels: outputs,
    weight: trained(`convolution${i + 1}`),
    norm: norm(`convolution${i + 1}`),
  }));
  const linear = { features: 576, weight: trained("embedding"), norm: norm("embedding") };
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
  const norms = [...network.convolutions, network.linear].map(({ norm }) => norm);
  for (const part of ["mean", "variance", "gamma", "beta"] as const)
    t.deepEqual(
      [...inspected.source[part]],
      norms.flatMap((norm) => [...norm[part]]),
      part,
    );
  for (const part of ["head", "channels", "firstLayerChannels"] as const)
    t.deepEqual(inspected.source[part], calibration[part], part);
  t.is(inspected.source.eps, Math.fround(calibration.eps));
});

test.serial("rewriting the digits network gives the published serving graph's results, bit for bit", async (t) => {
  if (inspected.kind === "refused") return t.fail(inspected.message);
  const graph = graphOf(model);
  const rewritten = servingGraph(inspected.graph, inspected.plan, calibration);
  const [own, published] = [
    await openAdaptableSession(rewritten, graph),
    await openAdaptableSession(model.modelBytes, graph),
  ];
  const source = sourceParameters(model);
  // Home is known, the rest is not: rows take one of two rows of the table, which are unlike.
  const moved = {
    ...source,
    limits: source.limits.map((limit, domain) => (domain === 0 ? 0 : limit)),
    table: source.table.map((value, i) => (i < 2 * channels ? 1.3 * value : value - 0.1)),
  };
  for (const parameters of [source, moved])
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

test.serial("the published calibration states the trained scale and shift of every channel around other means", (t) => {
  const { scale, shift } = sourceNormalisation(calibration);
  let c = 0;
  for (const { norm } of [...network.convolutions, network.linear])
    for (const [i, gamma] of norm.gamma.entries()) {
      const trained = gamma / Math.sqrt((norm.variance[i] ?? Number.NaN) + network.eps);
      const offset = (norm.beta[i] ?? Number.NaN) - (norm.mean[i] ?? Number.NaN) * trained;
      t.true(Math.abs((scale[c] ?? Number.NaN) - trained) <= 1e-5 * Math.abs(trained), `scale ${c}`);
      t.true(Math.abs((shift[c] ?? Number.NaN) - offset) <= 1e-4, `shift ${c}`);
      c += 1;
    }
  t.is(c, channels);
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
  t.true(Math.abs(measured.signature.limit / calibration.signature.limit - 1) < 1e-2);
  t.is(measured.signature.size, calibration.signature.size);
  // Which way an axis of a whitener points is nobody's matter: what counts are the distances.
  const session = await openAdaptableSession(model.modelBytes, graphOf(model));
  const { moments } = await session.run(input, rows, sourceParameters(model));
  await session.close();
  const signatures = (of: Calibration) =>
    Array.from({ length: rows }, (_, row) =>
      signatureOf(of, moments.subarray(row * 2 * channels, (row + 1) * 2 * channels)),
    );
  const [found, expected] = [signatures(measured), signatures(calibration)];
  for (let row = 1; row < rows; row++) {
    const [a, b] = [found, expected].map((all) =>
      squaredDistance(all[0] ?? new Float64Array(), all[row] ?? new Float64Array()),
    );
    t.true(Math.abs((a ?? 0) / (b ?? 0) - 1) < 0.02, `${row}: ${a} and ${b}`);
  }
  t.true(serving.length > 0);
});

test.serial("rows through the rewritten graph come in order, whatever the size of a run", async (t) => {
  if (inspected.kind === "refused") return t.fail(inspected.message);
  const { graph, plan, source } = inspected;
  const shape = { inputName: plan.inputName, shape: plan.shape, inputSize: 784 };
  const embed = embedWith(
    source,
    shape,
    (levels) => servingGraph(graph, plan, levels),
    (row, into) => into.set(input.subarray((row % rows) * 784, ((row % rows) + 1) * 784)),
  );
  const seen: number[] = [];
  for await (const { logits, rows: count } of embed(
    Uint32Array.from({ length: 130 }, (_, i) => 129 - i),
    calibration,
  ))
    for (let i = 0; i < count; i++) seen.push(logits[i * classes] ?? 0);
  t.is(seen.length, 130);
  t.true(Math.abs((seen[129] ?? 0) - (seen[65] ?? 1)) < 1e-4, "row 0 and row 64 are the same digit");
});
