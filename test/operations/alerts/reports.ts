// Health reports and metrics as an observer would send them, as far as the alerts look at them.

import type { CheckResult, HealthReport } from "../../../operations/health/health-report.js";
import type { ClusterMetrics, NodeFigures } from "../../../operations/metrics/cluster-metrics.js";

/** A check that fails and raises the alert of its name. */
export function failing(name: string, given: Partial<CheckResult> = {}): CheckResult {
  return {
    name,
    about: "digits",
    severity: "warning",
    status: "warn",
    message: `${name} is beyond its threshold`,
    value: 2,
    threshold: 1,
    thresholdExceeded: true,
    alert: name,
    sinceMs: 0,
    ...given,
  };
}

export function passing(name: string, given: Partial<CheckResult> = {}): CheckResult {
  return failing(name, { status: "pass", thresholdExceeded: false, value: 0, ...given });
}

export function healthOf(
  checks: readonly CheckResult[],
  recommendations: HealthReport["recommendations"] = [],
): HealthReport {
  const rules = { source: "built in", rejected: null };
  return { v: 1, status: "healthy", sinceMs: 0, atMs: 0, checks: [...checks], recommendations, rules };
}

export function metricsOf(nodes: readonly NodeFigures[] = [], atMs = 0): ClusterMetrics {
  return {
    v: 1,
    cluster: "driftmend",
    atMs,
    window: { seconds: 60, jobs: 0 },
    vitals: {
      updateRate: 0,
      knnFailureRate: null,
      meanKlDivergence: null,
      queueSize: 0,
      accuracy: { adapting: null, source: null, labels: 0, by: "feedback" },
    },
    models: [],
    pools: [],
    jobs: [],
    queues: [],
    logs: [],
    nodes: [...nodes],
    leases: { held: 0, oldestAgeMs: null, reclaimed: 0 },
    restarts: { nodes: 0, actors: 0 },
    cleanups: { deaths: 0, confirmed: 0, overdue: 0 },
    counters: {},
  };
}

export function nodeOf(node: string, given: Partial<NodeFigures> = {}): NodeFigures {
  return {
    node,
    incarnation: 1,
    run: "r1",
    roles: ["serving"],
    pid: 1,
    state: "running",
    heartbeatAgeMs: 0,
    uptimeMs: 0,
    rssBytes: 0,
    heapUsedBytes: 0,
    cpuPct: 0,
    loopDelayMaxMs: 0,
    openFiles: null,
    diskFreeBytes: null,
    actorRestarts: 0,
    ...given,
  };
}
