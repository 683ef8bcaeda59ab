// A cluster that never was: everything the page can show, as the HTTP interface would tell it. Held to the server's schemas by
// contract.test.ts, so that what the page is tested with cannot drift from what it will be given.

import type { AlertList } from "../../operations/alerts/alert-list.js";
import type { HealthReport } from "../../operations/health/health-report.js";
import type { Learning, Letters, Series, Traces } from "../../operations/http/answer-shapes.js";
import type { ClusterMetrics } from "../../operations/metrics/cluster-metrics.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { actorCrashed, degraded, ended, klDrift } from "./world-alarms.js";
import { learningOf, lettersOf, reportsOf, stabilityRun, traceLine } from "./world-jobs.js";
import { distribution, hourOfSeries, metricsOf, stepSeconds } from "./world-metrics.js";
import { treeAt } from "./world-tree.js";

export interface World {
  metrics: ClusterMetrics;
  health: HealthReport;
  alerts: AlertList;
  series: Series;
  tree: TreeNode;
  learning: Learning;
  queues: { v: 1; queues: ClusterMetrics["queues"]; deadLetters: Letters };
  traces: Traces;
  stability: { v: 1; running: Record<string, unknown> | null; reports: StabilityReport[] };
}

export interface StabilityReport {
  readonly id: string;
  readonly startedAtMs: number;
  readonly passed: boolean | null;
  readonly file: string;
}

export function busyWorld(nowMs: number): World {
  const series = hourOfSeries(nowMs);
  const metrics = metricsOf(nowMs, series);
  return {
    metrics,
    series,
    health: degraded(nowMs),
    alerts: {
      v: 1,
      atMs: nowMs,
      alerts: [klDrift(nowMs), actorCrashed(nowMs), ...ended(nowMs)],
      silences: [{ matches: "actor_crashed", untilMs: nowMs + 2_400_000, by: "operator", note: "chaos rehearsal" }],
    },
    tree: treeAt({}),
    learning: learningOf(nowMs),
    queues: { v: 1, queues: metrics.queues, deadLetters: lettersOf(nowMs) },
    traces: { v: 1, traces: Array.from({ length: 60 }, (_, index) => traceLine(index, nowMs)) },
    stability: { v: 1, running: stabilityRun(nowMs), reports: reportsOf(nowMs) },
  };
}

export function freshWorld(nowMs: number): World {
  const busy = busyWorld(nowMs);
  const { metrics } = busy;
  const nothing = distribution(null);
  return {
    ...busy,
    metrics: {
      ...metrics,
      vitals: {
        updateRate: 0,
        knnFailureRate: null,
        meanKlDivergence: null,
        queueSize: 0,
        accuracy: { adapting: null, source: null, labels: 0, by: "feedback" },
      },
      models: metrics.models.map((model) => ({
        ...model,
        mode: "cold",
        version: 0,
        experiences: 0,
        remembered: 0,
        confidence: null,
        gateRate: null,
        updates: { enqueued: 0, applied: 0, refused: {}, rolledBack: 0 },
        kl: nothing,
        answersBySource: 0,
        domains: 0,
      })),
      jobs: [],
      queues: metrics.queues.map((queue) => ({ ...queue, depth: 0, oldestAgeMs: null, trend: "stable" })),
    },
    health: {
      v: 1,
      status: "healthy",
      sinceMs: nowMs - 4_000,
      atMs: nowMs,
      checks: [],
      recommendations: [],
      rules: { source: "built-in", rejected: null },
    },
    alerts: { v: 1, atMs: nowMs, alerts: [], silences: [] },
    series: { v: 1, stepSeconds, points: [], marks: [] },
    learning: { v: 1, models: [{ name: "digits", commits: [], updates: [], returns: [], snapshots: [] }] },
    queues: { v: 1, queues: metrics.queues, deadLetters: { entries: [], cursor: null } },
    traces: { v: 1, traces: [] },
    stability: { v: 1, running: null, reports: [] },
  };
}
