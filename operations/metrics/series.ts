// The newest hour of the vital signs, a point every five seconds, and marks where something died or came back.
//
// Owns: the shape of the series, its pace and its bounds. Does not own: the figures (aggregate.ts), who is told.
//
// S1. Time only goes on: what is not later than the newest point is passed by, so a replay over kept points doubles none.
// S2. A clock that is set back takes the points along that it leaves in the future: the curve goes on from where the clock is now.

import { z } from "zod";
import type { CleanupRecord } from "../../transport/messages/events.js";
import type { ClusterMetrics } from "./cluster-metrics.js";

export const pointSchema = z.object({
  atMs: z.number(),
  updateRate: z.number(),
  knnFailureRate: z.number().nullable(),
  meanKlDivergence: z.number().nullable(),
  queueSize: z.number(),
  accuracyAdapting: z.number().nullable(),
  accuracySource: z.number().nullable(),
  requestsPerSecond: z.number(),
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
  rssBytes: z.record(z.string(), z.number()),
});
export type SeriesPoint = z.infer<typeof pointSchema>;

export const markSchema = z.object({
  atMs: z.number(),
  kind: z.enum(["worker_crash", "node_died", "node_restarted"]),
  /** The node. */
  about: z.string(),
  label: z.string(),
});
export type SeriesMark = z.infer<typeof markSchema>;

export const seriesSchema = z.object({
  v: z.literal(1),
  stepSeconds: z.number(),
  points: z.array(pointSchema),
  marks: z.array(markSchema),
});
export type SeriesReport = z.infer<typeof seriesSchema>;

const stepMs = 5_000;
const keptMs = 3_600_000;
const marksMax = 500;
/** Of what one message carries: a point has a dozen values and one for each node. */
const valuesMax = 24_000;
/** Clocks and ticks are not exact: a point may come a little early. */
const earlyMs = 500;

export class Series {
  #points: SeriesPoint[] = [];
  #marks: SeriesMark[] = [];
  #requests: { readonly atMs: number; readonly total: number } | undefined;
  /** Of the figures that were taken last, whether a point was due or not. */
  #takenAtMs = Number.NEGATIVE_INFINITY;

  /** The new point, where one was due. */
  take(metrics: ClusterMetrics): SeriesPoint | undefined {
    const { atMs, vitals, jobs, nodes, counters } = metrics;
    if (atMs < this.#takenAtMs) this.#setBack(atMs);
    this.#takenAtMs = atMs;
    const newest = this.#points.at(-1);
    if (newest !== undefined && atMs < newest.atMs + stepMs - earlyMs) return undefined;
    const total = counters.requests ?? 0;
    const before = this.#requests;
    this.#requests = { atMs, total };
    const infer = jobs.find(({ kind }) => kind === "infer")?.durationMs;
    const point = {
      atMs,
      updateRate: vitals.updateRate,
      knnFailureRate: vitals.knnFailureRate,
      meanKlDivergence: vitals.meanKlDivergence,
      queueSize: vitals.queueSize,
      accuracyAdapting: vitals.accuracy.adapting,
      accuracySource: vitals.accuracy.source,
      requestsPerSecond:
        before === undefined ? 0 : Math.max(0, ((total - before.total) * 1_000) / (atMs - before.atMs)),
      p50Ms: infer?.p50 ?? null,
      p99Ms: infer?.p99 ?? null,
      rssBytes: Object.fromEntries(
        nodes.filter(({ state }) => state === "running").map(({ node, rssBytes }) => [node, rssBytes]),
      ),
    };
    this.#points.push(point);
    this.#forget(atMs);
    return point;
  }

  /** `roles` of the node, as far as they are known. */
  mark(record: CleanupRecord, roles: readonly string[]): void {
    const mark = markOf(record, roles);
    if (mark === undefined) return;
    this.#marks.push(mark);
    if (this.#marks.length > marksMax) this.#marks.shift();
  }

  report(): SeriesReport {
    const values = this.#points.reduce((sum, { rssBytes }) => sum + 2 * (11 + Object.keys(rssBytes).length), 0);
    const kept = Math.min(1, valuesMax / Math.max(1, values));
    const points = this.#points.slice(this.#points.length - Math.floor(this.#points.length * kept));
    const sinceMs = (points.at(-1)?.atMs ?? 0) - keptMs;
    const marks = this.#marks.filter(({ atMs }) => atMs > sinceMs);
    return { v: 1, stepSeconds: stepMs / 1_000, points, marks };
  }

  /** Points of an earlier observer, before anything is taken. Its marks come again from the cleanup stream. */
  restore(points: readonly SeriesPoint[]): void {
    this.#points = [...points];
  }

  /** S2. */
  #setBack(nowMs: number): void {
    this.#points = this.#points.filter(({ atMs }) => atMs <= nowMs);
    if (this.#requests !== undefined && this.#requests.atMs >= nowMs) this.#requests = undefined;
  }

  #forget(nowMs: number): void {
    const first = this.#points.findIndex(({ atMs }) => atMs > nowMs - keptMs);
    if (first > 0) this.#points.splice(0, first);
  }
}

function markOf(record: CleanupRecord, roles: readonly string[]): SeriesMark | undefined {
  const { node: about, atMs, incarnation } = record;
  if (record.kind === "started" && incarnation > 1)
    return { atMs, kind: "node_restarted", about, label: `${about} is back, incarnation ${incarnation}` };
  if (record.kind !== "died") return undefined;
  return roles.includes("learning")
    ? { atMs, kind: "worker_crash", about, label: "Worker Crash" }
    : { atMs, kind: "node_died", about, label: `${about} died` };
}
