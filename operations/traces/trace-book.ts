// The trace book: traces put together from telemetry, the newest of them.
//
// Owns: which jobs belong to one trace, and the bound. Does not own: where the events come from, what a job's spans are (spans.ts).
//
// B1. Kept as it came, and spelled out when somebody asks: thousands of jobs a second cost a few references each.
// B2. At the bound the oldest trace goes whole.
// B3. Of one trace `jobsOfTraceMax` jobs are kept, the first ones: whoever sends all requests under one id makes a trace that nobody could
//     read, and that would cost a second to spell out whenever somebody looks.

import type { EventItem, TelemetryEvent } from "../../transport/messages/events.js";
import type { LogLine } from "../../transport/messages/log-lines.js";
import type { Span } from "./span.js";
import { spansEvent } from "./span-items.js";
import { type Extent, extentOf, spansOfRow } from "./spans.js";

export interface TraceSummary {
  readonly traceId: string;
  /** Of the job that began it. */
  readonly name: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly status: Span["status"];
  readonly spans: number;
}

interface Kept {
  readonly event: TelemetryEvent;
  readonly batch: EventItem;
  readonly row: EventItem;
  readonly extent: Extent;
}

/** About 12 MB: what an operations node keeps for whoever asks. */
const jobsDefault = 20_000;
const linesDefault = 5_000;
export const jobsOfTraceMax = 500;

export class TraceBook {
  readonly #jobsMax: number;
  readonly #linesMax: number;
  readonly #traces = new Map<string, Kept[]>();
  #lines: LogLine[] = [];
  #jobs = 0;

  constructor(jobsMax = jobsDefault, linesMax = linesDefault) {
    this.#jobsMax = jobsMax;
    this.#linesMax = linesMax;
  }

  /** Jobs that are kept. */
  get size(): number {
    return this.#jobs;
  }

  /** Any telemetry event; all but `spans` are passed by. */
  take(event: TelemetryEvent): void {
    const [batch, ...rows] = event.items;
    if (event.kind !== spansEvent || batch === undefined) return;
    for (const row of rows) {
      const extent = extentOf(batch, row);
      if (extent !== undefined) this.#keep({ event, batch, row, extent });
    }
  }

  /** Only those of a trace are kept. */
  takeLine(line: LogLine): void {
    if (line.trace === null) return;
    this.#lines.push(line);
    if (this.#lines.length > 2 * this.#linesMax) this.#lines = this.#lines.slice(-this.#linesMax);
  }

  /** In order of their beginnings, a job before its phases; none for a trace that is not known. */
  spans(traceId: string): Span[] {
    const kept = this.#traces.get(traceId) ?? [];
    return kept.flatMap(({ event, batch, row }) => spansOfRow(event, batch, row)).sort((a, b) => a.startMs - b.startMs);
  }

  /** In order of time. */
  lines(traceId: string): LogLine[] {
    return this.#lines.filter(({ trace }) => trace === traceId).sort((a, b) => a.atMs - b.atMs);
  }

  /** Traces whose id begins so. */
  withPrefix(prefix: string): string[] {
    return [...this.#traces.keys()].filter((traceId) => traceId.startsWith(prefix));
  }

  /** Newest first. */
  last(limit: number): TraceSummary[] {
    return [...this.#traces.values()].slice(-limit).reverse().map(summaryOf);
  }

  slowest(limit: number): TraceSummary[] {
    const timed = [...this.#traces.values()].map((kept) => ({ kept, ms: endOf(kept) - beginningOf(kept) }));
    return timed
      .sort((a, b) => b.ms - a.ms)
      .slice(0, limit)
      .map(({ kept }) => summaryOf(kept));
  }

  /** Every job that is kept, spelled out, oldest trace first. */
  *jobs(): Generator<readonly Span[]> {
    for (const kept of this.#traces.values())
      for (const { event, batch, row } of kept) yield spansOfRow(event, batch, row);
  }

  #keep(kept: Kept): void {
    const { traceId } = kept.extent;
    const together = this.#traces.get(traceId);
    if (together !== undefined && together.length >= jobsOfTraceMax) return;
    if (together === undefined) this.#traces.set(traceId, [kept]);
    else together.push(kept);
    this.#jobs += 1;
    while (this.#jobs > this.#jobsMax) {
      const [oldest] = this.#traces;
      if (oldest === undefined) return;
      this.#traces.delete(oldest[0]);
      this.#jobs -= oldest[1].length;
    }
  }
}

function summaryOf(kept: readonly Kept[]): TraceSummary {
  const startMs = beginningOf(kept);
  const first = kept.find(({ extent }) => extent.startMs === startMs);
  return {
    traceId: first?.extent.traceId ?? "",
    name: first?.extent.name ?? "",
    startMs,
    durationMs: endOf(kept) - startMs,
    status: kept.some(({ extent }) => extent.failed) ? "error" : "ok",
    spans: kept.reduce((sum, { event, batch, row }) => sum + spansOfRow(event, batch, row).length, 0),
  };
}

function beginningOf(kept: readonly Kept[]): number {
  return kept.reduce((least, { extent }) => Math.min(least, extent.startMs), Number.POSITIVE_INFINITY);
}

function endOf(kept: readonly Kept[]): number {
  return kept.reduce((latest, { extent }) => Math.max(latest, extent.endMs), Number.NEGATIVE_INFINITY);
}
