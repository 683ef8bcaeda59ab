// The wiring: what the actors of a node are given that no model owns, made from the bus.
//
// Owns: where these actors meet transport. Does not own: a model's actors (model-wiring.ts), which actors run (node.ts), when (supervision/).

import type { Model } from "../models/manifest.js";
import { alertingKinds } from "../operations/alert-rules.js";
import type { CleanupHook } from "../supervision/cleanup.js";
import type { Bus } from "../transport/bus.js";
import { encodeAlert, encodeMetrics, parseEvent, type TelemetryEvent } from "../transport/events.js";
import type { Timeouts } from "../transport/timeouts.js";
import type { AlerterDeps } from "./alerter.js";
import type { BeaconDeps } from "./beacon.js";
import { Holdings } from "./holdings.js";
import type { IntakeDeps, Served } from "./intake.js";
import { type ModelWiring, wireModel } from "./model-wiring.js";
import type { Surroundings } from "./surroundings.js";
import type { WatchdogDeps } from "./watchdog.js";
import { wireWatchdog } from "./watchdog-wiring.js";

export interface NodeWiring {
  readonly models: readonly ModelWiring[];
  readonly timeouts: Timeouts;
  intake(served: readonly Served[]): IntakeDeps;
  readonly beacon: BeaconDeps;
  readonly watchdog: WatchdogDeps;
  readonly alerter: AlerterDeps;
  /** Between two incarnations of an actor: what the ended one held is let go. */
  readonly confirmCleanup: CleanupHook;
}

/** Every period of the actors, in one literal. */
const timing = {
  beatMs: 1_000,
  lookMs: 1_000,
} as const;

export function wire(around: Surroundings, models: readonly Model[]): NodeWiring {
  const holdings = new Holdings();
  return {
    timeouts: around.bus.timeouts,
    models: models.map((model) => wireModel(around, model, holdings)),
    intake: (served) => ({
      node: around.identity.node,
      bus: around.bus,
      subjects: around.subjects,
      models: new Map(served.map((each) => [each.model.manifest.name, each])),
      telemetry: around.telemetry,
      deadlineMs: around.bus.timeouts.request,
    }),
    beacon: { everyMs: timing.beatMs, beat: () => beat(around) },
    watchdog: wireWatchdog(around),
    alerter: wireAlerter(around),
    confirmCleanup: async ({ path }) => ({ leasesCleaned: await holdings.release(path) }),
  };
}

/** Figures that nobody can hear are not taken: the longest delay of an outage is in the first beat after it. */
function beat({ bus, subjects, identity, clock, vitals }: Surroundings): void {
  if (!bus.connected) return;
  const { node, incarnation, run, origin } = identity;
  const sample = { node, incarnation, atMs: clock.nowMs(), values: vitals(), run: run ?? origin };
  bus.publish(subjects.metrics(node), encodeMetrics({ ...sample, rooted: run !== undefined }));
}

function wireAlerter({ bus, subjects, clock, identity }: Surroundings): AlerterDeps {
  return {
    lookEveryMs: timing.lookMs,
    listen: (tell) => {
      const stops = alertingKinds.map((kind) =>
        listen(bus, subjects.event(kind), (event) => {
          for (const item of event.items) {
            const about = String(item.about ?? `${event.node}/${event.actor}`);
            tell({ kind, about, detail: String(item.cause ?? "") });
          }
        }),
      );
      return () => {
        for (const stop of stops) stop();
      };
    },
    publish: ({ name, severity, state, about, detail, count }) => {
      const message = `${about}: ${detail || name}${count > 1 ? ` (${count} times)` : ""}`;
      const notice = { name, severity, state, node: identity.node, atMs: clock.nowMs(), message, value: count };
      bus.publish(subjects.alert(severity, name), encodeAlert(notice));
    },
  };
}

function listen(bus: Bus, subject: string, onEvent: (event: TelemetryEvent) => void): () => void {
  const subscription = bus.subscribe(subject, {}, (message) => {
    const parsed = parseEvent(message.data);
    if (parsed.kind === "ok") onEvent(parsed.value);
  });
  return () => subscription.unsubscribe();
}
