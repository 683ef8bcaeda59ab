// Mean and variance of every channel as a running average over inputs, beginning at the source's.
//
// Owns: the averages, and the scale and shift that follow from them. Does not own: gamma and beta.

import type { Normalisation } from "../../../models/adaptation/domains.js";
import type { Calibration } from "../../../models/calibration.js";

export class RunningStatistics {
  readonly #eps: number;
  /** [C] each */
  readonly #first: Float64Array;
  readonly #second: Float64Array;

  constructor({ mean, variance, eps }: Pick<Calibration, "mean" | "variance" | "eps">) {
    this.#eps = eps;
    this.#first = Float64Array.from(mean);
    this.#second = Float64Array.from(mean, (value, c) => value * value + (variance[c] ?? Number.NaN));
  }

  /** One input's moments [2C], first then second, before normalisation. */
  follow(moments: Float32Array, momentum: number): void {
    const channels = this.#first.length;
    for (let c = 0; c < channels; c++) {
      this.#first[c] = mixed(this.#first[c], moments[c], momentum);
      this.#second[c] = mixed(this.#second[c], moments[channels + c], momentum);
    }
  }

  get mean(): Float64Array {
    return this.#first;
  }

  /** Never negative. */
  get variance(): Float64Array {
    return this.#second.map((square, c) => Math.max(0, square - (this.#first[c] ?? 0) ** 2));
  }

  /** [C] 1 / sqrt(variance + eps) */
  get factor(): Float64Array {
    return this.variance.map((value) => 1 / Math.sqrt(value + this.#eps));
  }

  /** y = gamma (z - mean) factor + beta, as scale z + shift. */
  normalisation(gamma: Float32Array, beta: Float32Array): Normalisation {
    const scale = Float32Array.from(this.factor, (factor, c) => factor * (gamma[c] ?? Number.NaN));
    const shift = Float32Array.from(beta, (value, c) => value - (this.#first[c] ?? Number.NaN) * (scale[c] ?? 0));
    return { scale, shift };
  }
}

function mixed(before = Number.NaN, now = Number.NaN, momentum: number): number {
  return (1 - momentum) * before + momentum * now;
}
