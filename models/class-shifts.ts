// Where each class's channels are against where clean data has them: sums that are kept while their rings stay as they are.
//
// The scale and shift of every new record need the mean over all rings; a record moves the rings of a few classes only.
//
// Owns: the sums and which of them are out of date. Does not own: the rings (moments.ts).
//
// K1. What it gives follows from the rings alone, to the bit: a sum is made anew whenever its rings moved, never corrected.

import type { Calibration } from "./calibration.js";

export class ClassShifts {
  readonly #calibration: Calibration;
  readonly #perClass: number;
  /** [classes, 2C] sum over the places of a class's ring of (row - clean class moments). */
  readonly #sums: Float64Array;
  /** [classes] 1 = its ring moved since. */
  readonly #isStale: Uint8Array;

  constructor(calibration: Calibration, perClass: number) {
    this.#calibration = calibration;
    this.#perClass = perClass;
    this.#sums = new Float64Array(calibration.classes * 2 * calibration.channels);
    this.#isStale = new Uint8Array(calibration.classes).fill(1);
  }

  /** The ring of this class has another row. */
  moved(slot: number): void {
    this.#isStale[slot] = 1;
  }

  /** [2C] mean over classes and ring places. `rings` is [classes, perClass, 2C]. */
  means(rings: Float32Array): Float64Array {
    const { classes, channels } = this.#calibration;
    const means = new Float64Array(2 * channels);
    for (let slot = 0; slot < classes; slot++) {
      if (this.#isStale[slot] === 1) this.#sumAnew(rings, slot);
      addTo(means, this.#sums, slot * 2 * channels);
    }
    const places = classes * this.#perClass;
    for (let c = 0; c < means.length; c++) means[c] = (means[c] ?? Number.NaN) / places;
    return means;
  }

  #sumAnew(rings: Float32Array, slot: number): void {
    const { channels, classMean, classSquare } = this.#calibration;
    const sums = this.#sums.subarray(slot * 2 * channels, (slot + 1) * 2 * channels).fill(0);
    for (let place = slot * this.#perClass; place < (slot + 1) * this.#perClass; place++) {
      const row = place * 2 * channels;
      addShift(sums, 0, rings, row, classMean, slot * channels, channels);
      addShift(sums, channels, rings, row + channels, classSquare, slot * channels, channels);
    }
    this.#isStale[slot] = 0;
  }
}

function addTo(into: Float64Array, from: Float64Array, start: number): void {
  for (let c = 0; c < into.length; c++) into[c] = (into[c] ?? Number.NaN) + (from[start + c] ?? Number.NaN);
}

/** into[at + c] += rows[row + c] - clean[start + c], for c below `count`. */
function addShift(
  into: Float64Array,
  at: number,
  rows: Float32Array,
  row: number,
  clean: Float32Array,
  start: number,
  count: number,
): void {
  for (let c = 0; c < count; c++)
    into[at + c] = (into[at + c] ?? Number.NaN) + ((rows[row + c] ?? Number.NaN) - (clean[start + c] ?? Number.NaN));
}
