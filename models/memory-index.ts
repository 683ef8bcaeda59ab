// Nearest neighbours by cosine: the only file that knows hnswlib.
//
//   add ──> tail (exact search, newest) ──advance()──> graph (HNSW) ──full of the dead──> a new graph, built aside
//   search = best of tail and graph
//
// Measured on the embeddings of drifting digits (64 wide, 10,000 stored, 1,000 later ones asked for 5 and for 10, one row at a time
// through memory-store.ts, one core at 2.6 GHz):
//
//                                    insert    search   recall@5   recall@10
//   M 16, efConstruction 64, ef 48    28 us     25 us     0.998       0.998
//   M 16, efConstruction 64, ef 32    28 us     21 us     0.995       0.995     chosen
//   M 12, efConstruction 48, ef 32    25 us     21 us     0.994       0.993
//   M 8,  efConstruction 40, ef 32    22 us     20 us     0.992       0.990
//   ef 32 and a tail of 256           28 us     29 us     0.995       0.995
//   ef 48 and a tail of 512           28 us     36 us     0.998       0.998
//
// 4 us of every call into hnswlib go into reading the query out of a plain array: so the tail is kept empty, and is not asked then.
// Vectors without any structure are the graph's worst case: uniformly random queries find 0.70 of their neighbours at M 16.
// Taking an item in costs 7 us: the graph is built in small slices when nobody asks, and without idle time the tail just grows
// and everything stays right.
// Rejected: replacing deleted points in place (2,900/s, recall decays); a graph alone (inserts delay searches).
//
// Owns: vectors and both structures. Does not own: which items are kept (memory-contents.ts), slices (memory-worker.ts).
//
// X1. hnswlib takes NaN silently and aborts the process when its exact search is asked for more than it holds: only
//     finite unit vectors come in, and every k is clamped.
// X2. Removed labels never come out of a search, whatever is under construction.
// X3. Labels are never used twice.
import hnswlib from "hnswlib-node";
import type { MemoryOptions } from "./memory.js";

export interface MemoryIndex {
  readonly size: number;
  /** Items in the tail beyond those that are left there. */
  readonly behind: number;
  /** `unit` stays the caller's. */
  add(label: number, unit: readonly number[]): void;
  remove(label: number): void;
  /** From now on `searchVerified` finds it too, until it is removed or `verifiedMax` others are newer. */
  verify(label: number): void;
  /** As `search`, among the verified alone: few, and searched exactly. */
  searchVerified(unit: number[], k: number): Nearest;
  /** Up to `k` labels by falling similarity, k at most `neighboursMax`; the oldest first of equals, as hnswlib gives them. */
  search(unit: number[], k: number): Nearest;
  /** Moves up to `moves` items from the tail into the graph, or into the next graph; false = nothing is left to do. */
  advance(moves: number): boolean;
  shape(): { readonly tail: number; readonly graph: number; readonly building: boolean };
}

/** The first `count` places; written over by the next search. */
export interface Nearest {
  count: number;
  readonly labels: Float64Array;
  /** Cosine, -1..1. */
  readonly similarities: Float64Array;
}

/** Neighbours a search returns at most: their number fits a byte. */
export const neighboursMax = 255;

/** Verified items that are found among their like, the newest: an exact search through them takes about as long as one of the graph. */
export const verifiedMax = 2_048;

/** Newest items that are left beside the graph. */
const tailDefault = 0;
const graphSettings = { m: 16, efConstruction: 64, randomSeed: 100, ef: 32 } as const;

/** A graph under use or construction: the living labels in it, and how many points were ever added. */
interface Graph {
  readonly points: hnswlib.HierarchicalNSW;
  readonly living: Set<number>;
  added: number;
}

interface State {
  readonly options: MemoryOptions;
  readonly tailMax: number;
  readonly graphMax: number;
  readonly units: Map<number, number[]>;
  readonly exact: hnswlib.BruteforceSearch;
  /** Labels in the tail, oldest first. */
  readonly tail: Set<number>;
  readonly verified: { readonly points: hnswlib.BruteforceSearch; readonly labels: Set<number> };
  graph: Graph;
  /** The next graph and the labels of the old one that it still lacks. */
  next: { readonly graph: Graph; readonly waiting: number[] } | null;
  readonly nearest: Nearest;
}

export function createMemoryIndex(options: MemoryOptions): MemoryIndex {
  const { width, capacity } = options;
  if (!(Number.isInteger(capacity) && capacity > 0)) throw new RangeError(`a capacity of ${capacity}`);
  const exact = new hnswlib.BruteforceSearch("ip", width);
  exact.initIndex(capacity);
  const graphMax = 2 * capacity;
  const state: State = {
    options,
    tailMax: options.tail ?? tailDefault,
    graphMax,
    units: new Map(),
    exact,
    tail: new Set(),
    verified: { points: new hnswlib.BruteforceSearch("ip", width), labels: new Set() },
    graph: emptyGraph(width, graphMax),
    next: null,
    nearest: {
      count: 0,
      labels: new Float64Array(neighboursMax),
      similarities: new Float64Array(neighboursMax),
    },
  };
  state.verified.points.initIndex(Math.min(verifiedMax, capacity));
  return {
    get size() {
      return state.units.size;
    },
    get behind() {
      return Math.max(0, state.tail.size - state.tailMax);
    },
    add: (label, unit) => addToTail(state, label, unit),
    remove: (label) => removeEverywhere(state, label),
    verify: (label) => addToVerified(state, label),
    search: (unit, k) => searchBoth(state, unit, k),
    searchVerified: (unit, k) => searchVerified(state, unit, k),
    advance: (moves) => advance(state, moves),
    shape: () => ({ tail: state.tail.size, graph: state.graph.living.size, building: state.next !== null }),
  };
}

function emptyGraph(width: number, max: number): Graph {
  const points = new hnswlib.HierarchicalNSW("ip", width);
  points.initIndex(max, graphSettings.m, graphSettings.efConstruction, graphSettings.randomSeed);
  points.setEf(graphSettings.ef);
  return { points, living: new Set(), added: 0 };
}

function addToTail(state: State, label: number, unit: readonly number[]): void {
  checkVector(state, unit);
  if (state.units.has(label)) throw new RangeError(`label ${label} is taken`);
  if (state.units.size >= state.options.capacity) throw new RangeError(`full at ${state.options.capacity}`);
  const point = unit.slice();
  state.units.set(label, point);
  state.exact.addPoint(point, label);
  state.tail.add(label);
}

function removeEverywhere(state: State, label: number): void {
  if (!state.units.delete(label)) throw new RangeError(`label ${label} is not here`);
  if (state.tail.delete(label)) state.exact.removePoint(label);
  if (state.verified.labels.delete(label)) state.verified.points.removePoint(label);
  for (const graph of [state.graph, state.next?.graph]) {
    if (graph?.living.delete(label)) graph.points.markDelete(label);
  }
}

function addToVerified({ units, verified, options }: State, label: number): void {
  const point = units.get(label);
  if (point === undefined) throw new RangeError(`label ${label} is not here`);
  if (verified.labels.has(label)) return;
  const [oldest] = verified.labels;
  if (oldest !== undefined && verified.labels.size >= Math.min(verifiedMax, options.capacity)) {
    verified.points.removePoint(oldest);
    verified.labels.delete(oldest);
  }
  verified.points.addPoint(point, label);
  verified.labels.add(label);
}

function searchVerified(state: State, unit: number[], k: number): Nearest {
  checkVector(state, unit);
  merge(nothing, searchOne(state.verified.points, state.verified.labels.size, unit, k), k, state.nearest);
  return state.nearest;
}

function searchBoth(state: State, unit: number[], k: number): Nearest {
  checkVector(state, unit);
  const tail = searchOne(state.exact, state.tail.size, unit, k);
  const graph = searchOne(state.graph.points, state.graph.living.size, unit, k);
  merge(graph, tail, k, state.nearest);
  return state.nearest;
}

const nothing: hnswlib.SearchResult = { neighbors: [], distances: [] };

function searchOne(
  source: hnswlib.BruteforceSearch | hnswlib.HierarchicalNSW,
  count: number,
  unit: number[],
  k: number,
): hnswlib.SearchResult {
  return count === 0 ? nothing : source.searchKnn(unit, Math.min(k, count));
}

/** Both come sorted by rising distance, then rising label; what is in the graph is older than what is in the tail. */
function merge(older: hnswlib.SearchResult, newer: hnswlib.SearchResult, k: number, into: Nearest): void {
  let [fromOlder, fromNewer, count] = [0, 0, 0];
  for (; count < k; count++) {
    const olderDistance = older.distances[fromOlder] ?? Number.POSITIVE_INFINITY;
    const newerDistance = newer.distances[fromNewer] ?? Number.POSITIVE_INFINITY;
    const label = olderDistance <= newerDistance ? older.neighbors[fromOlder++] : newer.neighbors[fromNewer++];
    if (label === undefined) break;
    into.labels[count] = label;
    into.similarities[count] = 1 - Math.min(olderDistance, newerDistance);
  }
  into.count = count;
}

function checkVector(state: State, unit: readonly number[]): void {
  if (unit.length !== state.options.width) throw new RangeError(`a vector of ${unit.length}`);
  // A value that is not finite stays in every sum it enters.
  let sum = 0;
  for (const value of unit) sum += value;
  if (!Number.isFinite(sum)) throw new RangeError("a vector that is not finite");
}

function advance(state: State, moves: number): boolean {
  for (let move = 0; move < moves; move++) {
    if (state.next !== null) {
      continueNext(state, state.next);
      continue;
    }
    if (state.tail.size <= state.tailMax) return false;
    if (state.graph.added >= state.graphMax) {
      state.next = {
        graph: emptyGraph(state.options.width, state.graphMax),
        waiting: Array.from(state.graph.living).reverse(),
      };
      continue;
    }
    moveOldest(state);
  }
  return state.next !== null || state.tail.size > state.tailMax;
}

/** One living item of the old graph into the next one; the switch when none is left. */
function continueNext(state: State, next: { readonly graph: Graph; readonly waiting: number[] }): void {
  const label = next.waiting.pop();
  if (label === undefined) {
    state.graph = next.graph;
    state.next = null;
    return;
  }
  const point = state.units.get(label);
  if (point !== undefined) addToGraph(next.graph, label, point);
}

function moveOldest(state: State): void {
  for (const label of state.tail) {
    const point = state.units.get(label);
    if (point === undefined) throw new Error(`label ${label} is in the tail without a vector`);
    addToGraph(state.graph, label, point);
    state.exact.removePoint(label);
    state.tail.delete(label);
    return;
  }
}

function addToGraph(graph: Graph, label: number, point: number[]): void {
  graph.points.addPoint(point, label);
  graph.living.add(label);
  graph.added += 1;
}
