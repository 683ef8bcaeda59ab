// One message on its way to one sink: tries, pauses, and the sink's circuit breaker.
//
// Owns: how often and how fast it is tried. Does not own: what is told (alert-groups.ts), what the sink does with it (slack.ts, mail.ts).
//
// D1. Every try is bounded and passes the breaker of its target; a sink that is down costs a call only now and then.
// D2. A refusal is final at the first try: saying the same again will not help.

import type { Clock, Random } from "../../../models/clock.js";
import type { CallOutcome } from "../../../supervision/circuit-breaker.js";
import type { Logger } from "../../../supervision/logger.js";
import type { Breakers } from "../../faults/breakers.js";
import type { Notification } from "./notification.js";
import type { Sink, SinkAnswer } from "./sink.js";

export type Delivered =
  | { readonly kind: "taken"; readonly said: string }
  /** Worth another message after a while. */
  | { readonly kind: "failed"; readonly said: string; readonly againInMs: number };

export interface DeliveryDeps {
  readonly breakers: Pick<Breakers, "through">;
  readonly clock: Pick<Clock, "delay">;
}

/** Of whoever sends. */
export interface Sender {
  readonly random: Random;
  readonly log: Pick<Logger, "info" | "warn">;
  /** Ends tries and pauses. */
  readonly signal: AbortSignal;
}

/** Four tries: at once, after about 1, 2 and 4 s, each pause up to a fifth shorter or longer. */
const policy = { tries: 4, initialMs: 1_000, factor: 2, maxMs: 30_000, jitter: 0.2 } as const;
/** After tries that all failed, and after a refusal that only a change of the settings can end. */
const againMs = { busy: 30_000, refused: 300_000, probing: 5_000 } as const;

export async function deliver(
  sink: Sink,
  notification: Notification,
  deps: DeliveryDeps,
  { random, log, signal }: Sender,
): Promise<Delivered> {
  for (let tries = 1; ; tries += 1) {
    const call = (): Promise<SinkAnswer> => sink.send(notification, signal);
    const passed = await deps.breakers.through(sink.target, call, outcomeOf(signal), log);
    if (passed.kind === "circuit_open")
      return { kind: "failed", said: "circuit_open", againInMs: passed.retryInMs ?? againMs.probing };
    const answer = passed.value;
    if (answer.kind === "taken") return answer;
    const { said } = answer;
    if (answer.kind === "refused") return { kind: "failed", said, againInMs: againMs.refused };
    const pauseMs = pauseAfter(tries, answer, random);
    if (tries === policy.tries || pauseMs > policy.maxMs || signal.aborted)
      return { kind: "failed", said, againInMs: Math.max(againMs.busy, answer.retryInMs ?? 0) };
    await deps.clock.delay(pauseMs, signal);
  }
}

function pauseAfter(tries: number, { retryInMs }: Extract<SinkAnswer, { kind: "busy" }>, random: Random): number {
  const nominalMs = Math.min(policy.maxMs, policy.initialMs * policy.factor ** (tries - 1));
  return Math.max(nominalMs * (1 + policy.jitter * (2 * random() - 1)), retryInMs ?? 0);
}

/** What was cut short because the actor ends says nothing about the sink. */
function outcomeOf(signal: AbortSignal): (answer: SinkAnswer) => CallOutcome {
  return ({ kind }) => (kind === "taken" ? "succeeded" : signal.aborted ? "given_up" : "failed");
}
