// The vectors of what the memory holds, by slot: kept once, compared exactly.
//
// Owns: bringing a vector to length 1, the cosine, the order of neighbours. Does not own: which slots are taken (memory-contents.ts),
// the graph that says whom to compare (memory-index.ts).
//
// N1. A similarity is computed here and nowhere else, in index order over the same four sums: it has the same bits on every machine,
//     whether the graph found the neighbour or a look at all of them.
// N2. Of equally near ones the oldest comes first.

/** One vector of length 1, in both clothes: for the loops here, and for hnswlib, which takes plain arrays only. */
export class UnitVector {
  readonly unit: Float32Array;
  readonly #plain: number[];

  constructor(width: number) {
    this.unit = new Float32Array(width);
    this.#plain = new Array<number>(width).fill(0);
  }

  /** The vector at `start`, brought to length 1; false when it has no direction: not finite, or all zeros. */
  take(values: Float32Array, start: number): boolean {
    const { unit } = this;
    const width = unit.length;
    let square = 0;
    for (let i = 0; i < width; i++) {
      const value = values[start + i] ?? Number.NaN;
      square += value * value;
    }
    if (!(square > 0 && Number.isFinite(square))) return false;
    const length = Math.sqrt(square);
    for (let i = 0; i < width; i++) unit[i] = (values[start + i] ?? Number.NaN) / length;
    return true;
  }

  /** The same for hnswlib (`spelled`). Written over by the next call; a new one for each row would cost more than its search. */
  spellOut(): number[] {
    return spelled(this.unit, 0, this.#plain);
  }
}

/** Of length 1 in hnswlib's eyes. To it lengths mean nothing: it only compares products, and all of them are larger by the same factor. */
const whole = 2 ** 24;

/**
 * A vector of length 1 as hnswlib takes it, in whole numbers: these lie in a plain array as they are, where it would have to make an object of
 * every fraction that it reads (and of -0, which `| 0` takes away). No larger than `whole`, they are float32 to the bit, and as near to the
 * fractions as float32 is to 1.
 */
function spelled(units: Float32Array, start: number, into: number[]): number[] {
  for (let i = 0; i < into.length; i++) into[i] = Math.round((units[start + i] ?? 0) * whole) | 0;
  return into;
}

export class MemoryVectors {
  readonly #width: number;
  readonly #units: Float32Array;
  /** The same memory. */
  readonly #bits: Int32Array;

  constructor(capacity: number, width: number) {
    this.#width = width;
    this.#units = new Float32Array(capacity * width);
    this.#bits = new Int32Array(this.#units.buffer);
  }

  put(slot: number, { unit }: UnitVector): void {
    this.#units.set(unit, slot * this.#width);
  }

  /** The vector of a slot, for hnswlib. */
  read(slot: number, into: number[]): number[] {
    return spelled(this.#units, slot * this.#width, into);
  }

  /** Of all its bits, in 32: vectors that are equal have the same. */
  hash(slot: number): number {
    const start = slot * this.#width;
    let hash = 0x811c9dc5;
    for (let i = 0; i < this.#width; i++) {
      // FNV-1a over words; what a product moves upwards is brought down again, else the upper bits of a number hardly count.
      hash = Math.imul(hash ^ (this.#bits[start + i] ?? 0), 0x01000193);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  /** Bit by bit. */
  isEqual(one: number, other: number): boolean {
    const [a, b] = [one * this.#width, other * this.#width];
    for (let i = 0; i < this.#width; i++) if (this.#bits[a + i] !== this.#bits[b + i]) return false;
    return true;
  }

  cosine(slot: number, { unit }: UnitVector): number {
    return dot(this.#units, slot * this.#width, unit);
  }
}

/** Four sums side by side: a single one waits for itself at every step. 38 ns for 64. */
function dot(units: Float32Array, start: number, unit: Float32Array): number {
  const width = unit.length;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 4 <= width; i += 4) {
    const place = start + i;
    s0 += (units[place] ?? Number.NaN) * (unit[i] ?? Number.NaN);
    s1 += (units[place + 1] ?? Number.NaN) * (unit[i + 1] ?? Number.NaN);
    s2 += (units[place + 2] ?? Number.NaN) * (unit[i + 2] ?? Number.NaN);
    s3 += (units[place + 3] ?? Number.NaN) * (unit[i + 3] ?? Number.NaN);
  }
  for (; i < width; i++) s0 += (units[start + i] ?? Number.NaN) * (unit[i] ?? Number.NaN);
  return s0 + s1 + s2 + s3;
}

/** Neighbours a search returns at most: their number fits a byte. */
export const neighboursMax = 255;

/** The nearest so far, nearest first; the first `count` places. Made once and used again. */
export class Nearest {
  count = 0;
  readonly slots = new Uint32Array(neighboursMax);
  /** Cosine, -1..1. */
  readonly similarities = new Float64Array(neighboursMax);
  /** By slot: the order of arrival. */
  readonly #arrivals: Float64Array;
  #k = 0;
  /** What a similarity must not be below. */
  #least = Number.NEGATIVE_INFINITY;

  constructor(arrivals: Float64Array) {
    this.#arrivals = arrivals;
  }

  begin(k: number): void {
    this.#k = k;
    this.count = 0;
    this.#least = Number.NEGATIVE_INFINITY;
  }

  offer(slot: number, similarity: number): void {
    if (similarity >= this.#least) this.#take(slot, similarity);
  }

  #take(slot: number, similarity: number): void {
    const { slots, similarities } = this;
    let place = this.count;
    if (place === this.#k && !this.#before(slot, similarity, place - 1)) return;
    if (place < this.#k) this.count += 1;
    else place -= 1;
    for (; place > 0 && this.#before(slot, similarity, place - 1); place--) {
      slots[place] = slots[place - 1] ?? 0;
      similarities[place] = similarities[place - 1] ?? Number.NaN;
    }
    slots[place] = slot;
    similarities[place] = similarity;
    if (this.count === this.#k) this.#least = similarities[this.#k - 1] ?? Number.NaN;
  }

  #before(slot: number, similarity: number, place: number): boolean {
    const other = this.similarities[place] ?? Number.NaN;
    if (similarity !== other) return similarity > other;
    return (this.#arrivals[slot] ?? 0) < (this.#arrivals[this.slots[place] ?? 0] ?? 0);
  }
}
