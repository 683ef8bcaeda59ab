// The figures of a cluster as Prometheus reads them: text exposition format 0.0.4.
//
// Owns: which figure is a sample of which family, and the bytes. Does not own: the families (families.ts), the figures (cluster-metrics.ts),
// the counters' meaning (catalogue.ts), the address they are served at.
//
// P1. Pure: the same figures give the same text, family by family, samples in the order of the figures.
// P2. What is not known has no sample; a counter without labels that nobody counted yet is 0.
// P3. Quantiles are of the window; sum and count of a summary are of all time, as counters, where the cluster's counters hold them.
//
// Source: https://github.com/prometheus/docs, "Exposition formats", text-based format.

import { lookUp, type Unit } from "./catalogue.js";
import type {
  ClusterMetrics,
  Distribution,
  JobFigures,
  ModelFigures,
  NodeFigures,
  PoolFigures,
} from "./cluster-metrics.js";
import { type Family, type FamilyName, families } from "./families.js";

export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly suffix: "" | "_sum" | "_count";
  readonly labels: Labels;
  readonly value: number;
}

export function prometheusText(metrics: ClusterMetrics): string {
  const page = new Page();
  putCounters(page, metrics.counters);
  putVitals(page, metrics);
  for (const pool of metrics.pools) putPool(page, pool);
  for (const job of metrics.jobs) putJob(page, job);
  for (const model of metrics.models) putModel(page, model);
  putQueues(page, metrics);
  for (const node of metrics.nodes) putNode(page, node);
  putCluster(page, metrics);
  return page.text();
}

/** Every name that a sample may have. */
export function exposedNames(): ReadonlySet<string> {
  return new Set(
    families.flatMap(({ name, type }) => (type === "summary" ? [name, `${name}_sum`, `${name}_count`] : [name])),
  );
}

class Page {
  readonly #samples = new Map<string, Sample[]>();

  put(family: FamilyName, labels: Labels, value: number | null, suffix: Sample["suffix"] = ""): void {
    if (value === null) return;
    const samples = this.#samples.get(family) ?? [];
    samples.push({ suffix, labels, value });
    this.#samples.set(family, samples);
  }

  /** Of milliseconds in seconds, of others as they are. */
  quantiles(family: FamilyName, labels: Labels, { p50, p95, p99 }: Distribution, scale = 1e-3): void {
    for (const [quantile, value] of [
      ["0.5", p50],
      ["0.95", p95],
      ["0.99", p99],
    ] as const)
      this.put(family, { ...labels, quantile }, value === null ? null : value * scale);
  }

  text(): string {
    return families.map((family) => familyText(family, this.#samples.get(family.name) ?? [])).join("");
  }
}

/** Samples of one set of labels stand together, as the format asks for, and each stands once. */
function familyText({ name, type, help, labels }: Family, given: readonly Sample[]): string {
  const isBareCounter = type === "counter" && labels.length === 0;
  const samples: readonly Sample[] =
    isBareCounter && given.length === 0 ? [{ suffix: "", labels: {}, value: 0 }] : given;
  if (samples.length === 0) return "";
  const groups = new Map<string, Map<string, number>>();
  for (const sample of samples) {
    const { quantile: _, ...own } = sample.labels;
    const group = groups.get(labelText(own)) ?? new Map<string, number>();
    const head = `${name}${sample.suffix}${labelText(sample.labels)}`;
    group.set(head, (group.get(head) ?? 0) + sample.value);
    groups.set(labelText(own), group);
  }
  const lines = [...groups.values()].flatMap((group) => [...group].map(([head, value]) => `${head} ${said(value)}\n`));
  return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function said(value: number): string {
  if (Number.isFinite(value)) return `${value}`;
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

const scales: Readonly<Record<Unit, number>> = { "1": 1, bytes: 1, nats: 1, milliseconds: 1e-3, percent: 1e-2 };

function putCounters(page: Page, counters: ClusterMetrics["counters"]): void {
  for (const [name, value] of Object.entries(counters)) {
    const [, sketch = "", suffix] = /^(.+)(_sum|_count)$/.exec(name) ?? [];
    const total = lookUp(sketch);
    const isTotal = total?.metric.kind === "sketch" && (suffix === "_sum" || suffix === "_count");
    const found = isTotal ? total : lookUp(name);
    if (found === undefined || found.metric.family === null) continue;
    const { family, kind, unit } = found.metric;
    if (isTotal) page.put(family, found.labels, suffix === "_sum" ? value * scales[unit] : value, suffix);
    else if (kind === "counter") page.put(family, found.labels, value * scales[unit]);
  }
}

function putVitals(page: Page, { vitals, window }: ClusterMetrics): void {
  page.put("driftmend_window_seconds", {}, window.seconds);
  page.put("driftmend_update_rate_per_minute", {}, vitals.updateRate);
  page.put("driftmend_knn_failure_ratio", {}, vitals.knnFailureRate);
  page.put("driftmend_kl_divergence_mean_nats", {}, vitals.meanKlDivergence);
  page.put("driftmend_update_queue_size", {}, vitals.queueSize);
  page.put("driftmend_accuracy_ratio", { by: "adapting" }, vitals.accuracy.adapting);
  page.put("driftmend_accuracy_ratio", { by: "source" }, vitals.accuracy.source);
  page.put("driftmend_accuracy_labels", {}, vitals.accuracy.labels);
}

function putPool(page: Page, figures: PoolFigures): void {
  const pool = { pool: figures.name };
  page.put("driftmend_pool_slots", pool, figures.slots);
  page.put("driftmend_pool_active", pool, figures.active);
  page.put("driftmend_pool_utilization_ratio", pool, figures.utilizationPct / 100);
  page.put("driftmend_pool_peak_utilization_ratio", pool, figures.peakUtilizationPct / 100);
  page.put("driftmend_pool_queue_depth", pool, figures.queueDepth);
  page.quantiles("driftmend_slot_wait_seconds", pool, figures.slotWaitMs);
}

function putJob(page: Page, job: JobFigures): void {
  const { kind } = job;
  page.put("driftmend_job_success_ratio", { kind }, job.successRate);
  page.put("driftmend_retry_success_ratio", { kind }, job.retrySuccessRate);
  page.quantiles("driftmend_job_duration_seconds", { kind }, job.durationMs);
  page.quantiles("driftmend_job_queue_seconds", { kind }, job.queueTimeMs);
  for (const { phase, section, durationMs, failureRate } of job.phases) {
    page.put("driftmend_phase_failure_ratio", { kind, phase }, failureRate);
    page.quantiles("driftmend_phase_duration_seconds", { kind, phase, section }, durationMs);
  }
}

function putModel(page: Page, figures: ModelFigures): void {
  const model = { model: figures.name };
  page.put("driftmend_model_version", model, figures.version);
  page.put("driftmend_model_experiences", model, figures.experiences);
  page.put("driftmend_model_remembered", model, figures.remembered);
  page.put("driftmend_model_capacity", model, figures.capacity);
  page.put("driftmend_model_confidence_mean", model, figures.confidence);
  page.put("driftmend_model_gate_ratio", model, figures.gateRate);
  page.put("driftmend_model_domains", model, figures.domains);
  page.put("driftmend_model_cold", model, figures.mode === "cold" ? 1 : 0);
  page.quantiles("driftmend_kl_nats", model, figures.kl, 1);
}

function putQueues(page: Page, { queues, logs }: ClusterMetrics): void {
  for (const { name, where, depth, oldestAgeMs } of queues) {
    page.put("driftmend_queue_depth", { queue: name, where }, depth);
    page.put("driftmend_queue_oldest_seconds", { queue: name, where }, inSeconds(oldestAgeMs));
  }
  for (const { stream, messages, bytes, maxBytes } of logs) {
    page.put("driftmend_log_messages", { stream }, messages);
    page.put("driftmend_log_bytes", { stream }, bytes);
    page.put("driftmend_log_max_bytes", { stream }, maxBytes);
  }
}

function putNode(page: Page, figures: NodeFigures): void {
  const node = { node: figures.node };
  page.put("driftmend_node_up", { ...node, roles: figures.roles.join(",") }, figures.state === "running" ? 1 : 0);
  page.put("driftmend_node_incarnation", node, figures.incarnation);
  page.put("driftmend_node_heartbeat_age_seconds", node, inSeconds(figures.heartbeatAgeMs));
  page.put("driftmend_node_uptime_seconds", node, inSeconds(figures.uptimeMs));
  page.put("driftmend_node_resident_memory_bytes", node, figures.rssBytes);
  page.put("driftmend_node_heap_used_bytes", node, figures.heapUsedBytes);
  page.put("driftmend_node_cpu_ratio", node, figures.cpuPct / 100);
  page.put("driftmend_node_loop_delay_max_seconds", node, inSeconds(figures.loopDelayMaxMs));
  page.put("driftmend_node_open_files", node, figures.openFiles);
  page.put("driftmend_node_disk_free_bytes", node, figures.diskFreeBytes);
  page.put("driftmend_node_tensor_leases", node, figures.tensorLeases?.live ?? null);
  page.put("driftmend_node_tensor_lease_bytes", node, figures.tensorLeases?.bytes ?? null);
  page.put("driftmend_node_tensor_lease_oldest_seconds", node, inSeconds(figures.tensorLeases?.oldestAgeMs ?? null));
  page.put("driftmend_node_tensor_pool_bytes", node, figures.tensorLeases?.poolBytes ?? null);
  page.put("driftmend_node_actor_restarts", node, figures.actorRestarts);
}

function putCluster(page: Page, { leases, restarts, cleanups }: ClusterMetrics): void {
  page.put("driftmend_leases_held", {}, leases.held);
  page.put("driftmend_lease_oldest_seconds", {}, inSeconds(leases.oldestAgeMs));
  page.put("driftmend_restarts", { what: "nodes" }, restarts.nodes);
  page.put("driftmend_restarts", { what: "actors" }, restarts.actors);
  page.put("driftmend_deaths", {}, cleanups.deaths);
  page.put("driftmend_cleanups", { state: "confirmed" }, cleanups.confirmed);
  page.put("driftmend_cleanups", { state: "overdue" }, cleanups.overdue);
}

function inSeconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}
