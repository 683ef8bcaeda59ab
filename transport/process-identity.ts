// Which process a pid means: pids are reused, a pid with its start time is not.
//
// Owns: reading a process's start time from the system. Does not own: starting or ending processes.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

export interface ProcessIdentity {
  readonly pid: number;
  /** The system's own spelling of the start moment; only compared. */
  readonly started: string;
}

const run = promisify(execFile);

/** Undefined when no such process lives. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const started = await startOf(pid);
  return started === undefined ? undefined : { pid, started };
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await startOf(identity.pid)) === identity.started;
}

async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform !== "linux") return ps("lstart=", pid);
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The name, field 2, is in brackets and may hold anything; state is field 3, the start in clock ticks since boot field 22.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The command line of a process, "" when it does not live. */
export async function commandOf(pid: number): Promise<string> {
  return (await ps("args=", pid)) ?? "";
}

/** One column of the process table; undefined when there is no such process. */
async function ps(column: "lstart=" | "args=", pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await run("ps", ["-o", column, "-p", String(pid)]);
    const found = stdout.trim();
    return found === "" ? undefined : found;
  } catch (error) {
    // ps ends with 1 when there is no such process.
    if (error instanceof Error && "code" in error && error.code === 1) return undefined;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH");
}
