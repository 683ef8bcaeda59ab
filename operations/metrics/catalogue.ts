// Every figure that a node counts, sets or records: its name or name pattern, kind, unit, meaning, and where it is in the Prometheus text.
//
// Owns: these names. A name in the sources that is not here, and a name here that no source writes, fail a test.
// Does not own: the families (families.ts), how values come about (telemetry.ts, instruments.ts), how they are folded over nodes.
//
// Names of kind `sketch` are cumulative distributions in a sample's `sketches`; counters and gauges are in its `values`. Whoever folds
// samples adds to the counters of a cluster, for each sketch, `{name}_count` and `{name}_sum`: its values so far and their sum.

import type { Refusal as Guard } from "../../models/learning/guardrails.js";
import type { SupervisionEvent } from "../../supervision/events.js";
import { refusalCodes } from "../../transport/messages/wire.js";
import type { FamilyName } from "./families.js";

export type MetricKind = "counter" | "gauge" | "sketch";
/** `1`: a plain number. Percent counts to 100. */
export type Unit = "1" | "milliseconds" | "bytes" | "percent" | "nats";

export interface Metric {
  /** With placeholders in braces: `refused_{code}`. */
  readonly name: string;
  readonly kind: MetricKind;
  readonly unit: Unit;
  readonly help: string;
  /** Of the Prometheus text; null where the figure is part of another one there. */
  readonly family: FamilyName | null;
  /** Labels beside the placeholders, which are labels of their own name. */
  readonly labels?: Readonly<Record<string, string>>;
}

export const jobKinds = ["infer", "update"] as const;
export type JobKind = (typeof jobKinds)[number];

/** In the order in which a job meets them, with the section that a phase's time is spent in. */
export const phases = {
  infer: {
    receive: "serialize",
    queue: "transport",
    model: "compute",
    retrieve: "compute",
    vote: "compute",
    remember: "store",
    reply: "transport",
  },
  update: { claim: "store", load: "store", step: "compute", verify: "compute", publish: "store" },
} as const satisfies Readonly<Record<JobKind, Readonly<Record<string, Section>>>>;
export type Section = "transport" | "compute" | "serialize" | "store";
export type InferPhase = keyof typeof phases.infer;

const guards = [
  "kl",
  "anchors",
  "nan",
  "cold",
  "no_material",
  "disabled",
  "poison",
] as const satisfies readonly Guard[];
const actorEvents = [
  "started",
  "stopped",
  "crashed",
  "cleanup_confirmed",
  "restarting",
  "escalated",
  "left_down",
  "retired",
  "dead_letter",
  "chaos_began",
  "chaos_ended",
] as const satisfies readonly SupervisionEvent["kind"][];

/** What may stand for a placeholder; a model's name is a token of a subject. */
const placeholders: Readonly<Record<string, string>> = {
  model: "[A-Za-z0-9_-]{1,32}",
  code: refusalCodes.join("|"),
  guard: guards.join("|"),
  event: actorEvents.join("|"),
  figure: "begun|dropped|switched|floored|toSource|fromSource|forgotten|domains",
};

const of =
  (kind: MetricKind, unit: Unit) =>
  (name: string, help: string, family: FamilyName | null, labels?: Metric["labels"]): Metric => ({
    name,
    kind,
    unit,
    help,
    family,
    ...(labels === undefined ? {} : { labels }),
  });
const count = of("counter", "1");
const gauge = of("gauge", "1");
const milliseconds = of("sketch", "milliseconds");

const requests: readonly Metric[] = [
  count("requests", "Requests that came to the door.", "driftmend_requests_total"),
  count("refused_{code}", "Requests and feedback refused.", "driftmend_refused_total"),
  count("answered", "Requests answered.", null),
  count("answered_{model}", "The same by model.", "driftmend_answered_total"),
  count("closed_refused", "Requests let in and refused later.", null),
  count("closed_refused_{model}", "The same by model.", "driftmend_closed_refused_total"),
  of("counter", "milliseconds")(
    "processing_ms_{model}",
    "Time between letting requests in and closing them, summed.",
    "driftmend_processing_seconds_total",
  ),
  count("answers", "Answers that became an experience.", null),
  count("answers_{model}", "The same by model.", "driftmend_answers_total"),
  count("gate_learn", "Answers whose confidence asked for an update.", null),
  count("gate_learn_{model}", "The same by model.", "driftmend_gate_learn_total"),
  of("sketch", "1")("confidence", "Confidence of the answers, 0..1.", null),
  of("sketch", "1")("confidence_{model}", "The same by model.", null),
  count("slots_trusted", "Rows that move the moments of the predicted class.", "driftmend_slots_total", {
    choice: "trusted",
  }),
  count("slots_spread", "Rows that move the moments of a class by chance.", "driftmend_slots_total", {
    choice: "spread",
  }),
  count("requests_gated", "Rows that were looked at once.", "driftmend_looked_at_total", { how: "gated" }),
  count("requests_rolled_out", "Rows that were looked at more often.", "driftmend_looked_at_total", {
    how: "rolled_out",
  }),
  count("looks", "Looks beyond the first.", "driftmend_looks_total"),
  count(
    "answers_by_source",
    "Answers the source model gave because it did better.",
    "driftmend_answers_by_source_total",
  ),
  count("answers_by_source_{model}", "The same by model.", null),
  count("knn_searches", "Rows whose neighbours were looked for.", "driftmend_knn_searches_total"),
  count("knn_failures", "Rows whose search failed.", "driftmend_knn_failures_total"),
  gauge("knn_failure_rate", "knn_failures / knn_searches of this process.", null),
  count("feedback_labels", "True labels taken, each once.", "driftmend_feedback_labels_total"),
  count(
    "feedback_source_labels",
    "True labels of answers that the source model had been asked about, too.",
    "driftmend_feedback_source_labels_total",
  ),
  count(
    "feedback_source_right",
    "Of those, labels that the source's answer agreed with.",
    "driftmend_feedback_source_right_total",
  ),
  count("feedback_right", "Of those, labels that the answer agreed with.", "driftmend_feedback_right_total"),
];

const updates: readonly Metric[] = [
  count("updates_enqueued", "Update tasks put on the stream.", "driftmend_updates_enqueued_total"),
  count("updates_applied", "Update steps taken.", "driftmend_updates_applied_total"),
  count("updates_duplicate", "Tasks passed by: learned from already.", "driftmend_updates_duplicate_total"),
  count("updates_refused_{guard}", "Update tasks refused.", "driftmend_updates_refused_total"),
  of("gauge", "nats")("mean_kl_divergence", "Mean KL of the newest 100 steps to the source.", null),
  of("sketch", "nats")("kl_nats", "KL of each computed step to the source.", null),
  of("sketch", "nats")("kl_nats_{model}", "The same by model.", "driftmend_kl_nats"),
];

const jobs: readonly Metric[] = jobKinds.flatMap((kind) => [
  milliseconds(`job_${kind}_ms`, "From acceptance to the end of a job.", "driftmend_job_duration_seconds", { kind }),
  milliseconds(`queue_${kind}_ms`, "Waiting that was not for a slot.", "driftmend_job_queue_seconds", { kind }),
  milliseconds(`slot_wait_${kind}_ms`, "Waiting while every slot was taken.", "driftmend_slot_wait_seconds", {
    pool: kind,
  }),
  count(`jobs_${kind}_finished`, "Jobs that ended well.", "driftmend_jobs_finished_total", { kind }),
  count(`jobs_${kind}_failed`, "Jobs that ended badly.", "driftmend_jobs_failed_total", { kind }),
  gauge(`pool_${kind}_slots`, "Slots of this process.", null),
  gauge(`pool_${kind}_active`, "Slots at work, mean over the last beat.", null),
  gauge(`pool_${kind}_peak`, "The most slots at work at once.", null),
  gauge(`pool_${kind}_peak_at_ms`, "When that was, epoch milliseconds.", null),
  gauge(`pool_${kind}_waiting`, "Jobs that wait for a slot.", null),
  ...Object.entries(phases[kind]).flatMap(([phase, section]) => [
    milliseconds(`phase_${kind}_${phase}_ms`, "Time in this phase.", "driftmend_phase_duration_seconds", {
      kind,
      phase,
      section,
    }),
    count(`phase_${kind}_${phase}_started`, "Jobs that reached this phase.", "driftmend_phase_started_total", {
      kind,
      phase,
    }),
    count(`phase_${kind}_${phase}_failed`, "Jobs that failed in it.", "driftmend_phase_failed_total", { kind, phase }),
  ]),
]);

const retries: readonly Metric[] = [
  count("retried_infer", "Tries after the first that have ended.", "driftmend_retried_total", { kind: "infer" }),
  count("retried_infer_ok", "Of those, tries that ended well.", "driftmend_retried_ok_total", { kind: "infer" }),
];

const models: readonly Metric[] = [
  gauge("model_version_{model}", "Version of the parameters that answer.", "driftmend_model_version"),
  gauge("experiences_{model}", "Answered requests in the log.", "driftmend_model_experiences"),
  gauge("remembered_{model}", "Experiences in the memory.", "driftmend_model_remembered"),
  gauge("capacity_{model}", "Experiences that the memory holds.", "driftmend_model_capacity"),
  gauge("domains_{model}", "Kinds of input that are known.", "driftmend_model_domains"),
  gauge("rolled_back_{model}", "Returns of a domain to the source model so far.", null),
  gauge("adaptation_{figure}", "A figure of the adaptation, as one serving node has folded it.", null),
];

const ways = ["segment", "chunks"] as const;
const tensors: readonly Metric[] = [
  ...ways.flatMap((by) => [
    count(`tensors_by_${by}`, "Large tensors received.", "driftmend_tensors_total", { by }),
    of("counter", "bytes")(`tensor_bytes_by_${by}`, "Their bytes.", "driftmend_tensor_bytes_total", { by }),
  ]),
  count("tensors_refused", "Large tensors that were not received.", "driftmend_tensors_refused_total"),
  count("tensor_segments_refused", "Segments that could not be read.", "driftmend_tensor_segments_refused_total"),
  ...(["duplicate", "ahead", "foreign"] as const).map((what) =>
    count(`tensor_chunks_${what}`, "Chunks that were dropped.", "driftmend_tensor_chunks_dropped_total", { what }),
  ),
  count("tensor_pulls_repeated", "Chunks asked for again after a silence.", "driftmend_tensor_pulls_repeated_total"),
  of("gauge", "bytes")("tensor_held_bytes", "Large tensors in memory.", null),
  of("gauge", "bytes")("tensor_spare_bytes", "Buffers kept for the next.", null),
  gauge("tensors_waiting", "Large tensors that wait for memory.", null),
  gauge("tensor_buffers_made", "Buffers made so far.", null),
];

const upkeep: readonly Metric[] = [
  count("actors_{event}", "Events of the supervision tree.", "driftmend_actor_events_total"),
  count(
    "watchdog_cleanups",
    "Incarnations and tensor owners cleaned up after by the watchdog.",
    "driftmend_watchdog_cleanups_total",
  ),
  count("supervisor_cleanups", "Those the root cleaned up after itself.", "driftmend_supervisor_cleanups_total"),
  count("cleanups_overdue", "Cleanups not confirmed in time.", "driftmend_cleanups_overdue_total"),
  count("cleanups_unwritten", "Cleanup records not written.", "driftmend_cleanups_unwritten_total"),
  count("leases_reclaimed", "Leases taken from holders that are gone.", "driftmend_leases_reclaimed_total"),
  count("dead_letters", "Jobs kept as dead letters.", "driftmend_dead_letters_total"),
  count("dead_letters_lost", "Letters that could not be written.", "driftmend_dead_letters_lost_total"),
  count("log_unreadable", "Records that could not be read.", "driftmend_log_unreadable_total"),
  count("log_lines_dropped", "Log lines that could not be sent.", "driftmend_log_lines_dropped_total"),
  count("otlp_exported", "Spans handed to the collector.", "driftmend_otlp_spans_total", { outcome: "exported" }),
  count("otlp_dropped", "Spans that it did not take.", "driftmend_otlp_spans_total", { outcome: "dropped" }),
  count("telemetry_dropped", "Events that could not be sent.", "driftmend_telemetry_dropped_total"),
];

const leaseCounts = {
  created: "written into shared memory",
  handed_over: "named in a message",
  confirmed: "whose bytes the receiver has",
  released: "let go by their owners",
  expired: "that nobody confirmed in time",
  swept: "of owners that died",
} as const;
/** Of all owners on the host of an operations node, as its watchdog sees them; what a node sweeps when it starts is counted by it. */
const tensorLeases: readonly Metric[] = [
  ...Object.entries(leaseCounts).map(([change, what]) =>
    count(`tensor_leases_${change}`, `Tensor leases ${what}.`, "driftmend_tensor_leases_total", { change }),
  ),
  gauge("tensor_leases", "Tensor leases that live.", "driftmend_node_tensor_leases"),
  of("gauge", "bytes")("tensor_lease_bytes", "Their bytes.", "driftmend_node_tensor_lease_bytes"),
  of("gauge", "milliseconds")(
    "tensor_lease_oldest_ms",
    "Age of the oldest of them.",
    "driftmend_node_tensor_lease_oldest_seconds",
  ),
  of("gauge", "bytes")(
    "tensor_pool_bytes",
    "Shared memory behind segments, spare ones included.",
    "driftmend_node_tensor_pool_bytes",
  ),
];

/** Taken at each beat; a figure that the system does not give is left out. */
const vitals: readonly Metric[] = [
  gauge("open_{model}", "Requests that are open at the desk.", null),
  of("gauge", "milliseconds")("oldest_open_ms", "For how long the oldest of them is open.", null),
  gauge("pid", "Process id.", null),
  of("gauge", "milliseconds")("uptimeMs", "Since the process began.", "driftmend_node_uptime_seconds"),
  of("gauge", "bytes")("rssBytes", "Resident memory.", "driftmend_node_resident_memory_bytes"),
  of("gauge", "bytes")("heapUsedBytes", "JavaScript heap in use.", "driftmend_node_heap_used_bytes"),
  of("gauge", "milliseconds")(
    "loopDelayMaxMs",
    "Longest event loop delay of the beat.",
    "driftmend_node_loop_delay_max_seconds",
  ),
  of("gauge", "percent")("cpuPct", "CPU time of the beat, of one core.", "driftmend_node_cpu_ratio"),
  gauge("openFiles", "Open file descriptors.", "driftmend_node_open_files"),
  of("gauge", "bytes")(
    "diskFreeBytes",
    "Free on the disk under the working directory.",
    "driftmend_node_disk_free_bytes",
  ),
];

export const catalogue: readonly Metric[] = [
  ...requests,
  ...updates,
  ...jobs,
  ...retries,
  ...models,
  ...tensors,
  ...upkeep,
  ...tensorLeases,
  ...vitals,
];

export interface Found {
  readonly metric: Metric;
  /** The metric's own, and what stands for its placeholders. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Plain names first, then the pattern with the longest beginning: `answers_by_source` is no model's. */
const patterns = catalogue
  .filter(({ name }) => name.includes("{"))
  .sort((a, b) => b.name.indexOf("{") - a.name.indexOf("{"))
  .map((metric) => ({ metric, shape: shapeOf(metric.name) }));
const plainNames = new Map(catalogue.filter(({ name }) => !name.includes("{")).map((metric) => [metric.name, metric]));

function shapeOf(name: string): RegExp {
  return new RegExp(`^${name.replace(/\{(\w+)\}/g, (_, label: string) => `(?<${label}>${placeholders[label]})`)}$`);
}

/** What a name means; undefined for one that is not in the catalogue. */
export function lookUp(name: string): Found | undefined {
  const metric = plainNames.get(name);
  if (metric !== undefined) return { metric, labels: metric.labels ?? {} };
  for (const each of patterns) {
    const match = each.shape.exec(name);
    if (match !== null) return { metric: each.metric, labels: { ...each.metric.labels, ...match.groups } };
  }
  return undefined;
}
