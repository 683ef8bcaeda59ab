// The cluster's own figures during a run: asked for every few seconds, kept as points and as lives of nodes.
//
// Owns: the choice of what is kept of each answer. Does not own: the figures (operations/metrics), the pace (run.ts).
//
// V1. A figure is kept as the cluster says it; nothing is computed here but the longest delay of all nodes.

import type { ClusterMetrics } from "../../operations/metrics/cluster-metrics.js";
import type { LogBounds, Point } from "./facts.js";
import type { MemoryReading, NodeLife } from "./memory.js";

/** What the load of the run knows itself. */
export interface LoadFigures {
  /** In all. */
  readonly answered: number;
  readonly elapsedMs: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

type OpenLife = Omit<NodeLife, "readings" | "fullAtMs"> & {
  readonly readings: MemoryReading[];
  fullAtMs: number | null;
};

/** An index is built anew when as many items as it holds were added and forgotten. */
const turnedOver = 2;
/** Roles whose processes hold memories of experiences. */
const remembering: readonly string[] = ["serving", "learning"];

export class VitalWatch {
  readonly points: Point[] = [];
  readonly #lives = new Map<string, OpenLife>();
  #bounds: LogBounds = {};

  get lives(): readonly NodeLife[] {
    return [...this.#lives.values()];
  }

  get logBounds(): LogBounds {
    return this.#bounds;
  }

  take(metrics: ClusterMetrics, load: LoadFigures): Point {
    const point = pointOf(metrics, load);
    this.points.push(point);
    this.#bounds = Object.fromEntries(metrics.logs.map(({ stream, maxBytes }) => [stream, maxBytes]));
    const isFull = metrics.models.every(
      ({ remembered, capacity }) => remembered >= capacity && load.answered >= turnedOver * capacity,
    );
    for (const each of metrics.nodes) {
      if (each.state !== "running") continue;
      const { node, incarnation, run, roles, rssBytes, heapUsedBytes } = each;
      const key = `${node} ${incarnation} ${run}`;
      const life = this.#lives.get(key) ?? { node, incarnation, roles, readings: [], fullAtMs: null };
      this.#lives.set(key, life);
      if (isFull || !roles.some((role) => remembering.includes(role))) life.fullAtMs ??= metrics.atMs;
      life.readings.push({ atMs: metrics.atMs, rssBytes, heapUsedBytes });
    }
    return point;
  }
}

function pointOf(metrics: ClusterMetrics, load: LoadFigures): Point {
  const { answered: _, ...figures } = load;
  const { vitals, models, nodes, logs, counters, restarts, leases, atMs } = metrics;
  const [model] = models;
  const sum = (figure: (each: (typeof models)[number]) => number): number =>
    models.reduce((total, each) => total + figure(each), 0);
  return {
    atMs,
    ...figures,
    updateRate: vitals.updateRate,
    knnFailureRate: vitals.knnFailureRate,
    meanKlDivergence: vitals.meanKlDivergence,
    queueSize: vitals.queueSize,
    accuracyAdapting: vitals.accuracy.adapting,
    accuracySource: vitals.accuracy.source,
    confidence: model?.confidence ?? null,
    gateRate: model?.gateRate ?? null,
    updatesEnqueued: sum(({ updates }) => updates.enqueued),
    updatesApplied: sum(({ updates }) => updates.applied),
    knnSearches: counters.knn_searches ?? 0,
    knnFailures: counters.knn_failures ?? 0,
    loopDelayMaxMs: Math.max(0, ...nodes.map(({ loopDelayMaxMs }) => loopDelayMaxMs)),
    nodeRestarts: restarts.nodes,
    actorRestarts: restarts.actors,
    leasesHeld: leases.held,
    logBytes: Object.fromEntries(logs.map(({ stream, bytes }) => [stream, bytes])),
  };
}
