// The nearest of what was seen, by cosine, looked at one by one: exact, and quick enough for some thousand rows.
//
// Owns: unit rows with a class and a confidence each; when full, the oldest that is not among the first `lasting` makes room.
// Does not own: what a neighbour is worth.
import { unitRows } from "../../../models/calibration.js";

export interface Near {
  readonly cosine: number;
  readonly label: number;
  readonly confidence: number;
  /** Order of entry. */
  readonly entered: number;
}

export class NearestRows {
  readonly #width: number;
  readonly #capacity: number;
  readonly #lasting: number;
  readonly #rows: Float32Array;
  readonly #labels: Uint16Array;
  readonly #confidences: Float32Array;
  readonly #entered: Float64Array;
  #added = 0;

  constructor(width: number, capacity: number, lasting = 0) {
    if (!(lasting < capacity)) throw new RangeError(`${lasting} lasting rows of ${capacity}`);
    this.#width = width;
    this.#capacity = capacity;
    this.#lasting = lasting;
    this.#rows = new Float32Array(capacity * width);
    this.#labels = new Uint16Array(capacity);
    this.#confidences = new Float32Array(capacity);
    this.#entered = new Float64Array(capacity);
  }

  add(row: Float32Array, label: number, confidence: number): void {
    const changing = this.#capacity - this.#lasting;
    const place =
      this.#added < this.#capacity ? this.#added : this.#lasting + ((this.#added - this.#lasting) % changing);
    this.#rows.set(unitRows(row, this.#width), place * this.#width);
    this.#labels[place] = label;
    this.#confidences[place] = confidence;
    this.#entered[place] = this.#added;
    this.#added += 1;
  }

  /** The k nearest, nearest first; the lower place of equals. */
  search(row: Float32Array, k: number): readonly Near[] {
    const unit = unitRows(row, this.#width);
    const size = Math.min(this.#added, this.#capacity);
    const best: { place: number; cosine: number }[] = [];
    for (let place = 0; place < size; place++) {
      const cosine = this.#cosine(unit, place);
      if (best.length === k && !(cosine > (best[k - 1]?.cosine ?? 0))) continue;
      const at = best.findIndex((each) => cosine > each.cosine);
      best.splice(at < 0 ? best.length : at, 0, { place, cosine });
      if (best.length > k) best.pop();
    }
    return best.map(({ place, cosine }) => ({
      cosine,
      label: this.#labels[place] ?? 0,
      confidence: this.#confidences[place] ?? 0,
      entered: this.#entered[place] ?? 0,
    }));
  }

  #cosine(unit: Float32Array, place: number): number {
    const start = place * this.#width;
    let sum = 0;
    for (let i = 0; i < this.#width; i++) sum += (unit[i] ?? Number.NaN) * (this.#rows[start + i] ?? Number.NaN);
    return sum;
  }
}
