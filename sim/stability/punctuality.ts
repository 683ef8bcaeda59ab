// How punctual a run's requests were: latency from the moment each was due, and whether the wanted rate was reached.
//
// Owns: the counts and distributions. Does not own: the sending (sim/load.ts).
//
// P1. Latency counts from when the rate wanted a request to leave, not from when it left: a stall delays all that were due in it, and each
//     of them says so (no coordinated omission).
// P2. A rate that was not reached is the fault of one side, and it is said which: the load, that could not send, or the cluster, that did
//     not answer.

import { PercentileSketch } from "../../operations/metrics/percentile-sketch.js";
import type { EndedRequest } from "../load.js";

export interface PunctualityFigures {
  readonly due: number;
  readonly answeredInTime: number;
  readonly wantedPerSecond: number;
  readonly sentPerSecond: number;
  readonly answeredPerSecond: number;
  /** Who kept the rate below 95 % of what was wanted. */
  readonly limitedBy: "nobody" | "load" | "cluster";
  /** From due to answer; null without answers. */
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number } | null;
  /** From due to sent: how late this process itself was. */
  readonly lateMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
}

/** Share of the wanted rate that counts as reached. */
const rateReached = 0.95;

export class Punctuality {
  #latency = new PercentileSketch();
  #late = new PercentileSketch();
  #sincePoint = new PercentileSketch();
  #answeredSincePoint = 0;
  #inTime = 0;
  #answered = 0;
  #ended = 0;
  #firstDueAtMs: number | undefined;
  #lastSentAtMs = 0;
  readonly #wantedPerSecond: number;
  readonly #deadlineMs: number;

  constructor(wantedPerSecond: number, deadlineMs: number) {
    this.#wantedPerSecond = wantedPerSecond;
    this.#deadlineMs = deadlineMs;
  }

  /** Share 0..1 of what has ended that was answered within the deadline; null when nothing has. */
  get inTime(): number | null {
    return this.#ended === 0 ? null : this.#inTime / this.#ended;
  }

  take({ dueAtMs, sentAtMs, endedAtMs, answered }: EndedRequest): void {
    this.#ended += 1;
    this.#firstDueAtMs = Math.min(this.#firstDueAtMs ?? dueAtMs, dueAtMs);
    this.#lastSentAtMs = Math.max(this.#lastSentAtMs, sentAtMs);
    this.#late.add(Math.max(0, sentAtMs - dueAtMs));
    if (!answered) return;
    const latencyMs = Math.max(0, endedAtMs - dueAtMs);
    this.#answered += 1;
    this.#answeredSincePoint += 1;
    this.#latency.add(latencyMs);
    this.#sincePoint.add(latencyMs);
    if (latencyMs <= this.#deadlineMs) this.#inTime += 1;
  }

  /** Since the last call. */
  sincePoint(): { readonly answered: number; readonly p50Ms: number | null; readonly p99Ms: number | null } {
    const [sketch, answered] = [this.#sincePoint, this.#answeredSincePoint];
    this.#sincePoint = new PercentileSketch();
    this.#answeredSincePoint = 0;
    if (answered === 0) return { answered, p50Ms: null, p99Ms: null };
    return { answered, p50Ms: sketch.quantile(0.5), p99Ms: sketch.quantile(0.99) };
  }

  figures(): PunctualityFigures {
    // The last request has its share of the time too.
    const sendingMs = this.#lastSentAtMs - (this.#firstDueAtMs ?? 0) + 1_000 / this.#wantedPerSecond;
    const perSecond = (count: number): number => (count === 0 ? 0 : (count * 1_000) / sendingMs);
    const sentPerSecond = perSecond(this.#ended);
    const answeredPerSecond = perSecond(this.#inTime);
    const latency = this.#latency;
    const late = this.#late;
    return {
      due: this.#ended,
      answeredInTime: this.#inTime,
      wantedPerSecond: this.#wantedPerSecond,
      sentPerSecond,
      answeredPerSecond,
      limitedBy: limitedBy(this.#wantedPerSecond, sentPerSecond, answeredPerSecond),
      latencyMs:
        this.#answered === 0
          ? null
          : { p50: latency.quantile(0.5), p95: latency.quantile(0.95), p99: latency.quantile(0.99), max: latency.max },
      lateMs: this.#ended === 0 ? null : { p50: late.quantile(0.5), p99: late.quantile(0.99), max: late.max },
    };
  }
}

function limitedBy(wanted: number, sent: number, answered: number): PunctualityFigures["limitedBy"] {
  if (sent < rateReached * wanted) return "load";
  return answered < rateReached * wanted ? "cluster" : "nobody";
}
