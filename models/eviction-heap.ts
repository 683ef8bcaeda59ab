// Which slot goes first: a binary heap of slots by standing, then by arrival.
//
// Owns: the order. Does not own: what a standing is (memory-contents.ts).

export class EvictionHeap {
  readonly #standing: Float64Array;
  readonly #arrival: Float64Array;
  readonly #slots: number[] = [];
  readonly #places = new Map<number, number>();

  /** Columns by slot that the owner writes before `push` and leaves alone until `remove`. */
  constructor(standing: Float64Array, arrival: Float64Array) {
    this.#standing = standing;
    this.#arrival = arrival;
  }

  get size(): number {
    return this.#slots.length;
  }

  /** The slot with the lowest standing, the earliest arrival of equals; undefined when empty. */
  lowest(): number | undefined {
    return this.#slots[0];
  }

  push(slot: number): void {
    if (this.#places.has(slot)) throw new RangeError(`slot ${slot} is in already`);
    this.#rise(this.#slots.length, slot);
  }

  /** Takes a slot out; it must be in. */
  remove(slot: number): void {
    const place = this.#places.get(slot);
    if (place === undefined) throw new RangeError(`slot ${slot} is not in`);
    this.#places.delete(slot);
    const last = this.#slots.pop();
    if (last === undefined || last === slot) return;
    const parent = this.#slots[(place - 1) >> 1];
    if (place > 0 && parent !== undefined && this.#before(last, parent)) this.#rise(place, last);
    else this.#sink(place, last);
  }

  #before(a: number, b: number): boolean {
    const difference = (this.#standing[a] ?? 0) - (this.#standing[b] ?? 0);
    return difference < 0 || (difference === 0 && (this.#arrival[a] ?? 0) < (this.#arrival[b] ?? 0));
  }

  #put(place: number, slot: number): void {
    this.#slots[place] = slot;
    this.#places.set(slot, place);
  }

  #rise(from: number, slot: number): void {
    let place = from;
    while (place > 0) {
      const parentPlace = (place - 1) >> 1;
      const parent = this.#slots[parentPlace];
      if (parent === undefined || !this.#before(slot, parent)) break;
      this.#put(place, parent);
      place = parentPlace;
    }
    this.#put(place, slot);
  }

  #sink(from: number, slot: number): void {
    let place = from;
    for (;;) {
      const left = this.#slots[2 * place + 1];
      const right = this.#slots[2 * place + 2];
      if (left === undefined) break;
      const useRight = right !== undefined && this.#before(right, left);
      const child = useRight ? right : left;
      if (!this.#before(child, slot)) break;
      this.#put(place, child);
      place = 2 * place + (useRight ? 2 : 1);
    }
    this.#put(place, slot);
  }
}
