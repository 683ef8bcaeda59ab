// The prequential evaluation on short streams, with the shipped model and the production functions.
import { fileURLToPath } from "node:url";
import test from "ava";
import { loadModel } from "../../../models/manifest.js";
import { loadDigitPool } from "../../../sim/digits.js";
import { evaluateAll, type RunResult } from "../../../sim/evaluation/evaluate.js";
import type { MethodName } from "../../../sim/evaluation/methods/names.js";
import { methods } from "../../../sim/evaluation/methods/registry.js";
import { digitStream, labelledStream } from "../../../sim/evaluation/streams.js";
import type { Variant } from "../../../sim/stream.js";
import { systemClock } from "../../../supervision/clock.js";

const model = await loadModel(fileURLToPath(new URL("../../../../models/digits", import.meta.url)));
const pool = await loadDigitPool();
const clock = systemClock;
const never = new AbortController().signal;

async function measured(
  names: readonly MethodName[],
  variant: Variant,
  requests: number,
  microBatch = 1,
): Promise<readonly RunResult[]> {
  const kinds = methods(microBatch).filter(({ name }) => names.some((each) => each === name));
  const streams = [() => digitStream(pool, { variant, seed: 1, requests })];
  const { results, complete } = await evaluateAll({ model, methods: kinds, streams, clock, signal: never });
  if (!complete) throw new Error("nobody aborted it");
  return results;
}

const withoutTime = (results: readonly RunResult[]) => results.map(({ medianUs: _, ...figures }) => figures);

test("equal options give equal figures, whatever the time it took", async (t) => {
  const once = () => measured(["running", "A+C", "all", "tent64", "lame"], "noniid", 130, 8);
  t.deepEqual(withoutTime(await once()), withoutTime(await once()));
});

test("the source gains nothing over itself, and its way through the network is one pass", async (t) => {
  const [result] = await measured(["source"], "recur", 250);
  t.is(result?.gain, 0);
  t.deepEqual(result?.worstWindow, { difference: 0, from: 0 });
  t.is(result?.clean?.forgotten, 0);
  t.is(result?.passesPerRequest, 1);
  t.true((result?.clean?.accuracy ?? 0) > 0.97);
});

test("while cold driftmend's stages answer what the source answers", async (t) => {
  for (const { gain } of await measured(["A", "A+B+C", "all"], "iid", model.manifest.learning.coldStart)) t.is(gain, 0);
});

test("on clean digits adapting costs nothing", async (t) => {
  const [result] = await measured(["A"], "clean", 500);
  t.true((result?.gain ?? -1) >= -0.003);
  t.true((result?.accuracy ?? 0) >= 0.98);
});

test("over ten short drifts class-balanced moments beat the source model", async (t) => {
  const [result] = await measured(["A"], "mixed", 900);
  t.is(result?.byDrift.length, 10);
  t.is(
    result?.byDrift.reduce((sum, { n }) => sum + n, 0),
    900,
  );
  t.true((result?.gain ?? 0) > 0.03);
});

test("the way back of a gradient counts as a pass", async (t) => {
  const results = await measured(["tent1", "tent64", "bn64"], "iid", 70);
  t.deepEqual(
    results.map(({ passesPerRequest }) => passesPerRequest),
    [2, 2, 1],
  );
});

test("statistics of a batch mend what shifts and fail on bursts of one class", async (t) => {
  const [drifting] = await measured(["bn64"], "iid", 192);
  t.true((drifting?.gain ?? 0) > 0.1);
  const [bursts] = await measured(["bn64"], "cleanBursts", 192);
  t.true((bursts?.gain ?? 0) < -0.02);
});

test("an abort leaves the results of the runs before it", async (t) => {
  const abort = new AbortController();
  const kinds = methods(1).filter(({ name }) => name === "source" || name === "running");
  const streams = [() => digitStream(pool, { variant: "iid", seed: 1, requests: 60 })];
  const evaluation = await evaluateAll({
    model,
    methods: kinds,
    streams,
    clock,
    signal: abort.signal,
    onProgress: ({ method, answered, done, runs }) => {
      t.is(runs, 2);
      if (method === "running" && answered === 5) {
        t.is(done, 1);
        abort.abort();
      }
    },
  });
  t.false(evaluation.complete);
  t.deepEqual(
    evaluation.results.map(({ method }) => method),
    ["source"],
  );
});

test("anybody's labelled inputs are a stream in their own order, of which nothing is known to be clean", async (t) => {
  const known = digitStream(pool, { variant: "clean", seed: 2, requests: 30 }).requests;
  const values = Float32Array.from(known.flatMap(({ input }) => [...input]));
  const labels = known.map(({ label }) => label);
  const kinds = methods(1).filter(({ name }) => name === "source");
  const streams = [() => labelledStream("mine", { values, labels })];
  const { results } = await evaluateAll({ model, methods: kinds, streams, clock, signal: never });
  t.true((results[0]?.accuracy ?? 0) >= 29 / 30);
  t.is(results[0]?.clean, null);
  t.is(results[0]?.byDrift[0]?.drift, "mine");
  t.throws(() => labelledStream("mine", { values, labels: labels.slice(1) }), { instanceOf: RangeError });
});
