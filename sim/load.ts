// The load of a run: sends a stream of pictures at a rate, scores each answer beside the source model's, and keeps the figures.
//
// Owns: pace, bound in flight, ids, the tallies. Does not own: the stream (stream.ts), the cluster, what is done with the figures.
//
// L1. Open loop with a bound: requests leave by the clock, not by the answers, until `inFlightMax` are open.
// L2. Each request has one id over all its tries, so a retry is not a second request.
// L3. The label stays here: the cluster gets the picture and nothing else.

import type { Clock } from "../models/clock.js";
import type { Session } from "../models/serving/onnx-session.js";
import { PercentileSketch } from "../operations/metrics/percentile-sketch.js";
import type { DriftmendClient } from "../transport/client.js";
import type { InferenceReply } from "../transport/messages/wire.js";
import { Scoreboard } from "./scoreboard.js";
import type { Sample } from "./stream.js";

export interface LoadOptions {
  readonly model: string;
  readonly run: string;
  /** Requests per second. */
  readonly rate: number;
  readonly requests: number;
  readonly durationMs: number;
  readonly inFlightMax: number;
  readonly deadlineMs: number;
}

export interface LoadDeps {
  readonly client: DriftmendClient;
  readonly source: Session;
  readonly samples: Iterator<Sample, never>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told of each request's end: for whoever counts from when it was due. */
  readonly onEnd?: (ended: EndedRequest) => void;
}

/** All by the monotonic clock. */
export interface EndedRequest {
  /** When the rate wanted it to leave. */
  readonly dueAtMs: number;
  readonly sentAtMs: number;
  readonly endedAtMs: number;
  readonly answered: boolean;
}

export class Load {
  readonly scoreboard = new Scoreboard();
  readonly latency = new PercentileSketch();
  readonly refused: Record<string, number> = {};
  readonly mode = { cold: 0, ensemble: 0 };
  sent = 0;
  answered = 0;
  retried = 0;
  modelVersion = 0;
  /** Smoothed over about the newest 50 answers; null before the first. */
  confidence: number | null = null;
  drift: { readonly name: string; readonly severity: number } = { name: "none", severity: 0 };
  newestMode: "cold" | "ensemble" = "cold";
  readonly #options: LoadOptions;
  readonly #deps: LoadDeps;
  readonly #open = new Set<Promise<void>>();

  constructor(options: LoadOptions, deps: LoadDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Until a limit is reached or the signal aborts; resolves when every request sent is answered or refused. */
  async run(): Promise<void> {
    const { clock, signal, samples } = this.#deps;
    const { rate, requests, durationMs, inFlightMax } = this.#options;
    const beganAtMs = clock.monotonicMs();
    while (this.sent < requests && !signal.aborted) {
      const nowMs = clock.monotonicMs() - beganAtMs;
      if (nowMs >= durationMs) break;
      const dueMs = (this.sent / rate) * 1000;
      if (dueMs > nowMs) await clock.delay(dueMs - nowMs, signal);
      else if (this.#open.size >= inFlightMax) await Promise.race(this.#open);
      else this.#send(samples.next().value, beganAtMs + dueMs);
    }
    await Promise.all(this.#open);
  }

  #send(sample: Sample, dueAtMs: number): void {
    this.sent += 1;
    this.drift = { name: sample.drift, severity: sample.severity };
    const done = this.#ask(sample, dueAtMs).finally(() => this.#open.delete(done));
    this.#open.add(done);
  }

  async #ask(sample: Sample, dueAtMs: number): Promise<void> {
    const { client, source, clock, onEnd } = this.#deps;
    const { model, run, deadlineMs } = this.#options;
    const sentAtMs = clock.monotonicMs();
    const input = { dt: "<f4", sh: [1, 28, 28], data: sample.picture } as const;
    const outcome = await client.infer(model, input, { id: `${run}.${sample.index}`, deadlineMs });
    this.retried += outcome.tries - 1;
    const endedAtMs = clock.monotonicMs();
    onEnd?.({ dueAtMs, sentAtMs, endedAtMs, answered: outcome.kind === "reply" });
    if (outcome.kind !== "reply") {
      const code = outcome.kind === "refusal" ? outcome.refusal.code : outcome.why;
      this.refused[code] = (this.refused[code] ?? 0) + 1;
      return;
    }
    this.latency.add(endedAtMs - sentAtMs);
    this.#score(sample, outcome.reply, argmax(await source.run(sample.picture, 1)));
  }

  #score(sample: Sample, reply: InferenceReply, sourceAnswer: number): void {
    this.answered += 1;
    this.mode[reply.mode] += 1;
    this.newestMode = reply.mode;
    this.modelVersion = Math.max(this.modelVersion, reply.modelVersion);
    this.confidence =
      this.confidence === null ? reply.confidence : this.confidence + 0.02 * (reply.confidence - this.confidence);
    this.scoreboard.add({
      drift: sample.drift,
      severity: sample.severity,
      adapting: reply.answer.index === sample.label,
      source: sourceAnswer === sample.label,
    });
  }
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (const [index, value] of values.entries()) if (value > (values[best] ?? 0)) best = index;
  return best;
}
