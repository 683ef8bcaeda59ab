// The streams of a node's models, made or waited for before its actors start.
//
// Owns: how long a broker is waited for, what is said when there is no room. Does not own: the streams (transport/streams.ts).

import { ensureDeadLetterStream } from "../transport/dead-letters.js";
import {
  ensureCleanupStream,
  ensureLeaseBucket,
  ensureModelsStream,
  ensureStreams,
  ensureTelemetryStream,
  limitsFor,
  withHeadroom,
} from "../transport/streams.js";
import type { HostOptions } from "./host-options.js";

/** Shorter than its root waits for a node to be ready. */
const prepareWithinMs = 20_000;
const preparePauseMs = 250;

/** Waits for a broker that is on its way back, so that an outage does not cost the node one of its restarts. */
export async function prepareStreams(options: HostOptions): Promise<void> {
  const { clock } = options;
  const deadlineAtMs = clock.monotonicMs() + prepareWithinMs;
  for (;;) {
    const outcome = await ensureAll(options);
    if (outcome.kind === "ready") return;
    if (outcome.why === "full")
      throw new Error("JetStream has no room for the streams: give it more, or a smaller --log-max");
    if (outcome.why === "closed" || outcome.why === "denied" || clock.monotonicMs() >= deadlineAtMs)
      throw new Error(`JetStream is unavailable: ${outcome.why}`);
    await clock.delay(preparePauseMs);
  }
}

async function ensureAll(options: HostOptions) {
  const { bus: only, logBus: bus = only, subjects, models, roles } = options;
  const steps = [
    () => ensureLeaseBucket(bus, subjects),
    () => ensureCleanupStream(bus, subjects),
    () => ensureDeadLetterStream(bus, subjects),
    () => ensureModelsStream(bus, subjects),
    ...(roles.includes("operations") ? [() => ensureRecentPast(options)] : []),
    ...models.map((model) => () => prepareModel(options, model.manifest.name)),
  ];
  for (const step of steps) {
    const outcome = await step();
    if (outcome.kind === "unavailable") return outcome;
  }
  return { kind: "ready" } as const;
}

/** The streams of one model, also of one that comes while the node runs. */
export function prepareModel(
  { bus: only, logBus: bus = only, subjects, logMaxBytes }: HostOptions,
  model: string,
): ReturnType<typeof ensureStreams> {
  return ensureStreams(bus, subjects, model, withHeadroom(limitsFor(logMaxBytes)));
}

/** Telemetry is best effort: a node works without its recent past, when the broker has no memory for it. */
async function ensureRecentPast({ bus: only, logBus: bus = only, subjects, log }: HostOptions) {
  const outcome = await ensureTelemetryStream(bus, subjects);
  if (outcome.kind === "ready" || outcome.why !== "full") return outcome;
  log.warn("the broker has no memory for the telemetry stream: figures of the past end with their observer", {});
  return { kind: "ready" } as const;
}
