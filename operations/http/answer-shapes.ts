// The answers of the HTTP interface that no other part of the project has a schema for.
//
// Owns: these schemas. Does not own: metrics, health, alerts and spans (beside their own rooms), where the figures come from (sources.ts).
//
// Times are epoch milliseconds; null means "not known".

import { z } from "zod";
import { faultModes } from "../../transport/messages/chaos-orders.js";
import { lineLevels } from "../../transport/messages/log-lines.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { isToken } from "../../transport/subjects.js";
import { alertListSchema } from "../alerts/alert-list.js";
import { healthReportSchema } from "../health/health-report.js";
import { clusterMetricsSchema, queueSchema } from "../metrics/cluster-metrics.js";
import { type SeriesReport, seriesSchema } from "../metrics/series.js";
import { spanSchema } from "../traces/span.js";
import { errorSchema, inferenceErrorSchema } from "./route.js";

/** Nested, as `driftmend tree --json` prints it. */
export const treeSchema: z.ZodType<TreeNode> = z.object({
  name: z.string(),
  kind: z.enum(["root", "node", "supervisor", "actor"]),
  pid: z.int().optional(),
  spare: z.int().optional(),
  joined: z.boolean().optional(),
  generation: z.int().min(0),
  state: z.string(),
  restarts: z.int().min(0),
  lastExit: z.string().optional(),
  mailbox: z.object({ depth: z.int().min(0), capacity: z.int().min(0) }).optional(),
  strategy: z.string().optional(),
  intensity: z.object({ restarts: z.int(), withinMs: z.number(), left: z.int() }).optional(),
  get children() {
    return z.array(treeSchema);
  },
});

const figure = z.number().nullable();

/** The vital signs of the last hour, and what happened in it. */
export type Series = SeriesReport;

export const commitSchema = z.object({ version: z.int().min(0), atMs: z.number(), updateSeq: z.int().min(0) });
export type ListedCommit = z.infer<typeof commitSchema>;

export const updateSchema = z.object({
  atMs: z.number(),
  traceId: z.string(),
  kind: z.enum(["applied", "refused"]),
  /** Which one refused it. */
  guard: z.string().optional(),
  /** Nats, to the source model. */
  kl: z.number().optional(),
  rate: z.number().optional(),
});
export type ListedUpdate = z.infer<typeof updateSchema>;

/** From when on the source model answers inputs of a domain, or the adapted one does again. */
export const returnSchema = z.object({ atMs: z.number(), domain: z.string(), to: z.enum(["source", "adapted"]) });
export type ListedReturn = z.infer<typeof returnSchema>;

export const learningSchema = z.object({
  v: z.literal(1),
  models: z.array(
    z.object({
      name: z.string(),
      /** Oldest first, the newest that are kept. */
      commits: z.array(commitSchema),
      updates: z.array(updateSchema),
      returns: z.array(returnSchema),
      /** Newest first. */
      snapshots: z.array(z.object({ seq: z.int(), version: z.int().nullable(), atMs: z.number() })),
    }),
  ),
});
export type Learning = z.infer<typeof learningSchema>;

const letterSchema = z.object({
  id: z.int(),
  jobId: z.string(),
  model: z.string(),
  node: z.string(),
  phase: z.string(),
  state: z.string(),
  cause: z.string(),
  attempts: z.int(),
  traceId: z.string(),
  atMs: z.number(),
  /** What the job was: an update's place in the log, or how large the request was. Its bytes are its client's; `driftmend dlq show` has them. */
  payload: z.looseObject({ kind: z.string() }),
  investigated: z.boolean(),
  resolution: z.string().nullable(),
  requeued_at: z.number().nullable(),
});

export const lettersSchema = z.object({ entries: z.array(letterSchema), cursor: z.int().nullable() });
export type Letters = z.infer<typeof lettersSchema>;

export const queuesSchema = z.object({
  v: z.literal(1),
  /** Null while the observer is silent: nobody knows them then, and the dead letters are there all the same. */
  queues: z.array(queueSchema).nullable(),
  deadLetters: lettersSchema,
});

export const letterReceiptSchema = z.object({ seq: z.int(), jobId: z.string(), atMs: z.number() });
export type LetterReceipt = z.infer<typeof letterReceiptSchema>;

const traceLineSchema = z.object({
  traceId: z.string(),
  name: z.string(),
  startMs: z.number(),
  durationMs: z.number(),
  status: z.enum(["ok", "error"]),
  spans: z.int().min(0),
});

export const tracesSchema = z.object({ v: z.literal(1), traces: z.array(traceLineSchema) });
export type Traces = z.infer<typeof tracesSchema>;

/** As nodes tell it (transport/messages/log-lines.ts). */
const logLineSchema = z.object({
  atMs: z.number(),
  level: z.enum(lineLevels),
  message: z.string(),
  trace: z.string().nullable(),
  span: z.string().nullable(),
  node: z.string().nullable(),
  actor: z.string().nullable(),
  incarnation: z.int().nullable(),
  phase: z.string().nullable(),
  component: z.string().nullable(),
  fields: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  dropped: z.int().optional(),
});

export const traceSchema = z.object({
  v: z.literal(1),
  traceId: z.string(),
  spans: z.array(spanSchema),
  /** Those that name this trace. */
  logs: z.array(logLineSchema),
});
export type Trace = z.infer<typeof traceSchema>;

export const faultOrderSchema = z.strictObject({
  /** It becomes a part of a subject. */
  node: z.string().refine(isToken, "is no node's name"),
  target: z.string().min(1).max(256),
  mode: z.enum(faultModes),
  /** How long hang, slow and sigstop last, milliseconds. */
  forMs: z.number().min(0).max(60_000).optional(),
});

/** What a fault did: measured, never assumed. As `driftmend chaos kill --json` prints it. */
export const chaosReceiptSchema = z.object({
  target: z.string(),
  mode: z.string(),
  generationBefore: z.int(),
  generationAfter: z.int(),
  inFlight: z.int().nullable(),
  redelivered: z.int().nullable(),
  refused: z.int().nullable(),
  lost: z.int().nullable(),
  leasesCleaned: z.int(),
  detectMs: figure,
  repairMs: figure,
  cause: z.string().nullable(),
});
export type ChaosReceiptBody = z.infer<typeof chaosReceiptSchema>;

export const stabilitySchema = z.object({
  v: z.literal(1),
  /** Progress of the run under way. */
  running: z.looseObject({}).nullable(),
  /** Newest first. */
  reports: z.array(
    z.object({ id: z.string(), startedAtMs: z.number(), passed: z.boolean().nullable(), file: z.string() }),
  ),
});
export type Stability = z.infer<typeof stabilitySchema>;

export const livenessSchema = z.object({ status: z.enum(["healthy", "degraded", "unhealthy", "unknown"]) });

/** Names in /openapi.json; a schema that is in several answers is there once. */
export const namedSchemas: Readonly<Record<string, z.ZodType>> = {
  ClusterMetrics: clusterMetricsSchema,
  HealthReport: healthReportSchema,
  AlertList: alertListSchema,
  Span: spanSchema,
  TreeNode: treeSchema,
  Series: seriesSchema,
  Learning: learningSchema,
  Queues: queuesSchema,
  Traces: tracesSchema,
  Trace: traceSchema,
  ChaosReceipt: chaosReceiptSchema,
  Stability: stabilitySchema,
  Error: errorSchema,
  InferenceError: inferenceErrorSchema,
};
