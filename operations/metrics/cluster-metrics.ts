// What a cluster's figures are at one moment: the one shape that the HTTP interface, the Prometheus text, the health checks, the page,
// `top` and the stability test read.
//
// Owns: names, units and the meaning of each figure, as a schema that checks foreign bytes and describes the interface.
// Does not own: how figures come about (instruments.ts in a node, aggregate.ts over nodes), which of them are bad (health/).
//
// Null always means "not known": nothing was measured yet, or too little for a claim. Zero is a measured zero.

import { z } from "zod";

/** A rate of change with hysteresis (trend.ts). */
export const trendSchema = z.enum(["increasing", "stable", "decreasing"]);
export type Trend = z.infer<typeof trendSchema>;

/** Of one quantity over the window; within 1 % (percentile-sketch.ts). */
export const distributionSchema = z.object({
  count: z.int().min(0),
  mean: z.number().nullable(),
  p50: z.number().nullable(),
  /** Null below 20 samples. */
  p95: z.number().nullable(),
  /** Null below 100 samples. */
  p99: z.number().nullable(),
  max: z.number().nullable(),
});
export type Distribution = z.infer<typeof distributionSchema>;

export const vitalsSchema = z.object({
  /** Model updates applied per minute, over the last minute. */
  updateRate: z.number().min(0),
  /** Share 0..1 of nearest-neighbour searches that failed, over the window; null without searches. */
  knnFailureRate: z.number().min(0).max(1).nullable(),
  /** Mean KL of the newest update steps against the source model, nats; null before the first step. */
  meanKlDivergence: z.number().nullable(),
  /** Update tasks that are in the log and not in the parameters. */
  queueSize: z.int().min(0),
  /** Of answers whose true label became known, and of the source model on the same inputs where that is known. */
  accuracy: z.object({
    adapting: z.number().min(0).max(1).nullable(),
    source: z.number().min(0).max(1).nullable(),
    labels: z.int().min(0),
    /** Late feedback, or whoever sends a labelled stream and tells how it went. */
    by: z.enum(["feedback", "stream"]),
  }),
});
export type Vitals = z.infer<typeof vitalsSchema>;

/** Workers of one kind: `infer` has a slot per row that one run of the model takes on each serving node, `update` one per writer. */
export const poolSchema = z.object({
  name: z.enum(["infer", "update"]),
  slots: z.int().min(0),
  /** Mean over the last beat of each node, so it need not be whole. */
  active: z.number().min(0),
  /** active / slots * 100, 0 without slots. */
  utilizationPct: z.number().min(0).max(100),
  peakUtilizationPct: z.number().min(0).max(100),
  peakAtMs: z.number().nullable(),
  /** Jobs that wait for a slot now. */
  queueDepth: z.int().min(0),
  queueDepthTrend: trendSchema,
  slotWaitMs: distributionSchema,
});
export type PoolFigures = z.infer<typeof poolSchema>;

/** From acceptance to the end of a job, and the phases between. */
export const jobSchema = z.object({
  kind: z.enum(["infer", "update"]),
  finished: z.int().min(0),
  failed: z.int().min(0),
  /** Of the window, 0..1; null without jobs. */
  successRate: z.number().min(0).max(1).nullable(),
  failureTrend: trendSchema,
  /** Of jobs that were tried again, 0..1; null when none was. */
  retrySuccessRate: z.number().min(0).max(1).nullable(),
  durationMs: distributionSchema,
  /** Start of the work - acceptance. */
  queueTimeMs: distributionSchema,
  phases: z.array(
    z.object({
      phase: z.string(),
      section: z.enum(["transport", "compute", "serialize", "store"]),
      durationMs: distributionSchema,
      /** 0..1 of the jobs that reached this phase; null when none did. */
      failureRate: z.number().min(0).max(1).nullable(),
    }),
  ),
});
export type JobFigures = z.infer<typeof jobSchema>;

/** Whatever messages wait in: request, response, update, cleanup-confirmation, dead letters. */
export const queueSchema = z.object({
  name: z.string(),
  /** Its subject or stream. */
  where: z.string(),
  depth: z.int().min(0),
  /** Of the oldest that waits, milliseconds; null when none does or none can be asked. */
  oldestAgeMs: z.number().nullable(),
  trend: trendSchema,
});
export type QueueFigures = z.infer<typeof queueSchema>;

export const logSchema = z.object({
  stream: z.string(),
  messages: z.int().min(0),
  bytes: z.int().min(0),
  /** Null: without a bound of its own. */
  maxBytes: z.int().nullable(),
});

export const modelSchema = z.object({
  name: z.string(),
  mode: z.enum(["cold", "ensemble"]),
  version: z.int().min(0),
  experiences: z.int().min(0),
  remembered: z.int().min(0),
  capacity: z.int().min(0),
  /** Mean of the answers of the window; null without answers. */
  confidence: z.number().nullable(),
  /** Share of the answers of the window that asked for an update. */
  gateRate: z.number().min(0).max(1).nullable(),
  updates: z.object({
    enqueued: z.int().min(0),
    applied: z.int().min(0),
    /** By guard. */
    refused: z.record(z.string(), z.int()),
    /** Returns to the source model's answer. */
    rolledBack: z.int().min(0),
  }),
  /** Nats per update step, over the window. */
  kl: distributionSchema,
  /** Answers the source model gave because it did better (models/adaptation/standing.ts). */
  answersBySource: z.int().min(0),
  /** Kinds of input that are known. */
  domains: z.int().min(0),
});
export type ModelFigures = z.infer<typeof modelSchema>;

export const nodeSchema = z.object({
  node: z.string(),
  incarnation: z.int().min(1),
  run: z.string(),
  roles: z.array(z.string()),
  pid: z.int(),
  state: z.enum(["running", "silent", "left"]),
  heartbeatAgeMs: z.number().min(0),
  uptimeMs: z.number().min(0),
  rssBytes: z.number().min(0),
  heapUsedBytes: z.number().min(0),
  /** Of one core, 0..; over the last beat. */
  cpuPct: z.number().min(0),
  /** Longest of the last beat. */
  loopDelayMaxMs: z.number().min(0),
  openFiles: z.int().nullable(),
  /** Of the disk under the working directory. */
  diskFreeBytes: z.number().nullable(),
  /** Large tensors in shared memory of its host, as its watchdog sees them; left out where no watchdog looks. */
  tensorLeases: z
    .object({
      live: z.int().min(0),
      bytes: z.number().min(0),
      oldestAgeMs: z.number().min(0),
      poolBytes: z.number().min(0),
    })
    .optional(),
  actorRestarts: z.int().min(0),
});
export type NodeFigures = z.infer<typeof nodeSchema>;

export const clusterMetricsSchema = z.object({
  v: z.literal(1),
  cluster: z.string(),
  atMs: z.number(),
  /** What the rates and distributions are taken over. */
  window: z.object({ seconds: z.number(), jobs: z.int() }),
  vitals: vitalsSchema,
  models: z.array(modelSchema),
  pools: z.array(poolSchema),
  jobs: z.array(jobSchema),
  queues: z.array(queueSchema),
  logs: z.array(logSchema),
  nodes: z.array(nodeSchema),
  leases: z.object({ held: z.int().min(0), oldestAgeMs: z.number().nullable(), reclaimed: z.int().min(0) }),
  restarts: z.object({ nodes: z.int().min(0), actors: z.int().min(0) }),
  cleanups: z.object({ deaths: z.int().min(0), confirmed: z.int().min(0), overdue: z.int().min(0) }),
  /** Every counter of every node, summed over all incarnations: a sum never falls. Keys as in catalogue.ts. */
  counters: z.record(z.string(), z.number()),
});
export type ClusterMetrics = z.infer<typeof clusterMetricsSchema>;
