// A span: one piece of work under a trace (W3C Trace Context; OpenTelemetry's data model, as far as it is used).
//
// Owns: the shape, ids that follow from the trace. Does not own: where spans come from (spans.ts), where they go (otlp.ts).

import { z } from "zod";

export const spanSchema = z.object({
  /** 32 hex digits. */
  traceId: z.string(),
  /** 16 hex digits. */
  spanId: z.string(),
  parentSpanId: z.string().nullable(),
  /** A job (`infer`, `update`) or one of its phases (`infer.queue`, `infer.model`, ...). */
  name: z.string(),
  node: z.string(),
  actor: z.string(),
  incarnation: z.int(),
  startMs: z.number(),
  endMs: z.number(),
  status: z.enum(["ok", "error"]),
  attributes: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});
export type Span = z.infer<typeof spanSchema>;
