// Alerts as a person sees them: what fires, since when, who knows of it.
//
// Owns: the shape. Does not own: which event or check is an alert (alert-rules.ts), delivery (notify/).

import { z } from "zod";

export const severitySchema = z.enum(["critical", "warning", "info"]);
export type Severity = z.infer<typeof severitySchema>;

export const listedAlertSchema = z.object({
  /** Same fingerprint, same alert: name and what it is about. */
  fingerprint: z.string(),
  name: z.string(),
  severity: severitySchema,
  state: z.enum(["firing", "resolved"]),
  about: z.string(),
  message: z.string(),
  value: z.number().nullable(),
  threshold: z.number().nullable(),
  /** Events that said the same. */
  count: z.int().min(1),
  sinceMs: z.number(),
  resolvedAtMs: z.number().nullable(),
  acknowledged: z.object({ by: z.string(), atMs: z.number(), note: z.string() }).nullable(),
  silencedUntilMs: z.number().nullable(),
  /** What to do about it. */
  advice: z.string(),
  /** Id of the remediation that this critical alert asks for: one per firing; null for others. */
  intent: z.string().nullable(),
});
export type ListedAlert = z.infer<typeof listedAlertSchema>;

export const silenceSchema = z.object({
  /** Alert name, or `name:about`. */
  matches: z.string(),
  untilMs: z.number(),
  by: z.string(),
  note: z.string(),
});
export type Silence = z.infer<typeof silenceSchema>;

export const alertListSchema = z.object({
  v: z.literal(1),
  atMs: z.number(),
  /** Firing ones, and the newest that are over. */
  alerts: z.array(listedAlertSchema),
  silences: z.array(silenceSchema),
});
export type AlertList = z.infer<typeof alertListSchema>;
