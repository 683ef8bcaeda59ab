// Every family of the Prometheus text: its name, type, labels and what it means.
//
// Owns: these names; dashboards and alert rules are held against them. Does not own: which metric of a node becomes a sample of which family
// (catalogue.ts), the values (prometheus.ts).
//
// Base units as Prometheus wants them: seconds, bytes, ratios 0..1. A figure that is not known has no sample.

export type FamilyType = "counter" | "gauge" | "summary";

export interface Family {
  readonly name: string;
  readonly type: FamilyType;
  readonly labels: readonly string[];
  readonly help: string;
}

const family =
  (type: FamilyType) =>
  <Name extends string>(name: Name, help: string, ...labels: readonly string[]) => ({ name, type, labels, help });
const counter = family("counter");
const gauge = family("gauge");
const summary = family("summary");

/** Sums over all nodes and all their incarnations: a sum never falls. */
const counters = [
  counter("driftmend_requests_total", "Requests that came to the door of a serving node, whatever became of them."),
  counter("driftmend_refused_total", "Requests and feedback refused, by the code in the refusal.", "code"),
  counter("driftmend_answered_total", "Requests answered, repeated ones included.", "model"),
  counter("driftmend_closed_refused_total", "Requests that were let in and refused later.", "model"),
  counter("driftmend_processing_seconds_total", "Time between letting a request in and closing it, summed.", "model"),
  counter("driftmend_answers_total", "Answers that became an experience.", "model"),
  counter("driftmend_gate_learn_total", "Answers whose confidence asked for an update.", "model"),
  counter(
    "driftmend_slots_total",
    "Rows by how the class was chosen whose moments they move: trusted or spread.",
    "choice",
  ),
  counter("driftmend_looked_at_total", "Rows that were looked at once (gated) or more often (rolled_out).", "how"),
  counter("driftmend_looks_total", "Looks beyond the first that rows were given."),
  counter("driftmend_answers_by_source_total", "Answers the source model gave because it did better."),
  counter("driftmend_knn_searches_total", "Rows whose neighbours were looked for in the memory."),
  counter("driftmend_knn_failures_total", "Rows whose search failed: they were answered without neighbours."),
  counter("driftmend_feedback_labels_total", "True labels of earlier answers that were taken, each once."),
  counter(
    "driftmend_feedback_source_labels_total",
    "True labels of answers that the source model had been asked about, too.",
  ),
  counter("driftmend_feedback_source_right_total", "Of those, labels that the source's answer agreed with."),
  counter("driftmend_feedback_right_total", "Of those, labels that the answer agreed with."),
  counter(
    "driftmend_jobs_finished_total",
    "Jobs that ended well: answered requests; updates that were applied, or had nothing to learn.",
    "kind",
  ),
  counter(
    "driftmend_jobs_failed_total",
    "Jobs that ended badly: requests let in and refused; updates that a guard refused or that were given up.",
    "kind",
  ),
  counter("driftmend_phase_started_total", "Jobs that reached a phase.", "kind", "phase"),
  counter("driftmend_phase_failed_total", "Jobs that failed in a phase.", "kind", "phase"),
  counter("driftmend_retried_total", "Tries of a job after the first that have ended.", "kind"),
  counter("driftmend_retried_ok_total", "Of those, tries that ended well.", "kind"),
  counter("driftmend_updates_enqueued_total", "Update tasks put on the update stream."),
  counter("driftmend_updates_applied_total", "Update steps taken."),
  counter(
    "driftmend_updates_duplicate_total",
    "Update tasks passed by because their experience had been learned from.",
  ),
  counter("driftmend_updates_refused_total", "Update tasks refused, by guard.", "guard"),
  counter("driftmend_tensors_total", "Large tensors received, by segment of shared memory or in chunks.", "by"),
  counter("driftmend_tensor_bytes_total", "Bytes of large tensors received, by segment or in chunks.", "by"),
  counter("driftmend_tensors_refused_total", "Large tensors that were not received: late, broken, or too many."),
  counter("driftmend_tensor_segments_refused_total", "Segments that could not be read; their bytes came in chunks."),
  counter(
    "driftmend_tensor_chunks_dropped_total",
    "Chunks that were dropped: duplicate, ahead of a missing one, or foreign to every transfer.",
    "what",
  ),
  counter("driftmend_tensor_pulls_repeated_total", "Chunks that were asked for again after a silence."),
  counter("driftmend_actor_events_total", "What the supervision trees reported, by kind of event.", "event"),
  counter(
    "driftmend_watchdog_cleanups_total",
    "Dead incarnations, and owners of tensor leases that died or let them expire, cleaned up after by the watchdog.",
  ),
  counter("driftmend_supervisor_cleanups_total", "Dead incarnations that the root cleaned up after itself."),
  counter("driftmend_cleanups_overdue_total", "Cleanups that nobody confirmed in time."),
  counter("driftmend_cleanups_unwritten_total", "Records of deaths, cleanups and starts that could not be written."),
  counter("driftmend_leases_reclaimed_total", "Leases taken from holders that are gone."),
  counter(
    "driftmend_tensor_leases_total",
    "Leases of large tensors in shared memory, by what became of them, as operations nodes saw them on their hosts.",
    "change",
  ),
  counter("driftmend_dead_letters_total", "Jobs given up and kept as dead letters."),
  counter("driftmend_dead_letters_lost_total", "Jobs given up whose letter could not be written."),
  counter("driftmend_log_unreadable_total", "Records of a log that could not be read."),
  counter("driftmend_log_lines_dropped_total", "Log lines that could not be sent."),
  counter("driftmend_otlp_spans_total", "Spans for the collector, by what became of them.", "outcome"),
  counter("driftmend_telemetry_dropped_total", "Events that could not be sent."),
] as const;

/** Of the window that `driftmend_window_seconds` names; sum and count since the nodes began. */
const summaries = [
  summary("driftmend_job_duration_seconds", "From acceptance to the end of a job.", "kind"),
  summary("driftmend_job_queue_seconds", "Waiting of a job that was not for a slot.", "kind"),
  summary("driftmend_slot_wait_seconds", "Waiting of a job while every slot was taken.", "pool"),
  summary("driftmend_phase_duration_seconds", "Time in one phase of a job.", "kind", "phase", "section"),
  summary("driftmend_kl_nats", "KL of an update step to the source model, also of refused steps.", "model"),
] as const;

const vitals = [
  gauge("driftmend_update_rate_per_minute", "Model updates applied in the last minute."),
  gauge("driftmend_knn_failure_ratio", "Share of nearest-neighbour searches that failed, over the window."),
  gauge("driftmend_kl_divergence_mean_nats", "Mean KL of the newest update steps to the source model."),
  gauge("driftmend_update_queue_size", "Update tasks that are in the log and not in the parameters."),
  gauge(
    "driftmend_accuracy_ratio",
    "Share of labelled answers that were right, by who answers: adapting or source.",
    "by",
  ),
  gauge("driftmend_accuracy_labels", "Labels behind the accuracy."),
] as const;

const pools = [
  gauge("driftmend_pool_slots", "Slots of a pool over all nodes.", "pool"),
  gauge("driftmend_pool_active", "Slots at work, mean over the last beat.", "pool"),
  gauge("driftmend_pool_utilization_ratio", "Slots at work / slots; 0 without slots.", "pool"),
  gauge("driftmend_pool_peak_utilization_ratio", "The highest utilization so far.", "pool"),
  gauge("driftmend_pool_queue_depth", "Jobs that wait for a slot.", "pool"),
] as const;

const jobs = [
  gauge("driftmend_job_success_ratio", "Share of jobs that ended well, over the window.", "kind"),
  gauge("driftmend_retry_success_ratio", "Share of repeated tries that ended well.", "kind"),
  gauge(
    "driftmend_phase_failure_ratio",
    "Share of the jobs that reached a phase and failed in it, over the window.",
    "kind",
    "phase",
  ),
] as const;

const models = [
  gauge("driftmend_model_version", "Version of the parameters that answer.", "model"),
  gauge("driftmend_model_experiences", "Answered requests in the log.", "model"),
  gauge("driftmend_model_remembered", "Experiences in the memory.", "model"),
  gauge("driftmend_model_capacity", "Experiences that the memory holds at most.", "model"),
  gauge("driftmend_model_confidence_mean", "Mean confidence of the answers of the window.", "model"),
  gauge("driftmend_model_gate_ratio", "Share of the answers of the window that asked for an update.", "model"),
  gauge("driftmend_model_domains", "Kinds of input that are known.", "model"),
  gauge("driftmend_model_cold", "1 while the source model answers because too little was seen.", "model"),
] as const;

const queues = [
  gauge("driftmend_queue_depth", "Messages that wait.", "queue", "where"),
  gauge("driftmend_queue_oldest_seconds", "Age of the oldest message that waits.", "queue", "where"),
  gauge("driftmend_log_messages", "Messages in a stream.", "stream"),
  gauge("driftmend_log_bytes", "Bytes in a stream.", "stream"),
  gauge("driftmend_log_max_bytes", "Bytes that a stream holds at most.", "stream"),
] as const;

const nodes = [
  gauge("driftmend_node_up", "1 while a node's heartbeat is heard.", "node", "roles"),
  gauge("driftmend_node_incarnation", "Which incarnation of a node this is.", "node"),
  gauge("driftmend_node_heartbeat_age_seconds", "Since the last heartbeat.", "node"),
  gauge("driftmend_node_uptime_seconds", "Since the process began.", "node"),
  gauge("driftmend_node_resident_memory_bytes", "Resident memory of the process.", "node"),
  gauge("driftmend_node_heap_used_bytes", "JavaScript heap in use.", "node"),
  gauge("driftmend_node_cpu_ratio", "CPU time over time, of one core; above 1 with several threads.", "node"),
  gauge("driftmend_node_loop_delay_max_seconds", "Longest delay of the event loop in the last beat.", "node"),
  gauge("driftmend_node_open_files", "Open file descriptors.", "node"),
  gauge("driftmend_node_disk_free_bytes", "Free bytes of the disk under the working directory.", "node"),
  gauge("driftmend_node_tensor_leases", "Tensor leases that live on the host of an operations node.", "node"),
  gauge("driftmend_node_tensor_lease_bytes", "Their bytes.", "node"),
  gauge("driftmend_node_tensor_lease_oldest_seconds", "Age of the oldest of them; 0 without leases.", "node"),
  gauge("driftmend_node_tensor_pool_bytes", "Shared memory behind segments, spare ones included.", "node"),
  gauge("driftmend_node_actor_restarts", "Restarts of actors in this incarnation.", "node"),
] as const;

const cluster = [
  gauge("driftmend_window_seconds", "What ratios and quantiles are taken over."),
  gauge("driftmend_leases_held", "Leases that are held."),
  gauge("driftmend_lease_oldest_seconds", "Age of the oldest lease."),
  gauge("driftmend_restarts", "Restarts so far: of nodes and of actors.", "what"),
  gauge("driftmend_deaths", "Deaths of node incarnations on the cleanup stream."),
  gauge("driftmend_cleanups", "What became of their cleanups: confirmed or overdue.", "state"),
] as const;

export const families = [
  ...counters,
  ...summaries,
  ...vitals,
  ...pools,
  ...jobs,
  ...models,
  ...queues,
  ...nodes,
  ...cluster,
] as const;

export type FamilyName = (typeof families)[number]["name"];
