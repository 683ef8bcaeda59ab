// The lock on a store: one owner at a time, also for servers that would let two open the same directory.
//
// Owns: the lock file. Does not own: what is in the store.
//
// T1. The lock names a process by pid and start time; one whose process is gone is stale and is taken over.
// T2. Taking over is by rename, so of two takers one gets the stale file and the other finds it gone.

import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { identify, isAlive, type ProcessIdentity } from "../process-identity.js";

export interface StoreLock {
  release(): Promise<void>;
}
export type LockOutcome =
  | { readonly kind: "locked"; readonly lock: StoreLock }
  | { readonly kind: "busy"; readonly pid: number };

const fileName = "broker.lock";
const triesMax = 10;

export async function lockStore(store: string): Promise<LockOutcome> {
  const path = join(store, fileName);
  const self = await identify(process.pid);
  if (self === undefined) throw new Error("this process does not find itself");
  const mine = join(store, `${fileName}.${randomUUID()}`);
  const text = `${JSON.stringify(self)}\n`;
  await writeFile(mine, text, { mode: 0o600 });
  try {
    for (let tries = 0; tries < triesMax; tries += 1) {
      if (await linked(mine, path)) return { kind: "locked", lock: { release: () => release(path, text) } };
      const holder = await holderOf(path);
      if (holder !== undefined && (await isAlive(holder))) return { kind: "busy", pid: holder.pid };
      await discard(path, holder);
    }
    throw new Error(`${path}: taken over and over by others`);
  } finally {
    await rm(mine, { force: true });
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  }
}

/** Undefined when the file is gone or says nothing readable. */
async function holderOf(path: string): Promise<ProcessIdentity | undefined> {
  try {
    const found: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof found !== "object" || found === null || !("pid" in found) || !("started" in found)) return undefined;
    return typeof found.pid === "number" && typeof found.started === "string"
      ? { pid: found.pid, started: found.started }
      : undefined;
  } catch (error) {
    if (hasCode(error, "ENOENT") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Removes a stale lock; puts it back when it turns out to be somebody's fresh one (T2). */
async function discard(path: string, stale: ProcessIdentity | undefined): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    throw error;
  }
  const taken = await holderOf(aside);
  if (taken !== undefined && (taken.pid !== stale?.pid || taken.started !== stale.started)) await linked(aside, path);
  await rm(aside, { force: true });
}

async function release(path: string, text: string): Promise<void> {
  const found = await readFile(path, "utf8").catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return "";
    throw error;
  });
  if (found === text) await rm(path, { force: true });
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
