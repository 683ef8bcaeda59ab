// The life of each lease, and how many lived so far. Pure but for the clock.
//
//     created -> handed over -> confirmed -> released
//        \____________\____________\_______> released or expired
//
// Owns: states, moments, totals. Does not own: the file behind a lease, the timer that ends it (segments.ts).
//
// L1. A lease moves forward only; what comes late or twice changes nothing and is not counted.
// L2. created = live + released + expired, at every moment.

import type { Clock } from "../../models/clock.js";

export type LeaseState = "created" | "handed_over" | "confirmed";
export type LeaseEnd = "released" | "expired";

export interface LeaseView {
  readonly file: string;
  readonly bytes: number;
  /** What it is for, in its owner's words. */
  readonly about: string | null;
  readonly state: LeaseState;
  /** Epoch milliseconds. */
  readonly createdAtMs: number;
  /** When it is taken back unless it was released before, epoch milliseconds. */
  readonly expiresAtMs: number;
}

export interface LeaseTotals {
  readonly created: number;
  readonly handedOver: number;
  readonly confirmed: number;
  readonly released: number;
  readonly expired: number;
}

export interface LeaseChange {
  readonly kind: LeaseState | LeaseEnd;
  readonly lease: LeaseView;
  /** Leases that live now, and their bytes. */
  readonly live: number;
  readonly liveBytes: number;
}

export const noLeases: LeaseTotals = { created: 0, handedOver: 0, confirmed: 0, released: 0, expired: 0 };

const totalOf = {
  created: "created",
  handed_over: "handedOver",
  confirmed: "confirmed",
  released: "released",
  expired: "expired",
} as const satisfies Readonly<Record<LeaseState | LeaseEnd, keyof LeaseTotals>>;

const order: readonly LeaseState[] = ["created", "handed_over", "confirmed"];

export class SegmentLeases {
  readonly #clock: Pick<Clock, "nowMs" | "monotonicMs">;
  readonly #onChange: (change: LeaseChange) => void;
  readonly #live = new Map<string, LeaseView>();
  readonly #totals: { -readonly [Name in keyof LeaseTotals]: number } = { ...noLeases };
  #liveBytes = 0;

  constructor(clock: Pick<Clock, "nowMs" | "monotonicMs">, onChange: (change: LeaseChange) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  get totals(): LeaseTotals {
    return { ...this.#totals };
  }

  get liveBytes(): number {
    return this.#liveBytes;
  }

  all(): readonly LeaseView[] {
    return [...this.#live.values()];
  }

  /** `expiresAtMs` is monotonic. */
  create(lease: Pick<LeaseView, "file" | "bytes" | "about">, expiresAtMs: number): void {
    if (this.#live.has(lease.file)) throw new Error(`${lease.file} is leased already`);
    const createdAtMs = this.#clock.nowMs();
    const forMs = expiresAtMs - this.#clock.monotonicMs();
    const view: LeaseView = { ...lease, state: "created", createdAtMs, expiresAtMs: createdAtMs + forMs };
    this.#live.set(view.file, view);
    this.#liveBytes += view.bytes;
    this.#count("created", view);
  }

  /** False when it has come further already, or has ended. */
  advance(file: string, state: Exclude<LeaseState, "created">): boolean {
    const lease = this.#live.get(file);
    if (lease === undefined || order.indexOf(lease.state) >= order.indexOf(state)) return false;
    const next = { ...lease, state };
    this.#live.set(file, next);
    this.#count(state, next);
    return true;
  }

  /** False when it has ended before. */
  end(file: string, how: LeaseEnd): boolean {
    const lease = this.#live.get(file);
    if (lease === undefined) return false;
    this.#live.delete(file);
    this.#liveBytes -= lease.bytes;
    this.#count(how, lease);
    return true;
  }

  #count(kind: LeaseState | LeaseEnd, lease: LeaseView): void {
    this.#totals[totalOf[kind]] += 1;
    this.#onChange({ kind, lease, live: this.#live.size, liveBytes: this.#liveBytes });
  }
}
