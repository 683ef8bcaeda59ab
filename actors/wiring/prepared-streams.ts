// The streams of a node and its models, made before its actors start.
//
// Owns: which streams. Does not own: how long they are waited for (operations/cluster/ready-streams.ts), the streams (transport/log/streams.ts).

import { streamsReady } from "../../operations/cluster/ready-streams.js";
import { ensureDeadLetterStream } from "../../transport/log/dead-letters.js";
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

export async function prepareStreams(options: HostOptions): Promise<void> {
  await streamsReady(() => ensureAll(options), options);
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
