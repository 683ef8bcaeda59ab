// Log lines as text and as JSON: one line each.
//
// Times are UTC, because the nodes of a cluster need not share a time zone.
import type { LogLine } from "../../transport/messages/log-lines.js";
import { padRight, printable, quantity } from "../text.js";
import type { Colours } from "./colours.js";
import { timeOfDay } from "./events.js";

const levelWidth = 5;
const nodeWidth = 14;
const messageWidth = 22;
const traceShown = 8;

export function renderLogLine(line: LogLine, colours: Colours): string {
  const { atMs, level, message, node, actor, incarnation, phase, trace, fields, dropped } = line;
  const who = actor === null ? "" : `${printable(actor)}${incarnation === null ? "" : `#${incarnation}`}`;
  const words = [
    colours.quiet(timeOfDay(atMs)),
    paintOf(line, colours)(padRight(level, levelWidth)),
    padRight(printable(node ?? "-"), nodeWidth),
    padRight(printable(message), messageWidth),
    ...(who === "" ? [] : [who]),
    ...(phase === null || message.endsWith(`.${phase}`) ? [] : [`${colours.quiet("phase")} ${printable(phase)}`]),
    ...Object.entries(fields).flatMap(([name, value]) => pair(name, value, colours)),
    ...(trace === null ? [] : [colours.quiet(`trace ${printable(trace.slice(0, traceShown))}`)]),
    ...(dropped === undefined ? [] : [colours.warn(`(${dropped} lines before it were not told)`)]),
  ];
  return words.join("  ").trimEnd();
}

/** The shape of a line on stderr: the ten fields first, whatever else it says behind them. */
export function logLineJson({ atMs, fields, dropped, ...line }: LogLine): string {
  const date = new Date(atMs);
  const time = Number.isNaN(date.getTime()) ? null : date.toISOString();
  return JSON.stringify({ time, ...line, ...(dropped === undefined ? {} : { dropped }), ...withoutOwn(fields, line) });
}

/** A field that is called like one of the ten may not take its place. */
function withoutOwn(fields: LogLine["fields"], line: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => name !== "time" && !(name in line)));
}

function paintOf({ level }: LogLine, colours: Colours): (text: string) => string {
  if (level === "error" || level === "fatal") return colours.bad;
  if (level === "warn") return colours.warn;
  return level === "info" ? colours.accent : colours.quiet;
}

/** A stack has many lines, and is for `--json`. */
function pair(name: string, value: LogLine["fields"][string], colours: Colours): readonly string[] {
  if (value === null || /Stack$/.test(name)) return [];
  const said = typeof value === "number" ? quantity(name, value) : printable(String(value));
  return [`${colours.quiet(printable(name))} ${said}`];
}
