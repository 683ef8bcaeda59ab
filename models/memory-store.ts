// The memory itself: contents and index as one, called synchronously.
//
// Owns: normalising and validating vectors, counting, answers as columns.
// Does not own: the thread it runs in (memory-worker.ts), what a neighbour is worth (vote.ts).
//
// S1. An embedding that is not finite, or has no direction, is refused and counted; the rest of its record is taken.
// S2. What was evicted is gone from the index in the same call.
import type { Position } from "./experience.js";
import type { MemoryOptions, MemoryRows, MemoryStats, Neighbours } from "./memory.js";
import { type MemoryColumns, MemoryContents } from "./memory-contents.js";
import { createMemoryIndex, type MemoryIndex } from "./memory-index.js";
import { at } from "./softmax.js";

/** Neighbours a search returns at most; `found` is a byte. */
const neighboursMax = 255;

export class MemoryStore {
  readonly #options: MemoryOptions;
  readonly #contents: MemoryContents;
  readonly #index: MemoryIndex;
  readonly #counts = { searches: 0, failures: 0, refused: 0 };

  constructor(options: MemoryOptions) {
    this.#options = options;
    this.#contents = new MemoryContents(options.capacity);
    this.#index = createMemoryIndex(options);
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
      const unit = unitVector(embeddings.subarray(row * width, (row + 1) * width));
      if (unit === null) this.#counts.failures += 1;
      else this.#searchRow(unit, neighbours, row);
    }
    return neighbours;
  }

  /** A slice of index building; false when there is nothing left to build. */
  advance(moves: number): boolean {
    return this.#index.advance(moves);
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
    const { width } = this.#options;
    const unit = unitVector(rows.embeddings.subarray(row * width, (row + 1) * width));
    if (unit === null) {
      this.#counts.refused += 1;
      return;
    }
    const kept = this.#contents.keep({
      position: { seq: rows.seq, index: row },
      answer: at(rows.answers, row),
      confidence: at(rows.confidences, row),
      priority: at(rows.priorities, row),
      atMs: rows.atMs,
    });
    if (kept.kind === "again") return;
    if (kept.evicted !== undefined) this.#index.remove(kept.evicted);
    this.#index.add(kept.arrival, unit);
  }

  #searchRow(unit: Float32Array, neighbours: Neighbours, row: number): void {
    const { labels, similarities } = this.#index.search(unit, neighbours.k);
    neighbours.found[row] = labels.length;
    for (const [place, arrival] of labels.entries()) {
      const cell = row * neighbours.k + place;
      neighbours.similarities[cell] = similarities[place] ?? Number.NaN;
      copyItem(this.#contents.columns, this.#contents.slotOf(arrival), neighbours, cell);
    }
  }
}

export function emptyNeighbours(rows: number, k: number): Neighbours {
  const cells = rows * k;
  return {
    rows,
    k,
    found: new Uint8Array(rows),
    seqs: new Float64Array(cells),
    indexes: new Uint16Array(cells),
    similarities: new Float32Array(cells),
    answers: new Uint16Array(cells),
    confidences: new Float32Array(cells),
    atMs: new Float64Array(cells),
    verified: new Uint8Array(cells),
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

/** null for a vector without direction: not finite, or all zeros. */
function unitVector(values: Float32Array): Float32Array | null {
  let square = 0;
  for (const value of values) square += value * value;
  if (!(square > 0 && Number.isFinite(square))) return null;
  const length = Math.sqrt(square);
  return values.map((value) => value / length);
}

function checkLengths(rows: MemoryRows, width: number): void {
  const whole =
    rows.embeddings.length === rows.rows * width &&
    rows.answers.length === rows.rows &&
    rows.confidences.length === rows.rows &&
    rows.priorities.length === rows.rows;
  if (!whole) throw new RangeError(`the columns of record ${rows.seq} do not all have ${rows.rows} rows`);
}
