// Telemetry and alerts as lines for people: one line an item.
//
// Times are UTC, because the nodes of a cluster need not share a time zone.
import type { AlertNotice, EventValue, MetricsSample, TelemetryEvent } from "../../transport/messages/events.js";
import { padRight, printable, quantity } from "../text.js";
import type { Colours } from "./colours.js";

const kindWidth = 18;
const whoWidth = 28;
const traceShown = 8;

export function renderEvent(event: TelemetryEvent, colours: Colours): readonly string[] {
  const who = `${event.node}/${event.actor}#${event.incarnation}`;
  const head = lineHead(event.atMs, event.kind, who, kindPaint(event.kind, colours), colours);
  return event.items.length === 0 ? [head.trimEnd()] : event.items.map((item) => head + pairs(item, colours));
}

export function renderMetrics(sample: MetricsSample, colours: Colours): string {
  const who = `${sample.node}#${sample.incarnation}`;
  return lineHead(sample.atMs, "metrics", who, colours.quiet, colours) + pairs(sample.values, colours);
}

export function renderAlert(alert: AlertNotice, colours: Colours): string {
  const paint = alert.state === "resolved" ? colours.good : alert.severity === "info" ? colours.accent : colours.bad;
  const measured = alert.value === undefined ? "" : ` (${quantity("", alert.value)}${limitOf(alert)})`;
  const head = lineHead(alert.atMs, `alert ${alert.severity}`, alert.node, paint, colours);
  return `${head}${paint(`${printable(alert.name)} ${alert.state}`)}: ${printable(alert.message)}${measured}`;
}

function limitOf({ threshold }: AlertNotice): string {
  return threshold === undefined ? "" : `, limit ${quantity("", threshold)}`;
}

function lineHead(atMs: number, kind: string, who: string, paint: (text: string) => string, colours: Colours): string {
  return `${colours.quiet(timeOfDay(atMs))}  ${paint(padRight(printable(kind), kindWidth))}  ${padRight(printable(who), whoWidth)}  `;
}

/** 09:05:07.040; epoch milliseconds beyond the calendar give dashes. */
export function timeOfDay(atMs: number): string {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? "--:--:--.---" : date.toISOString().slice(-13, -1);
}

function kindPaint(kind: string, colours: Colours): (text: string) => string {
  if (/crash|fail|refus|dead|lost|escalat/.test(kind)) return colours.bad;
  if (/restart|chaos|cleanup|started|stopped|ending/.test(kind)) return colours.warn;
  return colours.accent;
}

/** `name value` pairs; the trace id comes last and short, as the name of a thread to follow. */
function pairs(item: Readonly<Record<string, EventValue | undefined>>, colours: Colours): string {
  const { traceId, ...rest } = item;
  const shown = Object.entries(rest)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(
      ([name, value]) =>
        `${colours.quiet(printable(name))} ${typeof value === "number" ? quantity(name, value) : printable(String(value))}`,
    );
  if (typeof traceId === "string") shown.push(colours.quiet(`trace ${printable(traceId.slice(0, traceShown))}`));
  return shown.join("  ");
}
