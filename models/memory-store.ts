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
import { type MemoryColumns, MemoryContents } from "./memory-contents.js";
import { createMemoryIndex, type MemoryIndex, neighboursMax } from "./memory-index.js";
import type { MemoryRows } from "./memory-rows.js";
import { at } from "./softmax.js";

export class MemoryStore {
  readonly #options: MemoryOptions;
  readonly #contents: MemoryContents;
  readonly #index: MemoryIndex;
  /** [width] the row at hand; hnswlib takes plain arrays only, and a new one for each row would cost more than its search. */
  readonly #unit: number[];
  readonly #counts = { searches: 0, failures: 0, refused: 0 };

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
    return this.#contents.verify(position, label);
  }

  search(embeddings: Float32Array, rows: number, k: number): Neighbours {
    const { width } = this.#options;
    if (embeddings.length !== rows * width) throw new RangeError(`${embeddings.length} values for ${rows} rows`);
    if (!(Number.isInteger(k) && k >= 1 && k <= neighboursMax)) throw new RangeError(`k of ${k}`);
    const neighbours = emptyNeighbours(rows, k);
    this.#counts.searches += rows;
    for (let row = 0; row < rows; row++) {
      if (toUnit(embeddings, row * width, this.#unit)) this.#searchRow(neighbours, row);
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

  #searchRow(neighbours: Neighbours, row: number): void {
    const { count, labels, similarities } = this.#index.search(this.#unit, neighbours.k);
    neighbours.found[row] = count;
    for (let place = 0; place < count; place++) {
      const cell = row * neighbours.k + place;
      neighbours.similarities[cell] = at(similarities, place);
      copyItem(this.#contents.columns, this.#contents.slotOf(at(labels, place)), neighbours, cell);
    }
  }
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
