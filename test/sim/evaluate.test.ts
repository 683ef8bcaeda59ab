// The prequential evaluation on short streams, with the shipped model and the production functions.
import { fileURLToPath } from "node:url";
import test from "ava";
import { loadModel } from "../../models/manifest.js";
import { loadDigitPool } from "../../sim/digits.js";
import { evaluate } from "../../sim/evaluate.js";

const model = await loadModel(fileURLToPath(new URL("../../../models/digits", import.meta.url)));
const pool = await loadDigitPool();
const short = { model, pool, seed: 1, requests: 900, microBatch: 1 };

test("equal options give equal figures", async (t) => {
  const options = { ...short, variant: "noniid", requests: 250, microBatch: 8 } as const;
  t.deepEqual(await evaluate(options), await evaluate(options));
});

test("on clean digits adapting costs nothing", async (t) => {
  const { gain, accuracy } = await evaluate({ ...short, variant: "clean" });
  t.true(accuracy.source >= 0.98);
  t.true(gain >= -0.002);
});

test("over ten short drifts class-balanced moments beat the source model", async (t) => {
  const { gain, accuracyByDrift } = await evaluate({ ...short, variant: "mixed" });
  t.is(accuracyByDrift.length, 10);
  t.is(
    accuracyByDrift.reduce((sum, { n }) => sum + n, 0),
    900,
  );
  t.true(gain > 0.03);
});
