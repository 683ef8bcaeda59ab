// Large tensors between processes of one host: files in shared memory, leased to one receiver at a time and recycled.
//
//     sender   lease(bytes) -> ref {file, bytes, crc} in the message      receiver   read(ref, into)
//              handOver()      the message is on its way                             answers: confirmed
//              confirm()       the receiver has them, or
//              release()       nobody needs them any more -> the file goes back into the pool
//
// Owns: one process's leases, and the reading of other processes' segments. Does not own: how bytes are moved (segment-copy.ts), the files
// (segment-pool.ts), a lease's states (segment-leases.ts), where all this stands (segment-place.ts), what is told of it (segment-owner.ts),
// what the dead leave (segment-sweep.ts), messages, and the choice between segments and chunks (carrier.ts).
//
// S1. Every lease ends: released by whoever made it, or expired at its moment; then its file is renamed before it is used again.
// S2. What is read is what was leased, or it is refused: number and checksum are compared after the copy.
// S3. Nothing is followed out of the cluster's directory: names are checked, links are not followed, size and owner are.
// S4. At a bound, or where shared memory is full, a lease is refused by name and nothing is left behind.
// S5. One tensor is copied at a time, in the order of coming: all of them use one thread, and whoever is first can be read while the next
//     is written. Taken in turns, slice by slice, all would be ready when the last one is.
//
// Copies of one transfer: two, one into the file and one out of it. The checksum is made of each slice while it is in the processor's cache.

import { randomBytes } from "node:crypto";
import type { Clock } from "../../models/clock.js";
import type { Timeouts } from "../timeouts.js";
import { type Copied, copyFrom, copyInto } from "./segment-copy.js";
import { type LeaseChange, type LeaseEnd, type LeaseTotals, type LeaseView, SegmentLeases } from "./segment-leases.js";
import { OwnerLedger, recordText } from "./segment-owner.js";
import { hasCode, openPlace, openSegment, type Place, type PlaceUnavailable, segmentPath } from "./segment-place.js";
import { type PoolFull, type Segment, SegmentPool, type SegmentPoolFigures } from "./segment-pool.js";

export interface SegmentRef {
  /** `<pid>-<start time>/<id>`, under the cluster's directory. */
  readonly file: string;
  readonly bytes: number;
  /** CRC-32 of all bytes. */
  readonly crc: number;
}

export interface SegmentOptions {
  readonly cluster: string;
  /** Where shared memory is mounted: "/dev/shm". */
  readonly dir: string;
  readonly clock: Clock;
  readonly timeouts: Pick<Timeouts, "tensorLease">;
  /** Who owns the leases, for people: a node's name, or what a client calls itself. */
  readonly owner: string;
  /** Bytes of all segments of this process together, leased and spare. */
  readonly segmentBytesMax?: number;
  /** Told of every change of a lease, after it. */
  readonly onChange?: (change: LeaseChange) => void;
  /** This process, when left out. For tests. */
  readonly pid?: number;
}

export interface LeaseOptions {
  /** Aborted: the lease is given up while it is written. */
  readonly signal?: AbortSignal;
  /** Of the clock's monotonic time: the deadline of the request it belongs to. `timeouts.tensorLease` from now on when left out. */
  readonly expiresAtMs?: number;
  /** What it is for, for people: "digits/<request id>". */
  readonly about?: string;
}

export type LeaseOutcome =
  | { readonly kind: "leased"; readonly lease: SegmentLease }
  | PoolFull
  /** The signal aborted, or these segments were closed. */
  | { readonly kind: "given_up" };

export type ReadOutcome =
  | { readonly kind: "read"; readonly bytes: Uint8Array }
  | { readonly kind: "refused"; readonly why: ReadRefusal };

/** `denied`: not to be opened: no segment's name, a link, somebody else's, too many open files. `given_up`: the reader's signal aborted. */
export type ReadRefusal = "other_host" | "missing" | "size" | "checksum" | "denied" | "given_up";

export interface SegmentLease {
  readonly ref: SegmentRef;
  /** Aborted when the lease has ended, however. */
  readonly ended: AbortSignal;
  /** The message that names it is on its way. */
  handOver(): void;
  /** The receiver has the bytes. */
  confirm(): void;
  /** Nobody needs them any more. May be called often; the first call counts. */
  release(): void;
}

export interface Segments {
  readonly kind: "open";
  /** Identity of this host's shared memory: equal exactly where files of the one can be opened by the other. */
  readonly host: string;
  /** Resolves when all bytes are written. They must not change until then. */
  lease(bytes: Uint8Array, options?: LeaseOptions): Promise<LeaseOutcome>;
  /** Copies another process's bytes into `into`, which is as long as they are; into a new buffer when left out. */
  read(ref: SegmentRef & { readonly host?: string }, into?: Uint8Array, signal?: AbortSignal): Promise<ReadOutcome>;
  leases(): readonly LeaseView[];
  totals(): LeaseTotals;
  figures(): SegmentPoolFigures;
  /** Ends all leases and removes this process's directory. */
  close(): Promise<void>;
}

/** At once, spare segments included: as much as a node holds of large tensors. */
const segmentBytesMaxDefault = 512 * 1024 * 1024;

export async function openSegments(options: SegmentOptions): Promise<Segments | PlaceUnavailable> {
  const { dir, cluster, clock, owner, pid = process.pid } = options;
  const nonce = randomBytes(6).toString("hex");
  const place = await openPlace(dir, cluster, pid, nonce, (found) => recordText(found, owner, clock.nowMs()));
  return place.kind === "unavailable" ? place : new OwnSegments(place, options);
}

class OwnSegments implements Segments {
  readonly kind = "open";
  readonly host: string;
  readonly #place: Place;
  readonly #clock: Clock;
  readonly #expiryMs: number;
  readonly #leases: SegmentLeases;
  readonly #pool: SegmentPool;
  readonly #ledger: OwnerLedger;
  #isClosed = false;
  readonly #filling = new Set<Promise<unknown>>();
  /** Settles when the copies that were asked for are done. */
  #copying: Promise<void> = Promise.resolve();
  readonly #ends = new Set<(how: LeaseEnd) => void>();

  constructor(place: Place, { clock, timeouts, owner, segmentBytesMax, onChange }: SegmentOptions) {
    this.host = place.host;
    this.#place = place;
    this.#clock = clock;
    this.#expiryMs = timeouts.tensorLease;
    this.#ledger = new OwnerLedger(place, owner, clock, () => ({
      leases: this.leases(),
      totals: this.totals(),
      pool: this.figures(),
    }));
    const note = (): void => this.#ledger.note();
    this.#leases = new SegmentLeases(clock, (change) => {
      note();
      onChange?.(change);
    });
    this.#pool = new SegmentPool(place, clock, segmentBytesMax ?? segmentBytesMaxDefault, note);
  }

  async lease(bytes: Uint8Array, options: LeaseOptions = {}): Promise<LeaseOutcome> {
    const isGivenUp = (): boolean => this.#isClosed || options.signal?.aborted === true;
    if (isGivenUp()) return { kind: "given_up" };
    const id = randomBytes(16).toString("hex");
    const taken = this.#pool.take(id, bytes.byteLength);
    if (taken.kind === "full") return taken;
    const file = `${this.#place.owner}/${id}`;
    const expiresAtMs = options.expiresAtMs ?? this.#clock.monotonicMs() + this.#expiryMs;
    this.#leases.create({ file, bytes: bytes.byteLength, about: options.about ?? null }, expiresAtMs);
    const filling = this.#fill(taken.segment, file, bytes, isGivenUp);
    this.#filling.add(filling);
    const filled = await filling.finally(() => this.#filling.delete(filling));
    if (filled.kind !== "copied") return filled.kind === "full" ? filled : { kind: "given_up" };
    return {
      kind: "leased",
      lease: this.#hold(taken.segment, { file, bytes: bytes.byteLength, crc: filled.crc }, expiresAtMs),
    };
  }

  /** Whatever comes of it but `copied`, the lease has ended and its segment is back. */
  async #fill(segment: Segment, file: string, bytes: Uint8Array, isGivenUp: () => boolean): Promise<Copied | PoolFull> {
    try {
      const copied = await this.#inTurn(() => copyInto(segment.fd, bytes, isGivenUp));
      if (copied.kind === "copied" && !isGivenUp()) return copied;
      this.#leases.end(file, "released");
      this.#pool.putBack(segment);
      return { kind: "given_up" };
    } catch (error) {
      this.#leases.end(file, "released");
      this.#pool.drop(segment);
      // What was free when it was taken has gone to somebody else meanwhile.
      if (hasCode(error, "ENOSPC", "ENOMEM", "EDQUOT")) return { kind: "full", why: "space" };
      throw error;
    }
  }

  #hold(segment: Segment, ref: SegmentRef, expiresAtMs: number): SegmentLease {
    const ended = new AbortController();
    const end = (how: LeaseEnd): void => {
      if (!this.#ends.delete(end)) return;
      cancel();
      this.#leases.end(ref.file, how);
      this.#pool.putBack(segment);
      ended.abort();
    };
    const cancel = this.#clock.after(Math.max(0, expiresAtMs - this.#clock.monotonicMs()), () => end("expired"));
    this.#ends.add(end);
    return {
      ref,
      ended: ended.signal,
      handOver: () => {
        this.#leases.advance(ref.file, "handed_over");
      },
      confirm: () => {
        this.#leases.advance(ref.file, "confirmed");
      },
      release: () => end("released"),
    };
  }

  async read(
    ref: SegmentRef & { readonly host?: string },
    into?: Uint8Array,
    signal?: AbortSignal,
  ): Promise<ReadOutcome> {
    if (ref.host !== undefined && ref.host !== this.host) return refused("other_host");
    if (into !== undefined && into.byteLength !== ref.bytes) return refused("size");
    const path = segmentPath(this.#place, ref.file);
    if (path === undefined) return refused("denied");
    const opened = await openSegment(path, ref.bytes);
    if (opened.kind === "refused") return opened;
    try {
      const bytes = into ?? new Uint8Array(ref.bytes);
      const { fd } = opened.file;
      const copied = await this.#inTurn(() => copyFrom(fd, bytes, () => signal?.aborted === true));
      if (copied.kind !== "copied") return refused(copied.kind === "short" ? "size" : "given_up");
      return copied.crc === ref.crc ? { kind: "read", bytes } : refused("checksum");
    } finally {
      await opened.file.close();
    }
  }

  async #inTurn(copy: () => Promise<Copied>): Promise<Copied> {
    const turn = this.#copying.then(copy);
    this.#copying = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  leases(): readonly LeaseView[] {
    return this.#leases.all();
  }

  totals(): LeaseTotals {
    return this.#leases.totals;
  }

  figures(): SegmentPoolFigures {
    return this.#pool.figures;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const end of [...this.#ends]) end("released");
    this.#pool.close();
    await Promise.allSettled(this.#filling);
    await this.#ledger.remove();
  }
}

function refused(why: ReadRefusal): ReadOutcome {
  return { kind: "refused", why };
}
