import test from "ava";
import fc from "fast-check";
import {
  clipByNorm,
  headLogProbabilities,
  judgeStep,
  meanKl,
  restoredToward,
  shareRight,
  smoothed,
} from "../../models/learning/guardrails.js";
import { headLogits } from "../../models/numbers/softmax.js";
import { defaults } from "../../models/settings.js";
import { smallCalibration, width } from "./small-world.js";

const fine = { finite: true, kl: 0.1, anchorGain: 0 };

test("(S2-8) KL(base || policy) equals the sum worked out by hand, and is nought for the same policy", (t) => {
  const base = Float64Array.from([0.5, 0.5, 0.9, 0.1], Math.log);
  const policy = Float64Array.from([0.25, 0.75, 0.9, 0.1], Math.log);
  const byHand = (0.5 * Math.log(0.5 / 0.25) + 0.5 * Math.log(0.5 / 0.75)) / 2;
  t.true(Math.abs(meanKl(base, policy, 2) - byHand) < 1e-12);
  t.is(meanKl(base, base, 2), 0);
});

test("(S2-8) a step over the KL limit is refused by that name, one at the limit is not", (t) => {
  t.is(judgeStep({ ...fine, kl: defaults.klLimit * 1.01 }, defaults), "kl");
  t.is(judgeStep({ ...fine, kl: defaults.klLimit }, defaults), null);
});

test("a step that costs more anchors than allowed, or is no number, is refused by that name", (t) => {
  t.is(judgeStep({ ...fine, anchorGain: -0.006 }, defaults), "anchors");
  t.is(judgeStep({ ...fine, anchorGain: -0.005 }, defaults), null);
  t.is(judgeStep({ ...fine, finite: false }, defaults), "nan");
  t.is(judgeStep({ ...fine, kl: Number.NaN }, defaults), "nan");
});

test("(S2-9) a huge gradient comes out with at most the allowed norm and the same direction", (t) => {
  const values = fc.array(fc.float({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(values, (list) => {
      const gradient = Float32Array.from(list);
      const { norm, clippedNorm, clipped } = clipByNorm(gradient, 1);
      const after = Math.hypot(...gradient);
      t.true(after <= 1 + 1e-5);
      t.is(clipped, norm > 1);
      t.true(Math.abs(after - clippedNorm) < 1e-5);
    }),
  );
  const planted = Float32Array.of(300, -400);
  t.deepEqual(clipByNorm(planted, 1), { norm: 500, clippedNorm: 1, clipped: true });
  t.deepEqual(planted, Float32Array.of(0.6, -0.8));
});

test("(S2-10) what is served is ema * old + (1 - ema) * new, and restoring goes its fraction of the way back", (t) => {
  const served = smoothed(Float32Array.of(1, 0), Float32Array.of(0, 1), 0.9);
  t.true(Math.abs((served[0] ?? 0) - 0.9) < 1e-6 && Math.abs((served[1] ?? 0) - 0.1) < 1e-6);
  t.deepEqual(restoredToward(Float32Array.of(4), Float32Array.of(2), 0.25), Float32Array.of(3.5));
});

test("anchor accuracy is the share of anchors the head gives their label; log probabilities sum to one", (t) => {
  const { head, anchorEmbeddings, anchorLabels } = smallCalibration();
  t.is(shareRight(headLogits(anchorEmbeddings, head, width), anchorLabels), 1);
  const blind = new Float32Array(head.length);
  t.is(shareRight(headLogits(anchorEmbeddings, blind, width), anchorLabels), 1 / 3);
  const logs = headLogProbabilities(anchorEmbeddings.slice(0, width), head, width);
  t.true(Math.abs(logs.reduce((sum, log) => sum + Math.exp(log), 0) - 1) < 1e-12);
});
