// Statistics that follow the newest inputs, one at a time: the simplest way to adapt batch normalisation without a batch.

import type { MethodKind } from "./method.js";
import { RunningStatistics } from "./running-statistics.js";
import { classesOf, rowsOf, ServingGraph, uniform } from "./serving-graph.js";

export const momentum = 0.02;

export const running: MethodKind = {
  name: "running",
  about: "running batch-norm statistics, momentum .02",
  own: false,
  batch: 1,
  async open({ model }) {
    const graph = await ServingGraph.open(model);
    const { calibration } = model;
    const statistics = new RunningStatistics(calibration);
    const run = (inputs: readonly Float32Array[]) =>
      graph.run(inputs, uniform(model, statistics.normalisation(calibration.gamma, calibration.beta)));
    return {
      async answer(inputs) {
        const { logits, moments } = await run(inputs);
        for (const row of rowsOf(moments, inputs.length)) statistics.follow(row, momentum);
        return classesOf(logits, inputs.length);
      },
      answerFrozen: async (inputs) => classesOf((await run(inputs)).logits, inputs.length),
      get passes() {
        return graph.passes;
      },
      close: () => graph.close(),
    };
  },
};
