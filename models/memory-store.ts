// The memory itself: contents and index as one, called synchronously.
//
// Owns: normalising and validating vectors, counting, answers as columns.
// Does not own: the thread it runs in (memory-worker.ts), what a neighbour is worth (vote.ts).
//
// S1. An embedding that is not finite, or has no direction, is refused and counted; the rest of its record is taken.
// S2. What was evicted is gone from the index in the same call.

import { ColumnLayout } from "./columns.js";
import type { Position } from "./experience.js";
import type { MemoryOptions, MemoryStats, Neighbours } from "./memory.js";
import { type FoundItem, type MemoryColumns, MemoryContents } from "./memory-contents.js";
import { createMemoryIndex, type MemoryIndex, type Nearest, neighboursMax } from "./memory-index.js";
import type { MemoryRows } from "./memory-rows.js";
import { at } from "./softmax.js";

/** A tail this much too long costs each search more than longer slices of building do: while a new graph is built, nothing leaves it. */
export const behindMax = 256;
/** From this cosine on the memory has seen something alike. */
export const hitSimilarity = 0.9;

export class MemoryStore {
  readonly #options: MemoryOptions;
  readonly #contents: MemoryContents;
  readonly #index: MemoryIndex;
  /** [width] the row at hand; hnswlib takes plain arrays only, and a new one for each row would cost more than its search. */
  readonly #unit: number[];
  readonly #counts = { searches: 0, failures: 0, refused: 0 };
  #hits = 0;

  constructor(options: MemoryOptions) {
    this.#options = options;
    this.#contents = new MemoryContents(options.capacity);
    this.#index = createMemoryIndex(options);
    this.#unit = new Array<number>(options.width).fill(0);
  }

  add(rows: MemoryRows): void {
    checkLengths(rows, this.#options.width);
    for (let row = 0; row < rows.rows; row++) this.#addRow(rows, row);
  }

  /** false = the experience is not, or no longer, remembered. */
  label(position: Position, label: number): boolean {
    const arrival = this.#contents.verify(position, label);
    if (arrival !== undefined) this.#index.verify(arrival);
    return arrival !== undefined;
  }

  /** -1..1, of an answer; false = the experience is not, or no longer, remembered. */
  judge(position: Position, reward: number): boolean {
    return this.#contents.judge(position, reward);
  }

  find(position: Position): FoundItem | undefined {
    return this.#contents.find(position);
  }

  /** The `k` nearest, and behind them those of the `labelled` nearest verified ones that are farther: nearest first in all. */
  search(embeddings: Float32Array, rows: number, k: number, labelled = 0): Neighbours {
    const { width } = this.#options;
    if (embeddings.length !== rows * width) throw new RangeError(`${embeddings.length} values for ${rows} rows`);
    const places = k + labelled;
    if (!(Number.isInteger(places) && places >= 1 && places <= neighboursMax)) throw new RangeError(`k of ${places}`);
    const neighbours = emptyNeighbours(rows, places);
    this.#counts.searches += rows;
    for (let row = 0; row < rows; row++) {
      if (toUnit(embeddings, row * width, this.#unit)) this.#searchRow(neighbours, row, k, labelled);
      else this.#counts.failures += 1;
    }
    return neighbours;
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
    if (!toUnit(rows.embeddings, row * this.#options.width, this.#unit)) {
      this.#counts.refused += 1;
      return;
    }
    const kept = this.#contents.keep({
      position: { seq: rows.seq, index: at(rows.indexes, row) },
      answer: at(rows.answers, row),
      confidence: at(rows.confidences, row),
      priority: at(rows.priorities, row),
      atMs: rows.atMs,
    });
    if (kept.kind === "again") return;
    if (kept.evicted !== undefined) this.#index.remove(kept.evicted);
    this.#index.add(kept.arrival, this.#unit);
  }

  #searchRow(neighbours: Neighbours, row: number, k: number, labelled: number): void {
    this.#take(this.#index.search(this.#unit, k), neighbours, row);
    if (at(neighbours.found, row) > 0 && at(neighbours.similarities, row * neighbours.k) >= hitSimilarity)
      this.#hits += 1;
    if (labelled > 0) this.#take(this.#index.searchVerified(this.#unit, labelled), neighbours, row);
  }

  /** Puts behind what the row has whatever it does not have yet. */
  #take({ count, labels, similarities }: Nearest, neighbours: Neighbours, row: number): void {
    const start = row * neighbours.k;
    const before = at(neighbours.found, row);
    let found = before;
    for (let place = 0; place < count; place++) {
      const slot = this.#contents.slotOf(at(labels, place));
      if (before > 0 && holds(neighbours, start, before, this.#contents.columns, slot)) continue;
      neighbours.similarities[start + found] = at(similarities, place);
      copyItem(this.#contents.columns, slot, neighbours, start + found);
      found += 1;
    }
    neighbours.found[row] = found;
  }
}

function holds(
  { seqs, indexes }: Neighbours,
  start: number,
  count: number,
  columns: MemoryColumns,
  slot: number,
): boolean {
  for (let cell = start; cell < start + count; cell++)
    if (at(seqs, cell) === at(columns.seqs, slot) && at(indexes, cell) === at(columns.indexes, slot)) return true;
  return false;
}

export function emptyNeighbours(rows: number, k: number): Neighbours {
  const cells = rows * k;
  const layout = new ColumnLayout(new ArrayBuffer(cells * (8 + 8 + 4 + 4 + 2 + 2 + 1) + rows));
  return {
    rows,
    k,
    seqs: layout.float64(cells),
    atMs: layout.float64(cells),
    similarities: layout.float32(cells),
    confidences: layout.float32(cells),
    indexes: layout.uint16(cells),
    answers: layout.uint16(cells),
    verified: layout.uint8(cells),
    found: layout.uint8(rows),
  };
}

function copyItem(columns: MemoryColumns, slot: number, into: Neighbours, cell: number): void {
  into.seqs[cell] = at(columns.seqs, slot);
  into.indexes[cell] = at(columns.indexes, slot);
  into.answers[cell] = at(columns.answers, slot);
  into.confidences[cell] = at(columns.confidences, slot);
  into.atMs[cell] = at(columns.atMs, slot);
  into.verified[cell] = at(columns.verified, slot);
}

/** The vector at `start`, as long as `into`, brought to length 1; false when it has no direction: not finite, or all zeros. */
function toUnit(values: Float32Array, start: number, into: number[]): boolean {
  let square = 0;
  for (let i = 0; i < into.length; i++) square += at(values, start + i) ** 2;
  if (!(square > 0 && Number.isFinite(square))) return false;
  const length = Math.sqrt(square);
  for (let i = 0; i < into.length; i++) into[i] = at(values, start + i) / length;
  return true;
}

function checkLengths(rows: MemoryRows, width: number): void {
  const whole =
    rows.embeddings.length === rows.rows * width &&
    rows.indexes.length === rows.rows &&
    rows.answers.length === rows.rows &&
    rows.confidences.length === rows.rows &&
    rows.priorities.length === rows.rows;
  if (!whole) throw new RangeError(`the columns of record ${rows.seq} do not all have ${rows.rows} rows`);
}
