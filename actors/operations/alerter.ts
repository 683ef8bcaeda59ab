// The alerter: turns events and health reports into alerts, each once, and tells people of them through the sinks.
//
// Owns: the order in which alerts are published, kept and told, and which alerter does so. Does not own: what is an alert (alert-book.ts),
// keeping (alert-keeping.ts), sinks (alert-telling.ts, notify/), orders (alert-obeying.ts), the bus and the bucket (alerter-wiring.ts).
//
// L1. An alert is published when it begins to fire and when it is resolved; repetitions in between only count.
// L2. Every alerter keeps the book, one tells: the leader. A new leader takes over what the last one kept, and adds what it heard itself.
// L3. What fires is in the bucket before a sink is told of it, so whoever comes next knows that its end has to be told. That a sink was told
//     is kept after the sink took it: a message is said at least once. In the moment between the two a kill says it twice, under the same
//     id. The other order would lose one, and an alert that nobody heard of is the worse of the two.
// L4. Where the bucket is away people are told all the same, from memory, and the book is kept when it is back: an alert about a broken log
//     must not wait for the log.
// L5. A leader whose document somebody else has written ends (law 3).

import { AlertBook, type AlertChange } from "../../operations/alerts/alert-book.js";
import { isFiring } from "../../operations/alerts/alert-record.js";
import type { Behaviour, Life } from "../../supervision/actor/behaviour.js";
import { tellLater } from "../../supervision/actor/tell-later.js";
import { asError } from "../../supervision/exit-reason.js";
import { tellFirmly } from "../tell-firmly.js";
import { keep, keepLast, written } from "./alert-keeping.js";
import { obey } from "./alert-obeying.js";
import { delivered, tellSinks } from "./alert-telling.js";
import type { AlerterDeps, AlerterMessage, AlerterState, AlerterTurn, Leadership } from "./alerter-messages.js";

export function alerter(deps: AlerterDeps): Behaviour<AlerterMessage, AlerterState> {
  return {
    init: (life) => {
      look(deps, life);
      const { incarnation, signal } = life;
      const leadership = deps.lead((word) => tellFirmly(life, { ...word, incarnation }), signal);
      leadership.catch((error) => life.fail(asError(error)));
      const unlisten = deps.listen((event) => life.self.tell({ kind: "event", event }));
      const by = `${deps.origin}.${incarnation}`;
      return { book: new AlertBook(), by, unlisten, leadership, leading: undefined, fired: 0, resolved: 0 };
    },
    receive: (state, message, turn) => {
      if ("incarnation" in message && message.incarnation !== turn.incarnation) return;
      take(deps, state, message, turn);
      keep(deps, state, turn);
    },
    stop: async (state) => {
      state.unlisten();
      state.leading?.unattend();
      await keepLast(deps, state);
      await state.leadership;
    },
    summary: ({ book, leading, fired, resolved }) => ({
      leads: leading !== undefined,
      firing: book.alerts.filter(isFiring).map(({ fingerprint }) => fingerprint),
      silences: book.silences.length,
      fired,
      resolved,
    }),
  };
}

function look(deps: AlerterDeps, life: Life<AlerterMessage>): void {
  tellLater(life, deps.lookEveryMs, { kind: "look", incarnation: life.incarnation });
}

function take(deps: AlerterDeps, state: AlerterState, message: AlerterMessage, turn: AlerterTurn): void {
  const { book } = state;
  const nowMs = turn.clock.nowMs();
  switch (message.kind) {
    case "event":
      announceAll(deps, state, book.hear(message.event, nowMs), turn);
      break;
    case "report":
      announceAll(deps, state, book.report(message.metrics, message.health, nowMs), turn);
      break;
    case "look":
      look(deps, turn);
      announceAll(deps, state, book.pass(nowMs), turn);
      tellSinks(deps, state, turn);
      break;
    case "lead":
      lead(deps, state, message, turn);
      break;
    case "follow":
      state.leading?.unattend();
      state.leading = undefined;
      break;
    case "written":
      written(state, message, turn);
      break;
    case "delivered":
      delivered(deps, state, message, turn);
      break;
    case "list":
      turn.onCommit(() => message.answer(book.list(nowMs)));
      break;
    case "order":
      obey(deps, state, message, turn);
      break;
    default:
      message satisfies never;
  }
}

function lead(
  deps: AlerterDeps,
  state: AlerterState,
  word: Extract<Leadership, { kind: "lead" }>,
  turn: AlerterTurn,
): void {
  const { book } = state;
  const before = book.version;
  const changes = word.saved === undefined ? [] : book.adopt(word.saved, turn.clock.nowMs());
  state.leading?.unattend();
  state.leading = {
    unattend: deps.attend((question) => turn.self.tell(question)),
    revision: word.revision,
    keptVersion: word.saved === undefined ? 0 : before,
    writing: undefined,
    waiters: [],
    sending: new Set(),
    notBeforeMs: new Map(),
  };
  const ended = changes.filter(({ kind }) => kind === "resolved");
  const begun = book.alerts.filter((alert) => isFiring(alert) && !alert.isAnnounced);
  announceAll(deps, state, [...ended, ...begun.map((alert) => ({ kind: "fired", alert }) as const)], turn);
}

/** Only the leader's alerts are published: the others keep the book for the day on which they lead. */
function announceAll(deps: AlerterDeps, state: AlerterState, changes: readonly AlertChange[], turn: AlerterTurn): void {
  if (state.leading === undefined) return;
  for (const change of changes) announce(deps, state, change, turn);
}

function announce(deps: AlerterDeps, state: AlerterState, { kind, alert }: AlertChange, turn: AlerterTurn): void {
  if (kind === "fired") state.fired += 1;
  else state.resolved += 1;
  state.book.announced(alert.fingerprint);
  const { name, fingerprint, severity, about, message, count, intent } = alert;
  turn.log.warn(`alert ${kind}: ${name}`, { fingerprint, severity, about, detail: message, count });
  turn.onCommit(() => deps.publish(alert, kind));
  if (intent === null) return;
  const origin = { actor: turn.path, incarnation: turn.incarnation };
  const goal = `end ${name} of ${about}`;
  turn.onCommit(() =>
    deps.telemetry.event(kind === "fired" ? "intent_opened" : "intent_closed", origin, () => [
      { about: fingerprint, id: intent, goal, priority: "HIGH", cause: message },
    ]),
  );
}
