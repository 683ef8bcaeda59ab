// Figures of a small cluster that are not all zero, for tests of whatever shows them.

import { phases } from "../../../operations/metrics/catalogue.js";
import {
  type ClusterMetrics,
  clusterMetricsSchema,
  type Distribution,
  type JobFigures,
  type NodeFigures,
} from "../../../operations/metrics/cluster-metrics.js";

export const few: Distribution = { count: 3, mean: 2, p50: 2, p95: null, p99: null, max: 3 };
export const many: Distribution = { count: 500, mean: 2.5, p50: 2, p95: 7, p99: 9.5, max: 12 };

function job(kind: JobFigures["kind"]): JobFigures {
  return {
    kind,
    finished: 490,
    failed: 10,
    successRate: 0.98,
    failureTrend: "stable",
    retrySuccessRate: kind === "infer" ? 0.9 : null,
    durationMs: many,
    queueTimeMs: few,
    phases: Object.entries(phases[kind]).map(([phase, section]) => {
      return { phase, section, durationMs: many, failureRate: phase === "remember" ? 0.02 : 0 };
    }),
  };
}

function node(name: string, role: string, given: Partial<NodeFigures> = {}): NodeFigures {
  return {
    node: name,
    incarnation: 2,
    run: "run-1",
    roles: [role],
    pid: 4_711,
    state: "running",
    heartbeatAgeMs: 250,
    uptimeMs: 61_000,
    rssBytes: 150_000_000,
    heapUsedBytes: 40_000_000,
    cpuPct: 130,
    loopDelayMaxMs: 11.5,
    openFiles: 42,
    diskFreeBytes: 5e9,
    tensorLeases: { live: 1, bytes: 1e8, oldestAgeMs: 20, poolBytes: 2e8 },
    actorRestarts: 1,
    ...given,
  };
}

const pool = { peakAtMs: 1_000, queueDepth: 0, queueDepthTrend: "stable", slotWaitMs: few } as const;

export function figuresOf(given: Partial<ClusterMetrics> = {}): ClusterMetrics {
  return clusterMetricsSchema.parse({
    v: 1,
    cluster: "driftmend",
    atMs: 1_700_000_000_000,
    window: { seconds: 60, jobs: 100 },
    vitals: {
      updateRate: 12,
      knnFailureRate: 0.1,
      meanKlDivergence: 0.02,
      queueSize: 3,
      accuracy: { adapting: 0.9, source: null, labels: 40, by: "feedback" },
    },
    models: [
      {
        ...{ name: "digits", mode: "ensemble", version: 7, experiences: 900, remembered: 800, capacity: 10_000 },
        ...{ confidence: 0.8, gateRate: 0.05, updates: { enqueued: 9, applied: 7, refused: { kl: 1 }, rolledBack: 1 } },
        ...{ kl: { ...many, p50: 0.01, p95: 0.03, p99: 0.05 }, answersBySource: 2, domains: 3 },
      },
    ],
    pools: [
      { name: "infer", slots: 64, active: 48, utilizationPct: 75, peakUtilizationPct: 100, ...pool },
      { name: "update", slots: 1, active: 0.5, utilizationPct: 50, peakUtilizationPct: 100, ...pool },
    ],
    jobs: [job("infer"), job("update")],
    queues: [{ name: "update", where: "driftmend-update-digits", depth: 3, oldestAgeMs: 1_500, trend: "stable" }],
    logs: [{ stream: "driftmend-experience-digits", messages: 12, bytes: 4_096, maxBytes: null }],
    nodes: [node("serving-1", "serving"), node("learning-1", "learning", { state: "silent", openFiles: null })],
    leases: { held: 1, oldestAgeMs: 20_000, reclaimed: 2 },
    restarts: { nodes: 1, actors: 4 },
    cleanups: { deaths: 2, confirmed: 2, overdue: 0 },
    counters: {
      requests: 500,
      refused_deadline: 4,
      refused_overloaded: 6,
      answered: 490,
      answered_digits: 490,
      processing_ms_digits: 1_250,
      knn_searches: 100,
      knn_failures: 10,
      jobs_infer_finished: 490,
      phase_infer_remember_failed: 10,
      job_infer_ms_count: 500,
      job_infer_ms_sum: 1_250,
      actors_crashed: 1,
      of_another_version: 1,
    },
    ...given,
  });
}
