// What dead owners left in shared memory: who they were, what they held, its removal.
//
// Owns: the judgement whether an owner is dead, the removal of its directory. Does not own: leases of the living (segments.ts), when a sweep
// is made and who is told (actors/operations/watchdog.ts, node.ts).
//
// W1. An owner is swept only when its pid with its start time exists no more, judged from within the namespaces that the pid is of: those
//     are in its record. Without a record that can be read, in other namespaces, or of another user, it is foreign, and left alone.
// W2. Only names that segments and records have are removed, plain files only, and never through a link; a directory with anything else in
//     it stays, with that in it.
// W3. The record goes last, and whoever removed it counts the sweep: several sweepers count each dead owner once, a sweep that was killed is
//     begun again by the next.
// W4. What the system does not let us look at or remove (EACCES, EIO) stays as it is, for the next sweep; no look fails for it.

import { constants } from "node:fs";
import { lstat, open, readdir, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { isAlive } from "../process-identity.js";
import { type OwnerRecord, parseRecord, recordBytesMax } from "./segment-owner.js";
import {
  clusterDirectory,
  isSegmentName,
  isSystemError,
  leaveRoot,
  ownDirectory,
  ownerFile,
  ownerFileNew,
  ownerOf,
  ownNamespaces,
  stagingName,
} from "./segment-place.js";

export interface SeenOwner {
  /** Of its directory. */
  readonly name: string;
  readonly status: "alive" | "dead";
  readonly record: OwnerRecord;
}

export interface SweptOwner {
  readonly name: string;
  /** The last one that it wrote: none of the leases in it was released. */
  readonly record: OwnerRecord;
  readonly files: number;
  readonly bytes: number;
}

export interface Sweep {
  readonly swept: readonly SweptOwner[];
  /** The living, with their records. */
  readonly alive: readonly SeenOwner[];
  /** Directories that are not ours to judge. */
  readonly foreign: number;
}

/** A directory that was being made when its process ended is removed after so long. */
const stagingMs = 60_000;

export interface SeenOwners {
  /** `foreign`: the cluster's directory is another user's, or a link. */
  readonly directory: "ours" | "foreign" | "missing";
  readonly owners: readonly SeenOwner[];
  readonly foreign: number;
}

/** All owners in a cluster's directory of this host; what is not ours to judge is counted only. */
export async function seeOwners(dir: string, cluster: string): Promise<SeenOwners> {
  const root = clusterDirectory(dir, cluster);
  const directory = process.platform === "linux" ? await ownDirectory(root) : "missing";
  if (directory !== "ours") return { directory, owners: [], foreign: 0 };
  const here = await ownNamespaces();
  const owners: SeenOwner[] = [];
  let foreign = 0;
  for (const name of await namesIn(root)) {
    if (stagingName.test(name)) continue;
    const seen = await judge(root, name, here);
    if (seen === "foreign") foreign += 1;
    else if (seen !== "gone") owners.push(seen);
  }
  return { directory, owners, foreign };
}

export async function sweepSegments(dir: string, cluster: string, nowMs: number): Promise<Sweep> {
  const root = clusterDirectory(dir, cluster);
  const { owners, foreign } = await seeOwners(dir, cluster);
  const swept: SweptOwner[] = [];
  for (const each of owners) {
    if (each.status === "alive") continue;
    const gone = await sweep(root, each);
    if (gone !== undefined) swept.push(gone);
  }
  await dropStaging(root, nowMs);
  if (swept.length > 0) await leaveRoot(root);
  return { swept, alive: owners.filter(({ status }) => status === "alive"), foreign };
}

async function judge(root: string, name: string, here: string): Promise<SeenOwner | "foreign" | "gone"> {
  const named = ownerOf(name);
  if (named === undefined) return "foreign";
  const whose = await ownDirectory(join(root, name));
  if (whose !== "ours") return whose === "missing" ? "gone" : "foreign";
  const text = await readRecord(join(root, name, ownerFile));
  const record = text === undefined ? undefined : parseRecord(text);
  if (record === undefined) return (await ownDirectory(join(root, name))) === "missing" ? "gone" : "foreign";
  const isItsOwn = record.pid === named.pid && record.started === named.started;
  if (!isItsOwn || record.namespaces !== here) return "foreign";
  return { name, status: (await isAlive(named)) ? "alive" : "dead", record };
}

/** Undefined when somebody else has swept it, or something else is in its record's place. */
async function sweep(root: string, { name, record }: SeenOwner): Promise<SweptOwner | undefined> {
  const directory = join(root, name);
  let files = 0;
  let bytes = 0;
  for (const each of await namesIn(directory)) {
    if (!(isSegmentName(each) || each === ownerFileNew)) continue;
    const size = await removed(join(directory, each));
    if (size === undefined || each === ownerFileNew) continue;
    files += 1;
    bytes += size;
  }
  const isMine = (await removed(join(directory, ownerFile))) !== undefined;
  await removedDirectory(directory);
  return isMine ? { name, record, files, bytes } : undefined;
}

/** Left by a process that ended while it made its directory. */
async function dropStaging(root: string, nowMs: number): Promise<void> {
  for (const name of await namesIn(root)) {
    if (!stagingName.test(name)) continue;
    const directory = join(root, name);
    const madeAtMs = await modifiedAt(directory);
    if (madeAtMs === undefined || nowMs - madeAtMs < stagingMs || (await ownDirectory(directory)) !== "ours") continue;
    await removed(join(directory, ownerFile));
    await removedDirectory(directory);
  }
}

async function namesIn(directory: string): Promise<string[]> {
  return (await unless(() => readdir(directory))) ?? [];
}

async function modifiedAt(path: string): Promise<number | undefined> {
  return (await unless(() => lstat(path)))?.mtimeMs;
}

/** Undefined where the system says no (W4). */
async function unless<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  }
}

/** The size of a plain file that is gone by our hand; undefined for anything else, which stays. */
function removed(path: string): Promise<number | undefined> {
  return unless(async () => {
    const found = await lstat(path);
    if (!found.isFile()) return undefined;
    await unlink(path);
    return found.size;
  });
}

/** A directory with anything in it stays. */
async function removedDirectory(path: string): Promise<void> {
  await unless(() => rmdir(path));
}

/** Undefined when there is no plain file of ours of a length that a record may have. */
function readRecord(path: string): Promise<string | undefined> {
  return unless(async () => {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const found = await file.stat();
      return found.isFile() && found.size <= recordBytesMax ? await file.readFile("utf8") : undefined;
    } finally {
      await file.close();
    }
  });
}
