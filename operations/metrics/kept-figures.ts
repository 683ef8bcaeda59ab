// What an observer leaves behind for the next one, as the newest message of one subject of the telemetry stream.
//
// Owns: its bytes. Does not own: what is kept (aggregate.ts, series.ts), when (actors/operations/observer.ts).
//
// The telemetry stream holds the samples of some minutes; sums over all incarnations, the highest utilization and an hour of vital signs
// reach further back.

import { z } from "zod";
import { decodeMessage, encodeMessage } from "../../transport/messages/codec.js";
import type { KeptFigures } from "./aggregate.js";
import { pointSchema, type SeriesPoint } from "./series.js";

const valuesSchema = z.record(z.string(), z.number());
const peakSchema = z.object({ pct: z.number(), atMs: z.number().nullable() });
const keptSchema = z.object({
  v: z.literal(1),
  atMs: z.number(),
  figures: z.object({
    totals: z.object({
      base: valuesSchema,
      lives: z.array(
        z.object({
          node: z.string(),
          incarnation: z.int(),
          run: z.string(),
          pid: z.int(),
          heardAtMs: z.number(),
          values: valuesSchema,
        }),
      ),
    }),
    peaks: z.object({ infer: peakSchema, update: peakSchema }),
    roles: z.record(z.string(), z.array(z.string())),
    runs: z.array(z.string()),
  }),
  points: z.array(pointSchema),
  frozen: valuesSchema,
});

export interface Kept {
  readonly atMs: number;
  readonly figures: KeptFigures;
  readonly points: readonly SeriesPoint[];
  /** Of the health checks. */
  readonly frozen: Readonly<Record<string, number>>;
}

export function encodeKept({ atMs, figures, points, frozen }: Kept): Uint8Array {
  const { totals, peaks, roles, runs } = figures;
  const lives = totals.lives.map((life) => ({ ...life }));
  return encodeMessage({
    v: 1,
    atMs,
    figures: {
      totals: { base: totals.base, lives },
      peaks: { infer: { ...peaks.infer }, update: { ...peaks.update } },
      roles,
      runs,
    },
    points,
    frozen,
  });
}

/** Undefined for what nobody of us wrote. */
export function readKept(bytes: Uint8Array): Kept | undefined {
  const decoded = decodeMessage(bytes);
  const parsed = decoded.kind === "message" ? keptSchema.safeParse(decoded.fields) : undefined;
  return parsed?.success === true ? parsed.data : undefined;
}
