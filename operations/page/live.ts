// What the page knows of the cluster right now: a fold over what it is told. Pure.
//
// Owns: the newest of everything, the hour of points, how deep the queues were since the page is open, how the connection is.
// Does not own: how it is told (follow.ts), what a view makes of it.
//
// L1. What was known stays on the screen when the connection is lost; `heardAtMs` says how old it is.
// L2. Ages are reckoned in the cluster's time: a browser whose clock is wrong shows no alert of the future.

import type { TreeNode } from "../../transport/messages/look-orders.js";
import type { AlertList } from "../alerts/alert-list.js";
import type { HealthReport } from "../health/health-report.js";
import type { Series } from "../http/answer-shapes.js";
import type { ClusterMetrics } from "../metrics/cluster-metrics.js";

export type SeriesPoint = Series["points"][number];
export type Mark = Series["marks"][number];

export type Connection =
  | { readonly kind: "connecting" }
  | { readonly kind: "live"; readonly sinceMs: number }
  | { readonly kind: "lost"; readonly sinceMs: number; readonly nextTryAtMs: number; readonly why: string }
  /** The server wants a token, or another one. */
  | { readonly kind: "refused"; readonly message: string };

export interface Depth {
  readonly atMs: number;
  readonly depth: number;
}

export interface Live {
  readonly connection: Connection;
  /** When the server last said anything, in the browser's time; null before the first word. */
  readonly heardAtMs: number | null;
  /** The cluster's clock minus the browser's. */
  readonly aheadMs: number;
  readonly metrics: ClusterMetrics | null;
  readonly health: HealthReport | null;
  readonly alerts: AlertList | null;
  readonly tree: TreeNode | null;
  readonly series: Series | null;
  readonly depths: Readonly<Record<string, readonly Depth[]>>;
}

export type Tidings =
  | { readonly kind: "connection"; readonly connection: Connection }
  | { readonly kind: "heard"; readonly atMs: number }
  | { readonly kind: "metrics"; readonly metrics: ClusterMetrics; readonly atMs: number }
  | { readonly kind: "health"; readonly health: HealthReport }
  | { readonly kind: "alerts"; readonly alerts: AlertList }
  | { readonly kind: "tree"; readonly tree: TreeNode }
  | { readonly kind: "series"; readonly series: Series }
  | { readonly kind: "point"; readonly point: SeriesPoint };

export const nothingKnown: Live = {
  connection: { kind: "connecting" },
  heardAtMs: null,
  aheadMs: 0,
  metrics: null,
  health: null,
  alerts: null,
  tree: null,
  series: null,
  depths: {},
};

const hourMs = 3_600_000;
const depthsMax = 600;

export function learn(live: Live, tidings: Tidings): Live {
  switch (tidings.kind) {
    case "connection":
      return { ...live, connection: tidings.connection };
    case "heard":
      return { ...live, heardAtMs: tidings.atMs };
    case "metrics":
      return withMetrics(live, tidings.metrics, tidings.atMs);
    case "health":
      return { ...live, health: tidings.health };
    case "alerts":
      return { ...live, alerts: tidings.alerts };
    case "tree":
      return { ...live, tree: tidings.tree };
    case "series":
      return { ...live, series: tidings.series };
    case "point":
      return withPoint(live, tidings.point);
    default:
      return tidings satisfies never;
  }
}

/** Each model has an update queue, and they share its name. */
export function queueKey({ name, where }: Pick<ClusterMetrics["queues"][number], "name" | "where">): string {
  return `${name} ${where}`;
}

function withMetrics(live: Live, metrics: ClusterMetrics, atMs: number): Live {
  const depths = Object.fromEntries(
    metrics.queues.map((queue) => [
      queueKey(queue),
      [...(live.depths[queueKey(queue)] ?? []), { atMs: metrics.atMs, depth: queue.depth }].slice(-depthsMax),
    ]),
  );
  return { ...live, metrics, depths, aheadMs: metrics.atMs - atMs };
}

function withPoint(live: Live, point: SeriesPoint): Live {
  if (live.series === null) return live;
  const { points, marks } = live.series;
  const last = points.at(-1);
  if (last !== undefined && last.atMs >= point.atMs) return live;
  const fromMs = point.atMs - hourMs;
  return {
    ...live,
    series: {
      ...live.series,
      points: [...points.filter(({ atMs }) => atMs >= fromMs), point],
      marks: marks.filter(({ atMs }) => atMs >= fromMs),
    },
  };
}

/** What a plot of figures marks: a death, and not the restart that follows it at once. */
export function deathsIn(series: Series | null): readonly Mark[] {
  return (series?.marks ?? []).filter(({ kind }) => kind !== "node_restarted");
}

/** What a reader should know before he believes a figure. */
export type Freshness = { readonly kind: "fresh" } | { readonly kind: "stale"; readonly ageMs: number };

const staleAfterMs = 6_000;

export function freshnessOf(live: Live, nowMs: number): Freshness {
  const ageMs = live.heardAtMs === null ? 0 : nowMs - live.heardAtMs;
  return ageMs > staleAfterMs ? { kind: "stale", ageMs } : { kind: "fresh" };
}
