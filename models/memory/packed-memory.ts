// What the memory and its thread tell each other, in one piece of memory each way.
//
//   there:  head | room for the neighbours | embeddings that are asked for | changes, one behind the other
//   back:   the same piece, its room filled
//
// A search and the changes that travel with it are one message without objects: cloned one by one, their columns cost either side more
// than a row's search (measured: 37 us of the thread's time for a message and its answer as objects, 24 in one piece). The asker makes the
// piece and gets it back, so the thread makes none.
//
// Owns: where what stands in it. Does not own: when it is sent (memory.ts), what is done with it (memory-worker.ts).
//
// K1. The piece that carries a search goes back with its answer: changes that are to be applied later are copied out of it first.

import type { Position } from "../experience.js";
import { ColumnLayout } from "../numbers/columns.js";
import type { MemoryRows } from "./memory-rows.js";

/** The columns of memory.ts's `Neighbours`, which cannot be named here: that file sends these pieces. */
type Columns = ReturnType<typeof neighboursIn>;

/** Folded in the order of the calls. */
export type MemoryChange =
  | { readonly kind: "add"; readonly rows: MemoryRows }
  | { readonly kind: "label"; readonly position: Position; readonly label: number }
  | { readonly kind: "judge"; readonly position: Position; readonly reward: number };

export interface MemorySearch {
  readonly id: number;
  /** [rows, width] */
  readonly embeddings: Float32Array;
  readonly rows: number;
  readonly k: number;
  readonly labelled: number;
}

/** Words of 8 bytes: id, rows, k, labelled of the search (0 rows: none), and where the changes begin, in bytes. */
const headWords = 5;
const wordBytes = 8;
/** Words in front of each change: what it is, its position or sequence and time, its value or how many rows. */
const changeWords = 4;
const codes = { add: 1, label: 2, judge: 3 } as const;

/** Bytes of a row of neighbours, and of each of its places. */
const [foundBytes, placeBytes] = [1, 8 + 8 + 4 + 4 + 2 + 2 + 1];

export function packMemory(
  changes: readonly MemoryChange[],
  search: MemorySearch | undefined,
  width: number,
): ArrayBuffer {
  const roomAt = headWords * wordBytes;
  const askedAt = roomAt + (search === undefined ? 0 : roomOf(search.rows, search.k + search.labelled));
  const changesAt = askedAt + inWords(4 * (search?.embeddings.length ?? 0));
  const buffer = new ArrayBuffer(changes.reduce((bytes, change) => bytes + bytesOf(change, width), changesAt));
  const head = new Float64Array(buffer, 0, headWords);
  head[4] = changesAt;
  if (search !== undefined) {
    head[0] = search.id;
    head[1] = search.rows;
    head[2] = search.k;
    head[3] = search.labelled;
    new Float32Array(buffer, askedAt, search.embeddings.length).set(search.embeddings);
  }
  let at = changesAt;
  for (const change of changes) {
    writeChange(buffer, at, change, width);
    at += bytesOf(change, width);
  }
  return buffer;
}

/** The search in a piece, and where its answer goes; undefined when it only brings changes. */
export function searchIn(
  buffer: ArrayBuffer,
  width: number,
): { readonly search: MemorySearch; readonly into: Columns } | undefined {
  const { id, rows, k, labelled } = headOf(buffer);
  if (rows === 0) return undefined;
  const roomAt = headWords * wordBytes;
  const embeddings = new Float32Array(buffer, roomAt + roomOf(rows, k + labelled), rows * width);
  const into = neighboursIn(buffer, roomAt, rows, k + labelled);
  return { search: { id, rows, k, labelled, embeddings }, into };
}

/** The answer in a piece that came back. */
export function answerIn(buffer: ArrayBuffer): { readonly id: number; readonly neighbours: Columns } {
  const { id, rows, k, labelled } = headOf(buffer);
  return { id, neighbours: neighboursIn(buffer, headWords * wordBytes, rows, k + labelled) };
}

export function emptyNeighbours(rows: number, k: number): Columns {
  return neighboursIn(new ArrayBuffer(roomOf(rows, k)), 0, rows, k);
}

/** The changes of a piece, one at a time: nothing is unpacked before its turn. */
export class PackedChanges {
  readonly #buffer: ArrayBuffer;
  readonly #width: number;
  #at: number;

  /** `isLent`: the piece goes back to its maker (K1). */
  constructor(buffer: ArrayBuffer, width: number, isLent: boolean) {
    const { changesAt } = headOf(buffer);
    this.#buffer = isLent ? buffer.slice(changesAt) : buffer;
    this.#at = isLent ? 0 : changesAt;
    this.#width = width;
  }

  get isEmpty(): boolean {
    return this.#at >= this.#buffer.byteLength;
  }

  /** The next one; undefined when there is none. Columns are views. */
  next(): MemoryChange | undefined {
    if (this.isEmpty) return undefined;
    const change = readChange(this.#buffer, this.#at, this.#width);
    this.#at += bytesOf(change, this.#width);
    return change;
  }
}

function headOf(buffer: ArrayBuffer): Omit<MemorySearch, "embeddings"> & { readonly changesAt: number } {
  const head = new Float64Array(buffer, 0, headWords);
  return { id: head[0] ?? 0, rows: head[1] ?? 0, k: head[2] ?? 0, labelled: head[3] ?? 0, changesAt: head[4] ?? 0 };
}

function inWords(bytes: number): number {
  return Math.ceil(bytes / wordBytes) * wordBytes;
}

function roomOf(rows: number, places: number): number {
  return inWords(rows * (foundBytes + places * placeBytes));
}

function neighboursIn(buffer: ArrayBuffer, from: number, rows: number, k: number) {
  const cells = rows * k;
  const layout = new ColumnLayout(buffer, from);
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

function bytesOf(change: MemoryChange, width: number): number {
  const rows = change.kind === "add" ? change.rows.rows : 0;
  return wordBytes * changeWords + inWords(rows * (4 * width + 4 + 4 + 2 + 2));
}

function rowsIn(buffer: ArrayBuffer, from: number, seq: number, atMs: number, rows: number, width: number): MemoryRows {
  const layout = new ColumnLayout(buffer, from);
  return {
    seq,
    atMs,
    rows,
    embeddings: layout.float32(rows * width),
    confidences: layout.float32(rows),
    priorities: layout.float32(rows),
    answers: layout.uint16(rows),
    indexes: layout.uint16(rows),
  };
}

function writeChange(buffer: ArrayBuffer, from: number, change: MemoryChange, width: number): void {
  const words = new Float64Array(buffer, from, changeWords);
  words[0] = codes[change.kind];
  if (change.kind === "add") {
    const { seq, atMs, rows } = change.rows;
    words[1] = seq;
    words[2] = atMs;
    words[3] = rows;
    const into = rowsIn(buffer, from + changeWords * wordBytes, seq, atMs, rows, width);
    into.embeddings.set(change.rows.embeddings);
    into.confidences.set(change.rows.confidences);
    into.priorities.set(change.rows.priorities);
    into.answers.set(change.rows.answers);
    into.indexes.set(change.rows.indexes);
  } else {
    words[1] = change.position.seq;
    words[2] = change.position.index;
    words[3] = change.kind === "label" ? change.label : change.reward;
  }
}

function readChange(buffer: ArrayBuffer, from: number, width: number): MemoryChange {
  const words = new Float64Array(buffer, from, changeWords);
  const [first, second, third] = [words[1] ?? 0, words[2] ?? 0, words[3] ?? 0];
  switch (words[0]) {
    case codes.add:
      return { kind: "add", rows: rowsIn(buffer, from + changeWords * wordBytes, first, second, third, width) };
    case codes.label:
      return { kind: "label", position: { seq: first, index: second }, label: third };
    case codes.judge:
      return { kind: "judge", position: { seq: first, index: second }, reward: third };
    default:
      throw new RangeError(`a change of kind ${words[0]}`);
  }
}
