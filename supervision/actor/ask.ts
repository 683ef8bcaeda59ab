// Request and reply between actors.
//
// Owns: ask ids, deadlines, and telling an asker why there will be no answer.
// Does not own: delivery (cell.ts reports what became of a message).
//
// A1. An ask settles exactly once: answered, or failed with a cause; a later answer is ignored.
// A2. It fails at once when the target refuses the message, crashes on it alone, or ends for good. A killed target does
//     not fail it: the message is delivered again. A crashed ask is not delivered again: the asker knows and decides.
// A3. Ids count up, so no two asks of a process share one.

import type { Clock } from "../../models/clock.js";
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

/** Resolves with the answer or rejects with an AskError. `message` builds the message around its reply address, as one of its fields. */
export function ask<M extends object, R>(
  to: Ref<M>,
  message: (reply: ReplyTo<R>) => M,
  options: AskOptions,
): Promise<R> {
  return new Promise((resolve, reject) => {
    const open = new OpenAsk<R>(to.path, resolve, reject, options);
    const asked = message(open);
    const outcome = options.signal?.aborted ? "abandoned" : to.tell(asked);
    if (outcome !== "ok") open.refuse({ kind: outcome });
  });
}

/** Tells the asker of `message`, if it is an open ask. True if it was one: it is not delivered again. */
export function failAsk(message: unknown, failure: AskFailure): boolean {
  if (typeof message !== "object" || message === null) return false;
  // Looked for where it failed, not entered where it was asked: almost none fails.
  for (const part of [message, ...Object.values(message)])
    if (part instanceof OpenAsk && part.isOpen) {
      part.refuse(failure);
      return true;
    }
  return false;
}

let nextId = 1;

/** The reply address of one ask, and whoever waits for it. */
class OpenAsk<R> implements ReplyTo<R>, Awaited {
  readonly id = nextId++;
  readonly deadlineAtMs: number;
  before: Awaited | undefined = undefined;
  behind: Awaited | undefined = undefined;
  isOpen = true;
  readonly #path: string;
  readonly #resolve: (value: R) => void;
  readonly #reject: (error: AskError) => void;
  readonly #deadlines: Deadlines;
  readonly #signal: AbortSignal | undefined;
  readonly #abandon: (() => void) | undefined;

  constructor(
    path: string,
    resolve: (value: R) => void,
    reject: (error: AskError) => void,
    { clock, deadlineMs, signal }: AskOptions,
  ) {
    this.#path = path;
    this.#resolve = resolve;
    this.#reject = reject;
    this.deadlineAtMs = clock.monotonicMs() + deadlineMs;
    this.#deadlines = deadlinesOf(clock, deadlineMs);
    this.#deadlines.add(this);
    this.#signal = signal;
    this.#abandon = signal && (() => this.refuse({ kind: "abandoned" }));
    if (this.#abandon !== undefined) signal?.addEventListener("abort", this.#abandon, { once: true });
  }

  answer(value: R): void {
    if (this.#settles()) this.#resolve(value);
  }

  fail(error: Error): void {
    this.refuse({ kind: "crashed", error });
  }

  refuse(failure: AskFailure): void {
    if (this.#settles()) this.#reject(new AskError(this.#path, failure));
  }

  expire(afterMs: number): void {
    this.refuse({ kind: "deadline", afterMs });
  }

  #settles(): boolean {
    if (!this.isOpen) return false;
    this.isOpen = false;
    this.#deadlines.remove(this);
    if (this.#abandon !== undefined) this.#signal?.removeEventListener("abort", this.#abandon);
    return true;
  }
}

/** One of those that wait equally long, in the order of their deadlines. */
interface Awaited {
  readonly deadlineAtMs: number;
  before: Awaited | undefined;
  behind: Awaited | undefined;
  expire(afterMs: number): void;
}

/**
 * The deadlines of all asks that may take equally long, on one timer: it wakes at the first deadline and finds out itself who is late. A
 * timer for each ask costs half as much as the ask. Without an open ask there is no timer: none keeps a process alive.
 */
class Deadlines {
  readonly #clock: Clock;
  readonly #afterMs: number;
  #first: Awaited | undefined;
  #last: Awaited | undefined;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, afterMs: number) {
    this.#clock = clock;
    this.#afterMs = afterMs;
  }

  add(awaited: Awaited): void {
    awaited.before = this.#last;
    if (this.#last === undefined) this.#first = awaited;
    else this.#last.behind = awaited;
    this.#last = awaited;
    this.#cancel ??= this.#clock.after(this.#afterMs, () => this.#look());
  }

  remove(awaited: Awaited): void {
    const { before, behind } = awaited;
    if (before === undefined) this.#first = behind;
    else before.behind = behind;
    if (behind === undefined) this.#last = before;
    else behind.before = before;
    awaited.before = undefined;
    awaited.behind = undefined;
    if (this.#first !== undefined) return;
    this.#cancel?.();
    this.#cancel = undefined;
    deadlines.get(this.#clock)?.delete(this.#afterMs);
  }

  #look(): void {
    this.#cancel = undefined;
    const nowMs = this.#clock.monotonicMs();
    // Whoever is late leaves the list by it.
    while (this.#first !== undefined && this.#first.deadlineAtMs <= nowMs) this.#first.expire(this.#afterMs);
    if (this.#first !== undefined)
      this.#cancel ??= this.#clock.after(this.#first.deadlineAtMs - nowMs, () => this.#look());
  }
}

/** By clock and by how long they wait; what is empty is not in it. */
const deadlines = new WeakMap<Clock, Map<number, Deadlines>>();

function deadlinesOf(clock: Clock, afterMs: number): Deadlines {
  const ofClock = deadlines.get(clock) ?? new Map<number, Deadlines>();
  const known = ofClock.get(afterMs);
  if (known !== undefined) return known;
  const made = new Deadlines(clock, afterMs);
  deadlines.set(clock, ofClock.set(afterMs, made));
  return made;
}

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
