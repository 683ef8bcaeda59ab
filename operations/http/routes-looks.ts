// What anybody who may look can ask: figures, health, the tree, learning, queues, alerts, traces.
//
// Owns: these routes. Does not own: where the answers come from (sources.ts), orders (routes-orders.ts).
//
// L1. Figures are younger than `staleMs`, or the answer is 503 and says why: a dashboard must not show a dead observer's last word as now.
//     Dead letters are read from their stream, whoever is silent: beside them the queues are null then.

import { z } from "zod";
import type { Clock } from "../../models/clock.js";
import { alertListSchema } from "../alerts/alert-list.js";
import { healthReportSchema } from "../health/health-report.js";
import { type ClusterMetrics, clusterMetricsSchema } from "../metrics/cluster-metrics.js";
import { prometheusContentType } from "../metrics/prometheus.js";
import { seriesSchema } from "../metrics/series.js";
import {
  learningSchema,
  livenessSchema,
  queuesSchema,
  traceSchema,
  tracesSchema,
  treeSchema,
} from "./answer-shapes.js";
import { json, type Refused, type Reply, type Route, refused, route } from "./route.js";
import type { Found, Report, Sources } from "./sources.js";

const staleMs = 5_000;

export interface LookDeps {
  readonly sources: Sources;
  readonly clock: Clock;
  /** Prometheus' text format of the same figures. */
  readonly exposition: ((metrics: ClusterMetrics) => string) | undefined;
}

const seeJson = "GET /api/metrics has the same figures";
const traceLimit = { least: 1, most: 200, usual: 50 } as const;
const letterLimit = { most: 500, usual: 50 } as const;

export function lookRoutes(deps: LookDeps): readonly Route[] {
  return [...figureRoutes(deps), ...clusterRoutes(deps), ...traceRoutes(deps.sources)];
}

function figureRoutes({ sources, clock, exposition }: LookDeps): readonly Route[] {
  const fresh = (): Report | Refused => freshReport(sources.newest(), clock.monotonicMs());
  return [
    route({
      method: "GET",
      path: "/metrics",
      summary: "The figures for Prometheus",
      needs: "viewer",
      answers: { kind: "text", type: prometheusContentType, what: "Prometheus text format 0.0.4" },
      answer: () => {
        const report = fresh();
        if (!("metrics" in report)) return report;
        if (exposition === undefined)
          return refused(503, "no_exposition", "this node writes no Prometheus text", seeJson);
        return { kind: "text", type: prometheusContentType, text: exposition(report.metrics) };
      },
    }),
    route({
      method: "GET",
      path: "/api/metrics",
      summary: "The cluster's figures, the five vital signs among them",
      needs: "viewer",
      answers: { kind: "json", schema: clusterMetricsSchema },
      answer: () => {
        const report = fresh();
        return "metrics" in report ? json(report.metrics) : report;
      },
    }),
    route({
      method: "GET",
      path: "/api/health",
      summary: "One status, every check, what to do; 503 when it is unhealthy",
      needs: "viewer",
      answers: { kind: "json", schema: healthReportSchema, with503: true },
      answer: () => {
        const report = fresh();
        if (!("health" in report)) return report;
        return { kind: "json", status: report.health.status === "unhealthy" ? 503 : 200, body: report.health };
      },
    }),
    route({
      method: "GET",
      path: "/healthz",
      summary: "For load balancers: 200 while the cluster is healthy or degraded",
      needs: "nothing",
      answers: { kind: "json", schema: livenessSchema, with503: true },
      answer: () => {
        const report = fresh();
        const status = "health" in report ? report.health.status : "unknown";
        return { kind: "json", status: status === "healthy" || status === "degraded" ? 200 : 503, body: { status } };
      },
    }),
  ];
}

function clusterRoutes(deps: LookDeps): readonly Route[] {
  const { sources } = deps;
  const look = (path: string, summary: string, schema: z.ZodType, ask: () => Promise<Reply>): Route =>
    route({ method: "GET", path, summary, needs: "viewer", answers: { kind: "json", schema }, answer: ask });
  return [
    look("/api/series", "The vital signs of the last hour", seriesSchema, async () => replyOf(await sources.series())),
    look("/api/tree", "The supervision tree of every process", treeSchema, async () => replyOf(await sources.tree())),
    look("/api/learning", "Commits, updates, returns to the source model, snapshots", learningSchema, async () =>
      replyOf(await sources.learning()),
    ),
    look("/api/alerts", "What fires, what is over, what is silenced", alertListSchema, async () =>
      replyOf(await sources.alerts()),
    ),
    queueRoute(deps),
  ];
}

function queueRoute({ sources, clock }: LookDeps): Route {
  return route({
    method: "GET",
    path: "/api/queues",
    summary: "What waits where, and the jobs that were given up, newest first",
    needs: "viewer",
    query: z.object({
      limit: z.coerce.number().int().min(1).max(letterLimit.most).default(letterLimit.usual),
      /** The `cursor` of the page before. */
      before: z.coerce.number().int().min(1).optional(),
    }),
    answers: { kind: "json", schema: queuesSchema },
    answer: async ({ query: { limit, before } }) => {
      const letters = await sources.deadLetters(limit, before);
      if (letters.kind !== "found") return replyOf(letters);
      const report = freshReport(sources.newest(), clock.monotonicMs());
      return json({ v: 1, queues: "metrics" in report ? report.metrics.queues : null, deadLetters: letters.value });
    },
  });
}

function traceRoutes(sources: Sources): readonly Route[] {
  const { least, most, usual } = traceLimit;
  return [
    route({
      method: "GET",
      path: "/api/traces",
      summary: "The newest traces",
      needs: "viewer",
      query: z.object({ limit: z.coerce.number().int().min(least).max(most).default(usual) }),
      answers: { kind: "json", schema: tracesSchema },
      answer: async ({ query: { limit } }) => replyOf(await sources.traces(limit)),
    }),
    route({
      method: "GET",
      path: "/api/traces/:id",
      summary: "One trace: its spans, and the log lines that name it",
      needs: "viewer",
      params: z.object({ id: z.string().regex(/^[0-9a-f]{32}$/, "must be 32 hex digits") }),
      answers: { kind: "json", schema: traceSchema },
      answer: async ({ params: { id } }) => replyOf(await sources.trace(id)),
    }),
  ];
}

/** L1. Both moments are by the clock that is never set: figures do not become new because somebody set the time back. */
export function freshReport(report: Report | undefined, nowMs: number): Report | Refused {
  if (report === undefined)
    return refused(
      503,
      "no_figures",
      "no figures yet: the observer has told nothing so far",
      "ask again in a second",
      1,
    );
  const ageMs = nowMs - report.heardAtMs;
  if (ageMs < staleMs) return report;
  const message = `the newest figures are ${Math.round(ageMs / 1_000)} s old: the observer is silent`;
  return refused(503, "stale_figures", message, "driftmend tree shows what became of the observer", 1);
}

export function replyOf(asked: Found<unknown>): Reply {
  switch (asked.kind) {
    case "found":
      return json(asked.value);
    case "missing":
      return refused(404, "not_found", asked.message, "GET /openapi.json lists what there is");
    case "unavailable":
      return refused(503, "unavailable", asked.message, "ask again; driftmend doctor looks at this machine", 1);
    case "declined":
      return refused(
        409,
        asked.code,
        asked.message,
        "look at what is so now (GET /api/tree, /api/alerts, /api/queues), then ask again",
      );
    default:
      return asked satisfies never;
  }
}
