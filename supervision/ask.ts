// Request and reply between actors.
//
// Owns: ask ids, deadlines, and telling an asker why there will be no answer.
// Does not own: delivery (cell.ts reports what became of a message).
//
// A1. An ask settles exactly once: answered, or failed with a cause; a later answer is ignored.
// A2. It fails at once when the target refuses the message, crashes on it alone, or ends for good. A killed target does
//     not fail it: the message is delivered again. A crashed ask is not delivered again: the asker knows and decides.
// A3. Ids count up, so no two asks of a process share one.

import type { Clock } from "../models/clock.js";
import type { Ref } from "./ref.js";

export type AskFailure =
  | { readonly kind: "deadline"; readonly afterMs: number }
  | { readonly kind: "full" }
  | { readonly kind: "dead" }
  /** The asker's own incarnation ended. */
  | { readonly kind: "abandoned" }
  | { readonly kind: "crashed"; readonly error: Error };

/** The target did not answer; `cause.kind` says whether asking again can help ("dead" never does). */
export class AskError extends Error {
  readonly path: string;
  readonly failure: AskFailure;

  constructor(path: string, failure: AskFailure) {
    super(`ask of "${path}" failed: ${describe(failure)}`);
    this.name = "AskError";
    this.path = path;
    this.failure = failure;
  }
}

/** Where the answer goes; part of the asked message. */
export interface ReplyTo<in R> {
  readonly id: number;
  /** By the asker's monotonic clock: a handler may skip work nobody waits for any more. */
  readonly deadlineAtMs: number;
  readonly answer: (value: R) => void;
  /** The target understood and cannot answer. */
  readonly fail: (error: Error) => void;
}

export interface AskOptions {
  readonly clock: Clock;
  readonly deadlineMs: number;
  /** When it aborts, nobody waits for the answer any more. */
  readonly signal?: AbortSignal;
}

/** Resolves with the answer or rejects with an AskError. `message` builds the message around its reply address. */
export function ask<M extends object, R>(
  to: Ref<M>,
  message: (reply: ReplyTo<R>) => M,
  options: AskOptions,
): Promise<R> {
  const { clock, deadlineMs, signal } = options;
  return new Promise((resolve, reject) => {
    const asked = message({
      id: nextId++,
      deadlineAtMs: clock.monotonicMs() + deadlineMs,
      answer: (value) => {
        settle();
        resolve(value);
      },
      fail: (error) => refuse({ kind: "crashed", error }),
    });
    const cancelDeadline = clock.after(deadlineMs, () => refuse({ kind: "deadline", afterMs: deadlineMs }));
    signal?.addEventListener("abort", abandon, { once: true });
    openAsks.set(asked, refuse);
    const outcome = signal?.aborted ? "abandoned" : to.tell(asked);
    if (outcome !== "ok") refuse({ kind: outcome });

    function settle(): void {
      cancelDeadline();
      signal?.removeEventListener("abort", abandon);
      openAsks.delete(asked);
    }
    function refuse(failure: AskFailure): void {
      settle();
      reject(new AskError(to.path, failure));
    }
    function abandon(): void {
      refuse({ kind: "abandoned" });
    }
  });
}

/** Tells the asker of `message`, if it is an open ask. True if it was one: it is not delivered again. */
export function failAsk(message: unknown, failure: AskFailure): boolean {
  if (typeof message !== "object" || message === null) return false;
  const refuse = openAsks.get(message);
  refuse?.(failure);
  return refuse !== undefined;
}

let nextId = 1;

/** By the identity of the message, so that a mailbox needs no envelope and the runtime no registry per tree. */
const openAsks = new WeakMap<object, (failure: AskFailure) => void>();

function describe(failure: AskFailure): string {
  switch (failure.kind) {
    case "deadline":
      return `no answer within ${failure.afterMs} ms`;
    case "full":
      return "its mailbox is full";
    case "dead":
      return "it ended for good";
    case "abandoned":
      return "the asker ended";
    case "crashed":
      return `it crashed: ${failure.error.message}`;
    default:
      return failure satisfies never;
  }
}
