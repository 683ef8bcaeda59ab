// What cumulative figures were a while ago, so that a rule can ask how much they grew: restarts per minute, the share of failures of an hour.
//
// Owns: the newest six hours, thinned. Does not own: windows that the figures bring along (metrics/window.ts).
//
// H1. At most `pointsMax` points, whatever the pace of the reports.
// H2. Time that steps back begins a new history: a growth over a clock that jumped would be nonsense.

import type { ClusterMetrics } from "../metrics/cluster-metrics.js";

const everyMs = 5_000;
const keptMs = 6 * 3_600_000;
const pointsMax = keptMs / everyMs + 2;

interface Point {
  readonly atMs: number;
  readonly values: Readonly<Record<string, number>>;
}

export interface Growth {
  readonly by: number;
  /** What it was really taken over: less than was asked for while the history is shorter than that. */
  readonly overMs: number;
}

export class History {
  #points: Point[] = [];
  #newest: Point | undefined;

  take(metrics: ClusterMetrics): void {
    const point = { atMs: metrics.atMs, values: figuresOf(metrics) };
    if (this.#newest !== undefined && point.atMs < this.#newest.atMs) this.#points = [];
    this.#newest = point;
    const last = this.#points.at(-1);
    if (last !== undefined && point.atMs - last.atMs < everyMs) return;
    this.#points.push(point);
    if (this.#points.length > pointsMax) this.#points.shift();
  }

  /** Over the newest `windowMs`; null before there is anything to compare with. A sum that fell grew by 0. */
  growth(name: string, windowMs: number): Growth | null {
    const then = this.#from(windowMs);
    const now = this.#newest;
    if (now === undefined || then === undefined || then.atMs >= now.atMs) return null;
    const by = (now.values[name] ?? 0) - (then.values[name] ?? 0);
    return { by: Math.max(0, by), overMs: now.atMs - then.atMs };
  }

  /** Mean of a figure that goes up and down, over the points of the newest `windowMs`; null when it never was. */
  mean(name: string, windowMs: number): number | null {
    const sinceMs = (this.#newest?.atMs ?? 0) - windowMs;
    const values = [...this.#points.slice(-Math.ceil(windowMs / everyMs) - 1), ...this.#tip()]
      .filter((point) => point.atMs >= sinceMs)
      .flatMap((point) => point.values[name] ?? []);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  /** The newest report, when it is not one of the points. */
  #tip(): readonly Point[] {
    return this.#newest === undefined || this.#newest === this.#points.at(-1) ? [] : [this.#newest];
  }

  /** The newest point that is `windowMs` old or older, else the oldest there is. */
  #from(windowMs: number): Point | undefined {
    const beforeMs = (this.#newest?.atMs ?? 0) - windowMs;
    let [low, high] = [0, this.#points.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#points[middle]?.atMs ?? 0) <= beforeMs) low = middle + 1;
      else high = middle;
    }
    return this.#points[Math.max(0, low - 1)];
  }
}

/** Every figure that some measure looks back at. */
export const figure = {
  finished: (kind: string) => `finished ${kind}`,
  failed: (kind: string) => `failed ${kind}`,
  active: (pool: string) => `active ${pool}`,
  depth: (pool: string) => `depth ${pool}`,
  bySource: (model: string) => `by source ${model}`,
  answers: (model: string) => `answers ${model}`,
  searches: "searches",
  nodeRestarts: "node restarts",
  actorRestarts: "actor restarts",
} as const;

function figuresOf({ jobs, pools, models, counters, restarts }: ClusterMetrics): Readonly<Record<string, number>> {
  return Object.fromEntries([
    ...jobs.flatMap(({ kind, finished, failed }) => [
      [figure.finished(kind), finished],
      [figure.failed(kind), failed],
    ]),
    ...pools.flatMap(({ name, active, queueDepth }) => [
      [figure.active(name), active],
      [figure.depth(name), queueDepth],
    ]),
    ...models.flatMap(({ name, answersBySource }) => [
      [figure.bySource(name), answersBySource],
      [figure.answers(name), counters[`answers_${name}`] ?? 0],
    ]),
    [figure.searches, counters.knn_searches ?? 0],
    [figure.nodeRestarts, restarts.nodes],
    [figure.actorRestarts, restarts.actors],
  ]);
}
