// Requests that keep coming: a few askers, each asking again a breath after it is answered, with the demo's drifting digits. Without the breath
// they would take the CPU that a node which comes back needs, and leave a log that takes longer to fold than the test to happen.

import type { Sample } from "../../sim/stream.js";
import { systemClock } from "../../supervision/clock.js";
import type { InferenceReply } from "../../transport/messages/wire.js";
import { driftingDigits, tensorOf } from "./pictures.js";
import type { Sight } from "./running.js";

export interface TrafficOptions {
  /** Begins every request id. */
  readonly name: string;
  readonly askers: number;
  readonly seed: number;
  /** Requests in all; without end when left out. */
  readonly requests?: number;
  readonly deadlineMs?: number;
}

const defaultDeadlineMs = 15_000;
const breathMs = 15;

export class Traffic {
  readonly replies: InferenceReply[] = [];
  /** What was not answered, by name. */
  readonly refused: string[] = [];
  sent = 0;
  /** Tries beyond the first, of all requests. */
  retried = 0;
  readonly #options: TrafficOptions;
  readonly #sight: Sight;
  readonly #samples: Iterator<Sample, never>;
  readonly #askers: readonly Promise<void>[];
  readonly #waiting = new Set<() => void>();
  #stopped = false;

  constructor(sight: Sight, options: TrafficOptions) {
    this.#sight = sight;
    this.#options = options;
    this.#samples = driftingDigits(options.seed);
    this.#askers = Array.from({ length: options.askers }, () => this.#ask());
  }

  /** Resolves at the answer that comes `count` answers from now. */
  more(count: number): Promise<void> {
    const wanted = this.replies.length + count;
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.replies.length < wanted) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  /** Asks no more; resolves when every request that was sent has its end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#askers);
  }

  /** Resolves when all requests of a bounded traffic have their end. */
  async done(): Promise<void> {
    await Promise.all(this.#askers);
  }

  async #ask(): Promise<void> {
    const { name, requests = Number.POSITIVE_INFINITY, deadlineMs = defaultDeadlineMs } = this.#options;
    while (!this.#stopped && this.sent < requests) {
      const { picture } = this.#samples.next().value;
      const id = `${name}.${this.sent++}`;
      const outcome = await this.#sight.client.infer("digits", tensorOf(picture), { id, deadlineMs });
      this.retried += outcome.tries - 1;
      if (outcome.kind === "reply") this.replies.push(outcome.reply);
      // A test that failed closes what it opened; nobody asks on a closed connection for ever.
      else if (outcome.kind === "failed" && outcome.why === "closed") return;
      else this.refused.push(outcome.kind === "refusal" ? outcome.refusal.code : outcome.why);
      for (const look of this.#waiting) look();
      await systemClock.delay(breathMs);
    }
  }
}
