// What the memory holds: a bounded fold over the experience log.
//
// Owns: the columns, capacity, eviction, verified labels. Does not own: vectors and search (memory-index.ts).
//
// C1. The same records in the same order give the same contents, on every node and whatever was searched meanwhile.
// C2. Never more than `capacity` items. The lowest standing goes first, the oldest of equals.
// C3. A position is taken once: a record that comes again changes nothing.
// C4. A priority lies in 0..1, whatever a record says: one that is not a number would leave the order of eviction to chance.

import type { Position } from "../experience.js";
import { EvictionHeap } from "../numbers/eviction-heap.js";
import { at } from "../numbers/softmax.js";

/** Columns by slot. */
export interface MemoryColumns {
  readonly seqs: Float64Array;
  readonly indexes: Uint16Array;
  readonly answers: Uint16Array;
  readonly confidences: Float32Array;
  readonly priorities: Float32Array;
  readonly atMs: Float64Array;
  readonly verified: Uint8Array;
}

export interface MemoryItem {
  readonly position: Position;
  readonly answer: number;
  readonly confidence: number;
  readonly priority: number;
  readonly atMs: number;
}

/** An experience as the memory has it now: `answer` is the true label once it is verified. */
export interface FoundItem {
  readonly answer: number;
  readonly confidence: number;
  readonly priority: number;
  readonly verified: boolean;
}

/** `slot` names the item while it is here; `evicted`: another one had it until now. */
export type Kept =
  | { readonly kind: "kept"; readonly slot: number; readonly evicted: boolean }
  | { readonly kind: "again" };

/** A verified item competes as if it had the highest priority. */
const verifiedPriority = 1;

/** One number per position: seq stays below 2^37 and index below 2^16, so it is exact. */
export function positionKey(position: Position): number {
  return position.seq * 65_536 + position.index;
}

export class MemoryContents {
  readonly columns: MemoryColumns;
  readonly #capacity: number;
  /** By slot: priority + arrival / capacity, see `keep`; and arrival. */
  readonly #standing: Float64Array;
  readonly #arrivals: Float64Array;
  readonly #heap: EvictionHeap;
  readonly #byPosition = new Map<number, number>();
  #newest = -1;
  #size = 0;
  #arrived = 0;
  #evicted = 0;
  #verified = 0;

  constructor(capacity: number) {
    if (!(Number.isInteger(capacity) && capacity > 0)) throw new RangeError(`a capacity of ${capacity}`);
    this.#capacity = capacity;
    this.columns = emptyColumns(capacity);
    this.#standing = new Float64Array(capacity);
    this.#arrivals = new Float64Array(capacity);
    this.#heap = new EvictionHeap(this.#standing, this.#arrivals);
  }

  get size(): number {
    return this.#size;
  }

  /** Takes an item in. */
  keep(item: MemoryItem): Kept {
    const key = positionKey(item.position);
    if (key <= this.#newest) return { kind: "again" };
    this.#newest = key;
    const evicted = this.#size === this.#capacity;
    const slot = evicted ? this.#evict() : this.#size++;
    write(this.columns, slot, item);
    this.#arrivals[slot] = this.#arrived++;
    this.#byPosition.set(key, slot);
    this.#stand(slot, at(this.columns.priorities, slot));
    return { kind: "kept", slot, evicted };
  }

  /** Corrects the answer of a kept item and marks it verified; its slot, undefined when it is not (or no longer) here. */
  verify(position: Position, label: number): number | undefined {
    const slot = this.#byPosition.get(positionKey(position));
    if (slot === undefined) return undefined;
    this.#heap.remove(slot);
    this.#verified += 1 - at(this.columns.verified, slot);
    this.columns.answers[slot] = label;
    this.columns.confidences[slot] = 1;
    this.columns.verified[slot] = 1;
    this.columns.priorities[slot] = verifiedPriority;
    this.#stand(slot, verifiedPriority);
    return slot;
  }

  /**
   * What somebody thought of the answer, -1..1. Its priority is at least the size of that; a bad one loses its confidence in proportion, so
   * that its voice is small where unverified neighbours vote. A true label says more: of a verified item nothing changes. False when
   * it is not (or no longer) here.
   */
  judge(position: Position, reward: number): boolean {
    const slot = this.#byPosition.get(positionKey(position));
    if (slot === undefined) return false;
    const { priorities, confidences, verified } = this.columns;
    if (verified[slot] === 1) return true;
    this.#heap.remove(slot);
    priorities[slot] = Math.max(at(priorities, slot), Math.abs(reward));
    if (reward < 0) confidences[slot] = at(confidences, slot) * (1 + reward);
    this.#stand(slot, at(priorities, slot));
    return true;
  }

  /** What is kept of an experience; undefined when it is not (or no longer) here. */
  find(position: Position): FoundItem | undefined {
    const slot = this.#byPosition.get(positionKey(position));
    if (slot === undefined) return undefined;
    const { answers, confidences, priorities, verified } = this.columns;
    return {
      answer: at(answers, slot),
      confidence: at(confidences, slot),
      priority: at(priorities, slot),
      verified: verified[slot] === 1,
    };
  }

  summary(): { readonly verified: number; readonly evicted: number; readonly priorityMin: number } {
    // Slots are filled from 0 on, and a freed one is filled again in the same call.
    const priorities = this.columns.priorities.subarray(0, this.size);
    let priorityMin = priorities[0] ?? 0;
    for (const priority of priorities) if (priority < priorityMin) priorityMin = priority;
    return { verified: this.#verified, evicted: this.#evicted, priorityMin };
  }

  /**
   * A priority fades by 1 while the whole memory is replaced once. Otherwise the urgent items of one bad hour would stay
   * for ever, and nothing calmer would be remembered again. Comparing priority + arrival / capacity is the same order
   * without touching every item.
   */
  #stand(slot: number, priority: number): void {
    this.#standing[slot] = priority + at(this.#arrivals, slot) / this.#capacity;
    this.#heap.push(slot);
  }

  /** Frees the slot of the lowest standing; that slot. */
  #evict(): number {
    const slot = this.#heap.lowest();
    if (slot === undefined) throw new Error("nothing to evict");
    this.#heap.remove(slot);
    this.#byPosition.delete(positionKey({ seq: at(this.columns.seqs, slot), index: at(this.columns.indexes, slot) }));
    this.#evicted += 1;
    this.#verified -= at(this.columns.verified, slot);
    return slot;
  }
}

function emptyColumns(capacity: number): MemoryColumns {
  return {
    seqs: new Float64Array(capacity),
    indexes: new Uint16Array(capacity),
    answers: new Uint16Array(capacity),
    confidences: new Float32Array(capacity),
    priorities: new Float32Array(capacity),
    atMs: new Float64Array(capacity),
    verified: new Uint8Array(capacity),
  };
}

function write(columns: MemoryColumns, slot: number, item: MemoryItem): void {
  columns.seqs[slot] = item.position.seq;
  columns.indexes[slot] = item.position.index;
  columns.answers[slot] = item.answer;
  columns.confidences[slot] = item.confidence;
  columns.priorities[slot] = item.priority > 0 ? Math.min(item.priority, 1) : 0;
  columns.atMs[slot] = item.atMs;
  columns.verified[slot] = 0;
}
