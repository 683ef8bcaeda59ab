// Where segments stand: the directories of a cluster in shared memory, and whose they are.
//
//     <dir>/driftmend-<cluster>/            0700, ours
//       <pid>-<start time>[-n]/             0700, one for each owner: a process may open several
//         owner.json                        who it is and what it leases (segment-owner.ts)
//         <id>                              0600, one for each segment
//
// Owns: these names, their checks, the identity of a host's shared memory and of a process's namespaces. Does not own: what is in the files.
//
// P1. An owner's directory appears whole, with its record in it, or not at all: it is made under another name and renamed.
// P2. A cluster directory that is a link, somebody else's, or open to others is not used.
// P3. Only file systems in memory are used: copying a slice never waits for a disk, so it may be done on the thread that talks to NATS.

import { constants } from "node:fs";
import { lstat, mkdir, open, readFile, readlink, rename, rm, rmdir, stat, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { identify, isMissing } from "../process-identity.js";

export interface Place {
  readonly kind: "place";
  readonly host: string;
  /** Where shared memory is mounted. */
  readonly dir: string;
  /** The cluster's directory. */
  readonly root: string;
  /** Name of this owner's directory in it. */
  readonly owner: string;
  readonly pid: number;
  readonly started: string;
  readonly namespaces: string;
}

export interface PlaceUnavailable {
  readonly kind: "unavailable";
  /**
   * `unsupported`: no process identity on this system; `not_memory`: the directory is on a disk; `denied`: it is somebody else's, or open to
   * others; `full`: not even a directory fits; `failed`: the system says no for another reason.
   */
  readonly why: "unsupported" | "missing" | "not_memory" | "denied" | "full" | "failed";
}

/** Where Linux mounts shared memory, and the word for doing without. */
export const sharedMemoryDir = "/dev/shm";
export const sharedMemoryOff = "off";

export const ownerFile = "owner.json";
export const ownerFileNew = "owner.json.new";
const ownerName = /^(\d{1,10})-(\d{1,20})(?:-\d{1,3})?$/;
const segmentName = /^[0-9a-f]{32}$/;
export const stagingName = /^\.new-\d{1,10}-[0-9a-f]{12}$/;

/** Magic numbers of statfs(2): tmpfs and ramfs. */
const memoryFileSystems: readonly number[] = [0x01021994, 0x858458f6];
/** Owners of one process in one cluster; more are a leak. */
const ownersMax = 100;
const openTries = 3;

export function clusterDirectory(dir: string, cluster: string): string {
  return join(dir, `driftmend-${cluster}`);
}

/** Undefined for a name that is no owner's directory. */
export function ownerOf(name: string): { readonly pid: number; readonly started: string } | undefined {
  const [, pid, started] = ownerName.exec(name) ?? [];
  return pid === undefined || started === undefined ? undefined : { pid: Number(pid), started };
}

export function isSegmentName(name: string): boolean {
  return segmentName.test(name);
}

/** The path of a file that a reference names; undefined when it names nothing that a segment may be called. */
export function segmentPath({ root }: Pick<Place, "root">, file: string): string | undefined {
  const [owner = "", id = "", ...rest] = file.split("/");
  return rest.length === 0 && ownerName.test(owner) && segmentName.test(id) ? join(root, owner, id) : undefined;
}

/** `firstRecord`: what stands in the owner's record from the beginning. */
export async function openPlace(
  dir: string,
  cluster: string,
  pid: number,
  nonce: string,
  firstRecord: (place: Place) => string,
): Promise<Place | PlaceUnavailable> {
  const host = await hostIdentity(dir);
  if (typeof host !== "string") return host;
  const self = await identify(pid);
  if (self === undefined) return { kind: "unavailable", why: "unsupported" };
  const root = clusterDirectory(dir, cluster);
  const about = {
    kind: "place",
    host,
    dir,
    root,
    pid,
    started: self.started,
    namespaces: await ownNamespaces(),
  } as const;
  for (let tried = 0; tried < openTries; tried += 1) {
    const claimed = await claim(about, nonce, firstRecord);
    if (claimed.kind === "unavailable") return claimed;
    // The last owner left at this moment and took the cluster's directory with it.
    if (claimed.kind === "claimed") return { ...about, owner: claimed.owner };
  }
  return { kind: "unavailable", why: "denied" };
}

type Claimed = { readonly kind: "claimed"; readonly owner: string } | { readonly kind: "gone" } | PlaceUnavailable;

async function claim(
  about: Omit<Place, "owner">,
  nonce: string,
  firstRecord: (place: Place) => string,
): Promise<Claimed> {
  const staging = join(about.root, `.new-${about.pid}-${nonce}`);
  try {
    if (!(await madeRoot(about.root))) return { kind: "unavailable", why: "denied" };
    await mkdir(staging, { mode: 0o700 });
    for (let n = 0; n < ownersMax; n += 1) {
      const owner = `${about.pid}-${about.started}${n === 0 ? "" : `-${n}`}`;
      await writeFile(join(staging, ownerFile), firstRecord({ ...about, owner }), { mode: 0o600 });
      if (await renamed(staging, join(about.root, owner))) return { kind: "claimed", owner };
    }
  } catch (error) {
    if (isMissing(error)) return { kind: "gone" };
    if (!isSystemError(error)) throw error;
    // What cannot be removed either is swept later by its age (segment-sweep.ts).
    await rm(staging, { recursive: true, force: true }).catch(() => undefined);
    return { kind: "unavailable", why: isFull(error) ? "full" : "failed" };
  }
  await rm(staging, { recursive: true, force: true });
  throw new Error(`${about.root}: this process has opened ${ownersMax} sets of segments and closed none`);
}

/** False when there is a directory of that name with something in it. */
async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOTEMPTY", "EEXIST")) return false;
    throw error;
  }
}

/** Removes the cluster's directory where it is empty. */
export async function leaveRoot(root: string): Promise<void> {
  try {
    await rmdir(root);
  } catch (error) {
    // There is another owner, or it is not ours to remove.
    if (!isSystemError(error)) throw error;
  }
}

/** Whether the cluster's directory is there, and ours alone. */
async function madeRoot(root: string): Promise<boolean> {
  try {
    await mkdir(root, { mode: 0o700 });
  } catch (error) {
    if (hasCode(error, "EACCES", "EPERM", "EROFS")) return false;
    if (!hasCode(error, "EEXIST")) throw error;
  }
  return (await ownDirectory(root)) === "ours";
}

/** Without following a link. */
export async function ownDirectory(path: string): Promise<"ours" | "foreign" | "missing"> {
  try {
    const found = await lstat(path);
    const isOurs = found.isDirectory() && found.uid === process.geteuid?.() && (found.mode & 0o077) === 0;
    return isOurs ? "ours" : "foreign";
  } catch (error) {
    if (isMissing(error)) return "missing";
    // What we may not even look at is not ours.
    if (isSystemError(error)) return "foreign";
    throw error;
  }
}

/**
 * The boot of this machine and the device of the mounted directory: two containers on one machine have the first in common, and the second
 * exactly when they share the mount.
 */
async function hostIdentity(dir: string): Promise<string | PlaceUnavailable> {
  if (process.platform !== "linux") return { kind: "unavailable", why: "unsupported" };
  try {
    const [boot, { dev }, { type }] = await Promise.all([
      readFile("/proc/sys/kernel/random/boot_id", "utf8"),
      stat(dir),
      statfs(dir),
    ]);
    if (!memoryFileSystems.includes(type)) return { kind: "unavailable", why: "not_memory" };
    return `${boot.trim()}:${dev.toString(16)}`;
  } catch (error) {
    if (isMissing(error)) return { kind: "unavailable", why: "missing" };
    if (hasCode(error, "EACCES", "EPERM", "ENOTDIR")) return { kind: "unavailable", why: "denied" };
    throw error;
  }
}

/**
 * The namespaces in which a pid and its start time mean what they say. Whoever is in other ones must not judge whether an owner lives.
 */
export async function ownNamespaces(): Promise<string> {
  return (await Promise.all(["pid", "time"].map(namespace))).join(" ");
}

async function namespace(kind: string): Promise<string> {
  try {
    return await readlink(`/proc/self/ns/${kind}`);
  } catch (error) {
    // A kernel without this kind of namespace.
    if (isMissing(error)) return "";
    throw error;
  }
}

export type OpenedSegment =
  | { readonly kind: "opened"; readonly file: Awaited<ReturnType<typeof open>> }
  | { readonly kind: "refused"; readonly why: "missing" | "size" | "denied" };

/** Opens another owner's segment for reading: a plain file of our own user, at least as long as was announced. */
export async function openSegment(path: string, bytes: number): Promise<OpenedSegment> {
  const opened = await openForReading(path);
  if (opened.kind === "refused") return opened;
  let why: "size" | "denied" | undefined = "denied";
  try {
    const found = await opened.file.stat();
    const isOurs = found.isFile() && found.uid === process.geteuid?.() && found.nlink <= 1;
    if (isOurs) why = found.size >= bytes ? undefined : "size";
  } finally {
    if (why !== undefined) await opened.file.close();
  }
  return why === undefined ? opened : { kind: "refused", why };
}

async function openForReading(path: string): Promise<OpenedSegment> {
  try {
    return { kind: "opened", file: await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK) };
  } catch (error) {
    if (isMissing(error)) return { kind: "refused", why: "missing" };
    // Too many open files are no reason to fail either: the bytes come in chunks.
    if (hasCode(error, "EACCES", "EPERM", "ELOOP", "EISDIR", "ENXIO", "ENOTDIR", "EMFILE", "ENFILE"))
      return { kind: "refused", why: "denied" };
    throw error;
  }
}

/**
 * The system said no (EIO, EACCES, ENOSPC): nothing that we can mend, and no reason to end the process, for the same bytes go in chunks.
 * A descriptor that is none any more is a mistake of ours.
 */
export function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && "code" in error && error.code !== "EBADF";
}

export const isFull = (error: unknown): boolean => hasCode(error, "ENOSPC", "ENOMEM", "EDQUOT");

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);
}
