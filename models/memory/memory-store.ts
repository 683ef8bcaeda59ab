// The memory itself: contents and index as one, called synchronously.
//
// Owns: validating vectors, counting, answers as columns. Does not own: the thread it runs in (memory-worker.ts), what a neighbour is
// worth (vote.ts).
//
// S1. An embedding that is not finite, or has no direction, is refused and counted; the rest of its record is taken.
// S2. What was evicted is gone from the index in the same call, and its slot is the new one's.

import type { Position } from "../experience.js";
import type { MemoryOptions, MemoryStats, Neighbours } from "./memory.js";
import { type FoundItem, type MemoryColumns, MemoryContents } from "./memory-contents.js";
import { MemoryIndex } from "./memory-index.js";
import { checkLengths, type MemoryRows } from "./memory-rows.js";
import { type Nearest, neighboursMax, UnitVector } from "./memory-vectors.js";
import { emptyNeighbours } from "./packed-memory.js";

/** A tail this much too long costs each search more than longer slices of building do: while a new graph is built, nothing leaves it. */
export const behindMax = 256;
/** From this cosine on the memory has seen something alike. */
export const hitSimilarity = 0.9;

export class MemoryStore {
  readonly #options: MemoryOptions;
  readonly #contents: MemoryContents;
  readonly #index: MemoryIndex;
  /** The row at hand. */
  readonly #unit: UnitVector;
  /** Slots of its neighbours so far. */
  readonly #slots = new Uint32Array(neighboursMax);
  readonly #counts = { searches: 0, failures: 0, refused: 0 };
  #hits = 0;

  constructor(options: MemoryOptions) {
    this.#options = options;
    this.#contents = new MemoryContents(options.capacity);
    this.#index = new MemoryIndex(options);
    this.#unit = new UnitVector(options.width);
  }

  add(rows: MemoryRows): void {
    checkLengths(rows, this.#options.width);
    for (let row = 0; row < rows.rows; row++) this.#addRow(rows, row);
  }

  /** false = the experience is not, or no longer, remembered. */
  label(position: Position, label: number): boolean {
    const slot = this.#contents.verify(position, label);
    if (slot !== undefined) this.#index.verify(slot);
    return slot !== undefined;
  }

  /** -1..1, of an answer; false = the experience is not, or no longer, remembered. */
  judge(position: Position, reward: number): boolean {
    return this.#contents.judge(position, reward);
  }

  find(position: Position): FoundItem | undefined {
    return this.#contents.find(position);
  }

  /**
   * The `k` nearest, and behind them those of the `labelled` nearest verified ones that are farther: nearest first in all.
   * `into`: columns of noughts for as many rows and places.
   */
  search(
    embeddings: Float32Array,
    rows: number,
    k: number,
    labelled = 0,
    into: Neighbours = emptyNeighbours(rows, k + labelled),
  ): Neighbours {
    const { width } = this.#options;
    if (embeddings.length !== rows * width) throw new RangeError(`${embeddings.length} values for ${rows} rows`);
    const places = k + labelled;
    if (!(Number.isInteger(places) && places >= 0 && places <= neighboursMax)) throw new RangeError(`k of ${places}`);
    this.#counts.searches += rows;
    for (let row = 0; row < rows; row++) {
      if (this.#unit.take(embeddings, row * width)) this.#searchRow(into, row, k, labelled);
      else this.#counts.failures += 1;
    }
    return into;
  }

  /** A slice of index building; false when there is nothing left to build. */
  advance(moves: number): boolean {
    return this.#index.advance(moves);
  }

  /** Items that should be in the graph and are not yet. */
  get behind(): number {
    return this.#index.behind;
  }

  stats(): MemoryStats {
    return {
      size: this.#contents.size,
      capacity: this.#options.capacity,
      ...this.#counts,
      ...this.#contents.summary(),
      ...this.#index.shape(),
      hitRatio: this.#counts.searches === 0 ? null : this.#hits / this.#counts.searches,
      health: this.behind > behindMax ? "behind" : "ok",
    };
  }

  #addRow(rows: MemoryRows, row: number): void {
    if (!this.#unit.take(rows.embeddings, row * this.#options.width)) {
      this.#counts.refused += 1;
      return;
    }
    const kept = this.#contents.keep({
      position: { seq: rows.seq, index: rows.indexes[row] ?? 0 },
      answer: rows.answers[row] ?? 0,
      confidence: rows.confidences[row] ?? Number.NaN,
      priority: rows.priorities[row] ?? Number.NaN,
      atMs: rows.atMs,
    });
    if (kept.kind === "again") return;
    if (kept.evicted) this.#index.remove(kept.slot);
    this.#index.add(kept.slot, this.#unit);
  }

  #searchRow(into: Neighbours, row: number, k: number, labelled: number): void {
    const nearest = this.#index.search(this.#unit, k);
    if (nearest.count > 0 && (nearest.similarities[0] ?? 0) >= hitSimilarity) this.#hits += 1;
    const found = this.#take(nearest, 0, into, row);
    into.found[row] = found;
    if (labelled > 0) into.found[row] = this.#take(this.#index.searchVerified(this.#unit, labelled), found, into, row);
  }

  /** Puts behind the `before` that the row has whatever it does not have yet; how many it has then. */
  #take({ count, slots, similarities }: Nearest, before: number, into: Neighbours, row: number): number {
    let found = before;
    for (let place = 0; place < count; place++) {
      const slot = slots[place] ?? 0;
      if (before > 0 && this.#slots.subarray(0, before).includes(slot)) continue;
      this.#slots[found] = slot;
      const cell = row * into.k + found;
      into.similarities[cell] = similarities[place] ?? Number.NaN;
      copyItem(this.#contents.columns, slot, into, cell);
      found += 1;
    }
    return found;
  }
}

function copyItem(columns: MemoryColumns, slot: number, into: Neighbours, cell: number): void {
  into.seqs[cell] = columns.seqs[slot] ?? Number.NaN;
  into.indexes[cell] = columns.indexes[slot] ?? 0;
  into.answers[cell] = columns.answers[slot] ?? 0;
  into.confidences[cell] = columns.confidences[slot] ?? Number.NaN;
  into.atMs[cell] = columns.atMs[slot] ?? Number.NaN;
  into.verified[cell] = columns.verified[slot] ?? 0;
}
