// When a JSON document from outside is read: a large one holds the thread for as long as it takes, and others wait for the thread.
//
// Owns: the order of large documents, and the rest after each. Does not own: what a document may hold (json-bounds.ts), its meaning
// (infer-body.ts).
//
// T1. Large documents are read one at a time, and after each the thread is left to others for at least as long as it took. So however many
//     come, and however fast, they have half of the thread at most, and beats, looks and other requests wait for one of them and no more.
// T2. Who waits for a turn waits no longer than a request may, and is refused by name then.

import type { Clock } from "../../../models/clock.js";
import { Places } from "./ask-rows.js";

/** Up to this size a document takes a millisecond or two. */
export const smallMaxBytes = 64 * 1024;
/** For what else is ready, when a clock is too coarse to see the reading. */
const restMinMs = 1;

export type Turn<T> = { readonly kind: "read"; readonly value: T } | { readonly kind: "late" };

export class JsonTurns {
  readonly #clock: Clock;
  readonly #place: Places;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#place = new Places(1, clock);
  }

  /** Reads at once what is small, and what is large in its turn; `late` when that does not come within `withinMs`. */
  async read<T>(bytes: number, withinMs: number, read: () => T): Promise<Turn<T>> {
    if (bytes <= smallMaxBytes) return { kind: "read", value: read() };
    const giveBack = await this.#place.take(withinMs);
    if (giveBack === undefined) return { kind: "late" };
    const beganAtMs = this.#clock.monotonicMs();
    try {
      return { kind: "read", value: read() };
    } finally {
      this.#clock.after(Math.max(restMinMs, this.#clock.monotonicMs() - beganAtMs), giveBack);
    }
  }
}
