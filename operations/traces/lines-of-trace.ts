// Telemetry as lines: what nodes logged, what they told as events, and the phases of their jobs, in one shape and one order.
//
// Owns: how an event and a span become a line, and which lines somebody wants. Does not own: where telemetry is read from
// (past-telemetry.ts), how a line is shown (terminal/log-lines.ts).

import { componentOf } from "../../supervision/logger.js";
import type { EventItem, TelemetryEvent } from "../../transport/messages/events.js";
import { parseEvent } from "../../transport/messages/events.js";
import {
  type LineLevel,
  type LineValue,
  type LogLine,
  lineLevels,
  parseLogLine,
} from "../../transport/messages/log-lines.js";
import type { Span } from "./span.js";
import { spansEvent } from "./span-items.js";
import { spansOf } from "./spans.js";

export interface Wanted {
  /** Its beginning is enough; with one, events and spans are lines too. */
  readonly trace?: string | undefined;
  readonly node?: string | undefined;
  /** The least. */
  readonly level?: LineLevel | undefined;
}

/** The lines that a telemetry message holds, none for what is no line. */
export function linesIn(bytes: Uint8Array, wanted: Wanted): readonly LogLine[] {
  const parsed = parseLogLine(bytes);
  const lines = parsed.kind === "ok" ? [parsed.value] : wanted.trace === undefined ? [] : linesOfEvent(bytes);
  return lines.filter((line) => isWanted(line, wanted));
}

function isWanted(line: LogLine, { trace, node, level }: Wanted): boolean {
  if (trace !== undefined && line.trace?.startsWith(trace) !== true) return false;
  if (node !== undefined && line.node !== node) return false;
  return level === undefined || lineLevels.indexOf(line.level) >= lineLevels.indexOf(level);
}

function linesOfEvent(bytes: Uint8Array): readonly LogLine[] {
  const parsed = parseEvent(bytes);
  if (parsed.kind !== "ok") return [];
  const event = parsed.value;
  if (event.kind === spansEvent) return spansOf(event).map(lineOfSpan);
  return event.items.flatMap((item) => (typeof item.traceId === "string" ? [lineOfItem(event, item)] : []));
}

const bad = /refused|crash|poison|dead|lost|violation|escalat|silent|backpressure/;

function lineOfItem({ kind, node, actor, incarnation, atMs }: TelemetryEvent, item: EventItem): LogLine {
  const { traceId, ...rest } = item;
  const fields: Record<string, LineValue> = {};
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) fields[name] = value;
  const trace = typeof traceId === "string" ? traceId : null;
  const level = bad.test(kind) || item.kind === "refused" ? "warn" : "info";
  const component = componentOf(actor);
  return { atMs, level, message: kind, trace, span: null, node, actor, incarnation, phase: null, component, fields };
}

function lineOfSpan({ traceId: trace, spanId: span, name, startMs, endMs, status, ...rest }: Span): LogLine {
  const { node, actor, incarnation, attributes } = rest;
  const [, phase] = name.split(".");
  return {
    ...{ atMs: startMs, level: status === "error" ? "warn" : "info", message: name, trace, span },
    ...{ node, actor, incarnation, phase: phase ?? null, component: componentOf(actor) },
    fields: { durationMs: round(endMs - startMs), status, ...attributes },
  };
}

/** Microseconds are what a span's times are exact to. */
function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
