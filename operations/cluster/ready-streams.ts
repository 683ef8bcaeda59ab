// The streams that a process needs before it starts: waited for, or what is missing in words.
//
// Owns: how long a broker is waited for, what is said when there is no room. Does not own: which streams (prepared-streams.ts of a node,
// local-cluster.ts of a root), their making (transport/log/streams.ts).

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import type { Unavailable } from "../../transport/log/jetstream.js";

const pauseMs = 250;
const lasting: readonly Unavailable["why"][] = ["full", "closed", "denied", "not_clustered"];

/**
 * Waits for a broker that is on its way back, or for servers that elect a leader or join their cluster, so that an outage does not cost a
 * node one of its restarts. The wait is shorter than that of a root for a node to be ready. Throws StreamsError.
 */
export async function streamsReady(
  ensure: () => Promise<{ readonly kind: "ready" } | Unavailable>,
  {
    bus,
    clock,
    replicas = 1,
  }: { readonly bus: Pick<Bus, "timeouts">; readonly clock: Clock; readonly replicas?: number | undefined },
): Promise<void> {
  const deadlineAtMs = clock.monotonicMs() + bus.timeouts.election;
  for (;;) {
    const outcome = await ensure();
    if (outcome.kind === "ready") return;
    if (lasting.includes(outcome.why) || clock.monotonicMs() >= deadlineAtMs)
      throw new StreamsError(outcome.why, replicas);
    await clock.delay(pauseMs);
  }
}

/** The streams cannot be made: what is missing, and what to do. */
export class StreamsError extends Error {
  override readonly name = "StreamsError";
  constructor(why: Unavailable["why"], replicas: number) {
    super(`JetStream is unavailable: ${whyText(why, replicas)}`);
  }
}

function whyText(why: Unavailable["why"], replicas: number): string {
  switch (why) {
    case "full":
      return "it has no room for the streams: give it more, or a smaller --log-max";
    case "not_clustered":
      return `--replicas ${replicas} needs ${replicas} nats-servers in one cluster, and this one is alone (docs/clusters.md)`;
    case "too_few_servers":
      return `--replicas ${replicas}: fewer than ${replicas} servers of the NATS cluster can take a copy now`;
    case "no_leader":
      return "its servers have no leader: fewer than half of them reach each other";
    case "timeout":
    case "no_stream":
    case "closed":
    case "denied":
      return why;
  }
}
