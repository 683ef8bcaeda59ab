// Each method of the evaluation on a case small enough to work out by hand, or against a second way to the same numbers.
import { fileURLToPath } from "node:url";
import test from "ava";
import { sourceParameters, tableRows } from "../../../models/adaptation/adaptation.js";
import { sourceNormalisation } from "../../../models/adaptation/domains.js";
import { closedPlan, plan } from "../../../models/adaptation/rollout.js";
import { kindsOf } from "../../../models/adaptation/standing.js";
import { loadModel } from "../../../models/manifest.js";
import { argmax, logSoftmax, softmax } from "../../../models/numbers/softmax.js";
import { requestSeed } from "../../../models/request-chance.js";
import { loadDigitPool } from "../../../sim/digits.js";
import { Adam } from "../../../sim/evaluation/methods/adam.js";
import { requestId } from "../../../sim/evaluation/methods/driftmend.js";
import { GradientGraph } from "../../../sim/evaluation/methods/gradient-graph.js";
import { sharesOf } from "../../../sim/evaluation/methods/knn.js";
import { laplacianAssignment, nearestIn } from "../../../sim/evaluation/methods/lame.js";
import { methodNames } from "../../../sim/evaluation/methods/names.js";
import { NearestRows } from "../../../sim/evaluation/methods/nearest.js";
import { pseudoLabelGradient } from "../../../sim/evaluation/methods/plain.js";
import { methods } from "../../../sim/evaluation/methods/registry.js";
import { RunningStatistics } from "../../../sim/evaluation/methods/running-statistics.js";
import { rowsOf, ServingGraph, uniform } from "../../../sim/evaluation/methods/serving-graph.js";
import { Prototypes } from "../../../sim/evaluation/methods/t3a.js";
import { gammaGradient } from "../../../sim/evaluation/methods/tent.js";
import { digitStream } from "../../../sim/evaluation/streams.js";
import { systemClock } from "../../../supervision/clock.js";

const model = await loadModel(fileURLToPath(new URL("../../../../models/digits", import.meta.url)));
const { calibration } = model;
const { channels } = calibration;
const drifted = digitStream(await loadDigitPool(), { variant: "iid", seed: 3, requests: 12 });
const inputs = drifted.requests.map(({ input }) => input);
const near = (a: number | undefined, b: number | undefined, tolerance: number): boolean =>
  Math.abs((a ?? Number.NaN) - (b ?? Number.NaN)) <= tolerance;

test("the registry has every name once, in order, and each method says what it is", (t) => {
  const kinds = methods(8);
  t.deepEqual(
    kinds.map(({ name }) => name),
    [...methodNames],
  );
  t.true(kinds.every(({ about }) => about.length > 10));
  t.deepEqual(
    kinds.filter(({ own }) => own).map(({ batch }) => batch),
    [8, 8, 8, 8, 8],
  );
});

test("statistics of a batch: each layer is normalised by the mean and variance of what reaches it", async (t) => {
  const graph = await GradientGraph.open(model);
  const found = await graph.logitsByNorm(inputs, calibration.gamma, calibration.beta, 1);
  t.is(graph.passes, inputs.length);
  await graph.close();
  // The second way: ONNX Runtime layer by layer. Once the layers before are right, the moments of the next one are those it must take.
  const serving = await ServingGraph.open(model);
  const normalisation = sourceNormalisation(calibration);
  let from = 0;
  for (const layer of model.manifest.layers) {
    const rows = rowsOf((await serving.run(inputs, uniform(model, normalisation))).moments, inputs.length);
    for (let c = from; c < from + layer.channels; c++) {
      const mean = rows.reduce((sum, row) => sum + (row[c] ?? 0), 0) / rows.length;
      const square = rows.reduce((sum, row) => sum + (row[channels + c] ?? 0), 0) / rows.length;
      const factor = (calibration.gamma[c] ?? 0) / Math.sqrt(square - mean * mean + calibration.eps);
      normalisation.scale[c] = factor;
      normalisation.shift[c] = (calibration.beta[c] ?? 0) - mean * factor;
    }
    from += layer.channels;
  }
  const { logits } = await serving.run(inputs, uniform(model, normalisation));
  await serving.close();
  t.true(found.every((value, i) => near(value, logits[i], 2e-3)));
});

test("every look is counted as a pass, and looks follow from the seeds of the requests alone", async (t) => {
  const serving = await ServingGraph.open(model);
  const source = sourceParameters(model);
  // Every input is of the first domain beside home, and its first two views are known to serve it better.
  const limits = source.limits.map((limit, domain) => (domain === 1 ? 1e9 : limit));
  const scores = Array.from({ length: model.manifest.views.length + 1 }, (_, kind) =>
    kind === 1 || kind === 2 ? 1 : 0,
  );
  const planned = (proven: boolean) => {
    const into = closedPlan(tableRows, model.manifest.views.length);
    plan(into, 2, { open: true, surveyed: true, best: [1, 2], scores, floored: false, proven }, true);
    return into;
  };
  const open = planned(true);
  const seeds = Uint32Array.from(inputs, (_, i) => requestSeed(requestId(1, i)));
  const { looks } = await serving.look(inputs, { ...source, limits, plan: open }, seeds);
  const { source: fromSource, beside } = kindsOf(model.manifest.views.length);
  const passes = [...looks.kinds].filter((kind) => kind !== 0 && kind !== beside).length;
  t.true(passes > 2);
  t.is(serving.passes, inputs.length + passes);
  const alone = await serving.look(inputs.slice(3, 4), { ...source, limits, plan: open }, seeds.slice(3, 4));
  t.deepEqual(
    [...alone.looks.kinds],
    [...looks.kinds].filter((_, i) => looks.rows[i] === 3),
  );
  let before = serving.passes;
  const compared = await serving.look(inputs, { ...source, limits, plan: planned(false) }, seeds);
  t.is([...compared.looks.kinds].filter((kind) => kind === fromSource).length, inputs.length, "the source, each time");
  const all = [...compared.looks.kinds].filter((kind) => kind !== 0 && kind !== beside).length;
  t.is(serving.passes, before + inputs.length + all);
  before = serving.passes;
  const closed = await serving.look(inputs, source, seeds);
  t.is(closed.looks.kinds.length, 0, "no domain is known: one look each");
  t.is(serving.passes, before + inputs.length);
  await serving.close();
});

test("without a share of the batch its statistics are the source's", async (t) => {
  const graph = await GradientGraph.open(model);
  const found = await graph.logitsByNorm(inputs, calibration.gamma, calibration.beta, 0);
  await graph.close();
  const serving = await ServingGraph.open(model);
  const { logits } = await serving.run(inputs, sourceParameters(model));
  await serving.close();
  t.true(found.every((value, i) => near(value, logits[i], 1e-3)));
});

/** The four entries of the steepest slope. */
function steepest(gradient: Float32Array): readonly number[] {
  return [...gradient.keys()].sort((a, b) => Math.abs(gradient[b] ?? 0) - Math.abs(gradient[a] ?? 0)).slice(0, 4);
}

for (const which of ["gamma", "beta"] as const)
  test(`Tent's gradient of the entropy by ${which}, through the statistics of the batch, agrees with finite differences`, async (t) => {
    const graph = await GradientGraph.open(model);
    const { byFirst, bySecond } = await graph.entropyByNorm(inputs, calibration.gamma, calibration.beta);
    const gradient = which === "gamma" ? byFirst : bySecond;
    const entropyAt = async (index: number, step: number): Promise<number> => {
      const moved = { gamma: calibration.gamma.slice(), beta: calibration.beta.slice() };
      moved[which][index] = (moved[which][index] ?? 0) + step;
      const logits = await graph.logitsByNorm(inputs, moved.gamma, moved.beta, 1);
      const entropies = rowsOf(logits, inputs.length).map((row) =>
        logSoftmax(row).reduce((sum, log) => sum - Math.exp(log) * log, 0),
      );
      return entropies.reduce((sum, value) => sum + value, 0) / entropies.length;
    };
    const step = 2e-3;
    for (const index of steepest(gradient)) {
      const slope = ((await entropyAt(index, step)) - (await entropyAt(index, -step))) / (2 * step);
      t.true(near(gradient[index], slope, 0.05 * Math.abs(slope) + 1e-3), `${index}: ${gradient[index]}, not ${slope}`);
    }
    await graph.close();
  });

test("by scale and shift the entropy's gradient agrees with finite differences, and the pass gives the logits it was taken at", async (t) => {
  const graph = await GradientGraph.open(model);
  const { scale, shift } = sourceNormalisation(calibration);
  const { byFirst, bySecond, logits, entropyNats } = await graph.entropyByAffine(inputs, scale, shift);
  t.is(graph.passes, 2 * inputs.length);
  const entropyOf = (values: Float32Array): number =>
    rowsOf(values, inputs.length)
      .map((row) => logSoftmax(row).reduce((sum, log) => sum - Math.exp(log) * log, 0))
      .reduce((sum, value) => sum + value, 0) / inputs.length;
  t.true(near(entropyNats, entropyOf(logits), 1e-5));
  const serving = await ServingGraph.open(model);
  const slopeOf = async (which: "scale" | "shift", index: number, step: number): Promise<number> => {
    const at = async (sign: number): Promise<number> => {
      const moved = { scale: scale.slice(), shift: shift.slice() };
      moved[which][index] = (moved[which][index] ?? 0) + sign * step;
      return entropyOf((await serving.run(inputs, uniform(model, moved))).logits);
    };
    return ((await at(1)) - (await at(-1))) / (2 * step);
  };
  for (const [which, gradient] of [["scale", byFirst] as const, ["shift", bySecond] as const])
    for (const index of steepest(gradient)) {
      const slope = await slopeOf(which, index, 1e-3);
      t.true(
        near(gradient[index], slope, 0.05 * Math.abs(slope) + 1e-3),
        `${which} ${index}: ${gradient[index]}, ${slope}`,
      );
    }
  await serving.close();
  await graph.close();
});

test("the gradient by gamma follows from those by scale and shift", (t) => {
  const statistics = { mean: Float64Array.of(2, 0), factor: Float64Array.of(0.5, 4) };
  t.deepEqual([...gammaGradient(Float32Array.of(3, 1), Float32Array.of(1, 5), statistics)], [0.5, 4]);
});

test("running statistics move a fiftieth of the way, and scale and shift normalise by them", (t) => {
  const statistics = new RunningStatistics({ mean: Float32Array.of(1), variance: Float32Array.of(3), eps: 1 });
  t.deepEqual([...statistics.variance], [3]);
  statistics.follow(Float32Array.of(11, 204), 0.02);
  // mean .98 + .22 = 1.2; square .98 * 4 + .02 * 204 = 8; variance 8 - 1.44
  t.true(near(statistics.mean[0], 1.2, 1e-12));
  t.true(near(statistics.variance[0], 6.56, 1e-12));
  const { scale, shift } = statistics.normalisation(Float32Array.of(2), Float32Array.of(0.5));
  t.true(near(scale[0], 2 / Math.sqrt(7.56), 1e-6));
  t.true(near(shift[0], 0.5 - 1.2 * (2 / Math.sqrt(7.56)), 1e-6));
});

test("T3A: a surer input takes its class's prototype over, and both together turn it half way", (t) => {
  // W is the identity: the supports begin as the axes, with the entropy of logits (1, 0).
  const head = Float32Array.of(1, 0, 0, 1, 0, 0);
  const between = Float32Array.of(1, 1.05);
  for (const kept of [1, 2]) {
    const prototypes = new Prototypes(head, 2, 2, kept);
    t.is(prototypes.answer(between), 1);
    prototypes.support(Float32Array.of(3, 1));
    // kept 1: (3, 1) / sqrt 10, so .949 + .332 against 1.05; kept 2: between it and the axis, .987 + .168.
    t.is(prototypes.answer(between), 0);
  }
  const two = new Prototypes(head, 2, 2, 2);
  two.support(Float32Array.of(3, 1));
  t.is(two.answer(Float32Array.of(1, 1.2)), 1, "1.179 against 1.2");
  const one = new Prototypes(head, 2, 2, 1);
  one.support(Float32Array.of(3, 1));
  t.is(one.answer(Float32Array.of(1, 1.2)), 0, "1.328 against 1.2");
  one.support(Float32Array.of(0.2, 0.1));
  t.is(one.answer(Float32Array.of(1, 1.2)), 0, "an unsure input is not kept");
});

test("LAME on three rows: who has no neighbours keeps its probabilities, who has one leans toward it", (t) => {
  const rows = [Float64Array.of(0.9, 0.1), Float64Array.of(0.6, 0.4), Float64Array.of(0.45, 0.55)];
  const found = laplacianAssignment(rows, [[], [], [0]]);
  t.true(near(found[0]?.[0], 0.9, 1e-9));
  t.true(near(found[1]?.[0], 0.6, 1e-9));
  const [up, down] = [0.45 * Math.exp(0.9), 0.55 * Math.exp(0.1)];
  t.true(near(found[2]?.[0], up / (up + down), 1e-9));
  t.is(argmax(found[2] ?? new Float64Array(2)), 0);
  const mutual = laplacianAssignment(rows, [[2], [0], [0]]);
  // At rest each row is the softmax of its own logarithms and its neighbour's assignment.
  const rest = softmax(Float64Array.from([0, 1], (c) => Math.log(rows[0]?.[c] ?? 0) + (mutual[2]?.[c] ?? 0)));
  t.true(near(mutual[0]?.[0], rest[0], 1e-5));
});

test("nearest rows: the largest cosines first, never the row itself; the first ones asked to last are never overwritten", (t) => {
  const units = [Float32Array.of(1, 0), Float32Array.of(0.8, 0.6), Float32Array.of(0, 1), Float32Array.of(-1, 0)];
  t.deepEqual(nearestIn(units, 2), [
    [1, 2],
    [0, 2],
    [1, 0],
    [2, 1],
  ]);
  const memory = new NearestRows(2, 2, 1);
  memory.add(Float32Array.of(5, 0), 7, 1);
  memory.add(Float32Array.of(0, 3), 8, 0.5);
  memory.add(Float32Array.of(-2, 0), 9, 0.25);
  t.deepEqual(
    memory.search(Float32Array.of(1, 0), 5).map(({ label, cosine, entered }) => [label, cosine, entered]),
    [
      [7, 1, 0],
      [9, -1, 2],
    ],
  );
});

test("k-NN: shares follow exp(cosine / 0.1)", (t) => {
  const neighbour = (cosine: number, label: number) => ({ cosine, label, confidence: 1, entered: 0 });
  const shares = sharesOf([neighbour(1, 0), neighbour(0.9, 1), neighbour(0.9, 1), neighbour(0.9, 1)], 2);
  t.true(near(shares[1], 3 / (3 + Math.E), 1e-9));
});

test("the plain step's gradient is that of cross-entropy, and Adam's first step is its rate against the sign", (t) => {
  const head = Float32Array.of(0.2, -0.1, 0.4, 0.3, 0.05, -0.2);
  const embedding = Float32Array.of(1, 2);
  const gradient = pseudoLabelGradient(head, embedding, 1, 2);
  const [p0 = 0] = softmax(Float32Array.of(0.2 + 0.8 + 0.05, -0.1 + 0.6 - 0.2));
  const expected = [p0, -p0, 2 * p0, -2 * p0, p0, -p0];
  t.true(gradient.every((slope, i) => near(slope, expected[i], 1e-6)));
  const moved = head.slice();
  new Adam(6, 1e-3).step(moved, gradient);
  t.true(moved.every((value, i) => near(value, (head[i] ?? 0) - 1e-3 * Math.sign(gradient[i] ?? 0), 1e-6)));
});

for (const kind of methods(1))
  test(`${kind.name} answers the same for equal seeds, counts its passes, and learns nothing when frozen`, async (t) => {
    const answers: (readonly number[])[] = [];
    for (let round = 0; round < 2; round++) {
      const method = await kind.open({ model, seed: 5, clock: systemClock });
      const first = await method.answer(inputs.slice(0, 8));
      t.true(method.passes >= 8);
      const frozen = await method.answerFrozen(inputs.slice(8));
      t.deepEqual(await method.answerFrozen(inputs.slice(8)), frozen);
      answers.push([...first, ...frozen]);
      await method.close();
    }
    t.deepEqual(answers[0], answers[1]);
  });
