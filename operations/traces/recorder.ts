// The recorder: turns jobs that ended into `spans` events.
//
// Owns: which jobs are told, and that those of one micro-batch leave as one event. Does not own: the items (spans.ts), the choice what is
// traced (trace-context.ts), the sending (operations/metrics/telemetry.ts).
//
// R1. A job is recorded by whoever closes it, answered or refused: so its spans are closed however it ended, also when the actor that worked
//     on it is gone.
// R2. Nothing is built for what is not traced, and nothing before the replies of the batch have left: the event is made in a microtask.

import type { Clock } from "../../models/clock.js";
import type { Origin, Telemetry } from "../metrics/telemetry.js";
import type { BatchTimings } from "../timings/batch-timings.js";
import type { Lap } from "../timings/update-laps.js";
import {
  brokenOutcome,
  type ClosedJob,
  type Fullness,
  inferItems,
  spansEvent,
  type UpdateJob,
  updateItems,
} from "./span-items.js";
import { isTraced, type TracePolicy } from "./trace-context.js";

/** What of a request decides whether it is traced. */
export interface JobToRecord extends ClosedJob {
  /** The caller's word, undefined without one. */
  readonly sampled: boolean | undefined;
}

export interface UpdateToRecord extends UpdateJob {
  readonly sampled: boolean | undefined;
}

export class SpanRecorder {
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;
  readonly #origin: Origin;
  readonly #policy: TracePolicy;
  /** Closed in this turn of the event loop, by the batch they were part of. */
  #closed = new Map<BatchTimings | string, ClosedJob[]>();
  #fullness: (model: string) => Fullness = () => ({ active: 0, slots: 0 });

  /** `incarnation`: of the node. The requests that are open on a node outlive its actors, so their jobs are the node's. */
  constructor(telemetry: Telemetry, clock: Clock, incarnation: number, policy: TracePolicy) {
    this.#telemetry = telemetry;
    this.#clock = clock;
    this.#origin = { actor: "desk", incarnation };
    this.#policy = policy;
  }

  /** How full the node is, for the context of a phase. */
  askFullness(fullness: (model: string) => Fullness): void {
    this.#fullness = fullness;
  }

  closed(job: JobToRecord): void {
    if (!isTraced(this.#policy, job.traceId, job.sampled, job.code !== undefined)) return;
    if (this.#closed.size === 0) queueMicrotask(() => this.#tell());
    const key = job.timings ?? job.model;
    const together = this.#closed.get(key);
    if (together === undefined) this.#closed.set(key, [job]);
    else together.push(job);
  }

  /** The updates of one commit, told by the actor that wrote it. */
  updated(origin: Origin, model: string, jobs: readonly UpdateToRecord[], shared: readonly Lap[]): void {
    const traced = jobs.filter(({ traceId, sampled, outcome }) =>
      isTraced(this.#policy, traceId, sampled, outcome === brokenOutcome),
    );
    if (traced.length > 0) this.#telemetry.event(spansEvent, origin, () => updateItems(model, traced, shared));
  }

  /** Whether anything is traced at all: what only spans need may be left out otherwise. */
  get isOn(): boolean {
    return this.#policy.ratio > 0;
  }

  #tell(): void {
    const closed = this.#closed;
    this.#closed = new Map();
    const epochMs = this.#clock.nowMs() - this.#clock.monotonicMs();
    for (const jobs of closed.values())
      this.#telemetry.event(spansEvent, this.#origin, () =>
        inferItems(jobs, epochMs, this.#fullness(jobs[0]?.model ?? "")),
      );
  }
}
