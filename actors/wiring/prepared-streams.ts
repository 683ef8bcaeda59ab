// The streams of a node's models, made or waited for before its actors start.
//
// Owns: how long a broker is waited for, what is said when there is no room. Does not own: the streams (transport/log/streams.ts).

import { ensureDeadLetterStream } from "../../transport/log/dead-letters.js";
import type { Unavailable } from "../../transport/log/jetstream.js";
import {
  ensureCleanupStream,
  ensureLeaseBucket,
  ensureModelsStream,
  ensureStreams,
  ensureTelemetryStream,
  limitsFor,
  withHeadroom,
} from "../../transport/log/streams.js";
import type { HostOptions } from "../host-options.js";

const preparePauseMs = 250;

/**
 * Waits for a broker that is on its way back, or for servers that elect a leader or join their cluster, so that an outage does not cost the
 * node one of its restarts. The wait is shorter than that of its root for a node to be ready.
 */
export async function prepareStreams(options: HostOptions): Promise<void> {
  const { clock, bus } = options;
  const deadlineAtMs = clock.monotonicMs() + bus.timeouts.election;
  for (;;) {
    const outcome = await ensureAll(options);
    if (outcome.kind === "ready") return;
    const isLasting = lasting.includes(outcome.why);
    if (isLasting || clock.monotonicMs() >= deadlineAtMs) throw new StreamsError(outcome.why, options.replicas ?? 1);
    await clock.delay(preparePauseMs);
  }
}

const lasting: readonly Unavailable["why"][] = ["full", "closed", "denied", "not_clustered"];

/** The streams of a node cannot be made: what is missing, and what to do. */
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

async function ensureAll(options: HostOptions) {
  const { bus: only, logBus: bus = only, subjects, models, replicas, roles } = options;
  // All at once: a node that starts again finds them standing, and each is a round trip that it would wait for.
  const outcomes = await Promise.all([
    ensureLeaseBucket(bus, subjects, replicas),
    ensureCleanupStream(bus, subjects, replicas),
    ensureDeadLetterStream(bus, subjects, replicas),
    ensureModelsStream(bus, subjects, replicas),
    ...(roles.includes("operations") ? [ensureRecentPast(options)] : []),
    ...models.map((model) => prepareModel(options, model.manifest.name)),
  ]);
  return outcomes.find(({ kind }) => kind === "unavailable") ?? ({ kind: "ready" } as const);
}

/** The streams of one model, also of one that comes while the node runs. */
export function prepareModel(
  { bus: only, logBus: bus = only, subjects, logMaxBytes, replicas }: HostOptions,
  model: string,
): ReturnType<typeof ensureStreams> {
  return ensureStreams(bus, subjects, model, withHeadroom(limitsFor(logMaxBytes, replicas)));
}

/** Telemetry is best effort: a node works without its recent past, when the broker has no memory for it. */
async function ensureRecentPast({ bus: only, logBus: bus = only, subjects, replicas, log }: HostOptions) {
  const outcome = await ensureTelemetryStream(bus, subjects, replicas);
  if (outcome.kind === "ready" || outcome.why !== "full") return outcome;
  log.warn("the broker has no memory for the telemetry stream: figures of the past end with their observer", {});
  return { kind: "ready" } as const;
}
