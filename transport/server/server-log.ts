// The embedded server's log file: what it says of users who tried what they may not, and of connections that were refused.
//
// Owns: the form of those lines, reading the file as it grows, the end of what the server rotates away. Does not own: who is told
// (operations/cluster/violation-watch.ts), the server (broker.ts).
//
// Why the log: a violation is told to the connection that caused it and written here, and nowhere else; no advisory and no event of the
// server's system account says it.
//
// G1. A line counts only with the pid of the server in front. A client's name is in the log as the client wrote it, line feeds included, so
//     whoever connects can write lines of his own; the pid is what he does not know.
// G2. Bounded: of what came between two looks at most `passBytesMax` are read, the newest.

import { open, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../models/clock.js";

export type Violation =
  | {
      readonly kind: "violation";
      readonly operation: "publish" | "subscription";
      /** The user's name, or his public key. */
      readonly user: string;
      readonly subject: string;
    }
  /** A connection with wrong credentials, or none. */
  | { readonly kind: "refused"; readonly from: string };

const quoted = '"((?:[^"\\\\]|\\\\.)*)"';
const start = /^\[(\d+)\] \S+ \S+ \[ERR\] (\S+) - cid:\d+ - /;
const denied = new RegExp(` - (Publish|Subscription) Violation - (?:User|Nkey) ${quoted}, Subject ${quoted}(?:, .*)?$`);
const refused = / - authentication error(?: - .*)?$/;
const subjectMax = 128;

/** What one line says; undefined when it is about something else, or was not written by the server with that pid. */
export function violationIn(line: string, serverPid: number): Violation | undefined {
  const [, pid, from = ""] = start.exec(line) ?? [];
  if (Number(pid) !== serverPid) return undefined;
  const [, operation, user = "", subject = ""] = denied.exec(line) ?? [];
  if (operation !== undefined)
    return {
      kind: "violation",
      operation: operation === "Publish" ? "publish" : "subscription",
      user,
      subject: subject.slice(0, subjectMax),
    };
  return refused.test(line) ? { kind: "refused", from } : undefined;
}

const logLooks = { everyMs: 1_000, passBytesMax: 256 * 1024, rotatedKept: 2 } as const;

/** Reads what is written from now on until the signal aborts. */
export async function followLog(
  file: string,
  clock: Clock,
  onLine: (line: string) => void,
  signal: AbortSignal,
  everyMs: number = logLooks.everyMs,
): Promise<void> {
  let place = await endOf(file);
  let rest = "";
  while (!signal.aborted) {
    await clock.delay(everyMs, signal);
    const now = await endOf(file);
    const isNew = now.inode !== place.inode || now.bytes < place.bytes;
    if (isNew && place.inode !== 0) await prune(file);
    const from = Math.max(isNew ? 0 : place.bytes, now.bytes - logLooks.passBytesMax);
    const lines = `${isNew ? "" : rest}${await slice(file, from, now.bytes)}`.split("\n");
    rest = (lines.pop() ?? "").slice(-logLooks.passBytesMax);
    place = now;
    for (const line of lines) onLine(line);
  }
}

interface Place {
  /** 0: there is no file. */
  readonly inode: number;
  readonly bytes: number;
}

async function endOf(file: string): Promise<Place> {
  return stat(file).then(
    ({ ino, size }) => ({ inode: ino, bytes: size }),
    () => ({ inode: 0, bytes: 0 }),
  );
}

async function slice(file: string, from: number, to: number): Promise<string> {
  if (to <= from) return "";
  const handle = await open(file).catch(() => undefined);
  if (handle === undefined) return "";
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(to - from), 0, to - from, from);
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    await handle.close();
  }
}

/** 2.9.10 keeps everything it rotates away: whoever may connect could fill the disk with it. */
async function prune(file: string): Promise<void> {
  // The folder may go while the cluster ends.
  const names = await readdir(dirname(file)).catch((): string[] => []);
  const rotated = names.filter((name) => name.startsWith(`${basename(file)}.`)).sort();
  for (const name of rotated.slice(0, -logLooks.rotatedKept)) await rm(join(dirname(file), name), { force: true });
}
