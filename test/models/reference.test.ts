// Plain arithmetic and TensorFlow.js, on the backends that are here, against values that numpy computed in float64 beforehand.
//
// test/models/reference/make_reference.py made them and says how to make them again; nothing here needs python.
// Tolerances, relative to the largest value of what is compared (at least 1): the plain gradient is float64 rounded once, 1e-6; the backends
// compute in float32, 2e-5; six guarded steps in a row add up, 1e-5.
import { readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { z } from "zod";
import { guardedStep, sourceHeadState } from "../../models/learning/guarded-step.js";
import { clipByNorm, meanKl, restoredToward, smoothed } from "../../models/learning/guardrails.js";
import { plainHeadGradient } from "../../models/learning/head-gradient.js";
import { type Learner, openLearner } from "../../models/learning/learner.js";
import { logSoftmax } from "../../models/numbers/softmax.js";
import { plainLearner } from "./live-through.js";
import { smallSubject } from "./small-world.js";

const numbers = z.array(z.number());
const referenceSchema = z.object({
  width: z.number(),
  classes: z.number(),
  batches: z.array(
    z.object({
      rows: z.number(),
      klWeight: z.number(),
      head: numbers,
      embeddings: numbers,
      votes: numbers,
      baseLog: numbers,
      gradient: numbers,
      reward: z.number(),
      penalty: z.number(),
      kl: z.number(),
    }),
  ),
  chain: z.object({
    settings: z.object({ klWeight: z.number(), clipNorm: z.number(), restore: z.number(), ema: z.number() }),
    base: numbers,
    steps: z.array(
      z.object({
        rate: z.number(),
        embeddings: numbers,
        votes: numbers,
        reward: z.number(),
        penalty: z.number(),
        gradNorm: z.number(),
        clipped: z.boolean(),
        kl: z.number(),
        head: numbers,
        served: numbers,
        firstMoment: numbers,
        secondMoment: numbers,
      }),
    ),
  }),
});

/** Compiled tests are in <output folder>/test/models. */
const file = new URL("../../../test/models/reference/reference.json", import.meta.url);
const { width, classes, batches, chain } = referenceSchema.parse(JSON.parse(readFileSync(file, "utf8")));

const learners: readonly { readonly name: string; readonly learner: Learner; readonly tolerance: number }[] = [
  { name: "plain arithmetic", learner: plainLearner, tolerance: 1e-6 },
  { name: "TensorFlow.js on wasm", learner: await openLearner("wasm"), tolerance: 2e-5 },
  { name: "TensorFlow.js on cpu", learner: await openLearner("cpu"), tolerance: 2e-5 },
];

function agrees(
  t: ExecutionContext,
  found: Float32Array | readonly number[],
  expected: readonly number[],
  tolerance: number,
  what: string,
): void {
  t.is(found.length, expected.length);
  const size = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
  const worst = expected.reduce((far, value, i) => Math.max(far, Math.abs(value - (found[i] ?? Number.NaN))), 0);
  t.true(worst <= tolerance * size, `${what} is off by ${worst}`);
}

for (const { name, learner, tolerance } of learners) {
  test(`${name}: gradient, reward and penalty of each stored batch are numpy's`, async (t) => {
    for (const [i, stored] of batches.entries()) {
      const batch = {
        rows: stored.rows,
        width,
        classes,
        embeddings: Float32Array.from(stored.embeddings),
        votes: Uint16Array.from(stored.votes),
        baseLog: Float32Array.from(stored.baseLog),
        klWeight: stored.klWeight,
      };
      const found = await learner.headGradient(Float32Array.from(stored.head), batch);
      agrees(t, found.gradient, stored.gradient, tolerance, `gradient ${i}`);
      agrees(t, [found.reward], [stored.reward], tolerance, `reward ${i}`);
      agrees(t, [found.penalty], [stored.penalty], tolerance, `penalty ${i}`);
    }
  });

  test(`${name}: six guarded steps (clip, Adam, restore, EMA) end where numpy's do, every one of them`, async (t) => {
    const { calibration, manifest } = smallSubject({ ...chain.settings, klLimit: 1e9, anchorLossMax: 1 });
    const based = { ...calibration, head: Float32Array.from(chain.base) };
    let state = sourceHeadState(based);
    for (const [n, stored] of chain.steps.entries()) {
      const material = {
        rows: stored.votes.length,
        embeddings: Float32Array.from(stored.embeddings),
        votes: Uint16Array.from(stored.votes),
      };
      const proposal = await guardedStep(state, material, stored.rate, learner, based, manifest.learning);
      if (proposal.kind !== "accepted") return t.fail(proposal.guard);
      const { next, report } = proposal;
      state = next;
      t.is(report.clipped, stored.clipped);
      t.true(report.clippedNorm <= chain.settings.clipNorm);
      agrees(t, [report.gradNorm, report.kl], [stored.gradNorm, stored.kl], 1e-5, `norm and KL of step ${n}`);
      agrees(t, [report.reward, report.penalty], [stored.reward, stored.penalty], 1e-5, `loss of step ${n}`);
      for (const part of ["head", "served", "firstMoment", "secondMoment"] as const)
        agrees(t, next[part], stored[part], 1e-5, `${part} of step ${n}`);
    }
  });
}

test("KL, clip, restore and EMA alone are numpy's, on the stored numbers", (t) => {
  for (const stored of batches) {
    const head = Float32Array.from(stored.head);
    const logits = Array.from({ length: stored.rows }, (_, row) =>
      Float64Array.from({ length: classes }, (_unused, c) => {
        let logit = head[width * classes + c] ?? Number.NaN;
        for (let j = 0; j < width; j++)
          logit += (stored.embeddings[row * width + j] ?? 0) * (head[j * classes + c] ?? 0);
        return logit;
      }),
    );
    const policyLog = Float64Array.from(logits.flatMap((row) => [...logSoftmax(row)]));
    agrees(t, [meanKl(Float64Array.from(stored.baseLog), policyLog, classes)], [stored.kl], 1e-9, "KL");
    const gradient = Float32Array.from(stored.gradient);
    const norm = Math.sqrt(stored.gradient.reduce((sum, value) => sum + value * value, 0));
    const clip = clipByNorm(gradient, norm / 4);
    agrees(t, [clip.norm, clip.clippedNorm], [norm, norm / 4], 1e-6, "norm");
    agrees(
      t,
      gradient,
      stored.gradient.map((value) => value / 4),
      1e-6,
      "clipped gradient",
    );
  }
  const [first, second] = chain.steps;
  if (first === undefined || second === undefined) return t.fail();
  const [old, next] = [Float32Array.from(first.served), Float32Array.from(second.head)];
  agrees(t, smoothed(old, next, chain.settings.ema), second.served, 1e-6, "EMA");
  agrees(
    t,
    restoredToward(next, Float32Array.from(chain.base), 0.3),
    second.head.map((value, i) => 0.7 * value + 0.3 * (chain.base[i] ?? Number.NaN)),
    1e-6,
    "restore",
  );
});

test("negative control: numbers that are off by a thousandth do not agree", async (t) => {
  const [stored] = batches;
  if (stored === undefined) return t.fail();
  const { gradient } = plainHeadGradient(Float32Array.from(stored.head), {
    rows: stored.rows,
    width,
    classes,
    embeddings: Float32Array.from(stored.embeddings),
    votes: Uint16Array.from(stored.votes),
    baseLog: Float32Array.from(stored.baseLog),
    klWeight: stored.klWeight * 1.001,
  });
  const worst = stored.gradient.reduce((far, value, i) => Math.max(far, Math.abs(value - (gradient[i] ?? 0))), 0);
  t.true(worst > 2e-5, `${worst}`);
});
