// A worker thread that owes an answer and says nothing: how that is noticed, and what becomes of it.
//
// A thread inside native code cannot be ended from outside (thread-end.ts says why), so a hung one is left behind: it holds nobody up,
// keeps the process from nothing, and ends by itself should it ever come back. Each costs its memory and maybe a core, so a process
// with too many of them has to end itself.
//
// Owns: the judgement "hung", the count of those left behind. Does not own: the questions (engine.ts, memory.ts).
//
// S1. Silence counts from the last word of the thread, or from when it first owed one: a long queue that moves is not silent.
import type { Worker } from "node:worker_threads";
import type { Clock } from "../clock.js";

export interface ThreadBounds {
  /** Until its first word: loading a large model takes its time. */
  readonly startMs: number;
  /** Silence of a thread that owes an answer, at most. */
  readonly answerMs: number;
  /** For an end that was asked for (thread-end.ts). */
  readonly endMs?: number;
  /** Those of this process. */
  readonly stuck: StuckThreads;
}

/** Hung threads that a process may leave behind; with one more it gives up. */
const stuckMax = 3;
const unhurriedMs = 60_000;

/** For a thread outside a node. */
export function unhurried(): ThreadBounds {
  return { startMs: unhurriedMs, answerMs: unhurriedMs, stuck: new StuckThreads() };
}

export class StuckThreads {
  /** Resolves when there are too many to go on; never otherwise. */
  readonly tooMany: Promise<Error>;
  readonly #max: number;
  #count = 0;
  #giveUp: (error: Error) => void = () => undefined;

  constructor(max: number = stuckMax) {
    this.#max = max;
    this.tooMany = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
  }

  get count(): number {
    return this.#count;
  }

  leave(worker: Worker, exited: Promise<void>): void {
    worker.unref();
    this.#count += 1;
    void exited.then(() => {
      this.#count -= 1;
    });
    if (this.#count > this.#max) this.#giveUp(new Error(`${this.#count} threads hang in native code`));
  }
}

export class Silence {
  readonly #clock: Clock;
  readonly #answerMs: number;
  readonly #onHung: () => void;
  #owing = false;
  #sinceMs = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, answerMs: number, onHung: () => void) {
    this.#clock = clock;
    this.#answerMs = answerMs;
    this.#onHung = onHung;
  }

  /** The thread was asked something. */
  asked(): void {
    if (!this.#owing) this.#sinceMs = this.#clock.monotonicMs();
    this.#owing = true;
    this.#cancel ??= this.#clock.after(this.#answerMs, () => this.#look());
  }

  /** It said something. */
  heard(stillOwing: boolean): void {
    this.#owing = stillOwing;
    this.#sinceMs = this.#clock.monotonicMs();
  }

  end(): void {
    this.#cancel?.();
    this.#owing = false;
  }

  /** One timer for many questions: setting one for each costs more than a look in vain. */
  #look(): void {
    this.#cancel = undefined;
    if (!this.#owing) return;
    const leftMs = this.#sinceMs + this.#answerMs - this.#clock.monotonicMs();
    if (leftMs > 0) this.#cancel = this.#clock.after(leftMs, () => this.#look());
    else this.#onHung();
  }
}
