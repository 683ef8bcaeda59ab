// Orders about dead letters: let a job run again, or say what was found out about it.
//
// Owns: what an order does, in which order it is written down. Does not own: who may give one (the broker's permissions), the fold (dead-letter-book.ts).
//
// O1. A requeueing is marked in the log first and carried out then. The mark's message id lets one of two operators win; the other, and
//     whoever comes later, is refused with the time of the first.
// O2. A job runs again under its own id, as its first attempt: what was answered meanwhile is answered from the log, and leaves no second
//     experience. Serving nodes hear of it, on the same connection and before the request, and forgive it its deaths.
// O3. Any node may take an order, one does: the book is read from the log.

import type { Clock } from "../../models/clock.js";
import type { Bus, Incoming } from "../../transport/bus/bus.js";
import { refuse } from "../../transport/bus/refusing.js";
import type { DeadLetters } from "../../transport/log/dead-letters.js";
import { openLog } from "../../transport/log/log.js";
import { decodeUpdate, encodeUpdate } from "../../transport/log/records.js";
import {
  type DeadLetterOrder,
  type DeadLetterReceipt,
  encodeDeadLetterReceipt,
  parseDeadLetterOrder,
} from "../../transport/messages/operator-orders.js";
import type { Refusal } from "../../transport/messages/wire.js";
import { header, type Subjects } from "../../transport/subjects.js";
import type { Telemetry } from "../metrics/telemetry.js";
import { type BookEntry, readBook } from "./dead-letter-book.js";

export interface DeadLetterOrderDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly deadLetters: DeadLetters;
  readonly telemetry: Telemetry;
}

/** The event that says that a job may run again. */
export const requeuedEvent = "dead_letter_requeued";

type Carried =
  | { readonly kind: "done"; readonly receipt: DeadLetterReceipt }
  | ({ readonly kind: "refused" } & Refusal);

export function answerDeadLetterOrders(deps: DeadLetterOrderDeps): { stop(): void } {
  const { bus, subjects } = deps;
  const subscription = bus.subscribe(
    subjects.deadLetterOrders,
    { queue: subjects.deadLetterGroup },
    async (message: Incoming) => {
      const parsed = parseDeadLetterOrder(message.data);
      const carried = parsed.kind === "refused" ? parsed : await carryOut(deps, parsed.value);
      if (carried.kind === "done") message.respond(encodeDeadLetterReceipt(carried.receipt));
      else {
        const { kind: _, ...refusal } = carried;
        refuse(message, refusal);
      }
    },
  );
  return { stop: () => subscription.unsubscribe() };
}

async function carryOut(deps: DeadLetterOrderDeps, order: DeadLetterOrder): Promise<Carried> {
  const read = await readBook(deps.bus, deps.clock, deps.subjects);
  if (read.kind === "unavailable") return unavailable(read.why);
  const entry = read.book.get(order.seq);
  if (entry === undefined) return refused("seq", `there is no dead letter ${order.seq}`);
  return order.kind === "requeue" ? requeue(deps, entry) : resolve(deps, entry, order.note);
}

async function resolve(deps: DeadLetterOrderDeps, entry: BookEntry, note: string): Promise<Carried> {
  const marked = await mark(deps, entry, "resolved", note);
  return typeof marked === "number" ? receiptOf(entry, marked) : marked;
}

async function requeue(deps: DeadLetterOrderDeps, entry: BookEntry): Promise<Carried> {
  if (entry.requeuedAtMs !== null) return again(entry, entry.requeuedAtMs);
  const job = await jobOf(deps, entry);
  if (job.kind === "refused") return job;
  const atMs = await mark(deps, entry, "requeued", undefined);
  if (typeof atMs !== "number") return atMs;
  const { jobId, model } = entry.letter;
  deps.telemetry.event(requeuedEvent, { actor: "dead-letters", incarnation: 0 }, () => [
    { about: model, id: jobId, seq: entry.seq, traceId: entry.letter.traceId },
  ]);
  const started = await job.start();
  return started ? receiptOf(entry, atMs) : unavailable("the job could not be started; ask again with its own id");
}

type Job = { readonly kind: "job"; start(): Promise<boolean> } | ({ readonly kind: "refused" } & Refusal);

/** How the job is run again; refused where its payload is no longer there. */
async function jobOf({ bus, subjects, clock }: DeadLetterOrderDeps, entry: BookEntry): Promise<Job> {
  const { payload, model, jobId, traceId } = entry.letter;
  switch (payload.kind) {
    case "omitted":
      return refused(
        "seq",
        `the request was too large to be kept (${payload.byteLength} bytes); send it again yourself`,
      );
    case "request": {
      const headers = { [header.messageId]: jobId, [header.traceparent]: `00-${traceId}-${traceId.slice(0, 16)}-01` };
      return { kind: "job", start: async () => bus.publish(subjects.infer(model), payload.bytes, { headers }) };
    }
    case "update": {
      const log = openLog(bus, clock);
      const found = await log.get(subjects.stream("update", model), payload.seq);
      if (found.kind === "unavailable") return unavailable(found.why);
      const update = found.kind === "found" ? decodeUpdate(found.message.bytes) : undefined;
      if (update?.kind !== "ok" || update.value.kind !== "task")
        return refused("seq", `update ${payload.seq} is no longer in the log`);
      const bytes = encodeUpdate(update.value);
      const start = async (): Promise<boolean> =>
        (await log.append(subjects.updates(model), bytes, `requeued.${entry.seq}`)).kind === "appended";
      return { kind: "job", start };
    }
    default:
      return payload satisfies never;
  }
}

/** The mark's time, or why there is none. */
async function mark(
  { clock, deadLetters }: DeadLetterOrderDeps,
  { seq, letter }: BookEntry,
  what: "requeued" | "resolved",
  note: string | undefined,
): Promise<number | Extract<Carried, { kind: "refused" }>> {
  const atMs = clock.nowMs();
  const { model, jobId } = letter;
  const outcome = await deadLetters.mark({ kind: "mark", of: seq, model, jobId, what, note, atMs });
  if (outcome.kind === "unavailable") return unavailable(outcome.why);
  return outcome.duplicate ? refused("seq", `${seq} is requeued already, just now`) : atMs;
}

function receiptOf({ seq, letter }: BookEntry, atMs: number): Carried {
  return { kind: "done", receipt: { seq, jobId: letter.jobId, atMs } };
}

function again({ seq }: BookEntry, atMs: number): Carried {
  return refused("seq", `${seq} is requeued already, at ${new Date(atMs).toISOString()}`);
}

function refused(field: string, message: string): { readonly kind: "refused" } & Refusal {
  return { kind: "refused", code: "bad_request", field, message };
}

function unavailable(why: string): { readonly kind: "refused" } & Refusal {
  return {
    kind: "refused",
    code: "log_unavailable",
    message: `the log cannot take the order: ${why}`,
    retryAfterMs: 250,
  };
}
