// Which slot goes first: a binary heap of slots by standing, then by arrival.
//
// Owns: the order. Does not own: what a standing is (memory-contents.ts).
//
// Elements are read here, not through `at`: that has met every kind of column, and V8 looks the kind up at each read.
const absent = 0xffff_ffff;

export class EvictionHeap {
  readonly #standing: Float64Array;
  readonly #arrival: Float64Array;
  /** By place: the slot there. By slot: its place. */
  readonly #slots: Uint32Array;
  readonly #places: Uint32Array;
  #size = 0;

  /** Columns by slot that the owner writes before `push` and leaves alone until `remove`. */
  constructor(standing: Float64Array, arrival: Float64Array) {
    this.#standing = standing;
    this.#arrival = arrival;
    this.#slots = new Uint32Array(standing.length);
    this.#places = new Uint32Array(standing.length).fill(absent);
  }

  get size(): number {
    return this.#size;
  }

  /** The slot with the lowest standing, the earliest arrival of equals; undefined when empty. */
  lowest(): number | undefined {
    return this.#size === 0 ? undefined : this.#slots[0];
  }

  push(slot: number): void {
    if (this.#places[slot] !== absent) throw new RangeError(`slot ${slot} is in already, or never can be`);
    this.#rise(this.#size++, slot);
  }

  /** Takes a slot out; it must be in. */
  remove(slot: number): void {
    const place = this.#places[slot];
    if (place === undefined || place === absent) throw new RangeError(`slot ${slot} is not in`);
    this.#places[slot] = absent;
    this.#size -= 1;
    const last = this.#at(this.#size);
    if (last === slot) return;
    if (place > 0 && this.#before(last, this.#at((place - 1) >> 1))) this.#rise(place, last);
    else this.#sink(place, last);
  }

  #at(place: number): number {
    return this.#slots[place] ?? absent;
  }

  #before(slot: number, other: number): boolean {
    const difference = (this.#standing[slot] ?? Number.NaN) - (this.#standing[other] ?? Number.NaN);
    if (difference !== 0) return difference < 0;
    return (this.#arrival[slot] ?? Number.NaN) < (this.#arrival[other] ?? Number.NaN);
  }

  #put(place: number, slot: number): void {
    this.#slots[place] = slot;
    this.#places[slot] = place;
  }

  #rise(from: number, slot: number): void {
    let place = from;
    while (place > 0) {
      const parentPlace = (place - 1) >> 1;
      const parent = this.#at(parentPlace);
      if (!this.#before(slot, parent)) break;
      this.#put(place, parent);
      place = parentPlace;
    }
    this.#put(place, slot);
  }

  #sink(from: number, slot: number): void {
    let place = from;
    for (;;) {
      const left = 2 * place + 1;
      if (left >= this.#size) break;
      const useRight = left + 1 < this.#size && this.#before(this.#at(left + 1), this.#at(left));
      const childPlace = useRight ? left + 1 : left;
      const child = this.#at(childPlace);
      if (!this.#before(child, slot)) break;
      this.#put(place, child);
      place = childPlace;
    }
    this.#put(place, slot);
  }
}
