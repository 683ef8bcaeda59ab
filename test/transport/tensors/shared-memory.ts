// Shared memory for one test: a cluster of its own under the real /dev/shm, gone when the test is.

import { randomBytes } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import type { ExecutionContext } from "ava";
import type { Clock } from "../../../models/clock.js";
import { systemClock } from "../../../supervision/clock.js";
import { clusterDirectory } from "../../../transport/tensors/segment-place.js";
import { openSegments, type SegmentOptions, type Segments } from "../../../transport/tensors/segments.js";
import { timeoutDefaults } from "../../../transport/timeouts.js";

export const shm = "/dev/shm";

export interface SharedMemory {
  readonly cluster: string;
  readonly root: string;
  open(options?: Partial<SegmentOptions>): Promise<Segments>;
  /** Names in the cluster's directory, and in those below it. */
  entries(): Promise<string[]>;
}

export function sharedMemory(t: ExecutionContext, clock: Clock = systemClock): SharedMemory {
  const cluster = `test-${randomBytes(6).toString("hex")}`;
  const root = clusterDirectory(shm, cluster);
  t.teardown(() => rm(root, { recursive: true, force: true }));
  return {
    cluster,
    root,
    open: async (options = {}) => {
      const opened = await openSegments({
        cluster,
        dir: shm,
        clock,
        timeouts: timeoutDefaults,
        owner: "tester",
        ...options,
      });
      if (opened.kind !== "open") throw new Error(opened.why);
      // Timers of what a failed test leaves open would keep the process.
      t.teardown(() => opened.close());
      return opened;
    },
    entries: async () => {
      const found = await readdir(root, { recursive: true }).catch(() => []);
      return found.map((name) => name.toString());
    },
  };
}

/** Bytes that follow from the seed. */
export function bytesOf(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0, state = seed >>> 0; at < length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
