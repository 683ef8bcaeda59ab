// The watch over a thread that fuzzes: what it finds, and what it can no longer say itself: that it hangs, or ran out of memory.

import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { systemClock } from "../../supervision/clock.js";
import type { Found } from "./fuzz-round.js";
import type { WorkerTask } from "./fuzz-worker.js";

export interface Watched {
  readonly payloads: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** One line each; none when all is well. */
  readonly faults: readonly string[];
}

const file = fileURLToPath(new URL("./fuzz-worker.js", import.meta.url));
/** A batch takes a tenth of a second; a busy machine is given much more. */
const batchWithinMs = 60_000;
const heapMaxMebibytes = 256;
/** What the first batch leaves behind is code and caches; what later ones add to it is a leak. */
const growthMaxBytes = 48 * 1024 * 1024;

export function watchFuzz(task: WorkerTask, withinMs: number = batchWithinMs): Promise<Watched> {
  const worker = new Worker(file, {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: heapMaxMebibytes },
  });
  const outcomes: Record<string, number> = {};
  const faults: string[] = [];
  let payloads = 0;
  let firstBytes: number | undefined;
  return new Promise((resolve) => {
    let cancel = (): void => undefined;
    const end = (fault?: string): void => {
      cancel();
      if (fault !== undefined) faults.push(fault);
      void worker.terminate().then(() => resolve({ payloads, outcomes, faults }));
    };
    const wait = (): void => {
      cancel();
      cancel = systemClock.after(withinMs, () =>
        end(`hangs: no batch within ${withinMs} ms, behind payload ${payloads} of seed ${task.seed}`),
      );
    };
    wait();
    worker.on("message", (found: Found & { readonly heldBytes: number }) => {
      wait();
      payloads += found.payloads;
      for (const [what, count] of Object.entries(found.outcomes)) outcomes[what] = (outcomes[what] ?? 0) + count;
      for (const { parser, payload, why, bytes } of found.findings)
        faults.push(
          `${parser} ${why} (batch of seed ${task.seed + payloads - found.payloads}, payload ${payload}: ${bytes})`,
        );
      firstBytes ??= found.heldBytes;
      if (found.heldBytes - firstBytes > growthMaxBytes)
        end(`grows: ${found.heldBytes - firstBytes} bytes more are held after ${payloads} payloads`);
    });
    worker.once("error", (error) => end(`died: ${error.message}`));
    worker.once("exit", () => end());
  });
}
