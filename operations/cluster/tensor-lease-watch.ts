// The tensor leases of one host, look by look: what lives, what changed since the look before, what the dead had left.
//
// Owns: the differences between two looks. Does not own: owners' records and their removal (transport/tensors/segment-sweep.ts), what follows
// from a look (actors/operations/watchdog.ts), its period.
//
// T1. Each owner's totals are counted from the first look at it on; those of owners that are older than the first look of all are where
//     they stood then. An owner that came and went between two looks is not seen.
// T2. A dead owner is counted once, with what it did after the last look at it; its leases are swept, not released.

import { type LeaseTotals, noLeases } from "../../transport/tensors/segment-leases.js";
import { type Sweep, type SweptOwner, sweepSegments } from "../../transport/tensors/segment-sweep.js";
import type { Counters } from "../metrics/telemetry.js";

export interface TensorLook {
  /** Leases of living owners, and their bytes. */
  readonly live: number;
  readonly liveBytes: number;
  /** Of the oldest of them; null where there is none. */
  readonly oldestAgeMs: number | null;
  /** Shared memory behind all segments of living owners, spare ones included. */
  readonly poolBytes: number;
  readonly grown: LeaseTotals;
  /** Leases that ended because nobody confirmed them in time, by owner. */
  readonly expired: readonly { readonly owner: string; readonly pid: number; readonly leases: number }[];
  readonly swept: readonly SweptOwner[];
}

export interface TensorLeaseWatchOptions {
  readonly sweep: () => Promise<Sweep>;
  readonly nowMs: () => number;
}

export class TensorLeaseWatch {
  readonly #sweep: () => Promise<Sweep>;
  readonly #nowMs: () => number;
  #seen: ReadonlyMap<string, LeaseTotals> | undefined;

  constructor({ sweep, nowMs }: TensorLeaseWatchOptions) {
    this.#sweep = sweep;
    this.#nowMs = nowMs;
  }

  async look(): Promise<TensorLook> {
    const { alive, swept } = await this.#sweep();
    const before = this.#seen;
    const growth = [...alive, ...swept].map(({ name, record }) => {
      const base = before === undefined ? record.totals : (before.get(name) ?? noLeases);
      return { record, grown: less(record.totals, base) };
    });
    this.#seen = new Map(alive.map(({ name, record }) => [name, record.totals]));
    const leases = alive.flatMap(({ record }) => record.leases);
    const nowMs = this.#nowMs();
    return {
      live: leases.length,
      liveBytes: sum(leases.map(({ bytes }) => bytes)),
      oldestAgeMs:
        leases.length === 0 ? null : Math.max(...leases.map(({ createdAtMs }) => Math.max(0, nowMs - createdAtMs))),
      poolBytes: sum(alive.map(({ record: { pool } }) => pool.leasedBytes + pool.spareBytes)),
      grown: growth.map(({ grown }) => grown).reduce(plus, noLeases),
      expired: growth
        .filter(({ grown }) => grown.expired > 0)
        .map(({ record: { owner, pid }, grown }) => ({ owner, pid, leases: grown.expired })),
      swept,
    };
  }
}

/** Counters and gauges of one look. */
export function meterTensorLeases(counters: Counters, look: TensorLook): void {
  const { grown } = look;
  counters.add("tensor_leases_created", grown.created);
  counters.add("tensor_leases_handed_over", grown.handedOver);
  counters.add("tensor_leases_confirmed", grown.confirmed);
  counters.add("tensor_leases_released", grown.released);
  counters.add("tensor_leases_expired", grown.expired);
  counters.add("tensor_leases_swept", sweptLeases(look.swept));
  counters.set("tensor_leases", look.live);
  counters.set("tensor_lease_bytes", look.liveBytes);
  counters.set("tensor_lease_oldest_ms", look.oldestAgeMs ?? 0);
  counters.set("tensor_pool_bytes", look.poolBytes);
}

export function sweptLeases(swept: readonly SweptOwner[]): number {
  return sum(swept.map(({ record }) => record.leases.length));
}

/** Linux on the machine that runs it; the sweep itself looks at nothing elsewhere. */
export function watchTensorLeases(dir: string, cluster: string, nowMs: () => number): TensorLeaseWatch {
  return new TensorLeaseWatch({ sweep: () => sweepSegments(dir, cluster, nowMs()), nowMs });
}

function less(a: LeaseTotals, b: LeaseTotals): LeaseTotals {
  const of = (name: keyof LeaseTotals): number => Math.max(0, a[name] - b[name]);
  return {
    created: of("created"),
    handedOver: of("handedOver"),
    confirmed: of("confirmed"),
    released: of("released"),
    expired: of("expired"),
  };
}

function plus(a: LeaseTotals, b: LeaseTotals): LeaseTotals {
  return {
    created: a.created + b.created,
    handedOver: a.handedOver + b.handedOver,
    confirmed: a.confirmed + b.confirmed,
    released: a.released + b.released,
    expired: a.expired + b.expired,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
