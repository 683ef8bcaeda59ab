// What the figures were taken on, and what a process has cost so far.
//
// Owns: questions to the system. Does not own: what is concluded from the answers.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, release, type } from "node:os";
import { promisify } from "node:util";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly system: string;
  readonly node: string;
  readonly natsServer: string;
  readonly commit: string;
  /** Runnable threads over the minute before the run: near 0 on a machine that has nothing else to do. */
  readonly loadBefore: number;
}

const run = promisify(execFile);
/** Linux counts in ticks of USER_HZ, which is 100 on every architecture Node runs on. */
const tickMs = 10;

export async function describeMachine(natsServer: string, folder: string): Promise<Machine> {
  const [version, commit, changes] = await Promise.all([
    said(natsServer, ["--version"]),
    said("git", ["-C", folder, "rev-parse", "--short", "HEAD"]),
    said("git", ["-C", folder, "status", "--porcelain", "--untracked-files=no"]),
  ]);
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    system: `${type()} ${release()}`,
    node: process.version,
    natsServer: version.replace(/^nats-server: /, ""),
    loadBefore: loadavg()[0] ?? Number.NaN,
    commit: changes === "" || changes === "unknown" ? commit : `${commit} with local changes`,
  };
}

/** "unknown" where the program is missing or refuses: a figure is worth taking all the same. */
async function said(command: string, args: readonly string[]): Promise<string> {
  return run(command, args).then(
    ({ stdout }) => stdout.trim(),
    () => "unknown",
  );
}

/** User and system time of all threads of a process, in ms, to 10 ms. NaN where /proc is not: then CPU is not measured. */
export async function cpuMs(pid: number): Promise<number> {
  if (process.platform !== "linux") return Number.NaN;
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name, field 2, is in brackets and may hold anything; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}
