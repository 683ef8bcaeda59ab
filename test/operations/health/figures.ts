// Figures of a cluster in good order, to be changed by a test in the one place it is about.

import { z } from "zod";
import { type Health, type HealthOptions, openHealth } from "../../../operations/health/health.js";
import type { HealthReport } from "../../../operations/health/health-report.js";
import { readOperations } from "../../../operations/health/operations-file.js";
import type { Rule } from "../../../operations/health/rules.js";
import type {
  ClusterMetrics,
  Distribution,
  JobFigures,
  ModelFigures,
  NodeFigures,
  PoolFigures,
  QueueFigures,
} from "../../../operations/metrics/cluster-metrics.js";

export const startMs = Date.UTC(2026, 0, 1);
export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;

export function distribution(mean: number | null, count = 100): Distribution {
  return { count, mean, p50: mean, p95: mean, p99: mean, max: mean };
}

export function pool(name: PoolFigures["name"], utilizationPct: number, queueDepth = 0, slots = 5): PoolFigures {
  return {
    name,
    slots,
    active: (utilizationPct / 100) * slots,
    utilizationPct,
    peakUtilizationPct: utilizationPct,
    peakAtMs: null,
    queueDepth,
    queueDepthTrend: "stable",
    slotWaitMs: distribution(1),
  };
}

export function job(kind: JobFigures["kind"], successRate: number | null, count = 100, meanMs = 10): JobFigures {
  return {
    kind,
    finished: 0,
    failed: 0,
    successRate,
    failureTrend: "stable",
    retrySuccessRate: null,
    durationMs: distribution(meanMs, count),
    queueTimeMs: distribution(1, count),
    phases: [],
  };
}

export function queue(name: string, depth: number, trend: QueueFigures["trend"] = "stable"): QueueFigures {
  return { name, where: name, depth, oldestAgeMs: null, trend };
}

export function node(name: string, changes: Partial<NodeFigures> = {}): NodeFigures {
  return {
    node: name,
    incarnation: 1,
    run: "run",
    roles: ["serving"],
    pid: 1,
    state: "running",
    heartbeatAgeMs: 500,
    uptimeMs: hourMs,
    rssBytes: 2 ** 28,
    heapUsedBytes: 2 ** 27,
    cpuPct: 10,
    loopDelayMaxMs: 5,
    openFiles: 30,
    diskFreeBytes: 2 ** 36,
    actorRestarts: 0,
    ...changes,
  };
}

export function model(changes: Partial<ModelFigures> = {}): ModelFigures {
  return {
    name: "digits",
    mode: "ensemble",
    version: 1,
    experiences: 1_000,
    remembered: 900,
    capacity: 10_000,
    confidence: 0.9,
    gateRate: 0.1,
    updates: { enqueued: 10, applied: 10, refused: {}, rolledBack: 0 },
    kl: distribution(0.01),
    answersBySource: 0,
    domains: 1,
    ...changes,
  };
}

/** All is well. */
export function figures(atMs: number, changes: Partial<ClusterMetrics> = {}): ClusterMetrics {
  return {
    v: 1,
    cluster: "driftmend",
    atMs,
    window: { seconds: 60, jobs: 200 },
    vitals: {
      updateRate: 12,
      knnFailureRate: 0,
      meanKlDivergence: 0.01,
      queueSize: 0,
      accuracy: { adapting: 0.9, source: 0.8, labels: 500, by: "stream" },
    },
    models: [model()],
    pools: [pool("infer", 30), pool("update", 30, 0, 1)],
    jobs: [job("infer", 1), job("update", 1)],
    queues: [queue("update", 0)],
    logs: [{ stream: "driftmend-experience-digits", messages: 10, bytes: 1_000, maxBytes: 1_000_000 }],
    nodes: [node("serving-1"), node("learning-1")],
    leases: { held: 1, oldestAgeMs: 200, reclaimed: 0 },
    restarts: { nodes: 0, actors: 0 },
    cleanups: { deaths: 0, confirmed: 0, overdue: 0 },
    counters: {},
    ...changes,
  };
}

/** The rules of an operations file, the built-in ones included. */
export function rulesIn(text: string): readonly Rule[] {
  const read = readOperations(text, z.unknown());
  if (read.kind === "refused") throw new Error(read.problems.map(({ line, what }) => `${line}: ${what}`).join("\n"));
  return read.operations.rules;
}

export function healthOf(text = "", options: Partial<HealthOptions> = {}): Health {
  const rules = rulesIn(text);
  return openHealth({ rules: () => ({ rules, source: "test", rejected: null }), ...options });
}

/** Evaluates once every `stepMs` from `fromMs` until and including `untilMs`, relative to the beginning; the last report. */
export function run(
  health: Health,
  { fromMs = 0, untilMs, stepMs = 1_000 }: { fromMs?: number; untilMs: number; stepMs?: number },
  at: (elapsedMs: number) => Partial<ClusterMetrics>,
): HealthReport {
  let report: HealthReport | undefined;
  for (let elapsedMs = fromMs; elapsedMs <= untilMs; elapsedMs += stepMs)
    report = health.evaluate(figures(startMs + elapsedMs, at(elapsedMs)));
  if (report === undefined) throw new Error("no report");
  return report;
}

/** Names, severities and what they are about of the checks that do not pass, sorted. */
export function failing({ checks }: HealthReport): readonly string[] {
  return checks
    .filter(({ status }) => status !== "pass")
    .map(({ name, severity, about }) => `${severity} ${name} ${about}`)
    .sort();
}

export function check({ checks }: HealthReport, name: string, severity: string, about: string) {
  const found = checks.find((each) => each.name === name && each.severity === severity && each.about === about);
  if (found === undefined) throw new Error(`no check ${severity} ${name} about ${about}`);
  return found;
}
