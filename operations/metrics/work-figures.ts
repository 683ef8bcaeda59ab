// Pools and jobs over all nodes, from what each node tells of its own.
//
// Owns: which of a node's names make which figure, trends of both, the peak. Does not own: the names (catalogue.ts).

import { type JobKind, jobKinds, phases } from "./catalogue.js";
import type { JobFigures, PoolFigures } from "./cluster-metrics.js";
import { distributionOf } from "./distribution.js";
import { ShareTrend, SlopeTrend } from "./trend.js";
import type { Life, Lives } from "./window.js";

export interface Peak {
  readonly pct: number;
  readonly atMs: number | null;
}
export type Peaks = Readonly<Record<JobKind, Peak>>;

const noPeak: Peak = { pct: 0, atMs: null };
/** A peak that a node names with a moment of its newest beat belongs to this look. */
const beatMs = 1_500;

export class WorkFigures {
  readonly #waiting: Readonly<Record<JobKind, SlopeTrend>> = { infer: new SlopeTrend(), update: new SlopeTrend() };
  readonly #failing: Readonly<Record<JobKind, ShareTrend>> = { infer: new ShareTrend(), update: new ShareTrend() };
  readonly #ended = new Map<JobKind, { readonly finished: number; readonly failed: number }>();
  #peaks: Record<JobKind, Peak> = { infer: noPeak, update: noPeak };
  #resetAtMs = 0;

  get peaks(): Peaks {
    return this.#peaks;
  }

  restorePeaks(peaks: Peaks): void {
    this.#peaks = { ...peaks };
  }

  /** Peaks that nodes had before are over. */
  resetPeaks(nowMs: number): void {
    this.#peaks = { infer: noPeak, update: noPeak };
    this.#resetAtMs = nowMs;
  }

  /** `heardSinceMs`: nodes that were heard later count as running. */
  pools(lives: Lives, nowMs: number, windowMs: number, heardSinceMs: number): PoolFigures[] {
    const running = lives.current().filter(({ heardAtMs }) => heardAtMs > heardSinceMs);
    return jobKinds.map((name) => {
      const slots = Math.round(sum(running, `pool_${name}_slots`));
      const active = Math.min(slots, sum(running, `pool_${name}_active`));
      const utilizationPct = percent(active, slots);
      const peak = this.#peak(name, running, slots, utilizationPct, nowMs);
      const queueDepth = Math.round(sum(running, `pool_${name}_waiting`));
      return {
        name,
        slots,
        active,
        utilizationPct,
        peakUtilizationPct: peak.pct,
        peakAtMs: peak.atMs,
        queueDepth,
        queueDepthTrend: this.#waiting[name].add(nowMs, queueDepth),
        slotWaitMs: distributionOf(lives.sketch(`slot_wait_${name}_ms`, nowMs - windowMs)),
      };
    });
  }

  jobs(lives: Lives, nowMs: number, windowMs: number): JobFigures[] {
    return jobKinds.map((kind) => this.#job(kind, lives, nowMs, nowMs - windowMs));
  }

  #job(kind: JobKind, lives: Lives, nowMs: number, sinceMs: number): JobFigures {
    const grown = (name: string): number => lives.grown(name, sinceMs);
    const distribution = (name: string) => distributionOf(lives.sketch(name, sinceMs));
    const [well, badly] = [grown(`jobs_${kind}_finished`), grown(`jobs_${kind}_failed`)];
    const ended = { finished: lives.total(`jobs_${kind}_finished`), failed: lives.total(`jobs_${kind}_failed`) };
    const before = this.#ended.get(kind) ?? ended;
    this.#ended.set(kind, ended);
    const failed = Math.max(0, ended.failed - before.failed);
    return {
      kind,
      ...ended,
      successRate: share(well, well + badly),
      failureTrend: this.#failing[kind].add(nowMs, failed + Math.max(0, ended.finished - before.finished), failed),
      retrySuccessRate: share(grown(`retried_${kind}_ok`), grown(`retried_${kind}`)),
      durationMs: distribution(`job_${kind}_ms`),
      queueTimeMs: distribution(`queue_${kind}_ms`),
      phases: Object.entries(phases[kind]).map(([phase, section]) => ({
        phase,
        section,
        durationMs: distribution(`phase_${kind}_${phase}_ms`),
        failureRate: share(grown(`phase_${kind}_${phase}_failed`), grown(`phase_${kind}_${phase}_started`)),
      })),
    };
  }

  /** Peaks of nodes in the same beat add up; a node that names no new one is taken with its mean. */
  #peak(name: JobKind, running: readonly Life[], slots: number, meanPct: number, nowMs: number): Peak {
    let busy = 0;
    let atMs = nowMs;
    for (const { values, heardAtMs, saidAtMs } of running) {
      const active = values[`pool_${name}_active`] ?? 0;
      // How old it was in its beat is by the node's own clock, which may be off: when it was here follows from that.
      const ageMs = saidAtMs - (values[`pool_${name}_peak_at_ms`] ?? 0);
      const peakAtMs = heardAtMs - ageMs;
      const isNew = ageMs >= 0 && ageMs < beatMs && peakAtMs > this.#resetAtMs;
      busy += isNew ? Math.max(active, values[`pool_${name}_peak`] ?? 0) : active;
      if (isNew) atMs = Math.min(atMs, peakAtMs);
    }
    const pct = Math.max(meanPct, percent(busy, slots));
    if (pct > this.#peaks[name].pct) this.#peaks[name] = { pct, atMs };
    return this.#peaks[name];
  }
}

function sum(lives: readonly Life[], name: string): number {
  return lives.reduce((total, { values }) => total + (values[name] ?? 0), 0);
}

/** Null when there was nothing. */
function share(part: number, whole: number): number | null {
  return whole > 0 ? Math.min(1, part / whole) : null;
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.min(100, (100 * part) / whole);
}
