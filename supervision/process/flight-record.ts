// The flight record: which work was inside something that can kill the whole process, written down before it goes in.
//
// Owns: two files in a directory of the node: the ids in flight now, and how many deaths each id was in flight at.
// Does not own: what an id stands for, who refuses the condemned (actors/serving/inference.ts).
//
//   clear --in flight at a death--> suspect --runs alone and comes out--> clear
//                                      |
//                                      +--in flight at `deathsMax` deaths--> condemned --forgiven--> clear
//
// R1. The ids are in the file before the work begins: one write into the page cache, which outlives the process. It does not
//     outlive a power cut, and need not: a power cut is not what the work did.
// R2. A death from outside (SIGKILL) makes suspects of whatever was in flight, never a condemned one: a suspect runs alone,
//     so to be condemned it must have been alone at every death but its first.
// R3. Both files are bounded: ids that do not fit are not watched; the suspects longest unheard of are forgotten.
// R4. A full disk costs the watch, not the work: the flight's file has its room from the start, and what cannot be kept is in memory only.

import { mkdirSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

export type Standing = "clear" | "suspect" | "condemned";

export interface FlightRecord {
  /** Ids under suspicion or condemned; 0 nearly always, which is what the hot path asks. */
  readonly watched: number;
  standing(id: string): Standing;
  /** Deaths that the id was in flight at. */
  deaths(id: string): number;
  takeOff(ids: readonly string[]): void;
  /** The work came out again. A suspect that was alone is cleared. */
  land(ids: readonly string[]): void;
  /** It may run again as if it had never been seen. */
  forgive(id: string): void;
}

interface FlightSettings {
  /** Deaths of the process after which an id is condemned. */
  readonly deathsMax: number;
}
const flightDefaults: FlightSettings = { deathsMax: 3 };

const flightBytesMax = 32 * 1024;
const watchedMax = 1_024;
const nothing = Buffer.from("[]\n");

/** Reads what the process before left behind, and counts its death for each id in flight. */
export function openFlightRecord(directory: string, name: string, settings = flightDefaults): FlightRecord {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const files = { flight: join(directory, `${name}.flight`), deaths: join(directory, `${name}.deaths`) };
  const deaths = new Map(read(files.deaths).flatMap((entry) => (isCount(entry) ? [entry] : [])));
  // An id may be in flight twice at once, and dies once all the same (R2).
  const crashed = new Set(read(files.flight).filter((id) => typeof id === "string"));
  for (const id of crashed) {
    const before = deaths.get(id) ?? 0;
    deaths.delete(id);
    deaths.set(id, before + 1);
  }
  const record = new FileFlightRecord(files, deaths, settings);
  if (crashed.size > 0) record.save();
  record.land([]);
  return record;
}

/** For a node that was given no directory. */
export const noFlightRecord: FlightRecord = {
  watched: 0,
  standing: () => "clear",
  deaths: () => 0,
  takeOff: () => undefined,
  land: () => undefined,
  forgive: () => undefined,
};

class FileFlightRecord implements FlightRecord {
  readonly #files: { readonly flight: string; readonly deaths: string };
  readonly #deaths: Map<string, number>;
  readonly #settings: FlightSettings;
  readonly #fd: number;

  constructor(files: { flight: string; deaths: string }, deaths: Map<string, number>, settings: FlightSettings) {
    this.#files = files;
    this.#deaths = deaths;
    this.#settings = settings;
    this.#fd = openSync(files.flight, "w", 0o600);
    this.#write(Buffer.alloc(flightBytesMax));
  }

  get watched(): number {
    return this.#deaths.size;
  }

  standing(id: string): Standing {
    const deaths = this.deaths(id);
    if (deaths === 0) return "clear";
    return deaths >= this.#settings.deathsMax ? "condemned" : "suspect";
  }

  deaths(id: string): number {
    return this.#deaths.get(id) ?? 0;
  }

  takeOff(ids: readonly string[]): void {
    const line = Buffer.from(`${JSON.stringify(ids)}\n`);
    if (line.byteLength <= flightBytesMax) this.#write(line);
  }

  land(ids: readonly string[]): void {
    // The line ends where its line break is: what an earlier, longer one left behind it is not read.
    this.#write(nothing);
    const [alone, ...others] = ids;
    if (alone !== undefined && others.length === 0) this.forgive(alone);
  }

  forgive(id: string): void {
    if (this.#deaths.delete(id)) this.save();
  }

  /** Rare, so it may be slow: written aside and renamed, so that a death in between leaves the file before. */
  save(): void {
    for (const id of this.#deaths.keys()) {
      if (this.#deaths.size <= watchedMax) break;
      this.#deaths.delete(id);
    }
    const aside = `${this.#files.deaths}.new`;
    whereThereIsRoom(() => {
      writeFileSync(aside, `${JSON.stringify([...this.#deaths])}\n`, { mode: 0o600 });
      renameSync(aside, this.#files.deaths);
    });
  }

  #write(bytes: Buffer): void {
    whereThereIsRoom(() => writeSync(this.#fd, bytes, 0, bytes.byteLength, 0));
  }
}

/** On a full disk the write is left out (R4). */
function whereThereIsRoom(write: () => void): void {
  try {
    write();
  } catch (error) {
    const isFull = error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
    if (!isFull) throw error;
  }
}

function isCount(entry: unknown): entry is [string, number] {
  return Array.isArray(entry) && typeof entry[0] === "string" && Number.isSafeInteger(entry[1]);
}

/** The list on the first line; a file that is missing or was cut short holds none. */
function read(file: string): readonly unknown[] {
  try {
    const [line = ""] = readFileSync(file, "utf8").split("\n", 1);
    const list: unknown = JSON.parse(line === "" ? "[]" : line);
    return Array.isArray(list) ? list : [];
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (isMissing || error instanceof SyntaxError) return [];
    throw error;
  }
}
