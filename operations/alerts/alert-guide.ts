// What each alert means and what a person does about it, in one line: the message's last words. At length: docs/alerts.md.

export interface Guide {
  readonly means: string;
  readonly advice: string;
}

const guides: Readonly<Record<string, Guide>> = {
  node_silent: {
    means: "no heartbeat of a node arrives",
    advice: "driftmend tree shows whether its root restarts it; look at the machine's load and network",
  },
  node_died: {
    means: "a node's process ended; its root starts the next one",
    advice: "driftmend tree; read the node's last log lines if it keeps dying",
  },
  cleanup_overdue: {
    means: "what a dead incarnation held was not confirmed gone in time",
    advice: "driftmend status shows the leases; they end with their time to live",
  },
  actor_crashed: {
    means: "an actor threw; it was restarted",
    advice: "the log line of the crash has its stack; repeated crashes end in escalated",
  },
  escalated: {
    means: "restarts did not help and their budget is spent",
    advice: "read the cause, mend it, then driftmend drain NODE --restart",
  },
  dead_letter: { means: "a job was given up", advice: "driftmend dlq ls, then dlq show ID and dlq requeue ID" },
  log_backpressure: {
    means: "the log takes nothing more, so requests are refused",
    advice: "free disk space or give a larger --log-max; driftmend doctor looks at the machine",
  },
  copy_behind: {
    means: "a NATS server's copy of a log lacks what the others have; its readers go to another copy",
    advice:
      "usual for seconds after a server's restart; if it stays, give that server an empty store (docs/clusters.md)",
  },
  model_failed: {
    means: "a node cannot serve one of its models; the others go on",
    advice: "driftmend model show MODEL has the cause; it is tried again, or driftmend model rm MODEL",
  },
  kl_high: {
    means: "the updater's steps have moved the model away from its source for a while",
    advice: "driftmend guardrails MODEL; tighten klLimit, or go back with driftmend snapshots restore MODEL",
  },
  source_answers: {
    means: "adaptation did worse than the source model on a kind of input, so the source answers it",
    advice: "nothing at once; driftmend status shows how it stands",
  },
  unauthorised: {
    means: "somebody tried what their user may not do, or was refused",
    advice: "the server's log has the address; change the secrets if you do not know whose it is",
  },
  circuit_open: {
    means: "calls to a target keep failing, so it is left alone for a while",
    advice: "driftmend alerts test says what each sink answers",
  },
  update_rate_stalled: {
    means: "update tasks wait and none is applied",
    advice: "driftmend tree shows the updater; driftmend chaos ls whether a fault holds it",
  },
  kl_drift: {
    means: "the mean divergence from the source model stays above its threshold",
    advice: "driftmend guardrails MODEL; tighten klLimit, or go back with driftmend snapshots restore MODEL",
  },
  queue_growing: {
    means: "more comes in than the workers take",
    advice: "add nodes of the role that falls behind (up --serving N), or send less",
  },
  knn_failing: {
    means: "searches of the memory fail, so answers come without neighbours",
    advice:
      "driftmend status shows the memories; a serving node that keeps failing is best restarted with driftmend drain NODE --restart",
  },
  model_below_source: {
    means: "on labelled answers the adapting model does worse than its source",
    advice: "driftmend snapshots restore MODEL goes back to an earlier state",
  },
  restart_storm: {
    means: "nodes or actors restart again and again",
    advice: "driftmend tree shows which; its last log lines say why",
  },
  pool_saturated: {
    means: "nearly every slot of a pool is taken, for minutes",
    advice: "add nodes of the role (up --serving N), or send less",
  },
  queue_deep: {
    means: "more jobs wait for a slot than are soon worked off",
    advice: "add nodes of the role (up --serving N), or send less",
  },
  jobs_failing: {
    means: "a large part of the jobs of one kind fail",
    advice: "driftmend dlq ls; driftmend watch shows what is refused and why",
  },
  availability_burning: {
    means: "requests fail so often that the availability promised is used up in hours",
    advice: "driftmend watch shows what is refused and why; look for what changed within the hour",
  },
  latency_high: {
    means: "jobs take a multiple of what they usually take",
    advice: "driftmend status; look at the machine's load",
  },
  cleanup_unconfirmed: {
    means: "a death whose cleanup nobody has confirmed for a while",
    advice: "driftmend tree shows whether a watchdog runs; driftmend status shows the leases",
  },
  disk_full: {
    means: "a node's disk is nearly full, and the log needs room",
    advice: "free disk space; driftmend doctor looks at the machine",
  },
};

/** Every alert that is built in. */
export const guidedAlerts: readonly string[] = Object.keys(guides);

/** Undefined for an alert that an operations file named itself. */
export function guideOf(name: string): Guide | undefined {
  return guides[name];
}
