// How the cluster is: one status, every check with its value and its threshold, and what to do about it.
//
// Owns: the shape. Does not own: the rules (rules.ts), their state over time (checks.ts), who is told (alerts/).

import { z } from "zod";

export const severities = ["critical", "warning", "info"] as const;

export const checkResultSchema = z.object({
  name: z.string(),
  /** What it is about: a pool, a queue, a node, a model, or the cluster. */
  about: z.string(),
  severity: z.enum(severities),
  /** `fail` for a critical check beyond its threshold for as long as it says, `warn` for others. */
  status: z.enum(["pass", "warn", "fail"]),
  /** In words, with the value and for how long. */
  message: z.string(),
  /** Null when it is not known. */
  value: z.number().nullable(),
  threshold: z.number(),
  /** Exactly when status is not pass. */
  thresholdExceeded: z.boolean(),
  /** The alert that it raises while it does not pass (alerts/alert-rules.ts); null: it raises none. */
  alert: z.string().nullable(),
  sinceMs: z.number(),
});
export type CheckResult = z.infer<typeof checkResultSchema>;

export const healthReportSchema = z.object({
  v: z.literal(1),
  status: z.enum(["healthy", "degraded", "unhealthy"]),
  /** Since when the status is this. */
  sinceMs: z.number(),
  atMs: z.number(),
  checks: z.array(checkResultSchema),
  recommendations: z.array(z.object({ check: z.string(), about: z.string(), text: z.string() })),
  /** Where the rules came from, and what is wrong with a newer version of them that was not taken. */
  rules: z.object({ source: z.string(), rejected: z.string().nullable() }),
});
export type HealthReport = z.infer<typeof healthReportSchema>;
