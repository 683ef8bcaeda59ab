// The source model left alone: what everything else is measured against.
import { openSession } from "../../../models/serving/onnx-session.js";
import type { MethodKind } from "./method.js";
import { classesOf, stacked } from "./serving-graph.js";

export const source: MethodKind = {
  name: "source",
  about: "the model left alone",
  own: false,
  batch: 1,
  async open({ model }) {
    const session = await openSession(model.sourceBytes);
    let passes = 0;
    const answer = async (inputs: readonly Float32Array[]): Promise<readonly number[]> => {
      passes += inputs.length;
      return classesOf(await session.run(stacked(inputs), inputs.length), inputs.length);
    };
    return {
      answer,
      answerFrozen: answer,
      get passes() {
        return passes;
      },
      close: () => session.close(),
    };
  },
};
