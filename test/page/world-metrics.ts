// The figures of a cluster that never was: an hour of points, and the metrics at its end.

import { seededRandom } from "../../models/clock.js";
import type { Series } from "../../operations/http/answer-shapes.js";
import type { ClusterMetrics, Distribution, NodeFigures } from "../../operations/metrics/cluster-metrics.js";

const hourMs = 3_600_000;
export const stepSeconds = 5;

export function hourOfSeries(nowMs: number): Series {
  const random = seededRandom(7);
  const length = hourMs / 1_000 / stepSeconds;
  const points = Array.from({ length }, (_, index) =>
    pointAt(nowMs - (length - 1 - index) * stepSeconds * 1_000, index / length, random),
  );
  const marks = [0.18, 0.42, 0.44, 0.71, 0.9].map((part) => ({
    atMs: Math.round(nowMs - (1 - part) * hourMs),
    kind: "worker_crash" as const,
    about: "learning-1",
    label: "Worker Crash",
  }));
  return { v: 1, stepSeconds, points, marks };
}

export function pointAt(atMs: number, part: number, random: () => number): Series["points"][number] {
  const drift = 0.5 + 0.5 * Math.sin(part * 9);
  const crashed = [0.18, 0.42, 0.71, 0.9].some((at) => part >= at && part < at + 0.008);
  return {
    atMs,
    updateRate: crashed ? 0 : 118 + 34 * drift + 16 * random(),
    knnFailureRate: random() < 0.03 ? 0.004 : 0,
    meanKlDivergence: 0.011 + 0.016 * drift * part + 0.003 * random() + (part > 0.93 ? 0.04 : 0),
    queueSize: Math.round((crashed ? 420 : 22) + 30 * random() * drift),
    accuracyAdapting: part < 0.02 ? null : 0.83 + 0.05 * part - 0.04 * drift + 0.008 * random(),
    accuracySource: part < 0.02 ? null : 0.76 - 0.13 * drift + 0.008 * random(),
    requestsPerSecond: 310 + 60 * drift + 24 * random(),
    p50Ms: 2.1 + 0.5 * drift + 0.2 * random(),
    p99Ms: 8.4 + 4 * drift + 3 * random() + (crashed ? 22 : 0),
    rssBytes: {
      "learning-1": 246e6 + 6e6 * random() + 8e6 * drift,
      "operations-1": 118e6 + 44e6 * part + 3e6 * random(),
      "serving-1": 189e6 + 9e6 * random(),
      "serving-2": 192e6 + 9e6 * random(),
    },
  };
}

export function distribution(p50: number | null, spread = 3): Distribution {
  if (p50 === null) return { count: 0, mean: null, p50: null, p95: null, p99: null, max: null };
  return {
    count: 18_420,
    mean: p50 * 1.18,
    p50,
    p95: p50 * (1 + spread / 2),
    p99: p50 * (1 + spread),
    max: p50 * (1 + 3 * spread),
  };
}

export function metricsOf(nowMs: number, { points }: Series): ClusterMetrics {
  const last = points.at(-1);
  return {
    v: 1,
    cluster: "driftmend",
    atMs: nowMs,
    window: { seconds: 60, jobs: 19_204 },
    vitals: {
      updateRate: last?.updateRate ?? 0,
      knnFailureRate: last?.knnFailureRate ?? null,
      meanKlDivergence: last?.meanKlDivergence ?? null,
      queueSize: last?.queueSize ?? 0,
      accuracy: {
        adapting: last?.accuracyAdapting ?? null,
        source: last?.accuracySource ?? null,
        labels: 48_210,
        by: "stream",
      },
    },
    models: modelsOf(),
    pools: poolsOf(nowMs),
    jobs: jobsOf(),
    queues: queuesOf(last),
    logs: logsOf(),
    nodes: nodesOf(),
    leases: { held: 2, oldestAgeMs: 412_000, reclaimed: 5 },
    restarts: { nodes: 5, actors: 11 },
    cleanups: { deaths: 16, confirmed: 16, overdue: 0 },
    counters: { answers: 1_182_400, knn_searches: 1_182_400, knn_failures: 31 },
  };
}

function modelsOf(): ClusterMetrics["models"] {
  return [
    {
      name: "digits",
      mode: "ensemble",
      version: 1_482,
      experiences: 182_400,
      remembered: 8_192,
      capacity: 10_000,
      confidence: 0.914,
      gateRate: 0.38,
      updates: {
        enqueued: 71_204,
        applied: 70_310,
        refused: { kl_to_source: 512, confidence_collapse: 201, delta_norm: 44 },
        rolledBack: 6,
      },
      kl: distribution(0.021),
      answersBySource: 1_204,
      domains: 9,
    },
  ];
}

function poolsOf(nowMs: number): ClusterMetrics["pools"] {
  return [
    {
      name: "infer",
      slots: 64,
      active: 21.4,
      utilizationPct: 33.4,
      peakUtilizationPct: 71,
      peakAtMs: nowMs - 700_000,
      queueDepth: 3,
      queueDepthTrend: "stable",
      slotWaitMs: distribution(0.31),
    },
    {
      name: "update",
      slots: 1,
      active: 0.9,
      utilizationPct: 92,
      peakUtilizationPct: 100,
      peakAtMs: nowMs - 90_000,
      queueDepth: 44,
      queueDepthTrend: "increasing",
      slotWaitMs: distribution(210),
    },
  ];
}

function jobsOf(): ClusterMetrics["jobs"] {
  return [
    {
      kind: "infer",
      finished: 1_182_400,
      failed: 14,
      successRate: 0.99998,
      failureTrend: "stable",
      retrySuccessRate: 1,
      durationMs: distribution(2.4),
      queueTimeMs: distribution(0.42),
      phases: [
        phase("receive", "serialize", 0.11),
        phase("queue", "transport", 0.42),
        phase("model", "compute", 0.94),
        phase("retrieve", "compute", 0.38),
        phase("vote", "compute", 0.09),
        phase("remember", "store", 0.61),
        phase("reply", "transport", 0.07),
      ],
    },
    {
      kind: "update",
      finished: 70_310,
      failed: 0,
      successRate: 1,
      failureTrend: "stable",
      retrySuccessRate: null,
      durationMs: distribution(402),
      queueTimeMs: distribution(388),
      phases: [
        phase("claim", "store", 1.2),
        phase("load", "store", 0.4),
        phase("step", "compute", 4.8),
        phase("verify", "compute", 0.9),
        phase("publish", "store", 2.1),
      ],
    },
  ];
}

function queuesOf(last: Series["points"][number] | undefined): ClusterMetrics["queues"] {
  return [
    { name: "request", where: "driftmend.infer.digits", depth: 3, oldestAgeMs: 2, trend: "stable" },
    { name: "response", where: "_INBOX", depth: 0, oldestAgeMs: null, trend: "stable" },
    {
      name: "update",
      where: "driftmend-update-digits",
      depth: last?.queueSize ?? 0,
      oldestAgeMs: 412,
      trend: "increasing",
    },
    { name: "cleanup-confirmation", where: "driftmend-cleanup", depth: 0, oldestAgeMs: null, trend: "stable" },
    { name: "dead letters", where: "driftmend-dlq", depth: 3, oldestAgeMs: 2_400_000, trend: "stable" },
  ];
}

function logsOf(): ClusterMetrics["logs"] {
  return [
    { stream: "driftmend-experience-digits", messages: 182_400, bytes: 402_653_184, maxBytes: 536_870_912 },
    { stream: "driftmend-update-digits", messages: 2_210, bytes: 1_841_204, maxBytes: 134_217_728 },
    { stream: "driftmend-weights-digits", messages: 1_482, bytes: 22_481_204, maxBytes: null },
    { stream: "driftmend-telemetry", messages: 40_212, bytes: 47_800_000, maxBytes: 50_331_648 },
  ];
}

function phase(name: string, section: "transport" | "compute" | "serialize" | "store", p50: number) {
  return { phase: name, section, durationMs: distribution(p50), failureRate: name === "retrieve" ? 0.0002 : 0 };
}

function nodesOf(): NodeFigures[] {
  const base = {
    run: "0190",
    state: "running" as const,
    heartbeatAgeMs: 310,
    uptimeMs: 3_801_000,
    heapUsedBytes: 48_200_000,
    openFiles: 41,
    diskFreeBytes: 182e9,
    actorRestarts: 2,
  };
  return [
    {
      ...base,
      node: "serving-1",
      incarnation: 1,
      roles: ["serving"],
      pid: 41_210,
      rssBytes: 194e6,
      cpuPct: 64,
      loopDelayMaxMs: 3.1,
    },
    {
      ...base,
      node: "serving-2",
      incarnation: 2,
      roles: ["serving"],
      pid: 41_288,
      rssBytes: 197e6,
      cpuPct: 61,
      loopDelayMaxMs: 2.8,
      uptimeMs: 1_204_000,
    },
    {
      ...base,
      node: "learning-1",
      incarnation: 6,
      roles: ["learning"],
      pid: 44_102,
      rssBytes: 251e6,
      cpuPct: 88,
      loopDelayMaxMs: 11.9,
      uptimeMs: 361_000,
    },
    {
      ...base,
      node: "operations-1",
      incarnation: 1,
      roles: ["operations"],
      pid: 41_214,
      rssBytes: 162e6,
      cpuPct: 4,
      loopDelayMaxMs: 1.2,
    },
  ];
}
