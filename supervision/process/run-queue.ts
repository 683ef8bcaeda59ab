// How long a process has waited for a processor: what tells a starved process from a hung one.
//
// Owns: the read of /proc. Does not own: what is excused by it (heartbeat-watch.ts).
//
// Source: Linux, Documentation/scheduler/sched-stats.rst: /proc/<pid>/schedstat is "time on the cpu, time waiting on a run queue, slices", in
// nanoseconds, of the main thread. A stopped thread and one that sleeps are on no run queue.

import { readFileSync } from "node:fs";

const nanosPerMs = 1e6;

/** Milliseconds since the process began; undefined where the system does not say, or the process is gone. */
export function waitedForCpuMs(pid: number): number | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/schedstat`, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
  const waited = Number(text.split(" ")[1]);
  return Number.isFinite(waited) ? waited / nanosPerMs : undefined;
}
