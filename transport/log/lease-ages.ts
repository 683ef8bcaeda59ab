// How many leases of a bucket are held, and how long the oldest of them was not renewed.
//
// Owns: the look at all keys. Does not own: what becomes of a stale one (lease-sweep.ts).
//
// Age is the watcher's own, by its monotonic clock: how long it has seen the same revision (lease.ts, E1).

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import type { Unavailable } from "./jetstream.js";
import { heldAmong, looksAt, type Sightings, sightings } from "./lease-sweep.js";

export type LeaseAges =
  /** `oldestAgeMs`: since its last renewal was seen; null when none is held. */
  { readonly kind: "ages"; readonly held: number; readonly oldestAgeMs: number | null } | Unavailable;

export class LeaseClockwatch {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #bucket: string;
  #seen: Sightings = new Map();

  constructor(bus: Bus, clock: Clock, bucket: string) {
    this.#bus = bus;
    this.#clock = clock;
    this.#bucket = bucket;
  }

  async look(): Promise<LeaseAges> {
    const found = await looksAt(this.#bus, this.#clock, this.#bucket);
    if (found.kind === "unavailable") return found;
    for (const { view } of found.looks) if (view.kind === "unavailable") return view;
    const nowMs = this.#clock.monotonicMs();
    this.#seen = sightings(this.#seen, heldAmong(found.looks), nowMs);
    const ages = [...this.#seen.values()].map(({ sinceMs }) => nowMs - sinceMs);
    return { kind: "ages", held: ages.length, oldestAgeMs: ages.length === 0 ? null : Math.max(...ages) };
  }
}
