// Orders about alerts: acknowledge, silence, unsilence, test.
//
// Owns: what an order does and when it is answered. Does not own: who may give one (the broker's permissions), its bytes
// (transport/messages/alert-orders.ts), the book.
//
// O1. An order is answered when it is kept: what a person was told holds, holds for whoever leads next.

import type { AlertBook } from "../../operations/alerts/alert-book.js";
import { aboutMax, isFiring } from "../../operations/alerts/alert-record.js";
import { testNotification } from "../../operations/alerts/notify/notification.js";
import { asError } from "../../supervision/exit-reason.js";
import type { AlertOrder, AlertReceipt, SinkReceipt } from "../../transport/messages/alert-orders.js";
import { whenKept } from "./alert-keeping.js";
import type { AlertAnswer, AlerterDeps, AlerterState, AlerterTurn, AlertOrderAsked } from "./alerter-messages.js";

type Marking = Exclude<AlertOrder, { kind: "test" }>;

export function obey(
  deps: AlerterDeps,
  { leading, book }: AlerterState,
  { order, by, answer }: AlertOrderAsked,
  turn: AlerterTurn,
): void {
  // Nobody attends here any more; whoever leads now is asked again.
  if (leading === undefined) return;
  if (order.kind === "test") {
    turn.onCommit(() => {
      test(deps, turn).then(
        (receipt) => answer({ kind: "done", receipt }),
        (error) => turn.fail(asError(error)),
      );
    });
    return;
  }
  const marked = mark(book, order, by, turn.clock.nowMs());
  if (marked.kind === "refused") {
    turn.onCommit(() => answer(marked));
    return;
  }
  turn.log.info(`alerts: ${order.kind}`, { ...order, by });
  whenKept(leading, book.version, turn, (how) => answer(how === "kept" ? marked : notKept));
}

const notKept: AlertAnswer = {
  kind: "refused",
  code: "log_unavailable",
  message: "it holds for now, but could not be kept: JetStream does not answer",
};

function mark(book: AlertBook, order: Marking, by: string, atMs: number): AlertAnswer {
  switch (order.kind) {
    case "ack": {
      const { fingerprint, note } = order;
      if (book.acknowledge(fingerprint, by, note, atMs)) return done({ atMs, firing: 1 });
      return refused("fingerprint", `no alert "${fingerprint}" fires`);
    }
    case "silence": {
      const { matches, note } = order;
      const untilMs = atMs + order.forMs;
      if (matches.length > aboutMax * 2) return refused("matches", "too long for a name, or for name:about");
      if (!book.silence({ matches, untilMs, by, note })) return refused("matches", "there are too many silences");
      return done({ atMs, firing: matching(book, matches), untilMs });
    }
    case "unsilence":
      if (!book.unsilence(order.matches)) return refused("matches", `"${order.matches}" is not silenced`);
      return done({ atMs, firing: matching(book, order.matches) });
    default:
      return order satisfies never;
  }
}

function matching(book: AlertBook, matches: string): number {
  return book.alerts.filter((alert) => isFiring(alert) && [alert.name, alert.fingerprint].includes(matches)).length;
}

/** Straight to the sinks, once: whoever tests wants their answers, not those of a breaker. */
async function test(deps: AlerterDeps, { clock, signal }: AlerterTurn): Promise<AlertReceipt> {
  const atMs = clock.nowMs();
  const sinks = await Promise.all(
    deps.sinks().map(async (sink): Promise<SinkReceipt> => {
      const beganAtMs = clock.monotonicMs();
      const { name, target } = sink;
      const answer = await sink.send(testNotification(deps.cluster, `test-${name}-${atMs}`), signal);
      const said = answer.said || answer.kind;
      return { name, target, ok: answer.kind === "taken", said, tookMs: clock.monotonicMs() - beganAtMs };
    }),
  );
  return { atMs, firing: 0, sinks };
}

function done(receipt: AlertReceipt): AlertAnswer {
  return { kind: "done", receipt };
}

function refused(field: string, message: string): AlertAnswer {
  return { kind: "refused", code: "bad_request", field, message };
}
