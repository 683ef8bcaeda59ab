// A cluster's figures for people: one screen that `metrics` prints and `top` redraws, and the table of queues.
//
// Owns: the layout. Does not own: the figures (operations/metrics/). What is not known is a dash and never a zero.

import { formatDuration } from "../duration.js";
import type { HealthReport } from "../health/health-report.js";
import type { ClusterMetrics, Distribution, JobFigures, Trend } from "../metrics/cluster-metrics.js";
import { bytes, count, cut, padRight, percent, printable, widthOf } from "../text.js";
import type { Colours } from "./colours.js";
import { type Cell, type Column, renderTable } from "./table.js";

type Row = readonly Cell[];

const dash = "–";
const right = (title: string): Column => ({ title, align: "right" });
const left = (title: string): Column => ({ title });
const cell = (text: string, paint?: Cell["paint"]): Cell => ({ text, paint });

/** Everything; lines no wider than `width` before colour. */
export function renderMetrics(metrics: ClusterMetrics, width: number, colours: Colours): string {
  return [
    ...head(metrics, undefined, metrics.atMs, width, colours),
    ...section("Models", models(metrics, width, colours), colours),
    ...section("Pools", pools(metrics, width, colours), colours),
    ...section("Jobs", jobs(metrics, width, colours), colours),
    ...section("Phases", phases(metrics, width, colours), colours),
    ...section("Queues", queues(metrics, width, colours), colours),
    ...section("Logs", logs(metrics, width, colours), colours),
    ...section("Nodes", nodes(metrics, width, colours), colours),
    ...section("Upkeep", upkeep(metrics, width), colours),
  ].join("\n");
}

/** What changes from second to second. `nowMs` shows how old the figures are. */
export function renderTop(
  metrics: ClusterMetrics,
  health: HealthReport | undefined,
  nowMs: number,
  width: number,
  colours: Colours,
): string {
  return [
    ...head(metrics, health, nowMs, width, colours),
    ...section("Nodes", nodes(metrics, width, colours), colours),
    ...section("Pools", pools(metrics, width, colours), colours),
    ...section("Jobs", jobs(metrics, width, colours), colours),
    ...section("Queues", queues(metrics, width, colours), colours),
    ...section("Models", models(metrics, width, colours), colours),
  ].join("\n");
}

/** In one line. */
export function renderVitals({ vitals, nodes: all, counters }: ClusterMetrics): string {
  const running = all.filter(({ state }) => state === "running").length;
  return [
    `${running} of ${all.length} nodes running`,
    `${count(vitals.updateRate)} updates/min`,
    `${count(vitals.queueSize)} waiting`,
    `KL ${figure(vitals.meanKlDivergence)}`,
    `kNN failures ${percent(vitals.knnFailureRate)}`,
    accuracyText(vitals.accuracy),
    `${count(counters.requests ?? 0)} requests`,
  ].join(", ");
}

export function renderQueues(metrics: ClusterMetrics, width: number, colours: Colours): string {
  return queues(metrics, width, colours).join("\n");
}

const oldAfterMs = 5_000;

function head(
  metrics: ClusterMetrics,
  health: HealthReport | undefined,
  nowMs: number,
  width: number,
  colours: Colours,
): string[] {
  const ageMs = nowMs - metrics.atMs;
  const age = ageMs > oldAfterMs ? colours.warn(`  figures are ${formatDuration(ageMs)} old`) : "";
  const { window, vitals } = metrics;
  const status = health === undefined ? "" : `  ${paintOf(health.status, colours)(health.status)}`;
  const at = `${new Date(metrics.atMs).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const room = width - widthOf(metrics.cluster) - 14 - (age === "" ? 0 : 30);
  const over = cut(`${at}, over ${window.seconds} s, trends over ${window.jobs} jobs`, room);
  const because = (health?.checks ?? []).filter(({ thresholdExceeded }) => thresholdExceeded);
  return [
    `${colours.title(printable(metrics.cluster))}${status}${colours.quiet(`  ${over}`)}${age}`,
    cut(`  ${renderVitals(metrics)}`, width),
    ...(vitals.accuracy.labels === 0
      ? []
      : [colours.quiet(cut(`  accuracy by ${vitals.accuracy.by}, ${count(vitals.accuracy.labels)} labels`, width))]),
    ...because.map(({ severity, message }) =>
      (severity === "critical" ? colours.bad : colours.warn)(cut(`  ${printable(message)}`, width)),
    ),
  ];
}

function paintOf(status: HealthReport["status"], colours: Colours): (text: string) => string {
  return status === "healthy" ? colours.good : status === "degraded" ? colours.warn : colours.bad;
}

function accuracyText({ adapting, source }: ClusterMetrics["vitals"]["accuracy"]): string {
  if (adapting === null) return `accuracy ${dash}`;
  return `accuracy ${percent(adapting)}${source === null ? "" : ` (left alone ${percent(source)})`}`;
}

function section(title: string, lines: readonly string[], colours: Colours): string[] {
  return ["", colours.accent(title), ...lines.map((line) => `  ${line}`)];
}

/** `spare`: columns that go, one after the other, where the terminal is too narrow for all. */
function table(
  columns: readonly Column[],
  rows: readonly Row[],
  width: number,
  colours: Colours,
  spare: readonly string[] = [],
): string[] {
  if (rows.length === 0) return [colours.quiet("none")];
  const [first, ...others] = spare;
  const gone = columns.findIndex(({ title }) => title === first);
  if (gone === -1 || naturalWidth(columns, rows) <= width - 2)
    return renderTable(columns, rows, width - 2, colours.quiet);
  const without = <T>(cells: readonly T[]): T[] => cells.filter((_, index) => index !== gone);
  return table(without(columns), rows.map(without), width, colours, others);
}

function naturalWidth(columns: readonly Column[], rows: readonly Row[]): number {
  const widths = columns.map(({ title }, index) =>
    rows.reduce((widest, row) => Math.max(widest, widthOf(row[index]?.text ?? "")), widthOf(title)),
  );
  return widths.reduce((sum, each) => sum + each, 2 * (columns.length - 1));
}

function models({ models: all }: ClusterMetrics, width: number, colours: Colours): string[] {
  const rows = all.map(
    ({ name, mode, version, experiences, remembered, capacity, confidence, gateRate, updates, kl, domains }) => [
      cell(printable(name)),
      cell(mode),
      cell(count(version)),
      cell(count(experiences)),
      cell(`${count(remembered)}/${count(capacity)}`),
      cell(figure(confidence)),
      cell(percent(gateRate)),
      cell(count(updates.applied)),
      cell(count(Object.values(updates.refused).reduce((sum, n) => sum + n, 0))),
      cell(count(updates.rolledBack)),
      cell(figure(kl.mean)),
      cell(count(domains)),
    ],
  );
  const titles = [
    "model",
    "mode",
    "version",
    "seen",
    "remembered",
    "confidence",
    "gate",
    "applied",
    "refused",
    "rolled back",
    "KL",
    "domains",
  ];
  return table(
    titles.map((title, index) => (index < 2 ? left(title) : right(title))),
    rows,
    width,
    colours,
    ["domains", "rolled back", "remembered", "seen", "gate", "KL", "refused", "version"],
  );
}

function pools({ pools: all }: ClusterMetrics, width: number, colours: Colours): string[] {
  const rows = all.map((pool) => [
    cell(pool.name),
    cell(count(pool.slots)),
    cell(count(pool.active, 1)),
    cell(`${count(pool.utilizationPct, 1)} %`),
    cell(pool.peakAtMs === null ? dash : `${count(pool.peakUtilizationPct, 1)} %`),
    cell(count(pool.queueDepth)),
    cell(ms(pool.slotWaitMs.p50)),
    cell(ms(pool.slotWaitMs.p99)),
    trendCell(pool.queueDepthTrend, colours),
  ]);
  const titles = ["pool", "slots", "active", "used", "peak", "waiting", "wait p50", "p99", "trend"];
  return table(
    titles.map((title, index) => (index === 0 || index === 8 ? left(title) : right(title))),
    rows,
    width,
    colours,
    ["p99", "wait p50", "active"],
  );
}

function jobs({ jobs: all }: ClusterMetrics, width: number, colours: Colours): string[] {
  const rows = all.map((job: JobFigures) => [
    cell(job.kind),
    cell(count(job.finished)),
    cell(count(job.failed), job.failed > 0 ? colours.warn : undefined),
    cell(percent(job.successRate)),
    cell(percent(job.retrySuccessRate)),
    ...times(job.durationMs),
    cell(ms(job.queueTimeMs.p50)),
    trendCell(job.failureTrend, colours),
  ]);
  const titles = [
    "job",
    "finished",
    "failed",
    "success",
    "retries",
    "p50",
    "p95",
    "p99",
    "max",
    "queue p50",
    "failures",
  ];
  return table(
    titles.map((title, index) => (index === 0 || index === 10 ? left(title) : right(title))),
    rows,
    width,
    colours,
    ["queue p50", "max", "retries", "p95", "failures", "failed"],
  );
}

function phases({ jobs: all }: ClusterMetrics, width: number, colours: Colours): string[] {
  const rows = all.flatMap(({ kind, phases: each }) =>
    each.map(({ phase, section: of, durationMs, failureRate }) => [
      cell(kind),
      cell(phase),
      cell(of),
      cell(count(durationMs.count)),
      ...times(durationMs),
      cell(percent(failureRate)),
    ]),
  );
  const titles = ["job", "phase", "section", "count", "p50", "p95", "p99", "max", "failed"];
  return table(
    titles.map((title, index) => (index < 3 ? left(title) : right(title))),
    rows,
    width,
    colours,
    ["section", "max", "p95"],
  );
}

function queues({ queues: all }: ClusterMetrics, width: number, colours: Colours): string[] {
  const rows = all.map(({ name, where, depth, oldestAgeMs, trend }) => [
    cell(name),
    cell(count(depth)),
    cell(oldestAgeMs === null ? dash : formatDuration(oldestAgeMs)),
    trendCell(trend, colours),
    cell(printable(where)),
  ]);
  return table(
    [left("queue"), right("depth"), right("oldest"), left("trend"), left("subject or stream")],
    rows,
    width,
    colours,
    ["trend"],
  );
}

function logs({ logs: all }: ClusterMetrics, width: number, colours: Colours): string[] {
  const rows = all.map(({ stream, messages, bytes: size, maxBytes }) => [
    cell(printable(stream)),
    cell(count(messages)),
    cell(bytes(size)),
    cell(maxBytes === null ? dash : bytes(maxBytes)),
    cell(maxBytes === null ? dash : percent(size / maxBytes)),
  ]);
  return table(
    [left("stream"), right("messages"), right("size"), right("bound"), right("full")],
    rows,
    width,
    colours,
    ["bound", "messages"],
  );
}

function nodes({ nodes: all }: ClusterMetrics, width: number, colours: Colours): string[] {
  const rows = all.map((node) => [
    cell(printable(node.node)),
    cell(String(node.incarnation)),
    cell(node.state, node.state === "running" ? colours.good : node.state === "left" ? colours.quiet : colours.bad),
    cell(String(node.pid)),
    cell(formatDuration(node.heartbeatAgeMs)),
    cell(formatDuration(node.uptimeMs)),
    cell(bytes(node.rssBytes)),
    cell(`${count(node.cpuPct)} %`),
    cell(ms(node.loopDelayMaxMs)),
    cell(node.openFiles === null ? dash : count(node.openFiles)),
    cell(count(node.actorRestarts)),
    cell(node.roles.length === 0 ? dash : printable(node.roles.join(", "))),
  ]);
  const titles = [
    "node",
    "inc.",
    "state",
    "pid",
    "heard",
    "up",
    "memory",
    "CPU",
    "loop max",
    "files",
    "actor restarts",
    "roles",
  ];
  return table(
    titles.map((title, index) => ([0, 2, 11].includes(index) ? left(title) : right(title))),
    rows,
    width,
    colours,
    ["files", "actor restarts", "loop max", "up", "pid", "inc.", "roles"],
  );
}

function upkeep({ leases, restarts, cleanups }: ClusterMetrics, width: number): string[] {
  const oldest = leases.oldestAgeMs === null ? "" : `, oldest renewed ${formatDuration(leases.oldestAgeMs)} ago`;
  return [
    `leases     ${count(leases.held)} held${oldest}, ${count(leases.reclaimed)} reclaimed`,
    `restarts   ${count(restarts.nodes)} of nodes, ${count(restarts.actors)} of actors`,
    `cleanups   ${count(cleanups.confirmed)} confirmed of ${count(cleanups.deaths)} deaths, ${count(cleanups.overdue)} overdue`,
  ].map((line) => cut(padRight(line, 0), width - 2));
}

function times({ p50, p95, p99, max }: Distribution): Cell[] {
  return [p50, p95, p99, max].map((value) => cell(ms(value)));
}

function trendCell(trend: Trend, colours: Colours): Cell {
  return cell(trend, trend === "increasing" ? colours.warn : undefined);
}

function ms(value: number | null): string {
  if (value === null) return dash;
  return value >= 1_000 ? formatDuration(value) : `${Number(value.toPrecision(3))} ms`;
}

function figure(value: number | null): string {
  return value === null ? dash : String(Number(value.toPrecision(3)));
}
