// The load of a soak: drifting digits at a steady rate, and a ledger of how each request ended.
//
// Owns: pace, ids, labels now and then, the ledger. Does not own: the retry rule (transport/client.ts), what must hold (invariants.ts).
//
// L1. Open loop: requests leave by the clock, whatever is being killed; nothing but memory bounds how many are open, and the deadline of
//     each bounds that.
// L2. The ledger has one line per request, from its first try to its end.

import type { Clock } from "../../models/clock.js";
import type { ClientOutcome, DriftmendClient } from "../../transport/client.js";
import type { Sample } from "../stream.js";
import type { Asked } from "./evidence.js";

export interface LoadOptions {
  readonly model: string;
  /** Begins every request id. */
  readonly run: string;
  /** Requests per second. */
  readonly rate: number;
  /** Of a request, over all its tries. */
  readonly deadlineMs: number;
  /** One answer in so many is labelled afterwards. */
  readonly labelEvery: number;
  /** Told of each line of the ledger as it is written, and when that was, by the monotonic clock. */
  readonly onEnd?: (asked: Asked, endedAtMs: number) => void;
}

export class SteadyLoad {
  readonly asked: Asked[] = [];
  sent = 0;
  readonly #options: LoadOptions;
  readonly #client: DriftmendClient;
  readonly #samples: Iterator<Sample, never>;
  readonly #clock: Clock;
  readonly #open = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #sending: Promise<void>;

  constructor(options: LoadOptions, client: DriftmendClient, samples: Iterator<Sample, never>, clock: Clock) {
    this.#options = options;
    this.#client = client;
    this.#samples = samples;
    this.#clock = clock;
    this.#sending = this.#send();
  }

  get open(): number {
    return this.#open.size;
  }

  /** Sends no more; resolves when everything sent has its end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#sending;
    while (this.#open.size > 0) await Promise.all(this.#open);
  }

  async #send(): Promise<void> {
    const { signal } = this.#stop;
    const beganAtMs = this.#clock.monotonicMs();
    while (!signal.aborted) {
      const dueMs = beganAtMs + (this.sent / this.#options.rate) * 1000;
      const waitMs = dueMs - this.#clock.monotonicMs();
      if (waitMs > 0) await this.#clock.delay(waitMs, signal);
      else this.#follow(this.#ask(this.#samples.next().value));
    }
  }

  #follow(work: Promise<void>): void {
    const done = work.finally(() => this.#open.delete(done));
    this.#open.add(done);
  }

  async #ask(sample: Sample): Promise<void> {
    const { model, run, deadlineMs, labelEvery } = this.#options;
    const id = `${run}.${this.sent++}`;
    const sentAtMs = this.#clock.monotonicMs();
    const input = { dt: "<f4", sh: [1, 28, 28], data: sample.picture } as const;
    const outcome = await this.#client.infer(model, input, { id, deadlineMs });
    this.#note(id, "request", sentAtMs, outcome, (reply) => {
      return { kind: "answered", at: reply.experience, answer: reply.answer.index, confidence: reply.confidence };
    });
    if (outcome.kind === "reply" && this.asked.length % labelEvery === 0) this.#follow(this.#label(id, sample));
  }

  async #label(id: string, { label }: Sample): Promise<void> {
    const { model, deadlineMs } = this.#options;
    const sentAtMs = this.#clock.monotonicMs();
    const outcome = await this.#client.feedback(model, id, label, { deadlineMs });
    this.#note(id, "feedback", sentAtMs, outcome, () => ({ kind: "labelled" }));
  }

  #note<T>(
    id: string,
    what: Asked["what"],
    sentAtMs: number,
    outcome: ClientOutcome<T>,
    endOf: (reply: T) => Asked["end"],
  ): void {
    const endedAtMs = this.#clock.monotonicMs();
    const asked = { id, what, tries: outcome.tries, tookMs: endedAtMs - sentAtMs, end: end(outcome, endOf) };
    this.asked.push(asked);
    this.#options.onEnd?.(asked, endedAtMs);
  }
}

function end<T>(outcome: ClientOutcome<T>, endOf: (reply: T) => Asked["end"]): Asked["end"] {
  switch (outcome.kind) {
    case "reply":
      return endOf(outcome.reply);
    case "refusal":
      return { kind: "refused", code: outcome.refusal.code };
    case "failed":
      return { kind: "failed", why: outcome.why };
    default:
      return outcome satisfies never;
  }
}
