// A cluster's figures as its operations node tells them, checked by the schema that everybody reads them with.

import { type ClusterMetrics, clusterMetricsSchema } from "../../../operations/metrics/cluster-metrics.js";
import { mebibyte } from "./planted.js";

const none = { count: 0, mean: null, p50: null, p95: null, p99: null, max: null };

function node(name: string, incarnation: number, role: string) {
  return {
    ...{
      node: name,
      incarnation,
      run: "r",
      roles: [role],
      pid: 10 + incarnation,
      state: "running",
      heartbeatAgeMs: 100,
    },
    ...{ uptimeMs: 1_000, rssBytes: 100 * mebibyte, heapUsedBytes: 20 * mebibyte, cpuPct: 3, loopDelayMaxMs: 12 },
    ...{ openFiles: 40, diskFreeBytes: null, actorRestarts: 0 },
  };
}

export function clusterFigures(learningIncarnation: number, atMs: number): ClusterMetrics {
  return clusterMetricsSchema.parse({
    ...{ v: 1, cluster: "driftmend", atMs, window: { seconds: 60, jobs: 100 } },
    vitals: {
      ...{ updateRate: 620, knnFailureRate: 0.01, meanKlDivergence: 0.002, queueSize: 7 },
      accuracy: { adapting: 0.9, source: 0.6, labels: 100, by: "stream" },
    },
    models: [
      {
        ...{ name: "digits", mode: "ensemble", version: 9, experiences: 500, remembered: 400, capacity: 10_000 },
        ...{ confidence: 0.9, gateRate: 0.1, kl: none, answersBySource: 0, domains: 3 },
        updates: { enqueued: 27, applied: 20, refused: {}, rolledBack: 0 },
      },
    ],
    pools: [],
    jobs: [],
    queues: [],
    logs: [{ stream: "driftmend-experience-digits", messages: 5, bytes: 4_096, maxBytes: mebibyte }],
    nodes: [node("learning-1", learningIncarnation, "learning"), node("operations-1", 1, "operations")],
    leases: { held: 1, oldestAgeMs: 10, reclaimed: 0 },
    restarts: { nodes: learningIncarnation - 1, actors: 0 },
    cleanups: { deaths: 0, confirmed: 0, overdue: 0 },
    counters: { knn_searches: 300, knn_failures: 3 },
  });
}
