// The health rules that hold without an operations file, and beside one as far as it does not name them.
//
// Owns: these rules. Each is explained in docs/health.md: what it measures, why this threshold, what to do.
// They are text in the grammar of the operations file, so that a rule can be copied from here into one and changed there.

import { parseRuleList, type Rule } from "./rules.js";
import { readYaml } from "./yaml-text.js";

export const builtInRulesText = `
- name: node_heartbeat
  severity: critical
  when: node.heartbeat_age > 5s
  clear: < 2s
  recommend: "{about} has not been heard for {value}: driftmend tree shows whether its root restarts it; driftmend chaos ls whether a fault holds it"
- name: node_heartbeat
  severity: warning
  when: node.heartbeat_age > 3s
  clear: < 2s
  recommend: "Watch {about}: a beat is due every second and the last is {value} old (load of the machine, network)"

- name: pool_capacity
  severity: critical
  when: pool.utilization > 95 %
  for: 5m
  clear: < 90 %
  alert: pool_saturated
  recommend: "Increase {pool} slots from {from} to {to}: {arrivals} arrive, each holds a slot for {service} (more serving nodes: up --serving N)"
- name: pool_capacity
  severity: warning
  when: pool.utilization > 80 %
  for: 10m
  clear: < 75 %
  alert: pool_saturated
  recommend: "Increase {pool} slots from {from} to {to} before it saturates: {arrivals} arrive, each holds a slot for {service}"
- name: pool_capacity
  severity: info
  when: pool.utilization > 60 %
  for: 1m
  clear: < 55 %

- name: queue_depth
  severity: critical
  when: pool.queue_depth > 100
  for: 10s
  clear: < 80
  alert: queue_deep
  recommend: "Increase {pool} slots from {from} to {to}: {value} jobs wait for a slot, {arrivals} arrive"
- name: queue_depth
  severity: info
  when: pool.queue_depth > 20
  for: 10s
  clear: < 15

- name: queue_growing
  severity: warning
  when: queue.depth > 20 and queue.trend == increasing
  for: 30s
  keep_firing_for: 1m
  alert: queue_growing
  recommend: "More comes into the {about} queue than is taken out ({value} wait): driftmend health shows which pool is full, driftmend profile where its time goes"

- name: job_success
  severity: critical
  when: job.success_rate < 50 %
  for: 10s
  clear: "> 60 %"
  min_samples: 20
  alert: jobs_failing
  recommend: "Most {about} jobs fail: driftmend profile shows in which phase, driftmend dlq ls and driftmend logs what they say"
- name: job_success
  severity: warning
  when: job.success_rate < 80 %
  for: 10s
  clear: "> 85 %"
  min_samples: 20
  alert: jobs_failing
  recommend: "Find out why {about} jobs fail ({value} succeed): driftmend profile shows in which phase, driftmend dlq ls what they say"

- name: availability
  severity: critical
  when: availability.burn_5m > 14.4x and availability.burn_1h > 14.4x
  min_samples: 100
  alert: availability_burning
  recommend: "Requests fail {value} as fast as 99.5 % availability allows: look for what changed within the hour (driftmend alerts ls, driftmend logs)"
- name: availability
  severity: warning
  when: availability.burn_30m > 6x and availability.burn_6h > 6x
  min_samples: 100
  alert: availability_burning
  recommend: "Requests fail {value} as fast as 99.5 % availability allows, for hours: find out which are refused, and why (driftmend profile)"

- name: latency
  severity: warning
  when: job.duration_mean > 2x baseline
  for: 2m
  clear: < 1.5x
  min_samples: 20
  alert: latency_high
  recommend: "{about} jobs take {value} as long as usual: driftmend profile shows which phase grew"

- name: update_rate_stalled
  severity: warning
  when: update.rate == 0 and update.queue > 0
  for: 45s
  alert: update_rate_stalled
  recommend: "Updates wait and none is applied: driftmend tree shows the updater, driftmend guardrails MODEL whether every step is refused, driftmend chaos ls whether a fault holds it"

- name: kl_drift
  severity: warning
  when: model.kl > klAlert and model.kl_median > klAlert
  for: 30s
  min_samples: 5
  alert: kl_drift
  recommend: "Steps move {about} by {value} each: tighten klLimit (driftmend guardrails {about}), or go back with driftmend snapshots restore {about}"

- name: model_below_source
  severity: warning
  when: accuracy.gain < -3 points
  for: 1m
  clear: "> -1 points"
  min_samples: 100
  alert: model_below_source
  recommend: "Adapting costs accuracy ({value}): driftmend eval compares the stages, driftmend snapshots restore goes back to an earlier state"
- name: source_answers
  severity: warning
  when: model.by_source > 50 %
  for: 1m
  clear: < 30 %
  min_samples: 100
  alert: model_below_source
  recommend: "The source model does better than {about} on {value} of the answers: driftmend status shows on which kinds of input"

- name: knn_failing
  severity: warning
  when: knn.failure_rate > 10 %
  for: 10s
  clear: < 5 %
  min_samples: 20
  alert: knn_failing
  recommend: "{value} of the searches in memory fail, so the model answers alone: driftmend logs shows what the memory's thread says"

- name: restart_storm
  severity: warning
  when: restarts.nodes > 10/m
  keep_firing_for: 1m
  alert: restart_storm
  recommend: "Nodes keep dying ({value}; the root gives up at 20): driftmend tree shows which and the cause of the last exit"
- name: actor_storm
  severity: warning
  when: restarts.actors > 30/m
  keep_firing_for: 1m
  alert: restart_storm
  recommend: "Actors keep crashing ({value}): driftmend tree shows which, driftmend logs their stacks"

- name: log_backpressure
  severity: critical
  when: log.fill > 95 %
  clear: < 90 %
  alert: log_backpressure
  recommend: "{about} is {value} full and refuses what goes beyond: start the cluster with a larger --log-max"
- name: log_backpressure
  severity: warning
  when: log.fill > 80 %
  for: 10s
  clear: < 75 %
  recommend: "{about} is {value} full: plan a larger --log-max"

- name: cleanup
  severity: warning
  when: cleanup.unconfirmed > 0
  for: 30s
  alert: cleanup_unconfirmed
  recommend: "{value} deaths without a confirmed cleanup: driftmend tree shows whether the watchdog runs"
- name: lease_age
  severity: warning
  when: lease.oldest_age > 10s
  for: 5s
  recommend: "A lease has not been renewed for {value}, and nobody took it back: driftmend tree shows its holder and the watchdog"

- name: event_loop
  severity: warning
  when: node.loop_delay > 500ms
  for: 30s
  clear: < 250ms
  recommend: "{about} is held up for {value} again and again: something computes on the thread that talks to NATS, or the machine is too busy"
- name: disk
  severity: critical
  when: node.disk_free < 200MiB
  for: 10s
  clear: "> 300MiB"
  alert: disk_full
  recommend: "{value} are free on the disk of {about}, and the broker stops writing when it is full: free some now"
- name: disk
  severity: warning
  when: node.disk_free < 1GiB
  for: 1m
  clear: "> 1.2GiB"
  recommend: "{value} are free on the disk of {about}: free some, or move the store"
- name: memory
  severity: warning
  when: node.rss > 2GiB
  for: 10m
  clear: < 1.8GiB
  recommend: "{about} holds {value}: if it grows on, restart it without losing anything (driftmend drain {about} --restart)"
`;

let read: readonly Rule[] | undefined;

/** Read when they are first wanted: most nodes judge nothing. */
export function builtInRules(): readonly Rule[] {
  read ??= builtIn();
  return read;
}

/** A built-in rule that cannot be read is a mistake of ours. */
function builtIn(): readonly Rule[] {
  const yaml = readYaml(builtInRulesText);
  const { list, problems } = yaml.kind === "read" ? parseRuleList(yaml) : { list: undefined, problems: yaml.problems };
  const [problem] = problems;
  if (list === undefined || problem !== undefined)
    throw new Error(`built-in rules: ${problem === undefined ? "not read" : `${problem.line}: ${problem.what}`}`);
  return list.rules;
}
