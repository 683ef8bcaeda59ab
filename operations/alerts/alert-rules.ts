// Which event is an alert, how severe it is, which event ends it, and what explains what. As data.
//
// Owns: the rules about events, the names under which failing health checks appear, inhibition. Does not own: the checks and their
// thresholds (health/rules.ts), the alerts themselves (alert-book.ts), the words for people (alert-guide.ts, docs/alerts.md).

import type { Severity } from "./alert-list.js";

export interface AlertEvent {
  readonly kind: string;
  /** What the event is about: a node, or an actor's path. */
  readonly about: string;
  readonly detail: string;
}

export interface EventRule {
  readonly name: string;
  readonly severity: Severity;
  readonly firesOn: string;
  readonly endsOn: readonly string[];
  /** Without news for this long, the alert is over. */
  readonly quietAfterMs: number;
}

const minuteMs = 60_000;
/** Of what is told once when it begins and once when it ends: only a teller that died in between leaves it to this. */
const lastingQuietMs = 60 * minuteMs;

export const eventRules: readonly EventRule[] = [
  {
    name: "node_silent",
    severity: "critical",
    firesOn: "node_silent",
    // A node that hung and was killed is not heard again: its next incarnation is ready.
    endsOn: ["node_heard", "node_ready"],
    quietAfterMs: 10 * minuteMs,
  },
  {
    name: "node_died",
    severity: "critical",
    firesOn: "node_died",
    // One that was declared dead for its silence may be heard again.
    endsOn: ["node_ready", "node_heard"],
    quietAfterMs: 10 * minuteMs,
  },
  {
    name: "cleanup_overdue",
    severity: "warning",
    firesOn: "cleanup_overdue",
    endsOn: ["cleanup"],
    quietAfterMs: 5 * minuteMs,
  },
  { name: "actor_crashed", severity: "warning", firesOn: "crashed", endsOn: [], quietAfterMs: minuteMs },
  { name: "escalated", severity: "critical", firesOn: "escalated", endsOn: [], quietAfterMs: 5 * minuteMs },
  { name: "dead_letter", severity: "warning", firesOn: "dead_letter", endsOn: [], quietAfterMs: 5 * minuteMs },
  {
    name: "log_backpressure",
    severity: "critical",
    firesOn: "log_backpressure",
    endsOn: ["log_flows"],
    quietAfterMs: lastingQuietMs,
  },
  // Told when a reader meets that copy: the servers themselves call it current (docs/clusters.md).
  { name: "copy_behind", severity: "warning", firesOn: "copy_behind", endsOn: [], quietAfterMs: 10 * minuteMs },
  // One model on one node: the others go on (actors/host/roster.ts).
  {
    name: "model_failed",
    severity: "critical",
    firesOn: "model_failed",
    endsOn: ["model_loaded", "model_unloaded"],
    quietAfterMs: lastingQuietMs,
  },
  // Learning drifts away from the source: not one step, but for as long as the model's settings say (kl-watch.ts).
  { name: "kl_high", severity: "warning", firesOn: "kl_high", endsOn: ["kl_normal"], quietAfterMs: lastingQuietMs },
  // Adaptation did worse than the source on this kind of input: the source answers until it does not any more (models/adaptation/standing.ts).
  {
    name: "source_answers",
    severity: "warning",
    firesOn: "domain_to_source",
    endsOn: ["domain_adapted", "domain_ended"],
    quietAfterMs: lastingQuietMs,
  },
  {
    name: "unauthorised",
    severity: "warning",
    firesOn: "permission_violation",
    endsOn: [],
    quietAfterMs: 5 * minuteMs,
  },
  // Said by a circuit breaker (breakers.ts) of its target: so far these are the sinks of notifications.
  {
    name: "circuit_open",
    severity: "warning",
    firesOn: "breaker_opened",
    endsOn: ["breaker_closed"],
    quietAfterMs: lastingQuietMs,
  },
];

/** The event kinds that fire or end an alert. */
export const alertingKinds: readonly string[] = [
  ...new Set(eventRules.flatMap((rule) => [rule.firesOn, ...rule.endsOn])),
];

/** What the built-in health checks are called as alerts; `log_backpressure` is also an event's. */
export const checkAlerts = [
  "update_rate_stalled",
  "kl_drift",
  "queue_growing",
  "knn_failing",
  "model_below_source",
  "restart_storm",
  "log_backpressure",
  "pool_saturated",
  "queue_deep",
  "jobs_failing",
  "availability_burning",
  "latency_high",
  "cleanup_unconfirmed",
  "disk_full",
] as const;

/** Nodes whose return is seen in the metrics too: an event that nobody heard must not keep their alert alive. */
export const nodeAlerts: readonly string[] = ["node_silent", "node_died"];

interface Inhibition {
  readonly cause: string;
  readonly explains: readonly string[];
  /** `node`: on the node that the cause is about. `everywhere`: whatever they are about. */
  readonly where: "node" | "everywhere";
}

/** While a cause fires, what it explains is not told; it is listed all the same. */
export const inhibitions: readonly Inhibition[] = [
  { cause: "node_died", explains: ["node_silent", "cleanup_overdue", "actor_crashed", "escalated"], where: "node" },
  { cause: "node_silent", explains: ["actor_crashed"], where: "node" },
  { cause: "log_backpressure", explains: ["update_rate_stalled", "queue_growing"], where: "everywhere" },
];

export function explains(
  cause: { readonly name: string; readonly about: string },
  alert: { readonly name: string; readonly about: string },
): boolean {
  return inhibitions.some(
    (each) =>
      each.cause === cause.name &&
      each.explains.includes(alert.name) &&
      (each.where === "everywhere" || nodeOf(cause.about) === nodeOf(alert.about)),
  );
}

function nodeOf(about: string): string {
  return about.split("/")[0] ?? about;
}

export function fingerprintOf(name: string, about: string): string {
  return `${name}:${about}`;
}

/** A check names a log by its stream, an event by model and kind: the same log is one subject. */
export function subjectOf(about: string, cluster: string): string {
  const [, kind, model] = new RegExp(`^${cluster}-(experience|update)-(.+)$`).exec(about) ?? [];
  return kind === undefined ? about : `${model}-${kind}`;
}
