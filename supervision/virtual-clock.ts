// Time that passes only when it is told to: for simulations and tests of real trees.
//
// Owns: the order of timers. Does not own: real I/O and worker threads, which know nothing of it.
//
// V1. Timers run in the order of their moment, and of their setting when equal; so a run follows from its seed.
// V2. Between two timers everything that is ready runs, as far as `settleRounds` turns of the event loop reach.

import { setImmediate as eventLoopTurn } from "node:timers/promises";
import type { Clock } from "../models/clock.js";

/** A message from actor to actor takes one turn of the event loop; this many hops settle between two timers. */
const settleRounds = 32;

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class VirtualClock implements Clock {
  readonly #startMs: number;
  #elapsedMs = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  /** `startMs` is the epoch time of its beginning. */
  constructor(startMs = 0) {
    this.#startMs = startMs;
  }

  nowMs(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  after(ms: number, run: () => void): () => void {
    this.#order += 1;
    const timer = { atMs: this.#elapsedMs + Math.max(0, ms), order: this.#order, run };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  delay(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const cancel = this.after(ms, settle);
      signal?.addEventListener("abort", settle, { once: true });
      function settle(): void {
        cancel();
        signal?.removeEventListener("abort", settle);
        resolve();
      }
    });
  }

  /** Lets `ms` pass. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await settle();
    for (let next = this.#nextUntil(untilMs); next !== undefined; next = this.#nextUntil(untilMs)) {
      this.#timers.delete(next);
      this.#elapsedMs = next.atMs;
      next.run();
      await settle();
    }
    this.#elapsedMs = untilMs;
  }

  #nextUntil(untilMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs <= untilMs && (next === undefined || isBefore(timer, next))) next = timer;
    }
    return next;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

async function settle(): Promise<void> {
  for (let round = 0; round < settleRounds; round += 1) await eventLoopTurn();
}
