// Everything a rule can ask about: a name, a unit, and how it is read from the cluster's figures.
//
// Owns: these names. Does not own: the figures (metrics/cluster-metrics.ts), the windows they are taken over, the rules (rules.ts).
//
// M1. A figure that is not known reads as null and never as zero.
// M2. A measure is about something (a pool, a queue, a node, a model), and gives one reading for each, no two about the same. What the
//     whole cluster has once is about `cluster`.

import { streamKindOf } from "../../transport/subjects.js";
import type { ClusterMetrics, NodeFigures, QueueFigures } from "../metrics/cluster-metrics.js";
import { figure, type History } from "./history.js";
import { trendLevels, type Unit } from "./units.js";

export interface Reading {
  readonly about: string;
  /** A name that it shares with others: rules about that name are about it too. */
  readonly of?: string;
  /** In the measure's unit; null when it is not known. */
  readonly value: number | null;
  /** How many events it is made of; 1 for a figure that is simply read. */
  readonly samples: number;
}

export interface Measure {
  readonly unit: Unit;
  readonly help: string;
  /** Made of events, so that a rule can ask for a least number of them. */
  readonly sampled?: true;
  /** It lies between 0 and this. */
  readonly most?: number;
  /** Its rules can recommend a number of slots ({from}, {to}). */
  readonly sizes?: true;
  readonly read: (metrics: ClusterMetrics, history: History) => readonly Reading[];
}

export const wholeCluster = "cluster";
/** Of answers that were wanted: what the burn rates are measured against, in percent. */
export const availabilityObjectivePct = 99.5;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

const one = (value: number | null, samples = 1): readonly Reading[] => [{ about: wholeCluster, value, samples }];
const gauge = (about: string, value: number | null): Reading => ({ about, value, samples: 1 });
const percentOf = (share: number | null): number | null => (share === null ? null : share * 100);

export const measures = {
  "pool.utilization": {
    unit: "percent",
    most: 100,
    help: "slots of a pool that are busy",
    sizes: true,
    read: ({ pools }) => pools.map(({ name, utilizationPct }) => gauge(name, utilizationPct)),
  },
  "pool.queue_depth": {
    unit: "count",
    help: "jobs that wait for a slot of a pool",
    sizes: true,
    read: ({ pools }) => pools.map(({ name, queueDepth }) => gauge(name, queueDepth)),
  },
  "pool.slot_wait": {
    unit: "ms",
    help: "mean wait for a slot of a pool",
    sampled: true,
    sizes: true,
    read: ({ pools }) =>
      pools.map(({ name, slotWaitMs: { mean, count } }) => ({ about: name, value: mean, samples: count })),
  },
  "job.success_rate": {
    unit: "percent",
    most: 100,
    help: "jobs of a kind that succeeded, of those of the window",
    sampled: true,
    read: ({ jobs, window }, history) =>
      jobs.map(({ kind, successRate, durationMs }) => ({
        about: kind,
        value: percentOf(successRate),
        samples: Math.max(durationMs.count, endedJobs(kind, window.seconds * 1_000, history)),
      })),
  },
  "job.duration_mean": {
    unit: "ms",
    help: "mean time from a job's acceptance to its end",
    sampled: true,
    read: ({ jobs }) =>
      jobs.map(({ kind, durationMs: { mean, count } }) => ({ about: kind, value: mean, samples: count })),
  },
  "job.duration_p95": {
    unit: "ms",
    help: "95th percentile of the time from a job's acceptance to its end",
    sampled: true,
    read: ({ jobs }) =>
      jobs.map(({ kind, durationMs: { p95, count } }) => ({ about: kind, value: p95, samples: count })),
  },
  "queue.depth": {
    unit: "count",
    help: "messages that wait in a queue",
    read: ({ queues }) => eachQueue(queues, ({ depth }) => depth),
  },
  "queue.trend": {
    unit: "trend",
    help: "where a queue's depth is going",
    read: ({ queues }) => eachQueue(queues, ({ trend }) => trendLevels[trend]),
  },
  "queue.oldest_age": {
    unit: "ms",
    help: "age of the message that waits longest in a queue",
    read: ({ queues }) => eachQueue(queues, ({ oldestAgeMs }) => oldestAgeMs),
  },
  "update.rate": {
    unit: "perMinute",
    help: "model updates applied per minute",
    read: ({ vitals }) => one(vitals.updateRate),
  },
  "update.queue": {
    unit: "count",
    help: "update tasks that are in the log and not in the parameters",
    read: ({ vitals }) => one(vitals.queueSize),
  },
  "knn.failure_rate": {
    unit: "percent",
    most: 100,
    help: "nearest-neighbour searches that failed",
    sampled: true,
    read: ({ vitals, window }, history) =>
      one(percentOf(vitals.knnFailureRate), history.growth(figure.searches, window.seconds * 1_000)?.by ?? 0),
  },
  "model.kl": {
    unit: "nats",
    help: "mean KL of an update step of a model against its source",
    sampled: true,
    read: ({ models }) => models.map(({ name, kl }) => ({ about: name, value: kl.mean, samples: kl.count })),
  },
  "model.kl_median": {
    unit: "nats",
    help: "median KL of an update step of a model against its source",
    sampled: true,
    read: ({ models }) => models.map(({ name, kl }) => ({ about: name, value: kl.p50, samples: kl.count })),
  },
  "model.by_source": {
    unit: "percent",
    most: 100,
    help: "answers of the last 5 minutes that the source model gave because it did better",
    sampled: true,
    read: ({ models }, history) =>
      models.map(({ name }) => {
        const { by: answers } = history.growth(figure.answers(name), 5 * minuteMs) ?? { by: 0 };
        const { by } = history.growth(figure.bySource(name), 5 * minuteMs) ?? { by: 0 };
        return { about: name, value: answers === 0 ? null : Math.min(100, (by / answers) * 100), samples: answers };
      }),
  },
  "accuracy.gain": {
    unit: "points",
    help: "accuracy of the adapting model less that of the source model on the same inputs",
    sampled: true,
    read: ({ vitals: { accuracy } }) => {
      const { adapting, source, labels } = accuracy;
      return one(adapting === null || source === null ? null : (adapting - source) * 100, labels);
    },
  },
  "availability.burn_5m": burn(5 * minuteMs, "5 minutes"),
  "availability.burn_30m": burn(30 * minuteMs, "30 minutes"),
  "availability.burn_1h": burn(hourMs, "hour"),
  "availability.burn_6h": burn(6 * hourMs, "6 hours"),
  "restarts.nodes": {
    unit: "perMinute",
    help: "restarts of node processes within the last minute",
    read: (_, history) => one(perMinute(figure.nodeRestarts, history)),
  },
  "restarts.actors": {
    unit: "perMinute",
    help: "restarts of actors within the last minute",
    read: (_, history) => one(perMinute(figure.actorRestarts, history)),
  },
  "log.fill": {
    unit: "percent",
    help: "how full a stream is that refuses what goes beyond its bound (experience, update)",
    read: ({ cluster, logs }) =>
      logs.flatMap(({ stream, bytes, maxBytes }) => {
        // The other streams drop their oldest at the bound, so being full is how they live.
        const kind = streamKindOf(cluster, stream);
        if (maxBytes === null || maxBytes <= 0 || (kind !== "experience" && kind !== "update")) return [];
        return [gauge(stream, (bytes / maxBytes) * 100)];
      }),
  },
  "cleanup.unconfirmed": {
    unit: "count",
    help: "deaths whose cleanup nobody has confirmed",
    read: ({ cleanups: { deaths, confirmed } }) => one(Math.max(0, deaths - confirmed)),
  },
  "lease.oldest_age": {
    unit: "ms",
    help: "age of the oldest lease since it was last renewed",
    read: ({ leases }) => one(leases.oldestAgeMs),
  },
  "tensor.oldest_lease": {
    unit: "ms",
    help: "age of the oldest lease on a large tensor in shared memory of an operations node's host",
    read: ({ nodes }) =>
      nodes.flatMap(({ node, state, tensorLeases }) =>
        tensorLeases === undefined || state === "left" ? [] : [gauge(node, tensorLeases.oldestAgeMs)],
      ),
  },
  "node.heartbeat_age": {
    unit: "ms",
    help: "time since a node was last heard; one that left in good order is not asked",
    read: ({ nodes }) => present(nodes, ({ heartbeatAgeMs }) => heartbeatAgeMs),
  },
  "node.loop_delay": {
    unit: "ms",
    help: "longest time of the last second that a node's event loop was held up",
    read: ({ nodes }) => present(nodes, ({ loopDelayMaxMs }) => loopDelayMaxMs),
  },
  "node.disk_free": {
    unit: "bytes",
    help: "free room on the disk under a node's working directory",
    read: ({ nodes }) => present(nodes, ({ diskFreeBytes }) => diskFreeBytes),
  },
  "node.rss": {
    unit: "bytes",
    help: "memory that a node holds (resident set)",
    read: ({ nodes }) => present(nodes, ({ rssBytes }) => rssBytes),
  },
  "node.cpu": {
    unit: "percent",
    help: "processor time of a node, of one core",
    read: ({ nodes }) => present(nodes, ({ cpuPct }) => cpuPct),
  },
  "node.open_files": {
    unit: "count",
    help: "files and sockets that a node has open",
    read: ({ nodes }) => present(nodes, ({ openFiles }) => openFiles),
  },
} as const satisfies Readonly<Record<string, Measure>>;

export type MeasureName = keyof typeof measures;

export const measureNames = Object.keys(measures).filter(isMeasureName);

export function isMeasureName(name: string): name is MeasureName {
  return Object.hasOwn(measures, name);
}

export function measureOf(name: MeasureName): Measure {
  return measures[name];
}

function present(nodes: readonly NodeFigures[], value: (node: NodeFigures) => number | null): readonly Reading[] {
  return nodes.filter(({ state }) => state !== "left").map((node) => gauge(node.node, value(node)));
}

/** M2. Each model has an update queue: where there are several, they are told apart by their streams. */
function eachQueue(queues: readonly QueueFigures[], value: (queue: QueueFigures) => number | null): readonly Reading[] {
  return queues.map((queue) => {
    const { name, where } = queue;
    const isShared = queues.some((other) => other.name === name && other.where !== where);
    return isShared ? { ...gauge(where, value(queue)), of: name } : gauge(name, value(queue));
  });
}

function endedJobs(kind: string, windowMs: number, history: History): number {
  const of = (name: string): number => history.growth(name, windowMs)?.by ?? 0;
  return of(figure.finished(kind)) + of(figure.failed(kind));
}

/** Taken over the last minute, or over less while less is known: what happened then happened within a minute. */
function perMinute(name: string, history: History): number | null {
  return history.growth(name, minuteMs)?.by ?? null;
}

/**
 * How many times as fast as the objective allows its error budget was used up: share of requests that failed / (1 - objective).
 * Source: Beyer et al., The Site Reliability Workbook (2018), chapter 5, alerting on burn rate.
 */
function burn(windowMs: number, said: string): Measure {
  return {
    unit: "times",
    help: `speed at which the last ${said} used up the error budget of ${availabilityObjectivePct} % availability`,
    sampled: true,
    read: (_, history) => {
      const failed = history.growth(figure.failed("infer"), windowMs)?.by ?? 0;
      const ended = failed + (history.growth(figure.finished("infer"), windowMs)?.by ?? 0);
      return one(ended === 0 ? null : failed / ended / (1 - availabilityObjectivePct / 100), ended);
    },
  };
}
