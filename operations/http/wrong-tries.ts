// How many wrong tokens came from an address within a minute: pure counting, bounded.
//
// Owns: the counts. Does not own: what a wrong token is (access.ts).

import type { Clock } from "../../models/clock.js";

const windowMs = 60_000;
const triesMax = 20;
/** Addresses that are remembered; the one that tried longest ago goes first. */
const addressesMax = 1_024;

interface Tries {
  count: number;
  readonly sinceMs: number;
}

export class WrongTries {
  readonly #clock: Clock;
  readonly #byAddress = new Map<string, Tries>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts one more. Seconds to wait: 0 while it is not too many. */
  add(address: string): number {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#byAddress.get(address);
    const tries = known !== undefined && nowMs - known.sinceMs < windowMs ? known : { count: 0, sinceMs: nowMs };
    tries.count += 1;
    this.#byAddress.delete(address);
    this.#byAddress.set(address, tries);
    const [oldest] = this.#byAddress.keys();
    if (this.#byAddress.size > addressesMax && oldest !== undefined) this.#byAddress.delete(oldest);
    return tries.count <= triesMax ? 0 : Math.max(1, Math.ceil((tries.sinceMs + windowMs - nowMs) / 1_000));
  }
}
