// What a person may say to `stability`: its flags, and which of them do not go together.
//
// Owns: their names and units. Does not own: the spelling of values (cli.ts, operations/verbs/flags.ts).

import type { Outcome } from "../../operations/cluster/outcome.js";
import { formatDuration } from "../../operations/duration.js";
import { atMostMs } from "./run.js";

export interface StabilityOptions {
  readonly json?: boolean;
  /** Milliseconds. Whichever of the two limits is reached first ends the run. */
  readonly duration?: number;
  readonly requests?: number;
  /** Requests per second. */
  readonly rate: number;
  readonly seed: number;
  readonly enableChaosTesting?: boolean;
  readonly workerCrashProbability?: number;
  /** Milliseconds. */
  readonly sampleEvery: number;
  /** Milliseconds without kills at the end; from the length of the run when left out. */
  readonly grace?: number;
  readonly serving: number;
  readonly model?: string;
  readonly store: string;
  /** Folder of the report; one for each run in the store when left out. */
  readonly report?: string;
  readonly natsServer?: string;
  readonly searchPath: string;
}

/** What the grammar cannot know; undefined when all is well. */
export function misuse(options: StabilityOptions): Outcome | undefined {
  const { duration, requests, workerCrashProbability, enableChaosTesting, grace, rate } = options;
  if (duration === undefined && requests === undefined)
    return {
      kind: "usage",
      message: "without --duration and --requests it would never end",
      next: "add --duration 8h, or --requests 10000, or both",
    };
  if (workerCrashProbability !== undefined && enableChaosTesting !== true)
    return {
      kind: "usage",
      message: "--worker-crash-probability goes with --enable-chaos-testing",
      next: "add --enable-chaos-testing",
    };
  const longestMs = atMostMs({ durationMs: duration ?? null, requests: requests ?? null, rate });
  if (grace !== undefined && grace >= longestMs)
    return {
      kind: "usage",
      message: `--grace: ${formatDuration(grace)} is as long as the whole run (${formatDuration(longestMs)})`,
      next: "give a shorter --grace, or a longer run",
    };
  return undefined;
}
