// The meter of a model's requests: how long each takes, where the time goes, what fails, who waits.
//
// Owns: what is counted and timed of an inference job and its phases. Does not own: the job (actors/serving/desk.ts), when its batch passed which
// station (timings/batch-timings.ts, which the spans are made of too), the instruments (instruments.ts), the names (catalogue.ts).
//
//   accepted ──queue──> run begins ──model──> run ends ··· retrieve ··· vote ··· remember ──reply──> closed
//
// M1. What is counted of a job is counted when it is closed, from the newest delivery of its batch: a job reaches a phase once, however often
//     its messages are delivered again. It fails in the phase that it stood in, or waited behind. A station that fails, as a
//     search does, has failed for every job of the batch, though they go on.
// M2. What a job waits while the model runs for others is waiting for a slot; the rest of its waiting is queue time. The two do not overlap,
//     so both together are less than the job took, and the `queue` phase is their sum.
// M3. A slot is a row of a run.

import type { Clock } from "../../models/clock.js";
import { type BatchTimings, phaseReached, stationNames } from "../timings/batch-timings.js";
import type { InferPhase } from "./catalogue.js";
import type { DistributionMeter, PoolMeter } from "./instruments.js";
import type { Telemetry } from "./telemetry.js";

/** The part of an open request that the meter reads. */
export interface Travelling {
  readonly receivedAtMs: number;
  readonly acceptedAtMs: number;
  /** Undefined until the model takes it. */
  readonly timings: BatchTimings | undefined;
}

interface PhaseMeter {
  readonly started: string;
  readonly failed: string;
  readonly ms: DistributionMeter;
}

export class InferMeter {
  readonly #model: string;
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;
  readonly #pool: PoolMeter;
  readonly #phases: Readonly<Record<InferPhase, PhaseMeter>>;
  readonly #jobMs: DistributionMeter;
  readonly #queueMs: DistributionMeter;
  readonly #slotWaitMs: DistributionMeter;
  readonly #confidences: readonly DistributionMeter[];
  /** End of the last run, monotonic. */
  #freedMs = Number.NEGATIVE_INFINITY;

  constructor(model: string, telemetry: Telemetry, clock: Clock) {
    const { instruments } = telemetry;
    this.#model = model;
    this.#telemetry = telemetry;
    this.#clock = clock;
    this.#pool = instruments.pool("infer");
    this.#phases = phaseMeters(telemetry);
    this.#jobMs = instruments.distribution("job_infer_ms");
    this.#queueMs = instruments.distribution("queue_infer_ms");
    this.#slotWaitMs = instruments.distribution("slot_wait_infer_ms");
    this.#confidences = ["confidence", `confidence_${model}`].map((name) => instruments.distribution(name));
  }

  /** A worker comes with slots; the returned function takes them away. */
  provide(slots: number): () => void {
    this.#pool.resize(slots);
    return () => this.#pool.resize(-slots);
  }

  /** A gauge of the model, until the returned function is called. */
  show(
    name: "model_version" | "experiences" | "remembered" | "capacity" | "domains" | "rolled_back",
    read: () => number | undefined,
  ): () => void {
    return this.#telemetry.instruments.observe(`${name}_${this.#model}`, read);
  }

  /** A request was let in: it waits. */
  opened({ receivedAtMs, acceptedAtMs }: Travelling): void {
    if (!this.#isOn) return;
    this.#phases.receive.ms.record(acceptedAtMs - receivedAtMs);
    this.#telemetry.counters.add(this.#phases.queue.started);
    this.#pool.queue(1);
  }

  /** The model takes these on, before they have timings of this batch; the returned function is to be called however the run ends. */
  run(requests: readonly Travelling[]): () => void {
    if (!this.#isOn) return nothing;
    const nowMs = this.#clock.monotonicMs();
    for (const { acceptedAtMs, timings } of requests) {
      if (timings !== undefined) continue;
      const waitedMs = nowMs - acceptedAtMs;
      const slotWaitMs = Math.min(waitedMs, Math.max(0, this.#freedMs - acceptedAtMs));
      this.#slotWaitMs.record(slotWaitMs);
      this.#queueMs.record(waitedMs - slotWaitMs);
      this.#phases.queue.ms.record(waitedMs);
      this.#pool.queue(-1);
    }
    this.#pool.take(requests.length, nowMs, this.#clock.nowMs());
    return () => {
      this.#freedMs = this.#clock.monotonicMs();
      this.#pool.free(requests.length, this.#freedMs);
    };
  }

  /** Rows that were answered and became experiences. */
  answered(confidences: Float32Array, learning: number): void {
    const { counters } = this.#telemetry;
    counters.add("answers", confidences.length);
    counters.add(`answers_${this.#model}`, confidences.length);
    counters.add("gate_learn", learning);
    counters.add(`gate_learn_${this.#model}`, learning);
    for (const distribution of this.#confidences) for (const confidence of confidences) distribution.record(confidence);
  }

  /** The end of a job, good or bad. `tookMs`: since it was accepted. */
  closed({ acceptedAtMs, timings }: Travelling, isAnswered: boolean, tookMs: number): void {
    const { counters } = this.#telemetry;
    counters.add(isAnswered ? "jobs_infer_finished" : "jobs_infer_failed");
    if (!this.#isOn) return;
    this.#jobMs.record(tookMs);
    const stood = isAnswered ? undefined : timings === undefined ? "queue" : phaseReached(timings);
    if (stood === "queue") counters.add(this.#phases.queue.failed);
    if (timings === undefined) this.#pool.queue(-1);
    else this.#passed(timings, acceptedAtMs + tookMs, stood);
  }

  /**
   * Jobs that were answered at one moment, `nowMs`: the same as each of them closed. What those of one batch have in common is counted and
   * recorded once for all of them.
   */
  answeredTogether(jobs: readonly Travelling[], nowMs: number): void {
    if (jobs.length === 0) return;
    this.#telemetry.counters.add("jobs_infer_finished", jobs.length);
    if (!this.#isOn) return;
    let timings: BatchTimings | undefined;
    let alike = 0;
    for (const job of jobs) {
      this.#jobMs.record(nowMs - job.acceptedAtMs);
      if (job.timings !== timings) {
        this.#passedBy(alike, timings, nowMs);
        timings = job.timings;
        alike = 0;
      }
      alike += 1;
    }
    this.#passedBy(alike, timings, nowMs);
  }

  #passedBy(jobs: number, timings: BatchTimings | undefined, nowMs: number): void {
    if (jobs === 0) return;
    if (timings === undefined) this.#pool.queue(-jobs);
    else this.#passed(timings, nowMs, undefined, jobs);
  }

  get #isOn(): boolean {
    return this.#telemetry.instruments.isOn;
  }

  /**
   * Until `endMs`, where the job `stood`; undefined when it was answered. A station that it did not leave ends with it, and what is behind
   * the last one is the reply.
   */
  #passed({ stations }: BatchTimings, endMs: number, stood: InferPhase | undefined, jobs = 1): void {
    let leftMs = endMs;
    for (const name of stationNames) {
      const { fromMs, toMs = endMs, failed } = stations[name];
      if (fromMs === undefined) continue;
      this.#count(this.#phases[name], toMs - fromMs, failed || stood === name, jobs);
      leftMs = toMs;
    }
    if (stood === undefined || stood === "reply")
      this.#count(this.#phases.reply, endMs - leftMs, stood === "reply", jobs);
  }

  #count({ started, failed, ms }: PhaseMeter, tookMs: number, isBad: boolean, jobs: number): void {
    const { counters } = this.#telemetry;
    counters.add(started, jobs);
    if (isBad) counters.add(failed, jobs);
    ms.record(tookMs, jobs);
  }
}

function phaseMeters({ instruments }: Telemetry): Readonly<Record<InferPhase, PhaseMeter>> {
  const meterOf = (phase: InferPhase): PhaseMeter => ({
    started: `phase_infer_${phase}_started`,
    failed: `phase_infer_${phase}_failed`,
    ms: instruments.distribution(`phase_infer_${phase}_ms`),
  });
  return {
    receive: meterOf("receive"),
    queue: meterOf("queue"),
    model: meterOf("model"),
    retrieve: meterOf("retrieve"),
    vote: meterOf("vote"),
    remember: meterOf("remember"),
    reply: meterOf("reply"),
  };
}

function nothing(): void {
  // Nobody measures.
}
