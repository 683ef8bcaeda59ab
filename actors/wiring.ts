// The wiring: what each actor of a node is given, made from the bus, the logs and the models.
//
// Owns: the one place where actors meet transport. Does not own: which actors run (node.ts), when (supervision/).

import type { Clock } from "../models/clock.js";
import type { Position } from "../models/experience.js";
import { openLearner } from "../models/learner.js";
import type { Model } from "../models/manifest.js";
import { StuckThreads } from "../models/thread-silence.js";
import { alertingKinds } from "../operations/alert-rules.js";
import type { LoggedExperience } from "../operations/log-fold.js";
import { ModelLog } from "../operations/model-log.js";
import type { Telemetry } from "../operations/telemetry.js";
import type { CleanupHook } from "../supervision/cleanup.js";
import type { FlightRecord } from "../supervision/flight-record.js";
import type { Ref } from "../supervision/ref.js";
import type { Bus } from "../transport/bus.js";
import { encodeAlert, encodeMetrics, parseEvent, type TelemetryEvent } from "../transport/events.js";
import { type LeaseOwner, openLease } from "../transport/lease.js";
import { encodeRestored, parseRestoreOrder } from "../transport/operator-orders.js";
import type { DeadLetterRecord } from "../transport/records.js";
import type { Subjects } from "../transport/subjects.js";
import type { Timeouts } from "../transport/timeouts.js";
import { encodeRefusal } from "../transport/wire.js";
import type { AlerterDeps } from "./alerter.js";
import type { BeaconDeps } from "./beacon.js";
import type { BufferDeps } from "./buffer.js";
import { Desk, type DeskSettings, deskDefaults, type OpenRequest } from "./desk.js";
import { deadLetterOfRequest, deadLetterOfUpdate } from "./giving-up.js";
import { Holdings } from "./holdings.js";
import type { HeadSource, InferenceDeps } from "./inference.js";
import type { IntakeDeps, Served } from "./intake.js";
import type { BufferMessage, InferenceMessage, RelayMessage, ServedHead, VoterMessage } from "./messages.js";
import type { Outbox, RelayDeps } from "./relay.js";
import type { RestoreAnswer, RestoreDeps } from "./restorer.js";
import type { UpdaterDeps } from "./updater.js";
import type { VoterDeps } from "./voter.js";
import type { WatchdogDeps } from "./watchdog.js";
import { wireWatchdog } from "./watchdog-wiring.js";

export interface NodeIdentity {
  readonly node: string;
  readonly incarnation: number;
  /** Unique to this process. */
  readonly origin: string;
  /** Of the root that restarts this node; nobody does when left out, and then its origin is its run. */
  readonly run?: string;
}

export interface ModelWiring {
  readonly name: string;
  readonly desk: Desk;
  buffer(inference: Ref<InferenceMessage>, voter: Ref<VoterMessage>): BufferDeps;
  voter(buffer: Ref<BufferMessage>, relay: Ref<RelayMessage>): VoterDeps;
  relay(): RelayDeps;
  inference(buffer: Ref<BufferMessage>): InferenceDeps;
  served(inference: Ref<InferenceMessage>, buffer: Ref<BufferMessage>): Served;
  updater(): UpdaterDeps;
}

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

export interface Surroundings {
  readonly identity: NodeIdentity;
  readonly bus: Bus;
  /** For whatever JetStream keeps: a broker that hangs over a stream hangs the connections that wrote to it, and answers must leave. `bus` when left out. */
  readonly logBus?: Bus;
  readonly subjects: Subjects;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  /** The figures of a heartbeat. */
  readonly vitals: () => Readonly<Record<string, number>>;
  readonly desk?: DeskSettings;
  readonly threads?: StuckThreads;
  /** Bound of each experience log, in bytes; the default when left out. */
  readonly logMaxBytes?: number;
  /** What is written down of each model's requests in flight, by the model's name; nothing when left out. */
  readonly flightOf?: (model: string) => FlightRecord;
  /** Takes the letter of a job that is given up. */
  readonly giveUp?: (letter: DeadLetterRecord) => void;
}

/** Every period of the actors, in one literal. */
const timing = {
  beatMs: 1_000,
  lookMs: 1_000,
} as const;
/** Newest records whose tasks are published again after a restart: more than one crash can leave without them. */
const reconciled = 256;
const newestTaskMs = 2_000;

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

function wireModel(around: Surroundings, model: Model, holdings: Holdings): ModelWiring {
  const { identity, bus, logBus = bus, subjects, telemetry, clock } = around;
  const { counters } = telemetry;
  const log = new ModelLog(
    logBus,
    subjects,
    model,
    clock,
    (unreadable) => {
      counters.add("log_unreadable");
      telemetry.event("log_unreadable", { actor: "log", incarnation: identity.incarnation }, () => [{ ...unreadable }]);
    },
    around.logMaxBytes,
  );
  const { name } = model.manifest;
  const { modelStart: startMs, memory, inference, threadEnd: endMs } = bus.timeouts;
  const bounds = { startMs, endMs, stuck: around.threads ?? new StuckThreads() };
  const desk = openDesk(around, name);
  const author = { node: identity.node, nodeIncarnation: identity.incarnation };
  const outbox: WatchedOutbox = { behindSeq: undefined, isKnown: false };
  return {
    name: model.manifest.name,
    desk,
    buffer: (inference, voter) => ({
      threads: { ...bounds, answerMs: memory },
      model,
      inference,
      voter,
      counters,
      source: experienceSource(log),
    }),
    voter: (buffer, relay) => ({
      model,
      ...author,
      desk,
      buffer,
      relay,
      append: (batchId, record) => log.append(batchId, record),
      telemetry,
    }),
    relay: () => ({
      model: name,
      outbox,
      newestRecords: () => newestRecords(log, clock, outbox),
      recordsFrom: (fromSeq) => recordsFrom(log, fromSeq),
      publish: (task, messageId) => log.enqueue({ kind: "task", task }, messageId),
      telemetry,
    }),
    inference: (buffer) => ({
      model,
      desk,
      buffer,
      heads: headSource(log, model),
      origin: identity.origin,
      introductionMs: bus.timeouts.introduce,
      threads: { ...bounds, answerMs: inference },
      ...poisonGuard(around, model, desk),
    }),
    served: (inference, buffer) => ({
      model,
      desk,
      inference,
      buffer,
      appendLabel: (id, label, of) => appendLabel(log, around, model, { id, label, of }),
    }),
    updater: () => ({
      model,
      ...author,
      store: log,
      acquireLease: (signal, holder) =>
        holdings.acquire(holder, openLease(logBus, clock, subjects.leaseBucket, name), ownerOf(identity), signal),
      openLearner: () => openLearner(),
      telemetry,
      restore: restoreOrders(around, name, log),
      onPoison: (poison) => {
        const letter = deadLetterOfUpdate(name, { node: identity.node, atMs: clock.nowMs() }, poison);
        if (letter !== undefined) around.giveUp?.(letter);
      },
    }),
  };
}

/** How every request ended is counted, by model. */
function openDesk(
  { clock, telemetry: { counters }, desk: settings = deskDefaults }: Surroundings,
  model: string,
): Desk {
  return new Desk(
    clock,
    ({ code, tookMs }) => {
      const end = code === undefined ? "answered" : "closed_refused";
      counters.add(end);
      counters.add(`${end}_${model}`);
      counters.add(`processing_ms_${model}`, tookMs);
    },
    settings,
  );
}

/** Orders to the leading updater of a model; whoever does not lead is not subscribed. */
function restoreOrders({ bus, subjects }: Surroundings, model: string, log: ModelLog): RestoreDeps {
  return {
    log,
    listen: (obey) => {
      const subscription = bus.subscribe(subjects.order(model, "restore"), {}, async (message) => {
        const parsed = parseRestoreOrder(message.data);
        const answer: RestoreAnswer =
          parsed.kind === "ok"
            ? await obey(parsed.value)
            : { kind: "refused", code: "bad_request", message: parsed.message };
        if (answer.kind === "restored") return void message.respond(encodeRestored(answer.restored));
        const { bytes, headers } = encodeRefusal({ code: answer.code, message: answer.message });
        message.respond(bytes, headers);
      });
      return () => subscription.unsubscribe();
    },
  };
}

function experienceSource(log: ModelLog): BufferDeps["source"] {
  return {
    moments: async () => {
      const { moments, experienceSeq } = await log.newestPolicy();
      return { moments, experienceSeq };
    },
    // The last sequence outlives its message: in an emptied stream there is nothing to catch up with.
    lastSeq: async () => {
      const { lastSeq, messages } = await log.state("experience");
      return messages === 0 ? 0 : lastSeq;
    },
    lastSeqNow: () => log.lastSeqNow("experience"),
    follow: (fromSeq, signal) => log.experiences(fromSeq, signal),
  };
}

function headSource(log: ModelLog, model: Model): HeadSource {
  const latest = async (): Promise<ServedHead & { readonly seq: number }> => {
    const last = await log.lastCommit();
    if (last === undefined) return { seq: 0, version: 0, head: model.calibration.head };
    return { seq: last.seq, version: last.commit.version, head: last.commit.served };
  };
  return {
    latest,
    follow: async (fromSeq, signal, onHead) => {
      for await (const { commit } of log.commits(fromSeq, signal))
        onHead({ version: commit.version, head: commit.served });
    },
  };
}

/** A request that ends the process at every try is given up before it reaches the model again. */
function poisonGuard(around: Surroundings, model: Model, desk: Desk): Pick<InferenceDeps, "flight" | "condemn"> {
  const { flightOf, giveUp, clock, identity } = around;
  if (flightOf === undefined) return {};
  const flight = flightOf(model.manifest.name);
  const condemn = (request: OpenRequest, deaths: number): void => {
    const cause = `the process ended ${deaths} times while it was in the model`;
    desk.refuse(request, "internal", cause);
    const verdict = { node: identity.node, phase: "inference", state: "condemned", atMs: clock.nowMs() } as const;
    giveUp?.(deadLetterOfRequest(model, request, { ...verdict, cause, attempts: deaths }));
  };
  return { flight, condemn };
}

interface WatchedOutbox extends Outbox {
  /** Whether a relay of this process has looked through it: from then on it knows itself where it is. */
  isKnown: boolean;
}

/**
 * Where the outbox may not have been emptied. A new process begins behind the newest task on the update stream, less what other nodes may
 * have been ahead: a relay that was held up for long, and then killed with its process, finds all of its tasks again.
 */
async function* newestRecords(log: ModelLog, clock: Clock, outbox: WatchedOutbox): AsyncGenerator<LoggedExperience> {
  const { lastSeq } = await log.state("experience");
  const newest = outbox.isKnown ? lastSeq : ((await newestTaskOf(log, clock)) ?? lastSeq);
  const fromSeq = Math.min(newest, lastSeq) - reconciled + 1;
  yield* recordsFrom(log, Math.max(1, Math.min(fromSeq, outbox.behindSeq ?? fromSeq)));
  outbox.isKnown = true;
}

/** The experience that the newest task on the update stream names; marks are passed by. Undefined when no task is in sight. */
async function newestTaskOf(log: ModelLog, clock: Clock): Promise<number | undefined> {
  const { lastSeq, messages } = await log.state("update");
  if (messages === 0) return undefined;
  const reading = new AbortController();
  // An entry that nobody can read is not told of: if it is the last one, there is nothing to wait for.
  const cancel = clock.after(newestTaskMs, () => reading.abort());
  let newest: number | undefined;
  try {
    for await (const { seq, entry } of log.updates(Math.max(1, lastSeq - reconciled + 1), reading.signal)) {
      if (entry.kind === "task") newest = Math.max(newest ?? 0, entry.task.experience.seq);
      if (seq >= lastSeq) break;
    }
  } finally {
    cancel();
    reading.abort();
  }
  return newest;
}

/** From a record to the end that the log has now. */
async function* recordsFrom(log: ModelLog, fromSeq: number): AsyncGenerator<LoggedExperience> {
  const { lastSeq, messages } = await log.state("experience");
  if (messages === 0 || fromSeq > lastSeq) return;
  const reading = new AbortController();
  try {
    for await (const record of log.experiences(fromSeq, reading.signal)) {
      yield record;
      if (record.seq >= lastSeq) return;
    }
  } finally {
    reading.abort();
  }
}

async function appendLabel(
  log: ModelLog,
  { identity, clock }: Surroundings,
  model: Model,
  { id, label, of }: { readonly id: string; readonly label: number; readonly of: Position },
): Promise<boolean> {
  const record = {
    kind: "label",
    model: model.manifest.name,
    node: identity.node,
    atMs: clock.nowMs(),
    id,
    label,
    of,
  } as const;
  const outcome = await log.append(`label.${of.seq}.${of.index}.${label}`, record);
  return outcome.kind === "appended";
}

function ownerOf({ node, incarnation, run, origin }: NodeIdentity): LeaseOwner {
  return { node, incarnation, run: run ?? origin };
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
