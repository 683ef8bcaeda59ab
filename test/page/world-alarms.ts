// What is wrong with a cluster that never was: its health, its alerts.

import type { ListedAlert } from "../../operations/alerts/alert-list.js";
import type { CheckResult, HealthReport } from "../../operations/health/health-report.js";

export function degraded(nowMs: number): HealthReport {
  const check = (
    name: string,
    about: string,
    severity: CheckResult["severity"],
    message: string,
    value: number,
    threshold: number,
  ): CheckResult => ({
    name,
    about,
    severity,
    status: "pass",
    message,
    value,
    threshold,
    thresholdExceeded: false,
    alert: name,
    sinceMs: nowMs - 3_700_000,
  });
  const kl = {
    ...check("kl_drift", "digits", "warning", "mean KL is 0.071 nats, above 0.05 for 2 m 10 s", 0.071, 0.05),
    status: "warn" as const,
    thresholdExceeded: true,
    sinceMs: nowMs - 130_000,
  };
  const queue = {
    ...check(
      "queue_growing",
      "update",
      "warning",
      "update has 44 waiting and grows by 12 a minute, above 10 for 1 m 30 s",
      12,
      10,
    ),
    status: "warn" as const,
    thresholdExceeded: true,
    sinceMs: nowMs - 90_000,
  };
  return {
    v: 1,
    status: "degraded",
    sinceMs: nowMs - 130_000,
    atMs: nowMs,
    checks: [
      kl,
      queue,
      check("update_rate_stalled", "cluster", "critical", "148 updates a minute", 148, 1),
      check("knn_failing", "cluster", "critical", "0.00 % of searches fail", 0, 0.05),
      check("model_below_source", "digits", "critical", "12.3 points above the source model", 0.123, -0.02),
      check("restart_storm", "cluster", "warning", "1 restart in the last 5 minutes", 1, 5),
      check("log_backpressure", "driftmend-experience-digits", "warning", "75 % full", 0.75, 0.9),
    ],
    recommendations: [
      {
        check: "kl_drift",
        about: "digits",
        text: "Look at the newest refused steps (driftmend guardrails digits). If the input has truly changed, this settles; if not, go back to a snapshot: driftmend snapshots restore digits SEQ.",
      },
      {
        check: "queue_growing",
        about: "update",
        text: "The learning node is the bottleneck. Give it a core of its own, or raise the gate so that fewer answers ask for an update.",
      },
    ],
    rules: { source: "built-in", rejected: null },
  };
}

export function klDrift(nowMs: number): ListedAlert {
  return {
    fingerprint: "kl_drift:digits",
    name: "kl_drift",
    severity: "warning",
    state: "firing",
    about: "digits",
    message: "mean KL is 0.071 nats, above 0.05 for 2 m 10 s",
    value: 0.071,
    threshold: 0.05,
    count: 26,
    sinceMs: nowMs - 130_000,
    resolvedAtMs: null,
    acknowledged: null,
    silencedUntilMs: null,
    advice: "Look at the newest refused steps: driftmend guardrails digits",
    intent: null,
  };
}

export function nodeDied(nowMs: number): ListedAlert {
  return {
    ...klDrift(nowMs),
    fingerprint: "node_died:learning-1",
    name: "node_died",
    severity: "critical",
    about: "learning-1",
    message: "learning-1 ended: killed by SIGKILL",
    value: null,
    threshold: null,
    count: 1,
    sinceMs: nowMs,
  };
}

export function actorCrashed(nowMs: number): ListedAlert {
  return {
    ...klDrift(nowMs),
    fingerprint: "actor_crashed:serving-1/digits/voter",
    name: "actor_crashed",
    about: "serving-1/digits/voter",
    message: "crashed while it handled a message: chaos crash",
    value: null,
    threshold: null,
    count: 3,
    sinceMs: nowMs - 700_000,
    acknowledged: { by: "operator", atMs: nowMs - 600_000, note: "rehearsal" },
    silencedUntilMs: nowMs + 2_400_000,
  };
}

export function ended(nowMs: number): ListedAlert[] {
  return [1, 2, 3].map((each) => ({
    ...nodeDied(nowMs),
    fingerprint: `node_died:learning-1:${each}`,
    state: "resolved" as const,
    sinceMs: nowMs - each * 900_000,
    resolvedAtMs: nowMs - each * 900_000 + 1_400,
  }));
}
