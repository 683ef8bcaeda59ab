// How far a process stands back when processors are short.
//
// Owns: the calls to the system. Does not own: who stands back (node.ts, operations/cluster/node-specs.ts).
//
// N1. A nice value alone does not do it on Linux: where autogroups are on (/proc/sys/kernel/sched_autogroup_enabled), it counts among the threads of
//     one session only, and each of our processes leads a session of its own. So the session's group gets one too, up to `groupNicenessMax`.
// N2. Only who leads its session moves the group: otherwise everything else that was started from the same terminal would stand back as well.
//
// Sources: sched(7), "The autogroup feature"; proc_pid_autogroup(5); proc_pid_stat(5), field 6.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import type { Clock } from "../../models/clock.js";

/**
 * A third of a share. At 10, a tenth, learning nodes were seen to miss heartbeats and lose their lease beside a dozen busy processes on two
 * processors; that it came from the nice value alone was not proved.
 */
const groupNicenessMax = 5;
/** Without privileges the system takes one change of a group in 100 ms, whoever asks. */
const againMs = 150;
const triesMax = 8;

/** Lowers the process with all the threads it has; later ones inherit from who makes them. One that is gone is left alone. */
export function lowerPriority(pid: number, niceness: number, clock: Clock): void {
  for (const thread of threadsOf(pid)) attempt(() => setPriority(thread, niceness));
  if (leadsSession(pid)) lowerGroup(pid, Math.min(niceness, groupNicenessMax), clock, triesMax);
}

/** Where the system does not list threads, the process stands for them. */
function threadsOf(pid: number): readonly number[] {
  let threads: readonly number[] = [pid];
  attempt(() => {
    threads = readdirSync(`/proc/${pid}/task`).map(Number);
  });
  return threads;
}

function leadsSession(pid: number): boolean {
  let stat = "";
  attempt(() => {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  });
  return sessionIn(stat) === pid;
}

/** Of the text of /proc/PID/stat; undefined when there is none. */
export function sessionIn(stat: string): number | undefined {
  // The name, in brackets, may hold blanks and brackets itself.
  const [, , , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return session === undefined ? undefined : Number(session);
}

function lowerGroup(pid: number, niceness: number, clock: Clock, triesLeft: number): void {
  const problem = attempt(() => writeFileSync(`/proc/${pid}/autogroup`, `${niceness}`));
  if (problem === "EAGAIN" && triesLeft > 1)
    clock.after(againMs, () => lowerGroup(pid, niceness, clock, triesLeft - 1));
}

/** The system's code for what went wrong: it has no such thing, or the process ended a moment ago. */
function attempt(act: () => void): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof Error && "code" in error) return String(error.code);
    throw error;
  }
}
