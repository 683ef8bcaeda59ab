// Percentiles of a stream in bounded space, mergeable across nodes.
//
// Owns: the sketch. Source: DDSketch (Masson, Rim, Lee, VLDB 2019), logarithmic buckets: every quantile of positive values is within
// 1 % of the exact one, relatively, whatever the distribution. Does not own: its bytes (transport/messages/sketch-bytes.ts).
//
// S1. A value costs one logarithm and one addition; room is taken only when a value lies outside of all that came before.
// S2. Sum and count are exact, so the mean is. So is the maximum, but for that of a difference (`since`).

import { keyMax, keyMin, readSketch, sketchBytesMax, writeSketch } from "../../transport/messages/sketch-bytes.js";

const relativeError = 0.01;
const gamma = (1 + relativeError) / (1 - relativeError);
const logGamma = Math.log(gamma);
/** Values below are counted as 0: a picosecond, when the unit is milliseconds. */
const smallest = 1e-9;
/** Values above are counted as this, but for the sum and the maximum: thirty years. */
const largest = 1e12;
/** Buckets that are taken beyond the one that is needed. */
const spare = 32;

/** Written into by one sketch at a time. */
const room = new Uint8Array(sketchBytesMax);

export class PercentileSketch {
  /** Count of the bucket with key `#firstKey + i`. */
  #counts: Float64Array = new Float64Array(0);
  #firstKey = 0;
  #zeros = 0;
  #count = 0;
  #sum = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  get max(): number {
    return this.#max;
  }

  /** Null when nothing was added. */
  get mean(): number | null {
    return this.#count === 0 ? null : this.#sum / this.#count;
  }

  /** value >= 0, finite; `times` > 0, whole. */
  add(value: number, times = 1): void {
    if (value < smallest) this.#zeros += times;
    else this.#addTo(Math.ceil(Math.log(value < largest ? value : largest) / logGamma), times);
    this.#count += times;
    this.#sum += value * times;
    if (value > this.#max) this.#max = value;
  }

  merge(other: PercentileSketch): void {
    for (let i = 0; i < other.#counts.length; i += 1) {
      const count = other.#counts[i] ?? 0;
      if (count > 0) this.#addTo(other.#firstKey + i, count);
    }
    this.#zeros += other.#zeros;
    this.#count += other.#count;
    this.#sum += other.#sum;
    this.#max = Math.max(this.#max, other.#max);
  }

  /** What was added since `earlier`, an older state of this sketch. Its maximum is exact when it is a new one, else within 1 %. */
  since(earlier: PercentileSketch): PercentileSketch {
    const grown = new PercentileSketch();
    for (let i = 0; i < this.#counts.length; i += 1) {
      const key = this.#firstKey + i;
      const more = (this.#counts[i] ?? 0) - earlier.#countOf(key);
      if (more <= 0) continue;
      grown.#addTo(key, more);
      grown.#count += more;
      grown.#max = Math.min(this.#max, middleOf(key));
    }
    grown.#zeros = Math.max(0, this.#zeros - earlier.#zeros);
    grown.#count += grown.#zeros;
    if (grown.#count === 0) return grown;
    grown.#sum = Math.max(0, this.#sum - earlier.#sum);
    // A maximum that is the middle of its bucket may be below the mean of values above that.
    grown.#max = this.#max > earlier.#max ? this.#max : Math.max(grown.#max, grown.#sum / grown.#count);
    return grown;
  }

  /** The value below which a share `q` (0..1) of what was added lies; 0 when nothing was. */
  quantile(q: number): number {
    const rank = q * (this.#count - 1);
    let seen = this.#zeros;
    if (seen > rank) return 0;
    for (let i = 0; i < this.#counts.length; i += 1) {
      seen += this.#counts[i] ?? 0;
      if (seen > rank) return Math.min(middleOf(this.#firstKey + i), this.#max);
    }
    return this.#max;
  }

  encode(): Uint8Array {
    let [start, end] = [0, this.#counts.length];
    while (start < end && this.#counts[start] === 0) start += 1;
    while (end > start && this.#counts[end - 1] === 0) end -= 1;
    const counts = this.#counts.subarray(start, end);
    const parts = { zeros: this.#zeros, firstKey: this.#firstKey + start, counts, sum: this.#sum, max: this.#max };
    return writeSketch(parts, room);
  }

  /** Undefined for bytes that are no sketch. */
  static decode(bytes: Uint8Array): PercentileSketch | undefined {
    const parts = readSketch(bytes);
    if (parts === undefined) return undefined;
    const sketch = new PercentileSketch();
    sketch.#counts = parts.counts;
    sketch.#firstKey = parts.firstKey;
    sketch.#zeros = parts.zeros;
    sketch.#count = parts.counts.reduce((sum, count) => sum + count, parts.zeros);
    sketch.#sum = parts.sum;
    sketch.#max = parts.max;
    return sketch;
  }

  #countOf(key: number): number {
    return this.#counts[key - this.#firstKey] ?? 0;
  }

  #addTo(key: number, times: number): void {
    const place = key - this.#firstKey;
    if (place < 0 || place >= this.#counts.length) this.#reach(key);
    const at = key - this.#firstKey;
    this.#counts[at] = (this.#counts[at] ?? 0) + times;
  }

  /** Makes room for a key, and some beside it. */
  #reach(key: number): void {
    const { length } = this.#counts;
    const [low, high] = length === 0 ? [key, key] : [this.#firstKey, this.#firstKey + length - 1];
    const firstKey = Math.max(keyMin, Math.min(low, key - spare));
    const lastKey = Math.min(keyMax, Math.max(high, key + spare));
    const counts = new Float64Array(lastKey - firstKey + 1);
    counts.set(this.#counts, length === 0 ? 0 : low - firstKey);
    this.#counts = counts;
    this.#firstKey = firstKey;
  }
}

/** The value that is within 1 % of everything in its bucket. */
function middleOf(key: number): number {
  return (2 * gamma ** key) / (gamma + 1);
}
