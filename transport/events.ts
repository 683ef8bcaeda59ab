// Telemetry on the wire: events, counters and alerts.
//
// Owns: their bytes in both directions. Does not own: when they are sent (operations/telemetry.ts), their subjects (subjects.ts).

import { encodeMessage, type Fields, type PlainMap } from "./codec.js";
import { list, map, number, oneOf, optional, type Parsed, parse, text, whole, wrong } from "./fields.js";
import type { Severity } from "./subjects.js";

export type EventValue = string | number | boolean | null;
/** Undefined fields are left out of the message. */
export type EventItem = Readonly<Record<string, EventValue | undefined>>;

/** Things of one kind that came about together: a micro-batch is one event with an item per request. */
export interface TelemetryEvent {
  readonly kind: string;
  readonly node: string;
  readonly actor: string;
  readonly incarnation: number;
  readonly atMs: number;
  readonly items: readonly EventItem[];
}

/** Numbers of one process at one moment. */
export interface MetricsSample {
  readonly node: string;
  readonly incarnation: number;
  readonly atMs: number;
  readonly values: Readonly<Record<string, number>>;
}

export interface AlertNotice {
  readonly name: string;
  readonly severity: Severity;
  readonly state: "fired" | "resolved";
  readonly node: string;
  readonly atMs: number;
  readonly message: string;
  readonly value?: number | undefined;
  readonly threshold?: number | undefined;
}

export function encodeEvent(event: TelemetryEvent): Uint8Array {
  return encodeMessage({ v: 1, ...event });
}

export function parseEvent(bytes: Uint8Array): Parsed<TelemetryEvent> {
  return parse(bytes, (fields) => ({
    kind: text(64)(fields, "kind"),
    node: text(64)(fields, "node"),
    actor: text(256)(fields, "actor"),
    incarnation: whole(0)(fields, "incarnation"),
    atMs: number(0, Number.MAX_VALUE)(fields, "atMs"),
    items: list(itemIn)(fields, "items"),
  }));
}

export function encodeMetrics(sample: MetricsSample): Uint8Array {
  return encodeMessage({ v: 1, ...sample });
}

export function parseMetrics(bytes: Uint8Array): Parsed<MetricsSample> {
  return parse(bytes, (fields) => ({
    node: text(64)(fields, "node"),
    incarnation: whole(0)(fields, "incarnation"),
    atMs: number(0, Number.MAX_VALUE)(fields, "atMs"),
    values: valuesIn(fields, "values"),
  }));
}

export function encodeAlert(alert: AlertNotice): Uint8Array {
  const head: PlainMap = { v: 1, ...alert };
  return encodeMessage(head);
}

export function parseAlert(bytes: Uint8Array): Parsed<AlertNotice> {
  const any = number(-Number.MAX_VALUE, Number.MAX_VALUE);
  return parse(bytes, (fields) => ({
    name: text(64)(fields, "name"),
    severity: oneOf("critical", "warning", "info")(fields, "severity"),
    state: oneOf("fired", "resolved")(fields, "state"),
    node: text(64)(fields, "node"),
    atMs: number(0, Number.MAX_VALUE)(fields, "atMs"),
    message: text(4_096)(fields, "message"),
    value: optional(fields, "value", any),
    threshold: optional(fields, "threshold", any),
  }));
}

function itemIn(fields: Fields, field: string): EventItem {
  const item: Record<string, EventValue> = {};
  for (const [key, value] of Object.entries(map(fields, field))) {
    if (value !== null && typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
      throw wrong(`${field}.${key}`, "must be text, a number, true, false or nil");
    }
    item[key] = value;
  }
  return item;
}

function valuesIn(fields: Fields, field: string): Readonly<Record<string, number>> {
  const values: Record<string, number> = {};
  for (const [key, value] of Object.entries(map(fields, field))) {
    if (typeof value !== "number") throw wrong(`${field}.${key}`, "must be a number");
    values[key] = value;
  }
  return values;
}
