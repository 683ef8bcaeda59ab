// Telemetry on the wire: events, counters and alerts.
//
// Owns: their bytes in both directions. Does not own: when they are sent (operations/metrics/telemetry.ts), their subjects (subjects.ts).

import type { Severity } from "../subjects.js";
import { encodeMessage, type Fields, type PlainMap } from "./codec.js";
import {
  column,
  flag,
  inside,
  list,
  map,
  number,
  oneOf,
  optional,
  type Parsed,
  parse,
  text,
  texts,
  whole,
  wrong,
} from "./fields.js";
import { sketchBytesMax } from "./sketch-bytes.js";

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
  /** Distributions since the process began (sketch-bytes.ts), each as it is now: the newest that was heard says everything. */
  readonly sketches?: Readonly<Record<string, Uint8Array>>;
  /** The run this process belongs to: its root's, or its own when nobody restarts it. */
  readonly run?: string;
  /** Somebody watches this process and restarts it. */
  readonly rooted?: boolean;
}

/** Who cleaned up, and who says so. */
export type Cleaner = "watchdog" | "supervisor";

/** Which life of which node: incarnations are counted anew in each run. */
export interface NodeLife {
  readonly node: string;
  readonly incarnation: number;
  readonly run: string;
}

/** What the cleanup stream holds of a node's incarnations (law 6), in the shape of an event. */
export type CleanupRecord = NodeLife & {
  readonly by: Cleaner;
  /** The node that wrote it. */
  readonly author: string;
  readonly atMs: number;
} & (
    | { readonly kind: "died"; readonly cause: string }
    | { readonly kind: "cleanup_confirmed"; readonly leases: number }
    /** Nothing could be confirmed in time; the next incarnation starts without. */
    | { readonly kind: "cleanup_overdue"; readonly waitedMs: number }
    | { readonly kind: "started" }
    /** A lease that nobody renewed, or of a run that is over. */
    | { readonly kind: "reclaimed"; readonly key: string; readonly why: "former_run" | "stale" }
  );

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

const sketchesMax = 256;

/** Sketches are one tensor of bytes after the other, named and measured beside it. */
export function encodeMetrics({ sketches, ...sample }: MetricsSample): Uint8Array {
  const named = Object.entries(sketches ?? {});
  if (named.length === 0) return encodeMessage({ v: 1, ...sample });
  const data = Buffer.concat(named.map(([, bytes]) => bytes));
  const head = {
    ...sample,
    sketchNames: named.map(([name]) => name),
    sketchSizes: named.map(([, bytes]) => bytes.byteLength),
  };
  return encodeMessage({ v: 1, ...head }, { sketches: { dt: "|u1", sh: [data.byteLength], data } });
}

export function parseMetrics(bytes: Uint8Array): Parsed<MetricsSample> {
  return parse(bytes, (fields) => {
    const run = optional(fields, "run", text(64));
    const rooted = optional(fields, "rooted", flag);
    const sketches = "sketches" in fields ? sketchesIn(fields) : undefined;
    return {
      node: text(64)(fields, "node"),
      incarnation: whole(0)(fields, "incarnation"),
      atMs: number(0, Number.MAX_VALUE)(fields, "atMs"),
      values: valuesIn(fields, "values"),
      ...(run === undefined ? {} : { run }),
      ...(rooted === undefined ? {} : { rooted }),
      ...(sketches === undefined ? {} : { sketches }),
    };
  });
}

/** Views of the message's bytes; whether each is a sketch shows when it is read. */
function sketchesIn(fields: Fields): Readonly<Record<string, Uint8Array>> {
  const names = texts(64)(fields, "sketchNames");
  const sizes = list(whole(1, sketchBytesMax))(fields, "sketchSizes");
  if (names.length > sketchesMax) throw wrong("sketchNames", `must be ${sketchesMax} at most`);
  if (new Set(names).size !== names.length) throw wrong("sketchNames", "must differ");
  if (sizes.length !== names.length) throw wrong("sketchSizes", "must be one for each name");
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const data = column(fields, "sketches", "|u1", [total]);
  let at = 0;
  return Object.fromEntries(
    names.map((name, index) => {
      const size = sizes[index] ?? 0;
      at += size;
      return [name, data.subarray(at - size, at)];
    }),
  );
}

const causeMax = 512;

export function encodeCleanup(record: CleanupRecord): Uint8Array {
  const { kind, node, incarnation, atMs, by, ...item } = record;
  const cut = "cause" in item ? { ...item, cause: item.cause.slice(0, causeMax) || "unknown" } : item;
  return encodeEvent({ kind, node, actor: by, incarnation, atMs, items: [{ by, ...cut }] });
}

export function parseCleanup(bytes: Uint8Array): Parsed<CleanupRecord> {
  return parse(bytes, (fields) => {
    const [item] = list((one, field) => inside(one, field, cleanupItemIn(kindIn(fields))))(fields, "items");
    if (item === undefined) throw wrong("items", "must have one item");
    return {
      node: text(64)(fields, "node"),
      incarnation: whole(0)(fields, "incarnation"),
      atMs: number(0, Number.MAX_VALUE)(fields, "atMs"),
      ...item,
    };
  });
}

const kindIn = (fields: Fields): CleanupRecord["kind"] =>
  oneOf("died", "cleanup_confirmed", "cleanup_overdue", "started", "reclaimed")(fields, "kind");

function cleanupItemIn(kind: CleanupRecord["kind"]) {
  return (fields: Fields, prefix: string) => {
    const head = {
      run: text(64)(fields, `${prefix}run`),
      by: oneOf("watchdog", "supervisor")(fields, `${prefix}by`),
      author: text(64)(fields, `${prefix}author`),
    };
    switch (kind) {
      case "died":
        return { kind, ...head, cause: text(causeMax)(fields, `${prefix}cause`) };
      case "cleanup_confirmed":
        return { kind, ...head, leases: whole(0)(fields, `${prefix}leases`) };
      case "cleanup_overdue":
        return { kind, ...head, waitedMs: number(0, Number.MAX_VALUE)(fields, `${prefix}waitedMs`) };
      case "started":
        return { kind, ...head };
      case "reclaimed":
        return {
          kind,
          ...head,
          key: text(64)(fields, `${prefix}key`),
          why: oneOf("former_run", "stale")(fields, `${prefix}why`),
        };
    }
  };
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
    // One gauge of one node that is no number must not make the figures of the whole cluster unreadable.
    if (Number.isFinite(value)) values[key] = value;
  }
  return values;
}
