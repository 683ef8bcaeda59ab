// Large tensors between processes of one host: files in shared memory, leased to one receiver at a time and recycled.
//
//     sender   lease(bytes) -> ref {file, bytes} in the message           receiver   read(ref, into): follows the writing
//              handOver()      the message is on its way                             answers: confirmed
//              confirm()       the receiver has them, or
//              release()       nobody needs them any more -> the file goes back into the pool
//
// Owns: one process's leases, and the reading of other processes' segments. Does not own: how bytes are moved (segment-writing.ts,
// segment-reading.ts), the files (segment-pool.ts), a lease's states (segment-leases.ts), where all this stands (segment-place.ts), what is
// told of it (segment-owner.ts), what the dead leave (segment-sweep.ts), messages, and the choice between segments and chunks (receiver.ts).
//
// S1. Every lease ends: released by whoever made it, or expired at its moment; then its file is renamed before it is used again.
// S2. What is read is what was leased, or it is refused: after the copy the segment still is this tensor's, and the checksum is compared (G5).
// S3. Nothing is followed out of the cluster's directory: names are checked, links are not followed, size and owner are.
// S4. At a bound, where shared memory is full, or where the system says no for another reason (EIO, EACCES, a directory that is gone), a lease
//     is refused by name, or ends while it is written, and nothing is left behind; a reading is refused. The bytes go in chunks then.
// S5. One tensor is copied at a time, in the order of coming: all of them use one thread. Taken in turns, slice by slice, all would be ready
//     when the last one is. A lease is there when its turn has come: its reader follows it and need not wait for others.
// S6. A segment goes back to the pool when its lease has ended and nothing is written into it any more, whichever is later.
//
// Copies of one transfer: two, one into the file and one out of it. The checksum is made of each slice while it is in the processor's cache.

import { randomBytes } from "node:crypto";
import { basename } from "node:path";
import type { Clock } from "../../models/clock.js";
import type { Timeouts } from "../timeouts.js";
import type { Copied } from "./segment-copy.js";
import { type LeaseChange, type LeaseEnd, type LeaseTotals, type LeaseView, SegmentLeases } from "./segment-leases.js";
import { OwnerLedger, recordText } from "./segment-owner.js";
import {
  isSystemError,
  openPlace,
  openSegment,
  type Place,
  type PlaceUnavailable,
  segmentPath,
} from "./segment-place.js";
import { type PoolFull, type Segment, SegmentPool, type SegmentPoolFigures } from "./segment-pool.js";
import { readSegment, type Unreadable } from "./segment-reading.js";
import { spoil, type Written, writeSegment } from "./segment-writing.js";

export interface SegmentRef {
  /** `<pid>-<start time>/<id>`, under the cluster's directory. */
  readonly file: string;
  readonly bytes: number;
}

export interface SegmentOptions {
  readonly cluster: string;
  /** Where shared memory is mounted: "/dev/shm". */
  readonly dir: string;
  readonly clock: Clock;
  readonly timeouts: Pick<Timeouts, "tensorLease" | "chunkTry">;
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

/** `denied`: not to be opened: no segment's name, a link, somebody else's, too many open files. `failed`: the system did not let it be
 * read. `given_up`: the reader's signal aborted.
 */
export type ReadRefusal = "other_host" | "denied" | "failed" | Unreadable;

export interface SegmentLease {
  readonly ref: SegmentRef;
  /** Aborted when the lease has ended, however. */
  readonly ended: AbortSignal;
  /** All bytes stand there, or will not: then the lease has ended too. They must not change until then. */
  readonly written: Promise<Written>;
  /** The message that names it is on its way. */
  handOver(): void;
  /** The receiver has the bytes. */
  confirm(): void;
  /** Nobody needs them any more. May be called often; the first call counts. */
  release(): void;
}

export interface ReadRef extends SegmentRef {
  readonly host?: string;
  /** CRC-32 of all bytes, where the message names it. The segment has it in any case. */
  readonly crc?: number | undefined;
}

export interface Segments {
  readonly kind: "open";
  /** Identity of this host's shared memory: equal exactly where files of the one can be opened by the other. */
  readonly host: string;
  /** Resolves when its turn to be written has come; of a small one, when it is written. */
  lease(bytes: Uint8Array, options?: LeaseOptions): Promise<LeaseOutcome>;
  /** Copies another process's bytes into `into`, which is as long as they are; into a new buffer when left out. */
  read(ref: ReadRef, into?: Uint8Array, signal?: AbortSignal): Promise<ReadOutcome>;
  leases(): readonly LeaseView[];
  totals(): LeaseTotals;
  figures(): SegmentPoolFigures;
  /** Ends all leases and removes this process's directory. */
  close(): Promise<void>;
}

/** At once, spare segments included: as much as a node holds of large tensors. */
const segmentBytesMaxDefault = 512 * 1024 * 1024;

/** A smaller one is written before its message leaves: following it would cost a pause, and save less. */
const followedBytesMin = 4 * 1024 * 1024;
/** Three weeks: what a timer takes. It would ring at once for anything longer. */
const leaseMsMax = 2 ** 31 - 1;

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
  readonly #stallMs: number;
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
    this.#stallMs = timeouts.chunkTry;
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
    const { signal, about = null, expiresAtMs = this.#clock.monotonicMs() + this.#expiryMs } = options;
    if (this.#isClosed || signal?.aborted === true) return { kind: "given_up" };
    const id = randomBytes(16).toString("hex");
    const taken = this.#pool.take(id, bytes.byteLength);
    if (taken.kind === "full") return taken;
    const ref: SegmentRef = { file: `${this.#place.owner}/${id}`, bytes: bytes.byteLength };
    this.#leases.create({ ...ref, about }, expiresAtMs);
    const { lease, begun } = this.#hold(taken.segment, ref, bytes, expiresAtMs);
    const giveUp = (): void => lease.release();
    signal?.addEventListener("abort", giveUp, { once: true });
    void lease.written.finally(() => signal?.removeEventListener("abort", giveUp));
    const outcome = await (bytes.byteLength > followedBytesMin ? begun : lease.written);
    if (outcome?.kind === "full") return outcome;
    return lease.ended.aborted ? { kind: "given_up" } : { kind: "leased", lease };
  }

  /** `begun` resolves when it can be read; with an outcome when it was over before. */
  #hold(segment: Segment, ref: SegmentRef, bytes: Uint8Array, expiresAtMs: number) {
    const ended = new AbortController();
    let written: Written | undefined;
    const giveBack = (): void => {
      const isFit = written?.kind === "written" ? spoil(segment, bytes.byteLength) : written?.kind !== "full";
      if (isFit) this.#pool.putBack(segment);
      else this.#pool.drop(segment);
    };
    const end = (how: LeaseEnd): void => {
      if (!this.#ends.delete(end)) return;
      cancel();
      this.#leases.end(ref.file, how);
      if (written !== undefined) giveBack();
      ended.abort();
    };
    const forMs = Math.max(0, Math.min(leaseMsMax, expiresAtMs - this.#clock.monotonicMs()));
    const cancel = this.#clock.after(forMs, () => end("expired"));
    this.#ends.add(end);
    let onBegun = (): void => undefined;
    const first = new Promise<undefined>((resolve) => {
      onBegun = () => resolve(undefined);
    });
    const writing = this.#inTurn(() => writeSegment(segment, bytes, () => ended.signal.aborted, onBegun));
    const settled = writing.then((outcome) => {
      written = outcome;
      if (ended.signal.aborted) giveBack();
      else if (outcome.kind !== "written") end("released");
      return outcome;
    });
    const begun = Promise.race([first, settled]);
    this.#filling.add(settled);
    void settled.finally(() => this.#filling.delete(settled));
    const advance = (state: "handed_over" | "confirmed") => (): void => void this.#leases.advance(ref.file, state);
    const lease: SegmentLease = {
      ...{ ref, ended: ended.signal, written: settled },
      ...{ handOver: advance("handed_over"), confirm: advance("confirmed"), release: () => end("released") },
    };
    return { lease, begun };
  }

  async read(ref: ReadRef, into?: Uint8Array, signal?: AbortSignal): Promise<ReadOutcome> {
    try {
      return await this.#read(ref, into, signal);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return refused("failed");
    }
  }

  async #read(ref: ReadRef, into: Uint8Array | undefined, signal: AbortSignal | undefined): Promise<ReadOutcome> {
    if (ref.host !== undefined && ref.host !== this.host) return refused("other_host");
    if (into !== undefined && into.byteLength !== ref.bytes) return refused("size");
    const path = segmentPath(this.#place, ref.file);
    if (path === undefined) return refused("denied");
    const opened = await openSegment(path, ref.bytes);
    if (opened.kind === "refused") return opened;
    try {
      const bytes = into ?? new Uint8Array(ref.bytes);
      const why = await readSegment(opened.file.fd, basename(path), bytes, ref.crc, {
        clock: this.#clock,
        stallMs: this.#stallMs,
        isGivenUp: () => signal?.aborted === true,
        inTurn: (copy) => this.#inTurn(copy),
      });
      return why === undefined ? { kind: "read", bytes } : refused(why);
    } finally {
      await opened.file.close();
    }
  }

  async #inTurn<T extends Copied | Written>(copy: () => Promise<T>): Promise<T> {
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
