// Percentiles of a stream in bounded space, mergeable across nodes.
//
// Owns: the sketch. Source: DDSketch (Masson, Rim, Lee, VLDB 2019), logarithmic buckets: every quantile of positive values is within
// 1 % of the exact one, relatively, whatever the distribution.

const relativeError = 0.01;
const gamma = (1 + relativeError) / (1 - relativeError);
const logGamma = Math.log(gamma);
/** Values below are counted as this: a tenth of a microsecond, when the unit is milliseconds. */
const smallest = 1e-4;

export class PercentileSketch {
  readonly #buckets = new Map<number, number>();
  #count = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  get max(): number {
    return this.#max;
  }

  /** value >= 0, finite. */
  add(value: number): void {
    const key = Math.ceil(Math.log(Math.max(value, smallest)) / logGamma);
    this.#buckets.set(key, (this.#buckets.get(key) ?? 0) + 1);
    this.#count += 1;
    this.#max = Math.max(this.#max, value);
  }

  merge(other: PercentileSketch): void {
    for (const [key, n] of other.#buckets) this.#buckets.set(key, (this.#buckets.get(key) ?? 0) + n);
    this.#count += other.#count;
    this.#max = Math.max(this.#max, other.#max);
  }

  /** The value below which a share `q` (0..1) of what was added lies; 0 when nothing was. */
  quantile(q: number): number {
    const rank = q * (this.#count - 1);
    let seen = 0;
    for (const key of [...this.#buckets.keys()].sort((a, b) => a - b)) {
      seen += this.#buckets.get(key) ?? 0;
      if (seen > rank) return Math.min((2 * gamma ** key) / (gamma + 1), this.#max);
    }
    return this.#max;
  }
}
