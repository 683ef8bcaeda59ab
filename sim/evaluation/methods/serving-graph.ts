// The serving graph in the calling thread, for methods that need no gradient through it.
//
// Owns: stacking inputs, counting passes, rows of what comes out. Does not own: the session (models/onnx-session.ts).
import type { Embedded, Parameters } from "../../../models/engine.js";
import type { Model } from "../../../models/manifest.js";
import { sourceNormalisation } from "../../../models/moments.js";
import { type AdaptableSession, openAdaptableSession } from "../../../models/onnx-session.js";
import { argmax } from "../../../models/softmax.js";

export class ServingGraph {
  passes = 0;
  readonly #session: AdaptableSession;

  private constructor(session: AdaptableSession) {
    this.#session = session;
  }

  static async open({ manifest, calibration, modelBytes }: Model): Promise<ServingGraph> {
    const { channels, width, classes } = calibration;
    const graph = { inputName: manifest.input.name, shape: manifest.input.shape, channels, width, classes };
    return new ServingGraph(await openAdaptableSession(modelBytes, graph));
  }

  async run(inputs: readonly Float32Array[], parameters: Parameters): Promise<Embedded> {
    this.passes += inputs.length;
    return this.#session.run(stacked(inputs), inputs.length, parameters);
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/** What the source model runs with. */
export function sourceParameters({ calibration }: Pick<Model, "calibration">): Parameters {
  return { ...sourceNormalisation(calibration), head: calibration.head };
}

/** Inputs of equal length behind one another. */
export function stacked(inputs: readonly Float32Array[]): Float32Array {
  const size = inputs[0]?.length ?? 0;
  const all = new Float32Array(inputs.length * size);
  for (const [row, input] of inputs.entries()) all.set(input, row * size);
  return all;
}

/** The rows of [n, width]; views. */
export function rowsOf(values: Float32Array, rows: number): Float32Array[] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, row) => values.subarray(row * width, (row + 1) * width));
}

/** The class of each row of logits. */
export function classesOf(logits: Float32Array, rows: number): number[] {
  return rowsOf(logits, rows).map(argmax);
}
