// Statistics of the batch itself, with the source's as a prior (Schneider et al., NeurIPS 2020, eq. 3): weight n / (n + N) for n inputs, N = 16.
import { GradientGraph } from "./gradient-graph.js";
import type { MethodKind } from "./method.js";
import { classesOf } from "./serving-graph.js";
import { tentBatch } from "./tent.js";

const prior = 16;

export const bn64: MethodKind = {
  name: "bn64",
  about: "batch-norm statistics of batches of 64, source prior of 16 (Schneider et al. 2020)",
  own: false,
  batch: tentBatch,
  async open({ model }) {
    const graph = await GradientGraph.open(model);
    const { gamma, beta } = model.calibration;
    const answer = async (inputs: readonly Float32Array[]): Promise<readonly number[]> => {
      const { length } = inputs;
      return classesOf(await graph.logitsByNorm(inputs, gamma, beta, length / (length + prior)), length);
    };
    return {
      answer,
      answerFrozen: answer,
      get passes() {
        return graph.passes;
      },
      close: () => graph.close(),
    };
  },
};
