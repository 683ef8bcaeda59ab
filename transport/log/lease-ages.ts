// How many leases of a bucket are held, and how long the oldest of them was not renewed.
//
// Owns: the look at all keys. Does not own: what becomes of a stale one (lease-sweep.ts).
//
// Age is the watcher's own, by its monotonic clock: how long it has seen the same revision (lease.ts, E1).

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import type { Unavailable } from "./jetstream.js";
import { looksAt } from "./lease-sweep.js";

export type LeaseAges =
  /** `oldestAgeMs`: since its last renewal was seen; null when none is held. */
  { readonly kind: "ages"; readonly held: number; readonly oldestAgeMs: number | null } | Unavailable;

export class LeaseClockwatch {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #bucket: string;
  #seen = new Map<string, { readonly revision: number; readonly sinceMs: number }>();

  constructor(bus: Bus, clock: Clock, bucket: string) {
    this.#bus = bus;
    this.#clock = clock;
    this.#bucket = bucket;
  }

  async look(): Promise<LeaseAges> {
    const found = await looksAt(this.#bus, this.#clock, this.#bucket);
    if (found.kind === "unavailable") return found;
    const nowMs = this.#clock.monotonicMs();
    const seen = new Map<string, { readonly revision: number; readonly sinceMs: number }>();
    for (const { key, view } of found.looks) {
      if (view.kind === "unavailable") return view;
      if (view.kind === "free") continue;
      const known = this.#seen.get(key);
      seen.set(key, known?.revision === view.revision ? known : { revision: view.revision, sinceMs: nowMs });
    }
    this.#seen = seen;
    const ages = [...seen.values()].map(({ sinceMs }) => nowMs - sinceMs);
    return { kind: "ages", held: seen.size, oldestAgeMs: ages.length === 0 ? null : Math.max(...ages) };
  }
}
