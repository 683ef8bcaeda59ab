// Which request ids the log has brought lately: the first record of an id counts, and every fold passes a later one by.
//
// Two serving nodes can both answer one request when a try reaches the second before it has folded what the first wrote. Both
// records are in the log then; which of them counts must follow from the log alone, so that every node, the writer and a replay
// agree.
//
// Owns: the window and its order. Does not own: what a fold does with a row (policy.ts, actors/serving/buffer.ts).
//
// I1. State is one array of numbers: it is part of a snapshot and of the checksum.
// I2. An id is a repeat while fewer than `recentIdsWindow` other ids came after its first record. Clients stop trying at their
//     deadline, which is far sooner at any load one writer can follow.

import { NumberSet } from "../numbers/number-set.js";

/** Ids remembered. 64 KiB in a snapshot. */
export const recentIdsWindow = 8_192;

const none = -1;

export class RecentIds {
  /** [window + 1] 52-bit hashes in the order of a ring, -1 = none yet; the last value is the place of the next. */
  readonly ring: Float64Array;
  readonly #known = new NumberSet(recentIdsWindow);

  constructor() {
    this.ring = new Float64Array(recentIdsWindow + 1).fill(none);
    this.ring[recentIdsWindow] = 0;
  }

  /** Remembers `id`. False when it is a repeat: then nothing changes. */
  take(id: string): boolean {
    const key = hash52(id);
    if (this.#known.has(key)) return false;
    const place = this.ring[recentIdsWindow] ?? 0;
    const oldest = this.ring[place] ?? none;
    if (oldest !== none) this.#known.delete(oldest);
    this.ring[place] = key;
    this.#known.add(key);
    this.ring[recentIdsWindow] = (place + 1) % recentIdsWindow;
    return true;
  }

  /** After somebody has written into `ring`: a snapshot was read. */
  reindex(): void {
    this.#known.clear();
    for (const key of this.ring.subarray(0, recentIdsWindow)) if (key !== none) this.#known.add(key);
  }
}

/** FNV-1a (Fowler, Noll, Vo) twice with different bases, 52 bits of the two: exact in a double. */
function hash52(text: string): number {
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit ^ (low >>> 15), 0x01000193);
  }
  return (high >>> 0) * 2 ** 20 + (low >>> 12);
}
