// How the alerter's book gets into the bucket.
//
// Owns: which version is there, the one write under way, who waits for it. Does not own: the bucket (transport/log/alert-bucket.ts).
//
// K1. At most one write at a time; the next one takes all that changed meanwhile.
// K2. A write that could not reach the bucket is tried again every look, and whoever waited for it is told so.

import { asError } from "../../supervision/exit-reason.js";
import { tellFirmly } from "../tell-firmly.js";
import type { AlerterDeps, AlerterState, AlerterTurn, Leading, WrittenMessage } from "./alerter-messages.js";

/** Writes what has changed, if nothing is being written. */
export function keep(deps: AlerterDeps, { leading, book, by }: AlerterState, turn: AlerterTurn): void {
  if (leading === undefined || leading.writing !== undefined || leading.keptVersion === book.version) return;
  const { version } = book;
  const { incarnation, self, clock, signal } = turn;
  const saved = book.saved(by);
  const writing = deps.write(saved, leading.revision);
  leading.writing = writing;
  const tell = async (): Promise<void> => {
    const outcome = await writing;
    if (outcome.kind === "unavailable") await clock.delay(deps.lookEveryMs, signal);
    tellFirmly({ self, clock, signal }, { kind: "written", version, outcome, incarnation });
  };
  tell().catch((error) => turn.fail(asError(error)));
}

export function written({ leading }: AlerterState, { version, outcome }: WrittenMessage, turn: AlerterTurn): void {
  if (leading === undefined) return;
  leading.writing = undefined;
  if (outcome.kind === "overtaken") throw new Error("somebody else wrote the alerts: this alerter is out of date");
  const isKept = outcome.kind === "written";
  if (isKept) {
    leading.revision = outcome.revision;
    leading.keptVersion = version;
  }
  const { waiters } = leading;
  leading.waiters = waiters.filter((waiter) => isKept && waiter.version > version);
  for (const waiter of waiters)
    if (!leading.waiters.includes(waiter)) turn.onCommit(() => waiter.settle(isKept ? "kept" : "away"));
}

/** Once the book is in the bucket as it is now, or the bucket has turned out to be away. */
export function whenKept(
  leading: Leading,
  version: number,
  turn: AlerterTurn,
  settle: (how: "kept" | "away") => void,
): void {
  if (leading.keptVersion === version) turn.onCommit(() => settle("kept"));
  else leading.waiters = [...leading.waiters, { version, settle }];
}

/** At an end of the incarnation that leaves time for it: what was not worth a write of its own is kept too. */
export async function keepLast(deps: AlerterDeps, { leading, book, by }: AlerterState): Promise<void> {
  if (leading === undefined || book.alerts.length + book.silences.length === 0) return;
  const under = await leading.writing;
  if (under === undefined || under.kind === "written")
    await deps.write(book.saved(by), under?.revision ?? leading.revision);
}
