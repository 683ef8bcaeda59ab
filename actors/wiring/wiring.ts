// The wiring: what the actors of a node are given that no model owns, made from the bus.
//
// Owns: where these actors meet transport. Does not own: a model's actors (model-wiring.ts), which actors run (node.ts), when (supervision/).

import type { Clock } from "../../models/clock.js";
import type { Model } from "../../models/manifest.js";
import { OtlpSink, postJsonBy } from "../../operations/traces/otlp.js";
import { spansEvent } from "../../operations/traces/span-items.js";
import type { CleanupHook } from "../../supervision/tree/cleanup.js";
import type { Bus } from "../../transport/bus/bus.js";
import { encodeMetrics, parseEvent, type TelemetryEvent } from "../../transport/messages/events.js";
import type { Timeouts } from "../../transport/timeouts.js";
import type { BeaconDeps } from "../beacon.js";
import { Holdings } from "../holdings.js";
import { ModelRoll } from "../model-roll.js";
import type { ExporterDeps } from "../operations/exporter.js";
import type { WatchdogDeps } from "../operations/watchdog.js";
import type { IntakeDeps, Served } from "../serving/intake.js";
import { type ModelWiring, wireModel } from "./model-wiring.js";
import type { OperationsWiring, wireOperations } from "./operations-wiring.js";
import type { Surroundings } from "./surroundings.js";
import { wireWatchdog } from "./watchdog-wiring.js";

export interface NodeWiring {
  /** Those that the node has now. */
  readonly models: readonly ModelWiring[];
  readonly roll: ModelRoll<ModelWiring>;
  /** Puts a model on the roll; its actors are to be started then. */
  admit(model: Model): ModelWiring;
  readonly timeouts: Timeouts;
  intake(servedOf: (model: ModelWiring) => Served): IntakeDeps;
  readonly beacon: BeaconDeps;
  readonly watchdog: WatchdogDeps;
  /** Undefined where nobody observes. */
  readonly operations: OperationsWiring | undefined;
  /** Undefined where spans are sent nowhere. */
  readonly exporter: ExporterDeps | undefined;
  /** Between two incarnations of an actor: what the ended one held is let go. */
  readonly confirmCleanup: CleanupHook;
}

/** Every period of the actors, in one literal. */
const timing = {
  beatMs: 1_000,
  exportMs: 1_000,
} as const;

/** `operationsOf`: of an operations node, which alone loads it. */
export function wire(around: Surroundings, models: readonly Model[], operationsOf?: typeof wireOperations): NodeWiring {
  const holdings = new Holdings();
  const roll = new ModelRoll<ModelWiring>();
  let comings = 0;
  const admit = (model: Model): ModelWiring => {
    const wired = wireModel(around, model, holdings, comings++);
    roll.enter(wired);
    return wired;
  };
  for (const model of models) admit(model);
  const vitals = () => ({ ...around.vitals(), ...openAt(roll.all, around.clock) });
  return {
    timeouts: around.bus.timeouts,
    get models() {
      return roll.all;
    },
    roll,
    admit,
    intake: (servedOf) => ({
      node: around.identity.node,
      bus: around.bus,
      subjects: around.subjects,
      models: roll.doors(servedOf),
      absence: (name) => roll.absence(name),
      telemetry: around.telemetry,
      ...(around.spans === undefined ? {} : { spans: around.spans }),
      ...(around.arrivals === undefined ? {} : { arrivals: around.arrivals }),
      deadlineMs: around.bus.timeouts.request,
    }),
    beacon: { everyMs: timing.beatMs, beat: () => beat({ ...around, vitals }) },
    watchdog: wireWatchdog(around),
    operations: operationsOf?.(around, roll),
    exporter: wireExporter(around),
    confirmCleanup: async ({ path }) => ({ leasesCleaned: await holdings.release(path) }),
  };
}

/** How many requests are open, and for how long the oldest of them is: what waits on this node for an answer. */
function openAt(models: readonly ModelWiring[], clock: Clock): Readonly<Record<string, number>> {
  const nowMs = clock.monotonicMs();
  const oldestMs = Math.max(0, ...models.map(({ desk }) => desk.oldestMs(nowMs)));
  const open = models.map(({ name, desk }) => [`open_${name}`, desk.size] as const);
  return Object.fromEntries([...open, ["oldest_open_ms", oldestMs] as const]);
}

/** Figures that nobody can hear are not taken: the longest delay of an outage is in the first beat after it. */
function beat({ bus, subjects, identity, clock, vitals, telemetry: { instruments } }: Surroundings): void {
  if (!bus.connected) return;
  const { node, incarnation, run, origin } = identity;
  const values = { ...vitals(), ...instruments.gauges(clock.monotonicMs()) };
  const sketches = instruments.sketches();
  const sample = { node, incarnation, atMs: clock.nowMs(), values, sketches, run: run ?? origin };
  bus.publish(subjects.metrics(node), encodeMetrics({ ...sample, rooted: run !== undefined }));
}

function wireExporter({ bus, subjects, clock, telemetry, otlp }: Surroundings): ExporterDeps | undefined {
  if (otlp === undefined) return undefined;
  const { counters } = telemetry;
  return {
    sink: () => new OtlpSink({ ...otlp, cluster: subjects.cluster, clock, post: postJsonBy(clock), counters }),
    everyMs: timing.exportMs,
    clock,
    listen: (take) => listen(bus, subjects.event(spansEvent), take, subjects.spanExportGroup),
  };
}

function listen(bus: Bus, subject: string, onEvent: (event: TelemetryEvent) => void, queue?: string): () => void {
  const subscription = bus.subscribe(subject, queue === undefined ? {} : { queue }, (message) => {
    const parsed = parseEvent(message.data);
    if (parsed.kind === "ok") onEvent(parsed.value);
  });
  return () => subscription.unsubscribe();
}
