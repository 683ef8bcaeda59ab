// What one look at the streams and leases found: the part of a cluster's figures that no node tells of itself.
//
// Owns: the shape, and its bytes on the telemetry stream, where a later observer finds the looks of an earlier one.
// Does not own: how it is looked up (queue-looks.ts), what follows from it (aggregate.ts).
//
// Moments are by the clock of the broker. An oldest message is told by its moment and not by its age, so that it goes on ageing while
// nobody can look.

import { z } from "zod";
import { decodeMessage, encodeMessage } from "../../transport/messages/codec.js";

const streamSchema = z.object({
  stream: z.string(),
  messages: z.int().min(0),
  bytes: z.int().min(0),
  maxBytes: z.int().nullable(),
});

const learningSchema = z.object({
  name: z.string(),
  stream: z.string(),
  /** Of the update stream, and what the newest commit covers. */
  lastSeq: z.int().min(0),
  committedSeq: z.int().min(0),
  version: z.int().min(0),
  applied: z.int().min(0),
  refused: z.record(z.string(), z.int().min(0)),
  /** Of the oldest update that no commit covers. */
  oldestAtMs: z.number().nullable(),
});

export const lookedSchema = z.object({
  v: z.literal(1),
  streams: z.array(streamSchema),
  models: z.array(learningSchema),
  leases: z.object({ held: z.int().min(0), oldestAgeMs: z.number().min(0).nullable() }),
  deadLetters: z.object({ stream: z.string(), open: z.int().min(0), oldestAtMs: z.number().nullable() }),
});
export type Looked = z.infer<typeof lookedSchema>;

export function encodeLooked(looked: Looked): Uint8Array {
  return encodeMessage(looked);
}

/** Undefined for what is no look. */
export function readLooked(bytes: Uint8Array): Looked | undefined {
  const decoded = decodeMessage(bytes);
  const parsed = decoded.kind === "message" ? lookedSchema.safeParse(decoded.fields) : undefined;
  return parsed?.success === true ? parsed.data : undefined;
}
