// The office where a node hands in its dead letters.
//
// Owns: that a letter reaches the log, also when the log is away for a while; a bound on letters that wait.
// Does not own: the stream (transport/log/dead-letters.ts), who writes the letters (actors/).
//
// F1. Nobody waits for a letter: the request it speaks of is refused at once.
// F2. A letter that could not be stored in time, or found too many waiting, is reported as an event; what it spoke of was refused by name.

import type { Clock } from "../../models/clock.js";
import type { DeadLetterRecord } from "../../transport/log/dead-letter-records.js";
import type { DeadLetters } from "../../transport/log/dead-letters.js";
import type { Telemetry } from "../metrics/telemetry.js";

export interface OfficeSettings {
  readonly waitingMax: number;
  readonly deadlineMs: number;
  readonly pauseMs: number;
}
export const officeDefaults: OfficeSettings = { waitingMax: 256, deadlineMs: 60_000, pauseMs: 500 };

export class DeadLetterOffice {
  readonly #deadLetters: Pick<DeadLetters, "publish">;
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;
  readonly #settings: OfficeSettings;
  readonly #closing = new AbortController();
  readonly #waiting = new Set<Promise<void>>();

  constructor(
    deadLetters: Pick<DeadLetters, "publish">,
    telemetry: Telemetry,
    clock: Clock,
    settings: OfficeSettings = officeDefaults,
  ) {
    this.#deadLetters = deadLetters;
    this.#telemetry = telemetry;
    this.#clock = clock;
    this.#settings = settings;
  }

  post(letter: DeadLetterRecord): void {
    if (this.#waiting.size >= this.#settings.waitingMax) {
      this.#lost(letter, `${this.#settings.waitingMax} letters wait for the log`);
      return;
    }
    const posting = this.#post(letter).finally(() => this.#waiting.delete(posting));
    this.#waiting.add(posting);
  }

  /** Tries each letter that waits once more; the connection may be closed afterwards. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#waiting);
  }

  async #post(letter: DeadLetterRecord): Promise<void> {
    const deadlineAtMs = this.#clock.monotonicMs() + this.#settings.deadlineMs;
    for (;;) {
      const isLast = this.#closing.signal.aborted || this.#clock.monotonicMs() >= deadlineAtMs;
      const outcome = await this.#deadLetters.publish(letter);
      if (outcome.kind === "appended") {
        if (!outcome.duplicate) this.#telemetry.counters.add("dead_letters");
        return;
      }
      if (isLast) return this.#lost(letter, outcome.why);
      await this.#clock.delay(this.#settings.pauseMs, this.#closing.signal);
    }
  }

  #lost({ jobId, model, phase, traceId }: DeadLetterRecord, cause: string): void {
    this.#telemetry.counters.add("dead_letters_lost");
    this.#telemetry.event("dead_letter_lost", { actor: "dead-letters", incarnation: 0 }, () => [
      { about: `${model}/${phase}`, id: jobId, traceId, cause },
    ]);
  }
}
