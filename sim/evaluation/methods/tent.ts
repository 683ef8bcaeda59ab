// Tent (Wang et al., ICLR 2021): entropy of the answers, minimised by gamma and beta of batch normalisation; the answer is that before the step.
//
//   tent64  statistics of each batch of 64, the gradient through them; Adam 1e-3
//   tent1   one request at a time: running statistics (momentum .02) instead of a batch's; Adam 1e-3
import type { Calibration } from "../../../models/calibration.js";
import { Adam } from "./adam.js";
import { GradientGraph } from "./gradient-graph.js";
import type { Method, MethodKind, World } from "./method.js";
import { momentum } from "./running.js";
import { RunningStatistics } from "./running-statistics.js";
import { classesOf, rowsOf, ServingGraph, uniform } from "./serving-graph.js";

const rate = 1e-3;
export const tentBatch = 64;

export const tent1: MethodKind = {
  name: "tent1",
  about: "entropy gradient on scale and shift, running statistics, one at a time (Wang et al. 2021)",
  own: false,
  batch: 1,
  open: openTent1,
};

export const tent64: MethodKind = {
  name: "tent64",
  about: "entropy gradient on scale and shift, statistics of batches of 64 (Wang et al. 2021)",
  own: false,
  batch: tentBatch,
  open: openTent64,
};

/** Gamma and beta as they are learned. */
class Affine {
  readonly gamma: Float32Array;
  readonly beta: Float32Array;
  readonly #gammaSteps: Adam;
  readonly #betaSteps: Adam;

  constructor({ gamma, beta }: Pick<Calibration, "gamma" | "beta">) {
    this.gamma = gamma.slice();
    this.beta = beta.slice();
    this.#gammaSteps = new Adam(gamma.length, rate);
    this.#betaSteps = new Adam(beta.length, rate);
  }

  step(byGamma: Float32Array, byBeta: Float32Array): void {
    this.#gammaSteps.step(this.gamma, byGamma);
    this.#betaSteps.step(this.beta, byBeta);
  }
}

async function openTent64({ model }: World): Promise<Method> {
  const graph = await GradientGraph.open(model);
  const affine = new Affine(model.calibration);
  return {
    async answer(inputs) {
      const { logits, byFirst, bySecond } = await graph.entropyByNorm(inputs, affine.gamma, affine.beta);
      affine.step(byFirst, bySecond);
      return classesOf(logits, inputs.length);
    },
    answerFrozen: async (inputs) =>
      classesOf(await graph.logitsByNorm(inputs, affine.gamma, affine.beta, 1), inputs.length),
    get passes() {
      return graph.passes;
    },
    close: () => graph.close(),
  };
}

async function openTent1({ model }: World): Promise<Method> {
  const [graph, serving] = [await GradientGraph.open(model), await ServingGraph.open(model)];
  const { calibration } = model;
  const affine = new Affine(calibration);
  const statistics = new RunningStatistics(calibration);
  return {
    async answer(inputs) {
      const { scale, shift } = statistics.normalisation(affine.gamma, affine.beta);
      const { logits, moments, byFirst, bySecond } = await graph.entropyByAffine(inputs, scale, shift);
      affine.step(gammaGradient(byFirst, bySecond, statistics), bySecond);
      for (const row of rowsOf(moments, inputs.length)) statistics.follow(row, momentum);
      return classesOf(logits, inputs.length);
    },
    async answerFrozen(inputs) {
      const parameters = uniform(model, statistics.normalisation(affine.gamma, affine.beta));
      return classesOf((await serving.run(inputs, parameters)).logits, inputs.length);
    },
    get passes() {
      return graph.passes + serving.passes;
    },
    async close() {
      await graph.close();
      await serving.close();
    },
  };
}

/**
 * With scale = gamma f and shift = beta - mean gamma f, mean and f = 1 / sqrt(variance + eps) held:
 * dL/dgamma = f (dL/dscale - mean dL/dshift); dL/dbeta is dL/dshift.
 */
export function gammaGradient(
  byScale: Float32Array,
  byShift: Float32Array,
  { mean, factor }: Pick<RunningStatistics, "mean" | "factor">,
): Float32Array {
  return byScale.map((slope, c) => (factor[c] ?? 0) * (slope - (mean[c] ?? 0) * (byShift[c] ?? 0)));
}
