// A process that has decided to end, and might not manage to: its exit waits for threads, and one in native code may never end.
//
// Owns: the end that comes from outside. Does not own: the decision, the exit code of an exit that works.

import { spawn } from "node:child_process";

/** Kills this process after `ms` unless it is gone by then. Another process does it, since this one may be stuck. */
export function killSelfAfter(ms: number): void {
  const killer = spawn("/bin/sh", ["-c", `sleep ${ms / 1000}; kill -9 ${process.pid}`], {
    stdio: "ignore",
    detached: true,
  });
  killer.unref();
}
