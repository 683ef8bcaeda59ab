// What a stability run leaves behind, as plain facts: what the assertions judge and the report shows.
//
// Owns: the shapes, and which source each comes from. Does not own: the collecting (run.ts), the judgement (assertions.ts).
//
// F1. What an assertion needs comes from sources that cannot be lost: the log and its chain, the cleanup stream, the client's own count.
//     Figures over time are the cluster's own (ClusterMetrics), and how many of them were missed is counted.

import type { CleanupAudit } from "../../operations/cleanup/cleanup-audit.js";
import type { Evidence } from "../evidence.js";
import type { AppliedIn, Crash } from "./learning-watch.js";
import type { NodeLife } from "./memory.js";
import type { PunctualityFigures } from "./punctuality.js";

/** One look at the cluster, every few seconds: the vital signs by the names that the cluster gives them. Null: not known. */
export interface Point {
  readonly atMs: number;
  /** Since the first request. */
  readonly elapsedMs: number;
  readonly updateRate: number;
  readonly knnFailureRate: number | null;
  readonly meanKlDivergence: number | null;
  readonly queueSize: number;
  readonly accuracyAdapting: number | null;
  readonly accuracySource: number | null;
  /** By the load of this run: answers, and latency from when each request was due. */
  readonly requestsPerSecond: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly confidence: number | null;
  readonly gateRate: number | null;
  readonly updatesEnqueued: number;
  readonly updatesApplied: number;
  readonly knnSearches: number;
  readonly knnFailures: number;
  /** Longest of any node's event loop within a beat. */
  readonly loopDelayMaxMs: number;
  readonly nodeRestarts: number;
  readonly actorRestarts: number;
  readonly leasesHeld: number;
  /** Bytes by stream. */
  readonly logBytes: Readonly<Record<string, number>>;
}

/** Bound of a stream's bytes, null without one, by stream. */
export type LogBounds = Readonly<Record<string, number | null>>;

export interface Facts {
  readonly seed: number;
  readonly model: string;
  readonly startedAtMs: number;
  /** From the first request to the last answer. */
  readonly elapsedMs: number;
  /** What was asked for; null where it was not limited. */
  readonly planned: { readonly durationMs: number | null; readonly requests: number | null; readonly atMostMs: number };
  readonly interrupted: boolean;
  readonly chaos: {
    readonly enabled: boolean;
    readonly probability: number;
    /** Kills ended so long before the end. */
    readonly graceMs: number;
    readonly requestsPerIteration: number;
  };
  readonly punctuality: PunctualityFigures;
  readonly refused: Readonly<Record<string, number>>;
  readonly retried: number;
  /** Requests whose answer was compared with the true label, and the shares that were right; null when none was. */
  readonly accuracy: { readonly scored: number; readonly adapting: number | null; readonly source: number | null };
  readonly points: readonly Point[];
  /** Looks that were due and had no answer. */
  readonly pointsMissed: number;
  readonly logBounds: LogBounds;
  readonly lives: readonly NodeLife[];
  readonly crashes: readonly Crash[];
  readonly appliedBySecond: readonly AppliedIn[];
  /** Commits whose total of updates was below that of the one before. */
  readonly updatesDecreased: number;
  readonly cleanups: CleanupAudit;
  readonly evidence: Evidence;
  /** Snapshots that were stored during the run. */
  readonly snapshots: number;
}
