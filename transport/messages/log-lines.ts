// Log lines on the wire: what a process wrote to its log, told so that lines of many nodes can be read together.
//
// Owns: their bytes in both directions, and how much of a line is told. Does not own: when they are sent (operations/traces/log-forwarder.ts),
// their subject (subjects.ts), the line on stderr (supervision/logger.ts).

import { encodeMessage, type Fields } from "./codec.js";
import { map, number, oneOf, optional, type Parsed, parse, text, whole } from "./fields.js";

export const lineLevels = ["debug", "info", "warn", "error", "fatal"] as const;
export type LineLevel = (typeof lineLevels)[number];

export type LineValue = string | number | boolean | null;

/** The fields that every line has; null where one does not apply. */
export interface LogLine {
  readonly atMs: number;
  readonly level: LineLevel;
  readonly message: string;
  /** 32 hex digits. */
  readonly trace: string | null;
  /** 16 hex digits. */
  readonly span: string | null;
  readonly node: string | null;
  readonly actor: string | null;
  readonly incarnation: number | null;
  readonly phase: string | null;
  readonly component: string | null;
  /** Whatever else it says. */
  readonly fields: Readonly<Record<string, LineValue>>;
  /** Lines of this node that were not told since the last one that was, because there were too many. */
  readonly dropped?: number | undefined;
}

const messageMax = 2_048;
const valueMax = 4_096;
const fieldsMax = 32;

/** Long text is cut, and so is a long row of fields: telemetry is no place to store them. */
export function encodeLogLine(line: LogLine): Uint8Array {
  const fields = Object.entries(line.fields).slice(0, fieldsMax);
  const cut = (value: LineValue): LineValue => (typeof value === "string" ? value.slice(0, valueMax) : value);
  return encodeMessage({
    v: 1,
    ...line,
    message: line.message.slice(0, messageMax) || " ",
    fields: Object.fromEntries(fields.map(([name, value]) => [name, cut(value)])),
  });
}

export function parseLogLine(bytes: Uint8Array): Parsed<LogLine> {
  return parse(bytes, (fields) => ({
    atMs: number(0, Number.MAX_VALUE)(fields, "atMs"),
    level: oneOf(...lineLevels)(fields, "level"),
    message: text(messageMax)(fields, "message"),
    trace: optional(fields, "trace", text(64)) ?? null,
    span: optional(fields, "span", text(64)) ?? null,
    node: optional(fields, "node", text(64)) ?? null,
    actor: optional(fields, "actor", text(256)) ?? null,
    incarnation: optional(fields, "incarnation", whole(0)) ?? null,
    phase: optional(fields, "phase", text(64)) ?? null,
    component: optional(fields, "component", text(64)) ?? null,
    fields: valuesIn(map(fields, "fields")),
    dropped: optional(fields, "dropped", whole(1)),
  }));
}

/** What is no plain value was not written by us, and is left out. */
function valuesIn(fields: Fields): LogLine["fields"] {
  const values: Record<string, LineValue> = {};
  for (const [name, value] of Object.entries(fields))
    if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean")
      values[name] = value;
  return values;
}
