// What somebody says of an earlier answer: its true label, what it was worth, or nothing but the wish to see it.
//
// Owns: what becomes of each, the refusals. Does not own: the message and the door (intake.ts), what the records do (models/policy/policy.ts,
// models/memory/memory-contents.ts).
//
// B1. A label and a reward are in the log before they are confirmed; their effect is a fold like any other.
// B2. A reward of 1 says that the answer was right: that is a label, and is written as one.

import type { Position } from "../../models/experience.js";
import type { Model } from "../../models/manifest.js";
import type { Counters } from "../../operations/metrics/telemetry.js";
import { AskError, ask } from "../../supervision/actor/ask.js";
import type { Life } from "../../supervision/actor/behaviour.js";
import type { Ref } from "../../supervision/actor/ref.js";
import type { FeedbackReply, FeedbackRequest, Refusal } from "../../transport/messages/wire.js";
import type { BufferMessage, Located, LookedUp } from "./messages.js";

export interface FeedbackDeps {
  readonly model: Model;
  readonly buffer: Ref<BufferMessage>;
  /** Writes a late label to the log. */
  readonly appendLabel: (id: string, label: number, of: Position) => Promise<Written>;
  /** The same for what an answer was worth, -1..1. */
  readonly appendReward: (id: string, reward: number, of: Position) => Promise<Written>;
  readonly counters: Counters;
  /** What the source model answered, where that was tried (shadows.ts). */
  readonly sourceAnswer?: (id: string) => number | undefined;
  /** How long the memory may take to find the request. */
  readonly locateMs: number;
}

/** `repeated`: it was in the log before. `refused`: the log cannot take it. */
export type Written = "new" | "repeated" | "refused";

export type Heard =
  | { readonly kind: "taken"; readonly reply: Omit<FeedbackReply, "traceId"> }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** A memory that restarts or is late is an answer too: the asker may try again. */
export async function hear<M>(deps: FeedbackDeps, request: FeedbackRequest, life: Life<M>): Promise<Heard> {
  try {
    if (request.label !== undefined) return await takeLabel(deps, request.id, request.label, life);
    return await takeReward(deps, request.id, request.reward, life);
  } catch (error) {
    if (error instanceof AskError)
      return refused({ id: request.id, code: "not_ready", message: error.message, retryAfterMs: 250 });
    throw error;
  }
}

async function takeLabel<M>(
  deps: FeedbackDeps,
  id: string,
  label: string | number,
  { clock }: Life<M>,
): Promise<Heard> {
  const { labels } = deps.model.manifest;
  const index = typeof label === "number" ? label : labels.indexOf(label);
  if (labels[index] === undefined)
    return refused({ id, code: "bad_request", field: "label", message: `labels are ${labels.join(", ")}` });
  const bounds = { clock, deadlineMs: deps.locateMs };
  const found = await ask<BufferMessage, Located | undefined>(
    deps.buffer,
    (reply) => ({ kind: "locate", id, reply }),
    bounds,
  );
  if (found === undefined) return refused(unknown(id));
  return confirm(deps, { id, index, of: found.at, reward: null, isRight: found.answer === index });
}

async function takeReward<M>(
  deps: FeedbackDeps,
  id: string,
  reward: number | undefined,
  { clock }: Life<M>,
): Promise<Heard> {
  const bounds = { clock, deadlineMs: deps.locateMs };
  const found = await ask<BufferMessage, LookedUp | undefined>(
    deps.buffer,
    (reply) => ({ kind: "look_up", id, reply }),
    bounds,
  );
  if (found === undefined) return refused(unknown(id));
  const { at: of, answer, kept } = found;
  if (reward === undefined) {
    const seen = kept && { ...kept, label: named(deps, kept.answer) };
    return { kind: "taken", reply: { id, of, label: null, reward: null, kept: seen ?? null } };
  }
  if (reward === 1) return confirm(deps, { id, index: answer, of, reward, isRight: true });
  if ((await deps.appendReward(id, reward, of)) === "refused") return refused(notTaken(id, "reward"));
  return { kind: "taken", reply: { id, of, label: null, reward } };
}

interface TrueLabel {
  readonly id: string;
  readonly index: number;
  readonly of: Position;
  readonly reward: number | null;
  /** The answer was this label. */
  readonly isRight: boolean;
}

async function confirm(deps: FeedbackDeps, { id, index, of, reward, isRight }: TrueLabel): Promise<Heard> {
  const written = await deps.appendLabel(id, index, of);
  if (written === "refused") return refused(notTaken(id, "label"));
  if (written === "new") {
    deps.counters.add("feedback_labels");
    if (isRight) deps.counters.add("feedback_right");
    const source = deps.sourceAnswer?.(id);
    if (source !== undefined) deps.counters.add("feedback_source_labels");
    if (source === index) deps.counters.add("feedback_source_right");
  }
  return { kind: "taken", reply: { id, of, label: named(deps, index), reward } };
}

function named({ model }: FeedbackDeps, index: number): { readonly index: number; readonly label: string } {
  return { index, label: model.manifest.labels[index] ?? `${index}` };
}

function refused(refusal: Refusal): Heard {
  return { kind: "refused", refusal };
}

function unknown(id: string): Refusal {
  return { id, code: "bad_request", field: "id", message: `no answered request "${id}" is remembered` };
}

function notTaken(id: string, what: string): Refusal {
  return { id, code: "log_unavailable", message: `the log cannot take the ${what}`, retryAfterMs: 250 };
}
