// T3A (Iwasawa & Matsuo, NeurIPS 2021): each class of the linear head becomes the mean of supports, to which answered inputs are added.
//
// Supports begin with the head's own weight vectors; of each class the 100 of the lowest entropy are kept. Bias is not used, as in the paper.
// The paper adds an input before it answers it; here it answers first, like every method of this evaluation.
import { sourceParameters } from "../../../models/adaptation/adaptation.js";
import { argmax, logSoftmax } from "../../../models/numbers/softmax.js";
import type { MethodKind } from "./method.js";
import { rowsOf, ServingGraph } from "./serving-graph.js";

const kept = 100;

export const t3a: MethodKind = {
  name: "t3a",
  about: "class prototypes from answered inputs, 100 of the lowest entropy (Iwasawa & Matsuo 2021)",
  own: false,
  batch: 1,
  async open({ model }) {
    const graph = await ServingGraph.open(model);
    const parameters = sourceParameters(model);
    const { width, classes } = model.calibration;
    const prototypes = new Prototypes(parameters.head, width, classes, kept);
    const embedded = async (inputs: readonly Float32Array[]) =>
      rowsOf((await graph.run(inputs, parameters)).embeddings, inputs.length);
    return {
      async answer(inputs) {
        const rows = await embedded(inputs);
        const answers = rows.map((row) => prototypes.answer(row));
        for (const row of rows) prototypes.support(row);
        return answers;
      },
      answerFrozen: async (inputs) => (await embedded(inputs)).map((row) => prototypes.answer(row)),
      get passes() {
        return graph.passes;
      },
      close: () => graph.close(),
    };
  },
};

interface Support {
  /** [width], of length 1. */
  readonly unit: Float64Array;
  readonly entropyNats: number;
}

export class Prototypes {
  readonly #head: Float32Array;
  readonly #width: number;
  readonly #kept: number;
  /** By class, the lowest entropy first. */
  readonly #supports: Support[][];
  /** [classes] of [width], of length 1. */
  readonly #prototypes: Float64Array[];

  /** head: W [width, classes], then b. */
  constructor(head: Float32Array, width: number, classes: number, most: number) {
    this.#head = head;
    this.#width = width;
    this.#kept = most;
    this.#supports = Array.from({ length: classes }, () => []);
    this.#prototypes = Array.from({ length: classes }, () => new Float64Array(width));
    for (let label = 0; label < classes; label++) {
      const weights = Float64Array.from({ length: width }, (_, i) => head[i * classes + label] ?? Number.NaN);
      this.#enter(unit(weights), this.#logits(weights), label);
    }
  }

  answer(embedding: Float32Array): number {
    return argmax(Float64Array.from(this.#prototypes, (prototype) => dot(embedding, prototype)));
  }

  /** The linear head's own answer says which class an input supports. */
  support(embedding: Float32Array): void {
    const logits = this.#logits(embedding);
    this.#enter(unit(embedding), logits, argmax(logits));
  }

  #enter(direction: Float64Array, logits: Float64Array, label: number): void {
    const own = this.#supports[label] ?? [];
    const entropyNats = entropyOf(logits);
    const at = own.findIndex((support) => entropyNats < support.entropyNats);
    own.splice(at < 0 ? own.length : at, 0, { unit: direction, entropyNats });
    own.splice(this.#kept);
    const sum = new Float64Array(this.#width);
    for (const support of own) for (const [i, value] of support.unit.entries()) sum[i] = (sum[i] ?? 0) + value;
    this.#prototypes[label] = unit(sum);
  }

  #logits(embedding: Float32Array | Float64Array): Float64Array {
    const classes = this.#supports.length;
    const logits = new Float64Array(classes);
    for (let c = 0; c < classes; c++) {
      let sum = this.#head[this.#width * classes + c] ?? Number.NaN;
      for (const [i, value] of embedding.entries()) sum += value * (this.#head[i * classes + c] ?? Number.NaN);
      logits[c] = sum;
    }
    return logits;
  }
}

function entropyOf(logits: Float64Array): number {
  return logSoftmax(logits).reduce((sum, log) => sum - Math.exp(log) * log, 0);
}

function unit(values: Float32Array | Float64Array): Float64Array {
  const length = Math.hypot(...values);
  return Float64Array.from(values, (value) => (length === 0 ? 0 : value / length));
}

function dot(a: Float32Array, b: Float64Array): number {
  let sum = 0;
  for (const [i, value] of a.entries()) sum += value * (b[i] ?? Number.NaN);
  return sum;
}
