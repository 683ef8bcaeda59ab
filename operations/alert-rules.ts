// Which event is an alert, how severe it is, and which event ends it. Pure: the map of firing alerts is the state, time is an argument.

export type Severity = "critical" | "warning" | "info";

export interface AlertEvent {
  readonly kind: string;
  /** What the event is about: a node, or an actor's path. */
  readonly about: string;
  readonly detail: string;
}

export interface Alert {
  readonly name: string;
  readonly severity: Severity;
  readonly state: "fired" | "resolved";
  /** Same fingerprint, same alert: name and what it is about. */
  readonly fingerprint: string;
  readonly about: string;
  readonly detail: string;
  readonly count: number;
  readonly sinceMs: number;
}

export interface FiringAlert {
  readonly rule: Rule;
  readonly about: string;
  detail: string;
  count: number;
  readonly sinceMs: number;
  lastMs: number;
}

interface Rule {
  readonly name: string;
  readonly severity: Severity;
  readonly firesOn: string;
  readonly endsOn: readonly string[];
  /** Without news for this long, the alert is over. */
  readonly quietAfterMs: number;
}

const minuteMs = 60_000;

export const rules: readonly Rule[] = [
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
    quietAfterMs: 5 * minuteMs,
  },
  // Learning drifts away from the source: not one step, but for as long as the model's settings say (kl-watch.ts).
  { name: "kl_high", severity: "warning", firesOn: "kl_high", endsOn: ["kl_normal"], quietAfterMs: 5 * minuteMs },
  // Adaptation did worse than the source on this kind of input: the source answers until it does not any more (models/standing.ts).
  {
    name: "source_answers",
    severity: "warning",
    firesOn: "domain_to_source",
    endsOn: ["domain_adapted"],
    quietAfterMs: 5 * minuteMs,
  },
  {
    name: "unauthorised",
    severity: "warning",
    firesOn: "permission_violation",
    endsOn: [],
    quietAfterMs: 5 * minuteMs,
  },
];

/** The event kinds that fire or end an alert. */
export const alertingKinds: readonly string[] = [...new Set(rules.flatMap((rule) => [rule.firesOn, ...rule.endsOn]))];

/** Takes the event into `firing` (in place) and returns what is to be published. */
export function decideAlert(firing: Map<string, FiringAlert>, event: AlertEvent, nowMs: number): Alert[] {
  const alerts: Alert[] = [];
  for (const rule of rules) {
    const fingerprint = `${rule.name}:${event.about}`;
    const active = firing.get(fingerprint);
    if (event.kind === rule.firesOn) {
      if (active !== undefined) {
        active.count += 1;
        active.lastMs = nowMs;
        active.detail = event.detail;
        continue;
      }
      const fired: FiringAlert = {
        rule,
        about: event.about,
        detail: event.detail,
        count: 1,
        sinceMs: nowMs,
        lastMs: nowMs,
      };
      firing.set(fingerprint, fired);
      alerts.push(alertOf(fingerprint, fired, "fired"));
    } else if (rule.endsOn.includes(event.kind) && active !== undefined) {
      firing.delete(fingerprint);
      alerts.push(alertOf(fingerprint, active, "resolved"));
    }
  }
  return alerts;
}

/** Resolves (in place) the alerts that have been quiet for their rule's time. */
export function quietAlerts(firing: Map<string, FiringAlert>, nowMs: number): Alert[] {
  const alerts: Alert[] = [];
  for (const [fingerprint, active] of firing) {
    if (nowMs - active.lastMs < active.rule.quietAfterMs) continue;
    firing.delete(fingerprint);
    alerts.push(alertOf(fingerprint, active, "resolved"));
  }
  return alerts;
}

function alertOf(fingerprint: string, active: FiringAlert, state: Alert["state"]): Alert {
  const { rule, about, detail, count, sinceMs } = active;
  return { name: rule.name, severity: rule.severity, state, fingerprint, about, detail, count, sinceMs };
}
