// The vital figures of this process, as each heartbeat tells them.
//
// Owns: where the operating system is asked. Does not own: the names' meaning (catalogue.ts), when they are told (actors/beacon.ts).
//
// V1. Asking never waits for a disk: open files and free space are those of the look before, and a look that hangs is not followed by another.
// V2. What the system does not tell is left out.

import { readdir, statfs } from "node:fs/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "../../models/clock.js";

/** Shares of a shorter time than this say little: the last one is given again. */
const spanMinMs = 250;

/**
 * Bytes of memory, milliseconds since the process began, the longest delay of the event loop since the last look in milliseconds, CPU time
 * in percent of one core since the last look, open files, free bytes of the disk under the working directory.
 */
export function processVitals(clock: Clock): () => Readonly<Record<string, number>> {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const cpuPct = cpuShare(clock);
  const openFiles = lately(async () => (await readdir("/proc/self/fd")).length);
  const diskFreeBytes = lately(async () => {
    const { bavail, bsize } = await statfs(process.cwd());
    return bavail * bsize;
  });
  return () => {
    const { rss, heapUsed } = process.memoryUsage();
    const loopDelayMaxMs = delay.max / 1e6;
    delay.reset();
    return {
      rssBytes: rss,
      heapUsedBytes: heapUsed,
      loopDelayMaxMs,
      uptimeMs: Math.round(process.uptime() * 1000),
      cpuPct: cpuPct(),
      ...known("openFiles", openFiles()),
      ...known("diskFreeBytes", diskFreeBytes()),
    };
  };
}

/** Of all threads of this process, since the last look; of the process's whole life at the first. */
function cpuShare(clock: Clock): () => number {
  const { user, system } = process.cpuUsage();
  let [atMs, usedUs] = [clock.monotonicMs(), user + system];
  let pct = (user + system) / (process.uptime() * 1e4);
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - atMs < spanMinMs) return pct;
    const now = process.cpuUsage();
    pct = (now.user + now.system - usedUs) / ((nowMs - atMs) * 10);
    [atMs, usedUs] = [nowMs, now.user + now.system];
    return pct;
  };
}

/** The newest known figure; asking begins the next look, one at a time. */
function lately(look: () => Promise<number>): () => number | undefined {
  let value: number | undefined;
  let isLooking = false;
  return () => {
    if (isLooking) return value;
    isLooking = true;
    look()
      .then(
        (found) => {
          value = found;
        },
        () => {
          value = undefined;
        },
      )
      .finally(() => {
        isLooking = false;
      });
    return value;
  };
}

function known(name: string, value: number | undefined): Readonly<Record<string, number>> {
  return value === undefined ? {} : { [name]: value };
}
