// One alert as it is kept: what is so, who says so, and who was told.
//
// Owns: the shape in memory and in the bucket, and its bounds. Does not own: how it changes (alert-book.ts), where it is kept
// (transport/log/alert-bucket.ts).

import { z } from "zod";
import { severitySchema, silenceSchema } from "./alert-list.js";

/** The words of a check or a cause, and what an alert is about, are cut to these. */
export const messageMax = 300;
export const aboutMax = 128;

const acknowledgementSchema = z.object({ by: z.string(), atMs: z.number(), note: z.string() });

export const alertRecordSchema = z.object({
  fingerprint: z.string(),
  name: z.string(),
  severity: severitySchema,
  about: z.string(),
  message: z.string(),
  value: z.number().nullable(),
  threshold: z.number().nullable(),
  advice: z.string(),
  count: z.int().min(1),
  sinceMs: z.number(),
  resolvedAtMs: z.number().nullable(),
  /** Who says that it is so: it is over when nobody does. */
  saidBy: z.array(z.enum(["event", "check"])),
  /** Of the newest event. */
  heardAtMs: z.number(),
  /** On the bus, as firing. */
  isAnnounced: z.boolean(),
  acknowledged: acknowledgementSchema.nullable(),
  intent: z.string().nullable(),
  /** Sinks that believe it fires, and when they were last told so. One that was told of the end is not here any more. */
  told: z.array(z.object({ sink: z.string(), atMs: z.number() })),
});
export type AlertRecord = z.infer<typeof alertRecordSchema>;

export const savedAlertsSchema = z.object({
  v: z.literal(1),
  /** Unique to the incarnation that wrote it. */
  by: z.string(),
  alerts: z.array(alertRecordSchema),
  silences: z.array(silenceSchema),
  /** When each sink was last sent a message. */
  sent: z.array(z.object({ sink: z.string(), atMs: z.number() })),
});
export type SavedAlerts = z.infer<typeof savedAlertsSchema>;

export function isFiring({ resolvedAtMs }: AlertRecord): boolean {
  return resolvedAtMs === null;
}
