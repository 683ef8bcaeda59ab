// An owner's record: what stands in its directory for everybody of this host who asks, and for whoever sweeps after it.
//
// Owns: the record's form, when it is written. Does not own: what it says (segments.ts), who reads it (segment-sweep.ts).
//
// R1. A reader finds a whole record, the old one or the new one: it is written beside and renamed.
// R2. It follows every change within `delayMs`, one writing for all changes of that time; so a kill costs the last moments of it, and a
//     steady load pays for one small file twenty times a second at most.

import { rename, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Clock } from "../../models/clock.js";
import { type LeaseTotals, type LeaseView, noLeases } from "./segment-leases.js";
import { isSystemError, leaveRoot, ownerFile, ownerFileNew, type Place } from "./segment-place.js";
import type { SegmentPoolFigures } from "./segment-pool.js";

const whole = z.int().min(0);
const schema = z.object({
  v: z.literal(1),
  pid: whole,
  started: z.string().max(32),
  /** In which this pid means this process. */
  namespaces: z.string().max(256),
  /** A node's name, or what a client calls itself. */
  owner: z.string().max(256),
  /** Epoch milliseconds of this writing. */
  atMs: z.number(),
  leases: z
    .array(
      z.object({
        file: z.string().max(128),
        bytes: whole,
        about: z.string().max(256).nullable(),
        state: z.enum(["created", "handed_over", "confirmed"]),
        createdAtMs: z.number(),
        expiresAtMs: z.number(),
      }),
    )
    .max(10_000),
  totals: z.object({ created: whole, handedOver: whole, confirmed: whole, released: whole, expired: whole }),
  pool: z.object({ leased: whole, spare: whole, leasedBytes: whole, spareBytes: whole, made: whole }),
});

export type OwnerRecord = Readonly<z.infer<typeof schema>>;
/** Longer ones were not written by us. */
export const recordBytesMax = 4 * 1024 * 1024;

export interface OwnerFigures {
  readonly leases: readonly LeaseView[];
  readonly totals: LeaseTotals;
  readonly pool: SegmentPoolFigures;
}

const nothing: OwnerFigures = {
  leases: [],
  totals: noLeases,
  pool: { leased: 0, spare: 0, leasedBytes: 0, spareBytes: 0, made: 0 },
};
const delayMs = 50;

export function recordText(place: Place, owner: string, atMs: number, figures: OwnerFigures = nothing): string {
  const { pid, started, namespaces } = place;
  return JSON.stringify({ v: 1, pid, started, namespaces, owner: owner.slice(0, 256), atMs, ...figures });
}

/** Undefined for what no owner wrote. */
export function parseRecord(text: string): OwnerRecord | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const parsed = schema.safeParse(json);
  return parsed.success ? parsed.data : undefined;
}

/** Keeps the record of one owner up to date. */
export class OwnerLedger {
  readonly #place: Place;
  readonly #owner: string;
  readonly #clock: Clock;
  readonly #figures: () => OwnerFigures;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(place: Place, owner: string, clock: Clock, figures: () => OwnerFigures) {
    this.#place = place;
    this.#owner = owner;
    this.#clock = clock;
    this.#figures = figures;
  }

  /** Something has changed. */
  note(): void {
    if (this.#isClosed || this.#cancel !== undefined) return;
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#cancel = undefined;
      this.#writing = this.#writing.then(() => this.#write());
    });
  }

  /** Removes the record and the directory with it, where nobody has put anything else into it. */
  async remove(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#writing;
    const directory = this.#directory;
    try {
      for (const file of [ownerFileNew, ownerFile]) await rm(join(directory, file), { force: true });
      await rmdir(directory);
    } catch (error) {
      // What stays is somebody else's, or swept when this process has ended.
      if (!isSystemError(error)) throw error;
    }
    await leaveRoot(this.#place.root);
  }

  get #directory(): string {
    return join(this.#place.root, this.#place.owner);
  }

  /** What cannot be written is missing in a list for people; the leases themselves do not depend on it. */
  async #write(): Promise<void> {
    const fresh = join(this.#directory, ownerFileNew);
    try {
      await writeFile(fresh, recordText(this.#place, this.#owner, this.#clock.nowMs(), this.#figures()), {
        mode: 0o600,
      });
      await rename(fresh, join(this.#directory, ownerFile));
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }
}
