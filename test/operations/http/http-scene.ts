// A cluster made of plain data behind the HTTP interface, and an observer's report that is as it should be.

import type { AlertList } from "../../../operations/alerts/alert-list.js";
import { healthReportSchema } from "../../../operations/health/health-report.js";
import { Access, type AccessSettings } from "../../../operations/http/access.js";
import type { Learning, Letters, Series, Trace, Traces } from "../../../operations/http/answer-shapes.js";
import { LiveEvents } from "../../../operations/http/events.js";
import { kserveRoutes } from "../../../operations/http/kserve/routes-kserve.js";
import type { PageFile } from "../../../operations/http/page-file.js";
import { documentRoutes } from "../../../operations/http/routes-documents.js";
import { lookRoutes } from "../../../operations/http/routes-looks.js";
import { orderRoutes } from "../../../operations/http/routes-orders.js";
import { pagePolicy } from "../../../operations/http/security-headers.js";
import { type HttpBounds, type HttpServer, openServer } from "../../../operations/http/server.js";
import { type FaultOrder, found, missing, type Report, type Sources } from "../../../operations/http/sources.js";
import { clusterMetricsSchema } from "../../../operations/metrics/cluster-metrics.js";
import { systemClock } from "../../../supervision/clock.js";
import { type Logger, silentLogger } from "../../../supervision/logger.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import type { TreeNode } from "../../../transport/messages/look-orders.js";
import { MadeUpCluster } from "./made-up-cluster.js";

export const tokens = {
  viewer: "viewer-token-of-the-tests-0001",
  operator: "operator-token-of-the-tests-01",
  client: "client-token-of-the-tests-0001",
};
export const asOperator = { authorization: `Bearer ${tokens.operator}` };
export const asClient = { authorization: `Bearer ${tokens.client}` };
export const asViewer = { authorization: `Bearer ${tokens.viewer}` };
export const local = { host: "127.0.0.1:7480" };
export const traceId = "0af7651916cd43dd8448eb211c80319c";
const atMs = 1_750_000_000_000;

const none = { count: 0, mean: null, p50: null, p95: null, p99: null, max: null };

/** Parsed by its own schema, so that the figures are as an observer's. */
const metrics = clusterMetricsSchema.parse({
  v: 1,
  cluster: "driftmend",
  atMs,
  window: { seconds: 60, jobs: 1_200 },
  vitals: {
    updateRate: 12,
    knnFailureRate: 0,
    meanKlDivergence: 0.01,
    queueSize: 3,
    accuracy: { adapting: 0.93, source: 0.81, labels: 400, by: "stream" },
  },
  models: [
    {
      ...{ name: "digits", mode: "ensemble", version: 7, experiences: 1_200, remembered: 900, capacity: 10_000 },
      ...{ confidence: 0.8, gateRate: 0.1, kl: none, answersBySource: 2, domains: 3 },
      updates: { enqueued: 20, applied: 15, refused: { kl: 2 }, rolledBack: 0 },
    },
  ],
  pools: [],
  jobs: [],
  queues: [{ name: "update", where: "driftmend-update-digits", depth: 3, oldestAgeMs: 120, trend: "stable" }],
  logs: [],
  nodes: [],
  leases: { held: 1, oldestAgeMs: 400, reclaimed: 0 },
  restarts: { nodes: 0, actors: 0 },
  cleanups: { deaths: 0, confirmed: 0, overdue: 0 },
  counters: { answered: 1_200 },
});

function health(status: "healthy" | "degraded" | "unhealthy") {
  return healthReportSchema.parse({
    ...{ v: 1, status, sinceMs: atMs, atMs, rules: { source: "built in", rejected: null } },
    checks: [
      {
        ...{
          name: "queue_growing",
          about: "digits",
          severity: "critical",
          message: "3 wait",
          value: 3,
          threshold: 500,
        },
        ...{
          status: status === "unhealthy" ? "fail" : "pass",
          thresholdExceeded: status === "unhealthy",
          sinceMs: atMs,
          alert: "queue_growing",
        },
      },
    ],
    recommendations: [{ check: "queue_growing", about: "digits", text: "start another learning node" }],
  });
}

const series: Series = {
  v: 1,
  stepSeconds: 5,
  points: [
    {
      ...{ atMs, updateRate: 12, knnFailureRate: null, meanKlDivergence: 0.01, queueSize: 3, accuracyAdapting: 0.93 },
      ...{ accuracySource: 0.81, requestsPerSecond: 20, p50Ms: 3, p99Ms: null, rssBytes: { "serving-1": 1e8 } },
    },
  ],
  marks: [{ atMs, kind: "worker_crash", about: "learning-1", label: "Worker Crash" }],
};

const tree: TreeNode = {
  ...{ name: "root", kind: "root", generation: 1, state: "running", restarts: 0 },
  children: [
    {
      name: "serving-1",
      kind: "node",
      pid: 4,
      generation: 1,
      state: "running",
      restarts: 0,
      lastExit: "exit code 0",
      children: [],
    },
  ],
};

const learning: Learning = {
  v: 1,
  models: [
    {
      name: "digits",
      commits: [{ version: 7, atMs, updateSeq: 20 }],
      updates: [
        { atMs, traceId, kind: "applied", kl: 0.01, rate: 0.02 },
        { atMs, traceId, kind: "refused", guard: "kl" },
      ],
      returns: [{ atMs, domain: "2", to: "source" }],
      snapshots: [{ seq: 3, version: null, atMs }],
    },
  ],
};

const letters: Letters = {
  entries: [
    {
      ...{
        id: 1,
        jobId: "bad-1",
        model: "digits",
        node: "serving-1",
        phase: "inference",
        state: "exhausted",
        cause: "boom",
      },
      ...{ attempts: 3, traceId, atMs, payload: { kind: "request", byteLength: 2, base64: "aGk=" } },
      ...{ investigated: false, resolution: null, requeued_at: null },
    },
  ],
  cursor: null,
};

const alerts: AlertList = { v: 1, atMs, alerts: [], silences: [] };
const traces: Traces = {
  v: 1,
  traces: [{ traceId, name: "infer", startMs: atMs, durationMs: 4, status: "ok", spans: 8 }],
};
const line: Trace["logs"][number] = {
  ...{ atMs, level: "warn", message: "slow", trace: traceId, span: null, node: "serving-1", actor: "intake" },
  ...{ incarnation: 1, phase: null, component: "intake", fields: { ms: 812 } },
};
const trace: Trace = {
  ...{ v: 1, traceId, logs: [line] },
  spans: [
    {
      ...{ traceId, spanId: "b7ad6b7169203331", parentSpanId: null, name: "infer", node: "serving-1", actor: "intake" },
      ...{
        incarnation: 1,
        startMs: atMs,
        endMs: atMs + 4,
        status: "ok",
        attributes: { cold: false, rows: 2, id: "r" },
      },
    },
  ],
};

const receipt = {
  ...{ target: "digits-updater", mode: "kill", generationBefore: 1, generationAfter: 2, inFlight: 1, redelivered: 1 },
  ...{ refused: 0, lost: 0, leasesCleaned: 1, detectMs: 0.2, repairMs: 12, cause: "killed" },
};

/** What was ordered, in order, in words. */
export interface Scene {
  readonly server: HttpServer;
  readonly events: LiveEvents;
  readonly clock: VirtualClock;
  readonly ordered: string[];
  /** The observer speaks. */
  report(status?: "healthy" | "degraded" | "unhealthy"): Report;
  sources: Sources;
  readonly cluster: MadeUpCluster;
}

const html = '<!doctype html><style>p{color:red}</style><p>page</p><script type="module">start()</script>';

export async function scene(
  options: {
    readonly access?: Partial<AccessSettings>;
    readonly sources?: Partial<Sources>;
    readonly bounds?: HttpBounds;
    readonly page?: PageFile;
    readonly events?: LiveEvents;
    readonly clock?: VirtualClock;
    readonly perMinute?: number;
    readonly log?: Logger;
    readonly cluster?: MadeUpCluster;
    /** In place of the one that `access` sets up. */
    readonly door?: Access;
  } = {},
): Promise<Scene> {
  const clock = options.clock ?? new VirtualClock(atMs);
  const ordered: string[] = [];
  let newest: Report | undefined;
  const sources: Sources = { ...plainSources(ordered), newest: () => newest, ...options.sources };
  const events = options.events ?? new LiveEvents(systemClock);
  const cluster = options.cluster ?? new MadeUpCluster();
  let description: unknown;
  const page = options.page ?? { kind: "page", html, policy: pagePolicy(html) };
  const server = await openServer({
    routes: [
      ...lookRoutes({ sources, clock, exposition: ({ vitals }) => `driftmend_update_rate ${vitals.updateRate}\n` }),
      ...orderRoutes(sources),
      ...documentRoutes({ sources, page, openApi: () => description }),
      ...kserveRoutes(cluster.deps()),
    ],
    access: options.door ?? new Access({ reach: "loopback", tokens, ...options.access }, clock),
    events,
    log: options.log ?? silentLogger,
    version: "1.2.3",
    ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
    ...(options.perMinute === undefined ? {} : { rate: { perMinute: options.perMinute, clock } }),
  });
  description = server.openApi();
  const report = (status: "healthy" | "degraded" | "unhealthy" = "healthy"): Report => {
    newest = { metrics, health: health(status), heardAtMs: clock.monotonicMs() };
    return newest;
  };
  return { server, events, clock, ordered, report, sources, cluster };
}

function plainSources(ordered: string[]): Omit<Sources, "newest"> {
  const order = <T>(what: string, value: T) => {
    ordered.push(what);
    return Promise.resolve(found(value));
  };
  return {
    series: async () => found(series),
    tree: async () => found(tree),
    learning: async () => found(learning),
    deadLetters: async (limit, before) => found({ ...letters, cursor: before ?? (limit === 1 ? 1 : null) }),
    requeue: (id) => order(`requeue ${id}`, { seq: 1, jobId: "bad-1", atMs }),
    alerts: async () => found(alerts),
    acknowledge: (fingerprint, note) => order(`ack ${fingerprint} ${note}`, alerts),
    silence: (matches, forMs, note) => order(`silence ${matches} ${forMs} ${note}`, alerts),
    traces: async (limit) => found({ ...traces, traces: traces.traces.slice(0, limit) }),
    trace: async (id) => (id === traceId ? found(trace) : missing("there is no such trace")),
    fault: ({ node, target, mode, forMs }: FaultOrder) => order(`${mode} ${node}/${target} ${forMs ?? "-"}`, receipt),
    stability: async () =>
      found({ v: 1, running: null, reports: [{ id: "run-1", startedAtMs: atMs, passed: true, file: "/r/run-1" }] }),
    stabilityReport: async (id) =>
      id === "run-1" ? found("<!doctype html><p>report</p>") : missing("there is no such report"),
  };
}
