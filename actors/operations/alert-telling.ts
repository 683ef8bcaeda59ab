// How the alerter tells people: which sink is due, one message at a time to each.
//
// Owns: that a message leaves after what it tells is kept (L3, L4), and what follows from its outcome. Does not own: what is due
// (alert-groups.ts), the words (notification.ts), tries and breakers (delivery.ts).

import { type AlertGroup, dueGroup } from "../../operations/alerts/alert-groups.js";
import type { AlertRecord } from "../../operations/alerts/alert-record.js";
import { type Notification, notificationOf } from "../../operations/alerts/notify/notification.js";
import type { Sink } from "../../operations/alerts/notify/sink.js";
import { asError } from "../../supervision/exit-reason.js";
import { tellFirmly } from "../tell-firmly.js";
import { whenKept } from "./alert-keeping.js";
import type { AlerterDeps, AlerterState, AlerterTurn, DeliveredMessage, Leading } from "./alerter-messages.js";

export function tellSinks(deps: AlerterDeps, { leading, book }: AlerterState, turn: AlerterTurn): void {
  if (leading === undefined) return;
  const nowMs = turn.clock.nowMs();
  const tickMs = turn.clock.monotonicMs();
  const grouping = deps.grouping();
  for (const sink of deps.sinks()) {
    if (leading.sending.has(sink.name) || tickMs < (leading.notBeforeMs.get(sink.name) ?? tickMs)) continue;
    const group = dueGroup(book, sink.name, grouping, nowMs);
    if (group === undefined) continue;
    leading.sending.add(sink.name);
    const notification = notificationOf(deps.cluster, sink.name, group, nowMs);
    whenKept(leading, book.version, turn, () => send(deps, sink, group, notification, turn));
  }
}

function send(deps: AlerterDeps, sink: Sink, group: AlertGroup, notification: Notification, turn: AlerterTurn): void {
  const { self, clock, signal, incarnation, random, log } = turn;
  deps
    .deliver(sink, notification, { random, log, signal })
    .then((outcome) => {
      const { id } = notification;
      tellFirmly({ self, clock, signal }, { kind: "delivered", sink: sink.name, group, id, outcome, incarnation });
    })
    .catch((error) => turn.fail(asError(error)));
}

export function delivered(
  deps: AlerterDeps,
  { leading, book }: AlerterState,
  { sink, group, id, outcome }: DeliveredMessage,
  turn: AlerterTurn,
): void {
  if (leading === undefined) return;
  leading.sending.delete(sink);
  const { begun, repeated, resolved } = group;
  const facts = { about: sink, id, firing: begun.length + repeated.length, resolved: resolved.length };
  if (outcome.kind === "taken") book.told(sink, namesOf(group), turn.clock.nowMs());
  else leaveAlone(leading, sink, turn.clock.monotonicMs() + outcome.againInMs);
  const line = outcome.kind === "taken" ? turn.log.info : turn.log.warn;
  line(`notification ${outcome.kind}: ${sink}`, { ...facts, said: outcome.said });
  const origin = { actor: turn.path, incarnation: turn.incarnation };
  const kind = outcome.kind === "taken" ? "notified" : "notify_failed";
  turn.onCommit(() => deps.telemetry.event(kind, origin, () => [{ ...facts, cause: outcome.said }]));
}

function namesOf({ begun, repeated, resolved }: AlertGroup) {
  const names = (alerts: readonly AlertRecord[]): string[] => alerts.map(({ fingerprint }) => fingerprint);
  return { firing: names([...begun, ...repeated]), resolved: names(resolved) };
}

function leaveAlone(leading: Leading, sink: string, untilMs: number): void {
  leading.notBeforeMs.set(sink, untilMs);
}
