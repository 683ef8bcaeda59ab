// A bounded set of whole numbers in one typed array: a Set boxes every number beyond 31 bits, and what lives as long as a window of ids is
// copied twice by the garbage collector before it is left alone.
//
// Owns: the table. Does not own: who leaves (its owner keeps to the bound).
//
// N1. Open addressing with linear probing; a number that leaves draws those behind it up, so that no mark of it stays (Knuth, TAOCP 3,
//     6.4, algorithm R). At most half of the places are taken.
import { at } from "./softmax.js";

const empty = -1;

/** Of numbers from 0 to 2^53 - 1. */
export class NumberSet {
  readonly #places: Float64Array;
  readonly #mask: number;
  readonly #most: number;
  #size = 0;

  constructor(most: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * most));
    this.#places = new Float64Array(size).fill(empty);
    this.#mask = size - 1;
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  has(value: number): boolean {
    return at(this.#places, this.#placeOf(value)) === value;
  }

  /** Nothing when it is in already; throws beyond the bound. */
  add(value: number): void {
    const place = this.#placeOf(value);
    if (at(this.#places, place) === value) return;
    if (this.#size >= this.#most) throw new RangeError(`more than ${this.#most} numbers`);
    this.#places[place] = value;
    this.#size += 1;
  }

  delete(value: number): void {
    let hole = this.#placeOf(value);
    if (at(this.#places, hole) !== value) return;
    this.#size -= 1;
    for (let place = this.#next(hole); at(this.#places, place) !== empty; place = this.#next(place)) {
      const home = this.#homeOf(at(this.#places, place));
      // It may move up unless its home lies behind the hole, up to where it stands.
      const isBehind = hole <= place ? hole < home && home <= place : hole < home || home <= place;
      if (isBehind) continue;
      this.#places[hole] = at(this.#places, place);
      hole = place;
    }
    this.#places[hole] = empty;
  }

  clear(): void {
    this.#places.fill(empty);
    this.#size = 0;
  }

  /** Where it is, or the empty place where it belongs. */
  #placeOf(value: number): number {
    let place = this.#homeOf(value);
    while (at(this.#places, place) !== empty && at(this.#places, place) !== value) place = this.#next(place);
    return place;
  }

  /** Fibonacci hashing of both halves (Knuth, TAOCP 3, 6.4). */
  #homeOf(value: number): number {
    const high = Math.floor(value / 2 ** 32);
    const mixed = Math.imul((value >>> 0) ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1);
    return (mixed >>> 11) & this.#mask;
  }

  #next(place: number): number {
    return (place + 1) & this.#mask;
  }
}
