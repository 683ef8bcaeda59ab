// The segment files of one owner: made, leased out, used again, dropped when nobody needed them for a while.
//
// Owns: which files there are, how large they may be together, which one serves next. Does not own: what is in them, leases (segments.ts).
//
// F1. All files of an owner, leased and spare, have at most `bytesMax` bytes together; and enough of shared memory stays free for others.
// F2. A file that is used again gets a new name first: nobody who knows the old one reads what is written next.
// F3. A spare file keeps its memory, so a steady load makes no new pages; `spareMs` after the last return all spare files go.
//
// The calls are synchronous: each names, opens or removes one file in memory, a few microseconds.

import { closeSync, constants, ftruncateSync, openSync, renameSync, statfsSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../models/clock.js";
import { isMissing } from "../process-identity.js";
import { hasCode, isFull, isSystemError, type Place } from "./segment-place.js";

export interface Segment {
  readonly id: string;
  readonly fd: number;
  /** Bytes of memory that stand behind it. */
  readonly bytes: number;
}

export interface PoolFull {
  readonly kind: "full";
  /**
   * `pool`: the bound of this process; `space`: of shared memory itself; `files`: of open files; `gone`: the directory was removed from
   * outside; `failed`: the system says no for another reason.
   */
  readonly why: "pool" | "space" | "files" | "gone" | "failed";
}

export interface SegmentPoolFigures {
  /** Segments that are leased, and those that wait to be used again. */
  readonly leased: number;
  readonly spare: number;
  readonly leasedBytes: number;
  readonly spareBytes: number;
  /** Files made so far: stands still under a steady load. */
  readonly made: number;
}

export const spareMs = 30_000;
/** Of shared memory, what is left for others: so much, or a quarter of a small one. */
export const reserveBytes = 64 * 1024 * 1024;

export class SegmentPool {
  readonly #place: Place;
  readonly #clock: Clock;
  readonly #bytesMax: number;
  readonly #leased = new Map<string, Segment>();
  /** The one that was used last is the last one. */
  #spare: Segment[] = [];
  #made = 0;
  #isClosed = false;
  #cancelDrop: (() => void) | undefined;
  readonly #onChange: () => void;

  constructor(place: Place, clock: Clock, bytesMax: number, onChange: () => void) {
    this.#place = place;
    this.#clock = clock;
    this.#bytesMax = bytesMax;
    this.#onChange = onChange;
  }

  get figures(): SegmentPoolFigures {
    const leased = [...this.#leased.values()];
    return {
      leased: leased.length,
      spare: this.#spare.length,
      leasedBytes: sum(leased),
      spareBytes: sum(this.#spare),
      made: this.#made,
    };
  }

  /** A file named `id` for so many bytes. */
  take(id: string, bytes: number): { readonly kind: "taken"; readonly segment: Segment } | PoolFull {
    const used = this.#fitting(bytes);
    const grows = Math.max(0, bytes - (used?.bytes ?? 0));
    const refused = this.#makeRoom(grows, used?.bytes ?? 0);
    if (refused !== undefined) {
      if (used !== undefined) this.#spare.push(used);
      return refused;
    }
    const fd = used === undefined ? this.#create(id) : (this.#renamed(used, id) ?? this.#create(id));
    if (typeof fd === "string") return { kind: "full", why: fd };
    const segment = { id, fd, bytes: Math.max(bytes, used?.bytes ?? 0) };
    this.#leased.set(id, segment);
    return { kind: "taken", segment };
  }

  /** Once for each that was taken. */
  putBack(segment: Segment): void {
    if (!this.#leased.delete(segment.id)) throw new Error(`segment ${segment.id} was put back twice`);
    if (this.#isClosed) {
      this.#remove(segment);
      return;
    }
    this.#spare.push(segment);
    this.#cancelDrop?.();
    this.#cancelDrop = this.#clock.after(spareMs, () => this.#dropSpare());
  }

  /** Instead of putting it back: its memory is free at once. */
  drop(segment: Segment): void {
    if (!this.#leased.delete(segment.id)) throw new Error(`segment ${segment.id} was put back twice`);
    this.#remove(segment);
  }

  /** What is leased still goes when it is put back. */
  close(): void {
    this.#isClosed = true;
    this.#cancelDrop?.();
    this.#dropSpare();
  }

  #dropSpare(): void {
    for (const segment of this.#spare.splice(0)) this.#remove(segment);
    this.#onChange();
  }

  /** The smallest spare file that holds so much, else the largest, which grows. */
  #fitting(bytes: number): Segment | undefined {
    const bySize = [...this.#spare].sort((a, b) => a.bytes - b.bytes);
    const found = bySize.find((segment) => segment.bytes >= bytes) ?? bySize.at(-1);
    this.#spare = this.#spare.filter((segment) => segment !== found);
    return found;
  }

  /** Lets go of spare files, the one used longest ago first, until so much more memory may be used; says what stands against it. */
  #makeRoom(grows: number, has: number): PoolFull | undefined {
    if (grows === 0) return undefined;
    for (;;) {
      const why = this.#obstacle(grows, has);
      if (why === undefined) return undefined;
      const oldest = this.#spare.shift();
      if (oldest === undefined) return { kind: "full", why };
      this.#remove(oldest);
    }
  }

  #obstacle(grows: number, has: number): PoolFull["why"] | undefined {
    const { leasedBytes, spareBytes } = this.figures;
    if (leasedBytes + spareBytes + has + grows > this.#bytesMax) return "pool";
    try {
      const { bavail, blocks, bsize } = statfsSync(this.#place.dir);
      return bavail * bsize - grows < Math.min(reserveBytes, (blocks * bsize) / 4) ? "space" : undefined;
    } catch (error) {
      return whyNot(error);
    }
  }

  #create(id: string): number | PoolFull["why"] {
    const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    try {
      const fd = openSync(this.#pathOf(id), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      this.#made += 1;
      return fd;
    } catch (error) {
      return whyNot(error);
    }
  }

  /** Undefined when somebody removed the file, or the system does not let it have the name: it is used no more. */
  #renamed({ id: was, fd }: Segment, id: string): number | undefined {
    try {
      renameSync(this.#pathOf(was), this.#pathOf(id));
      return fd;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#remove({ id: was, fd });
      return undefined;
    }
  }

  /** A name that cannot be removed is swept when this process has ended; the memory behind it is free now. */
  #remove({ id, fd }: Pick<Segment, "id" | "fd">): void {
    try {
      unlinkSync(this.#pathOf(id));
    } catch (error) {
      if (!isSystemError(error)) throw error;
      // Somebody was faster, and it is gone as it should be; or it stays, without memory.
      if (!isMissing(error)) emptied(fd);
    }
    closeSync(fd);
  }

  #pathOf(id: string): string {
    return join(this.#place.root, this.#place.owner, id);
  }
}

function emptied(fd: number): void {
  try {
    ftruncateSync(fd, 0);
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

function whyNot(error: unknown): PoolFull["why"] {
  if (hasCode(error, "EMFILE", "ENFILE")) return "files";
  if (isFull(error)) return "space";
  if (isMissing(error)) return "gone";
  if (isSystemError(error)) return "failed";
  throw error;
}

function sum(segments: readonly Segment[]): number {
  return segments.reduce((total, { bytes }) => total + bytes, 0);
}
