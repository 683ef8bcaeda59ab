// When a sink is told, and of which alerts: many alerts are one message.
//
// Owns: grouping in time, what is held back and why. Pure. Does not own: the book (alert-book.ts), the words (notification.ts), the sending.
//
// G1. What begins waits `groupWaitMs` for others that come with it. Two messages to one sink are `groupIntervalMs` apart or more. What fires
//     on is told again every `repeatIntervalMs`, unless somebody acknowledged it.
// G2. An alert that is over before it was told is not told at all. One that was told is told once more, when it is over.
// G3. Never told: what is informational (S1-35), silenced now, or explained by another alert that fires.

import type { AlertBook } from "./alert-book.js";
import { type AlertRecord, isFiring } from "./alert-record.js";
import { explains } from "./alert-rules.js";

export interface GroupSettings {
  readonly groupWaitMs: number;
  readonly groupIntervalMs: number;
  readonly repeatIntervalMs: number;
}

export interface AlertGroup {
  readonly begun: readonly AlertRecord[];
  readonly repeated: readonly AlertRecord[];
  readonly resolved: readonly AlertRecord[];
  /** Told before, and still so. */
  readonly standing: number;
}

/** What the sink is to be told now; undefined: nothing. */
export function dueGroup(
  book: AlertBook,
  sink: string,
  settings: GroupSettings,
  nowMs: number,
): AlertGroup | undefined {
  const sentAtMs = book.sentAtMs(sink);
  if (sentAtMs !== undefined && nowMs - sentAtMs < settings.groupIntervalMs) return undefined;
  const audible = book.alerts.filter((alert) => isAudible(book, alert, nowMs));
  const begun = audible.filter((alert) => isFiring(alert) && toldAtMs(alert, sink) === undefined);
  const resolved = audible.filter((alert) => !isFiring(alert) && toldAtMs(alert, sink) !== undefined);
  const standing = audible.filter((alert) => isFiring(alert) && toldAtMs(alert, sink) !== undefined);
  const open = standing.filter(({ acknowledged }) => acknowledged === null);
  const repeats = open.some((alert) => nowMs - (toldAtMs(alert, sink) ?? nowMs) >= settings.repeatIntervalMs);
  const waited =
    begun.some(({ sinceMs }) => nowMs - sinceMs >= settings.groupWaitMs) ||
    resolved.some(({ resolvedAtMs }) => nowMs - (resolvedAtMs ?? nowMs) >= settings.groupWaitMs);
  if (!(waited || repeats)) return undefined;
  const repeated = repeats ? open : [];
  return { begun, repeated, resolved, standing: standing.length - repeated.length };
}

function isAudible(book: AlertBook, alert: AlertRecord, nowMs: number): boolean {
  if (alert.severity === "info" || book.silencedUntilMs(alert, nowMs) !== null) return false;
  // What was told is owed its end, whatever explains it now.
  if (alert.told.length > 0) return true;
  return !book.alerts.some((cause) => isFiring(cause) && cause !== alert && explains(cause, alert));
}

function toldAtMs({ told }: AlertRecord, sink: string): number | undefined {
  return told.find((each) => each.sink === sink)?.atMs;
}
