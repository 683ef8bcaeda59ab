// Nearest neighbours by cosine: the only file that knows hnswlib.
//
//   add ──> tail (exact search, newest) ──advance()──> graph (HNSW) ──worn──> a new graph, built aside
//   search = best of tail and graph
//
// Measured on the embeddings of drifting digits (64 wide; 1,000 later ones asked; hnswlib alone, CPU time on a busy machine at 2.6 GHz, so compare
// lines). Half dead: 10,000 living among 20,000 points, as in a full memory just before its graph is worn.
//
//                                  10,000 living                     half dead                  100,000 living
//                            insert   search   recall@10     insert   search   recall@10    search   recall@10
//   M 16, efC 64, ef 32       28 us    18 us     0.995         66 us    26 us     0.996      49 us     0.992
//   M 16, efC 48, ef as here  23 us    18 us     0.995         53 us    24 us     0.994      49 us     0.993   chosen
//   M 16, efC 40, ef 32       20 us    17 us     0.993         47 us    26 us     0.994      47 us     0.986
//   M 12, efC 40, ef 32       20 us    17 us     0.993         45 us    25 us     0.994      48 us     0.981
//
// 4 us of every call into hnswlib go into reading the query out of a plain array: so the tail is searched here, and is kept empty.
// Vectors without any structure are the graph's worst case: uniformly random queries find 0.70 of their neighbours at M 16. Thousands of equal
// ones would be worse, so they are one point (twins.ts); thousands that are nearly equal (to 1e-6 ... 1e-2) leave 0.77 to 0.98.
// The graph is built in small slices when nobody asks, and without idle time the tail just grows and everything stays right.
// Rejected: replacing deleted points in place (2,900/s, recall decays); a graph alone (inserts delay searches); dead points left unmarked and
// passed over here (inserts a fifth cheaper, searches a third dearer); hnswlib's exact search for tail and verified: it forgets a label that
// comes again after it was the last to be removed, and reads what it has freed.
//
// Owns: the structures and when points move between them. Does not own: vectors and similarities (memory-vectors.ts), which items are kept
// (memory-contents.ts), slices (memory-worker.ts).
//
// X1. hnswlib takes NaN silently: only vectors that memory-vectors.ts took come in, and every k is clamped.
// X2. What was removed never comes out of a search, whatever is under construction.
// X3. A point's number is used once in its graph, and a graph ends: no number grows for ever (hnswlib takes them modulo 2^32).
import hnswlib from "hnswlib-node";
import { MemoryVectors, Nearest, type UnitVector } from "./memory-vectors.js";
import { Twins } from "./twins.js";

export interface IndexOptions {
  readonly width: number;
  /** Items held at most. */
  readonly capacity: number;
  /** Newest items that stay in exact search beside the graph. */
  readonly tail?: number;
}

/** Verified items that are found among their like, the newest. They vote, so they are searched exactly: 80 us a row when there are as many. */
export const verifiedMax = 2_048;

/** Newest items that are left beside the graph. */
const tailDefault = 0;
const construction = { m: 16, efConstruction: 48, randomSeed: 100 } as const;
const none = -1;

/** Dead points that no graph is too small for. */
const wornFrom = 64;

/**
 * Candidates that a search of the graph keeps. The more points, the more of them lie between here and there; where some are dead it
 * reaches as far with fewer, for hnswlib counts the living.
 */
function efOf(living: number, added: number): number {
  const ofSize = 32 + 16 * (Math.log10(Math.max(living, 1)) - 4);
  return Math.max(16, Math.round(ofSize * (0.7 + (0.3 * living) / added)));
}

/** A graph in use or under construction. Points are numbered as they come. */
class Graph {
  added = 0;
  living = 0;
  readonly #points: hnswlib.HierarchicalNSW;
  /** By point: its slot, `none` when it is dead. By slot: its point, `none` when it has none here. */
  readonly #slots: Int32Array;
  readonly #pointOf: Int32Array;
  #ef = 0;

  constructor(width: number, capacity: number, pointsMax: number) {
    const { m, efConstruction, randomSeed } = construction;
    this.#points = new hnswlib.HierarchicalNSW("ip", width);
    this.#points.initIndex(pointsMax, m, efConstruction, randomSeed);
    this.#slots = new Int32Array(pointsMax).fill(none);
    this.#pointOf = new Int32Array(capacity).fill(none);
  }

  /** More of it is dead than alive: a search and an insert go through the dead to find the living, so either costs as much more. */
  get isWorn(): boolean {
    return this.added >= this.#slots.length || this.added - this.living > this.living + wornFrom;
  }

  add(slot: number, vector: number[]): void {
    const point = this.added++;
    this.#points.addPoint(vector, point);
    this.#slots[point] = slot;
    this.#pointOf[slot] = point;
    this.living += 1;
  }

  /** Nothing when it is not here. */
  remove(slot: number): void {
    const point = this.#pointOf[slot] ?? none;
    if (point === none) return;
    this.#points.markDelete(point);
    this.#slots[point] = none;
    this.#pointOf[slot] = none;
    this.living -= 1;
  }

  /** The point of `slot` is another's from now on, who has the same vector. */
  inherit(slot: number, heir: number): void {
    const point = this.#pointOf[slot] ?? none;
    if (point === none) return;
    this.#pointOf[slot] = none;
    this.#slots[point] = heir;
    this.#pointOf[heir] = point;
  }

  /** The first point from `from` on that lives, and its slot; undefined when there is none. */
  livingFrom(from: number): { readonly point: number; readonly slot: number } | undefined {
    for (let point = from; point < this.added; point++) {
      const slot = this.#slots[point] ?? none;
      if (slot !== none) return { point, slot };
    }
    return undefined;
  }

  /** Gives up to `k` slots that are probably the nearest, k at most `living`. */
  search(vector: number[], k: number, give: (slot: number) => void): void {
    const ef = efOf(this.living, this.added);
    if (ef !== this.#ef) this.#points.setEf(ef);
    this.#ef = ef;
    for (const point of this.#points.searchKnn(vector, k).neighbors) {
      const slot = this.#slots[point] ?? none;
      if (slot === none) throw new Error(`point ${point} was found and is dead`);
      give(slot);
    }
  }
}

export class MemoryIndex {
  readonly #options: IndexOptions;
  readonly #tailMax: number;
  readonly #vectors: MemoryVectors;
  /** By slot: 1 = taken; and the order of arrival. */
  readonly #taken: Uint8Array;
  readonly #arrivals: Float64Array;
  #arrived = 0;
  /** Slots that are in no graph, oldest first. */
  readonly #tail = new Set<number>();
  readonly #verified = new Set<number>();
  /** Of the slots that are not in the tail: who stands in the graph for whom. */
  readonly #twins: Twins;
  #held = 0;
  #graph: Graph;
  /** The next graph, and the first point of the old one that it still lacks. */
  #next: { readonly graph: Graph; from: number } | undefined;
  readonly #moved: number[];
  readonly #nearest: Nearest;

  constructor(options: IndexOptions) {
    const { width, capacity } = options;
    if (!(Number.isInteger(capacity) && capacity > 0)) throw new RangeError(`a capacity of ${capacity}`);
    this.#options = options;
    this.#tailMax = options.tail ?? tailDefault;
    this.#vectors = new MemoryVectors(capacity, width);
    this.#twins = new Twins(this.#vectors);
    this.#taken = new Uint8Array(capacity);
    this.#arrivals = new Float64Array(capacity);
    this.#graph = this.#emptyGraph();
    this.#moved = new Array<number>(width).fill(0);
    this.#nearest = new Nearest(this.#arrivals);
  }

  /** Items in the tail beyond those that are left there. */
  get behind(): number {
    return Math.max(0, this.#tail.size - this.#tailMax);
  }

  shape(): { readonly tail: number; readonly graph: number; readonly building: boolean } {
    return { tail: this.#tail.size, graph: this.#held - this.#tail.size, building: this.#next !== undefined };
  }

  add(slot: number, vector: UnitVector): void {
    if (this.#taken[slot] !== 0) throw new RangeError(`slot ${slot} is taken, or never can be`);
    this.#taken[slot] = 1;
    this.#held += 1;
    this.#arrivals[slot] = this.#arrived++;
    this.#vectors.put(slot, vector);
    this.#tail.add(slot);
  }

  remove(slot: number): void {
    if (this.#taken[slot] !== 1) throw new RangeError(`slot ${slot} is not taken`);
    this.#taken[slot] = 0;
    this.#held -= 1;
    this.#verified.delete(slot);
    if (this.#tail.delete(slot)) return;
    const left = this.#twins.leave(slot);
    for (const graph of [this.#graph, this.#next?.graph]) {
      if (left.kind === "alone") graph?.remove(slot);
      else if (left.kind === "heir") graph?.inherit(slot, left.heir);
    }
  }

  /** From now on `searchVerified` finds it too, until it is removed or `verifiedMax` others are newer. */
  verify(slot: number): void {
    if (this.#taken[slot] !== 1) throw new RangeError(`slot ${slot} is not taken`);
    this.#verified.add(slot);
    const [oldest] = this.#verified;
    if (oldest !== undefined && this.#verified.size > verifiedMax) this.#verified.delete(oldest);
  }

  /** Up to `k` slots by falling similarity, k at most `neighboursMax`. Written over by the next search. */
  search(vector: UnitVector, k: number): Nearest {
    const nearest = this.#nearest;
    nearest.begin(k);
    const offer = (slot: number): void => nearest.offer(slot, this.#vectors.cosine(slot, vector));
    const { living } = this.#graph;
    const give = (slot: number): void => this.#twins.give(slot, k, offer);
    if (living > 0) this.#graph.search(vector.spellOut(), Math.min(k, living), give);
    this.#look(this.#tail, vector);
    return nearest;
  }

  /** As `search`, among the verified alone: few, and searched exactly. */
  searchVerified(vector: UnitVector, k: number): Nearest {
    this.#nearest.begin(k);
    this.#look(this.#verified, vector);
    return this.#nearest;
  }

  /** Moves up to `moves` items from the tail into the graph, or into the next graph; false = nothing is left to do. */
  advance(moves: number): boolean {
    for (let move = 0; move < moves; move++) {
      if (this.#next !== undefined) this.#continueNext(this.#next);
      else if (this.behind === 0) return false;
      else if (this.#graph.isWorn) this.#next = { graph: this.#emptyGraph(), from: 0 };
      else this.#moveOldest();
    }
    return this.#next !== undefined || this.behind > 0;
  }

  /** At each of them. */
  #look(slots: Iterable<number>, vector: UnitVector): void {
    for (const slot of slots) this.#nearest.offer(slot, this.#vectors.cosine(slot, vector));
  }

  #emptyGraph(): Graph {
    const { width, capacity } = this.#options;
    return new Graph(width, capacity, 2 * capacity);
  }

  #moveOldest(): void {
    for (const slot of this.#tail) {
      if (this.#twins.join(slot)) this.#graph.add(slot, this.#vectors.read(slot, this.#moved));
      this.#tail.delete(slot);
      return;
    }
  }

  /** One living item of the old graph into the next one; the switch when none is left. */
  #continueNext(next: { readonly graph: Graph; from: number }): void {
    const living = this.#graph.livingFrom(next.from);
    if (living === undefined) {
      this.#graph = next.graph;
      this.#next = undefined;
      return;
    }
    next.graph.add(living.slot, this.#vectors.read(living.slot, this.#moved));
    next.from = living.point + 1;
  }
}
