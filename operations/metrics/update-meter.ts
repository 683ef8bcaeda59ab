// The meter of a model's updates, as their writer takes them: how long each waits and takes, where the time goes, what fails.
//
// Owns: what is counted and timed of an update job and its phases; one instance is one incarnation that leads.
// Does not own: the writing (log/model-writer.ts), what it spent its time on (timings/update-laps.ts, which the spans are made of too), the
// instruments (instruments.ts).
//
//   written ──queue──> read by the writer ──slot wait──> claim ── load ── step (verify) ── publish ──> committed
//
// U1. A job is a task; marks, restores and tasks that were learned from before are none. A task that had nothing to learn ended well, one
//     that a guard refused did not: it failed in `verify`.
// U2. Waiting is told by the wall clock, for another node wrote the task; phases by the monotonic one. `verify` is part of the step's time.
// U3. A try that a crash ends is a failure of the phase it was in, and no end of its jobs: the next writer takes them again.
// U4. Claiming and publishing are done once for all updates of a commit: each of them went through it.

import type { Clock } from "../../models/clock.js";
import type { StepOutcome } from "../../models/policy/policy.js";
import type { LoggedUpdate } from "../log/log-fold.js";
import type { Applied, Progress } from "../log/model-writer.js";
import type { Lap, UpdateLaps } from "../timings/update-laps.js";
import type { DistributionMeter, PoolMeter } from "./instruments.js";
import type { Telemetry } from "./telemetry.js";

export class UpdateMeter {
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;
  readonly #pool: PoolMeter;
  readonly #kl: readonly DistributionMeter[];
  /** Epoch milliseconds at which a task was read, by its sequence; until it is committed. */
  readonly #readAtMs = new Map<number, number>();
  /** Those of them that the writer has not taken up. */
  readonly #waiting = new Set<number>();
  #standing: "waiting" | "leading" | "left" = "waiting";
  #isAtWork = false;

  constructor(model: string, telemetry: Telemetry, clock: Clock) {
    const { instruments } = telemetry;
    this.#telemetry = telemetry;
    this.#clock = clock;
    this.#pool = instruments.pool("update");
    this.#kl = ["kl_nats", `kl_nats_${model}`].map((name) => instruments.distribution(name));
  }

  /** The incarnation leads: here is a slot. */
  lead(): void {
    if (this.#standing !== "waiting") return;
    this.#standing = "leading";
    this.#pool.resize(1);
  }

  /** It does so no more. */
  leave(): void {
    if (this.#standing !== "leading") return;
    this.rest();
    this.#standing = "left";
    this.#pool.resize(-1);
    this.#pool.queue(-this.#waiting.size);
    this.#waiting.clear();
    this.#readAtMs.clear();
  }

  /** An update was read from the stream, and waits for the writer. */
  heard({ seq, entry }: LoggedUpdate): void {
    if (entry.kind !== "task" || this.#standing !== "leading" || this.#readAtMs.has(seq)) return;
    this.#readAtMs.set(seq, this.#clock.nowMs());
    this.#waiting.add(seq);
    this.#pool.queue(1);
  }

  /** The writer takes these up; its slot is taken until `rest`. */
  work(updates: readonly LoggedUpdate[]): void {
    for (const { seq } of updates) if (this.#waiting.delete(seq)) this.#pool.queue(-1);
    if (this.#isAtWork || this.#standing !== "leading") return;
    this.#isAtWork = true;
    this.#pool.take(1, this.#clock.monotonicMs(), this.#clock.nowMs());
  }

  rest(): void {
    if (!this.#isAtWork) return;
    this.#isAtWork = false;
    this.#pool.free(1, this.#clock.monotonicMs());
  }

  /** The commit of these is written. */
  committed(applied: readonly Applied[], { shared, begun }: Progress): void {
    const ended = applied.filter(({ update: { entry } }) => entry.kind === "task");
    if (ended.length === 0) return;
    for (const lap of shared.laps) this.#phase(lap, ended.length);
    const lapsOf = new Map(begun.map(({ update, own }) => [update.seq, own]));
    for (const each of ended) {
      this.#waited(each.update, lapsOf.get(each.update.seq) ?? shared);
      this.#ended(each, lapsOf.get(each.update.seq)?.laps ?? []);
    }
  }

  /** An advance threw; its laps are closed. What it was at has failed, and for one update at least. */
  broken({ shared, begun }: Progress): void {
    const tasks = begun.filter(({ update }) => update.entry.kind === "task");
    for (const lap of shared.laps) this.#phase(lap, Math.max(1, tasks.length));
    for (const { own } of tasks) for (const lap of own.laps) this.#phase(lap, 1);
  }

  #ended({ update, outcome }: Applied, laps: readonly Lap[]): void {
    const { counters } = this.#telemetry;
    const hasStepped = outcome !== undefined && "kl" in outcome;
    for (const lap of laps) if (lap.phase !== "step" || hasStepped) this.#phase(lap, 1);
    if (hasStepped) {
      counters.add("phase_update_verify_started");
      if (outcome.kind === "refused") counters.add("phase_update_verify_failed");
      for (const distribution of this.#kl) distribution.record(outcome.kl);
    }
    if (outcome === undefined || outcome.kind === "duplicate" || update.entry.kind !== "task") return;
    counters.add(isBad(outcome) ? "jobs_update_failed" : "jobs_update_finished");
    this.#record("job_update_ms", this.#clock.nowMs() - update.entry.task.atMs);
  }

  /** Until its own laps began. */
  #waited({ seq, entry }: LoggedUpdate, { laps: [first] }: UpdateLaps): void {
    if (entry.kind !== "task" || first === undefined) return;
    const begunAtMs = this.#clock.nowMs() - (this.#clock.monotonicMs() - first.fromMs);
    const readAtMs = this.#readAtMs.get(seq) ?? begunAtMs;
    this.#readAtMs.delete(seq);
    this.#record("queue_update_ms", readAtMs - entry.task.atMs);
    this.#record("slot_wait_update_ms", begunAtMs - readAtMs);
  }

  #phase({ phase, fromMs, toMs, failed = false }: Lap, jobs: number): void {
    const { counters } = this.#telemetry;
    counters.add(`phase_update_${phase}_started`, jobs);
    if (failed) counters.add(`phase_update_${phase}_failed`, jobs);
    this.#record(`phase_update_${phase}_ms`, toMs - fromMs, jobs);
  }

  #record(name: string, value: number, times = 1): void {
    this.#telemetry.instruments.distribution(name).record(value, times);
  }
}

/** U1. */
function isBad(outcome: StepOutcome): boolean {
  return outcome.kind === "refused" && ("kl" in outcome || outcome.guard === "poison");
}
