// Adam, Kingma & Ba 2015, algorithm 1: the optimiser of the methods that take gradients and are not driftmend's own.
//
// Owns: its running means. Does not own: the gradient. In float64, rounded once per value.
const beta1 = 0.9;
const beta2 = 0.999;
const epsilon = 1e-8;

export class Adam {
  readonly #rate: number;
  readonly #first: Float64Array;
  readonly #second: Float64Array;
  #steps = 0;

  constructor(size: number, rate: number) {
    this.#rate = rate;
    this.#first = new Float64Array(size);
    this.#second = new Float64Array(size);
  }

  /** Moves `values` against `gradient`, in place; both of the size given at first. */
  step(values: Float32Array, gradient: Float32Array): void {
    this.#steps += 1;
    const firstScale = 1 / (1 - beta1 ** this.#steps);
    const secondScale = 1 / (1 - beta2 ** this.#steps);
    for (const [i, slope] of gradient.entries()) {
      const first = beta1 * (this.#first[i] ?? Number.NaN) + (1 - beta1) * slope;
      const second = beta2 * (this.#second[i] ?? Number.NaN) + (1 - beta2) * slope * slope;
      this.#first[i] = first;
      this.#second[i] = second;
      values[i] =
        (values[i] ?? Number.NaN) - (this.#rate * first * firstScale) / (Math.sqrt(second * secondScale) + epsilon);
    }
  }
}
