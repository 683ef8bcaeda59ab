// The serving graph in the calling thread, for methods that need no gradient through it.
//
// Owns: stacking inputs, counting passes, one normalisation for all inputs, rows of what comes out. Does not own: the session
// (models/serving/onnx-session.ts), looks (models/serving/looking.ts).
//
// S1. Every input that goes through the network is counted, the looks beside the plain one too.
import { sourceParameters } from "../../../models/adaptation/adaptation.js";
import type { Normalisation } from "../../../models/adaptation/domains.js";
import {
  type AdaptableSession,
  type Embedded,
  graphOf,
  type Parameters,
  type Run,
} from "../../../models/adaptation/pass.js";
import type { Model } from "../../../models/manifest.js";
import { argmax } from "../../../models/numbers/softmax.js";
import { type LookSetup, look, lookSetup } from "../../../models/serving/looking.js";
import { openAdaptableSession } from "../../../models/serving/onnx-session.js";

export class ServingGraph {
  #passes = 0;
  readonly #session: AdaptableSession;
  readonly #setup: LookSetup;

  private constructor(session: AdaptableSession, setup: LookSetup) {
    this.#setup = setup;
    this.#session = {
      ...session,
      run: (input, rows, parameters) => {
        this.#passes += rows;
        return session.run(input, rows, parameters);
      },
    };
  }

  static async open(model: Model): Promise<ServingGraph> {
    return new ServingGraph(await openAdaptableSession(model.modelBytes, graphOf(model)), lookSetup(model));
  }

  get passes(): number {
    return this.#passes;
  }

  /** One look at each. */
  async run(inputs: readonly Float32Array[], parameters: Omit<Parameters, "plan">): Promise<Run> {
    return this.#session.run(stacked(inputs), inputs.length, parameters);
  }

  /** As many looks at each as the plan asks for; `seeds` [inputs] as in models/request-chance.ts. */
  async look(inputs: readonly Float32Array[], parameters: Parameters, seeds: Uint32Array): Promise<Embedded> {
    return look(this.#session, this.#setup, stacked(inputs), inputs.length, parameters, seeds);
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/** The source's parameters with one scale and shift for every input, whatever domain it is of. */
export function uniform(
  model: Pick<Model, "manifest" | "calibration">,
  { scale, shift }: Normalisation,
): Omit<Parameters, "plan"> {
  const { signatures, limits, table: rows, head } = sourceParameters(model);
  const table = new Float32Array(rows.length);
  for (let start = 0; start < table.length; start += scale.length + shift.length) {
    table.set(scale, start);
    table.set(shift, start + scale.length);
  }
  return { signatures, limits, table, head };
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
