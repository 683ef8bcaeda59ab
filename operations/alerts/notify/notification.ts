// What a person reads about a group of alerts, whatever carries it.
//
// Owns: subject, lines and their bounds, the id by which a repeated message is known. Does not own: markup and headers (slack.ts, mail.ts).
//
// M1. Bounded: a storm of a thousand alerts is a message of `linesMax` of them and a count of the rest, the worst first.
// M2. The id follows from what is told to whom: a message that is sent again after a crash has the id it had.
// M3. Text that came from outside cannot forge a line or a header: it passes `printable`.

import { createHash } from "node:crypto";
import { formatDuration } from "../../duration.js";
import { cut, printable } from "../../text.js";
import type { AlertGroup } from "../alert-groups.js";
import { severitySchema } from "../alert-list.js";
import type { AlertRecord } from "../alert-record.js";

export interface Notification {
  readonly id: string;
  /** "critical node_died: serving-1", or "resolved: ..." */
  readonly subject: string;
  readonly lines: readonly string[];
}

const linesMax = 20;
const lineMax = 400;
const subjectMax = 120;

export function notificationOf(cluster: string, sink: string, group: AlertGroup, nowMs: number): Notification {
  const { begun, repeated, resolved, standing } = group;
  const firing = [...worstFirst(begun), ...worstFirst(repeated)];
  const over = worstFirst(resolved);
  const firingShown = Math.min(firing.length, over.length === 0 ? linesMax : Math.ceil(linesMax / 2));
  const lines = [
    ...firing.slice(0, firingShown).flatMap((alert) => firingLines(alert, repeated.includes(alert), nowMs)),
    ...rest(firing.length - firingShown, "firing"),
    ...over.slice(0, linesMax - firingShown).map((alert) => resolvedLine(alert)),
    ...rest(over.length - (linesMax - firingShown), "resolved"),
    ...(standing > 0 ? [`${standing} more, told before, still firing`] : []),
  ];
  return { id: idOf(cluster, sink, group), subject: subjectOf(firing, over), lines: lines.map(lineOf) };
}

/** What `alerts test` sends. */
export function testNotification(cluster: string, id: string): Notification {
  const lines = ["This is a test: driftmend can reach this place. Nothing is wrong."];
  return { id, subject: `info test: ${cluster}`, lines };
}

function subjectOf(firing: readonly AlertRecord[], over: readonly AlertRecord[]): string {
  const [first] = firing.length > 0 ? firing : over;
  if (first === undefined) throw new Error("a message about nothing");
  const more = firing.length + over.length - 1;
  const head = `${firing.length > 0 ? "" : "resolved: "}${first.severity} ${first.name}: ${first.about}`;
  return cut(printable(`${head}${more > 0 ? ` (+${more} more)` : ""}`), subjectMax);
}

function firingLines(alert: AlertRecord, isRepeated: boolean, nowMs: number): string[] {
  const { severity, name, about, message, count, advice, sinceMs } = alert;
  const since = isRepeated ? `, firing for ${formatDuration(Math.max(0, nowMs - sinceMs))}` : "";
  const times = count > 1 ? ` (${count} times)` : "";
  const head = `${severity} ${name}: ${about}: ${message}${times}${since}`;
  return advice === "" ? [head] : [head, `  -> ${advice}`];
}

function resolvedLine({ severity, name, about, sinceMs, resolvedAtMs }: AlertRecord): string {
  return `resolved: ${severity} ${name}: ${about}, after ${formatDuration(Math.max(0, (resolvedAtMs ?? sinceMs) - sinceMs))}`;
}

function rest(count: number, what: string): string[] {
  return count > 0 ? [`and ${count} more ${what}; driftmend alerts ls has them all`] : [];
}

function lineOf(text: string): string {
  return cut(printable(text), lineMax);
}

function worstFirst(alerts: readonly AlertRecord[]): readonly AlertRecord[] {
  const rank = ({ severity }: AlertRecord): number => severitySchema.options.indexOf(severity);
  return [...alerts].sort((one, other) => rank(one) - rank(other) || one.sinceMs - other.sinceMs);
}

function idOf(cluster: string, sink: string, { begun, repeated, resolved }: AlertGroup): string {
  const parts = [
    ...begun.map(({ fingerprint, sinceMs }) => ["begun", fingerprint, sinceMs]),
    ...repeated.map(({ fingerprint, told }) => [
      "repeated",
      fingerprint,
      told.find((each) => each.sink === sink)?.atMs,
    ]),
    ...resolved.map(({ fingerprint, resolvedAtMs }) => ["resolved", fingerprint, resolvedAtMs]),
  ].map((part) => part.join("\n"));
  return createHash("sha256")
    .update([cluster, sink, ...parts.sort()].join("\n\n"))
    .digest("hex")
    .slice(0, 32);
}
