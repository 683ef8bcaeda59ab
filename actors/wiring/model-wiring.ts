// The wiring of one model: what its actors are given, made from the bus, the logs and the model.
//
// Owns: the one place where a model's actors meet transport. Does not own: what surrounds them all (wiring.ts), which actors run (node.ts).

import type { Folded } from "../../models/adaptation/adaptation.js";
import type { LateLabel, LateReward } from "../../models/experience.js";
import { openLearner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import { startEngine } from "../../models/serving/engine.js";
import { StuckThreads } from "../../models/threads/thread-silence.js";
import { ModelLog, type Unreadable } from "../../operations/log/model-log.js";
import { InferMeter } from "../../operations/metrics/infer-meter.js";
import { phaseReached } from "../../operations/timings/batch-timings.js";
import type { JobToRecord } from "../../operations/traces/recorder.js";
import { requestSpanId } from "../../operations/traces/trace-context.js";
import type { Ref } from "../../supervision/actor/ref.js";
import type { LogFields } from "../../supervision/logger.js";
import type { Ahead } from "../../supervision/tree/child-spec.js";
import { refuse } from "../../transport/bus/refusing.js";
import type { CopyBehind } from "../../transport/log/follow.js";
import { type Lease, type LeaseOwner, openLease } from "../../transport/log/lease.js";
import { encodeRestored, parseRestoreOrder } from "../../transport/messages/operator-orders.js";
import { deadLetterOfRequest, deadLetterOfUpdate } from "../giving-up.js";
import type { Holdings } from "../holdings.js";
import type { RestoreAnswer, RestoreDeps } from "../learning/restorer.js";
import type { UpdaterDeps } from "../learning/updater.js";
import type { BufferDeps } from "../serving/buffer.js";
import { Desk, type DeskEars, deskDefaults, type OpenRequest } from "../serving/desk.js";
import { EngineAhead } from "../serving/engine-ahead.js";
import type { Written } from "../serving/feedback.js";
import type { HeadSource, InferenceDeps } from "../serving/inference.js";
import type { Served } from "../serving/intake.js";
import type { BufferMessage, InferenceMessage, RelayMessage, ServedHead, VoterMessage } from "../serving/messages.js";
import { newestRecords, recordsFrom, type WatchedOutbox } from "../serving/outbox.js";
import type { RelayDeps } from "../serving/relay.js";
import { Shadows } from "../serving/shadows.js";
import type { VoterDeps } from "../serving/voter.js";
import type { NodeIdentity, Surroundings } from "./surroundings.js";

export interface ModelWiring {
  readonly name: string;
  readonly model: Model;
  readonly desk: Desk;
  /** Opened while the actors before inference start. */
  readonly engine: Ahead;
  buffer(inference: Ref<InferenceMessage>, voter: Ref<VoterMessage>): BufferDeps;
  voter(buffer: Ref<BufferMessage>, relay: Ref<RelayMessage>): VoterDeps;
  relay(): RelayDeps;
  inference(buffer: Ref<BufferMessage>): InferenceDeps;
  served(inference: Ref<InferenceMessage>, buffer: Ref<BufferMessage>): Served;
  updater(): UpdaterDeps;
}

interface Place {
  readonly around: Surroundings;
  readonly model: Model;
  readonly name: string;
  readonly log: ModelLog;
  readonly desk: Desk;
  readonly meter: InferMeter;
  readonly holdings: Holdings;
  /** Of its batches: unique to this process and to this coming of the model. */
  readonly origin: string;
}

/**
 * `coming`: which time this is that the process wires a model, from 0. A desk counts its requests anew each time, and what the log has from the
 * time before must not be taken for theirs: the same id within its window is stored once.
 */
export function wireModel(around: Surroundings, model: Model, holdings: Holdings, coming = 0): ModelWiring {
  const { name } = model.manifest;
  const meter = new InferMeter(name, around.telemetry, around.clock);
  const place: Place = {
    around,
    model,
    name,
    log: openModelLog(around, model),
    desk: openDesk(around, name, meter),
    meter,
    holdings,
    origin: `${around.identity.origin}.${coming}`,
  };
  const outbox: WatchedOutbox = { behindSeq: undefined, isKnown: false, onStream: new Set() };
  return {
    name,
    model,
    desk: place.desk,
    ...wireServing(place),
    relay: () => wireRelay(place, outbox),
    updater: () => wireUpdater(place),
  };
}

function openModelLog(
  { bus, logBus = bus, subjects, telemetry, clock, identity, log, logMaxBytes }: Surroundings,
  model: Model,
): ModelLog {
  const origin = { actor: "log", incarnation: identity.incarnation };
  const onUnreadable = (unreadable: Unreadable): void => {
    telemetry.counters.add("log_unreadable");
    telemetry.event("log_unreadable", origin, () => [{ ...unreadable }]);
  };
  const onCopyBehind = ({ stream, server, seq }: CopyBehind): void => {
    log?.warn("a server's copy of a log is behind: passed by", { component: "log", stream, server, seq });
    telemetry.event("copy_behind", origin, () => [
      { about: `${stream} on ${server}`, cause: `message ${seq} is missing` },
    ]);
  };
  return new ModelLog(logBus, subjects, model, clock, onUnreadable, { experienceMaxBytes: logMaxBytes, onCopyBehind });
}

function wireServing({
  around,
  model,
  log,
  desk,
  meter,
  origin,
}: Place): Pick<ModelWiring, "engine" | "buffer" | "voter" | "inference" | "served"> {
  const { identity, bus, telemetry } = around;
  const { modelStart: startMs, memory, inference: runMs, threadEnd: endMs, introduce } = bus.timeouts;
  const shadows = new Shadows(telemetry);
  const bounds = { startMs, endMs, stuck: around.threads ?? new StuckThreads() };
  const ofEngine = { ...bounds, answerMs: runMs };
  const openEngine = () => startEngine(model, around.clock, ofEngine, around.wish?.wanted);
  const engine = new EngineAhead(openEngine, around.clock, endMs);
  return {
    engine,
    buffer: (inference, voter) => ({
      threads: { ...bounds, answerMs: memory },
      model,
      inference,
      voter,
      counters: telemetry.counters,
      meter,
      onAdapted: (folded, by) => {
        // Every node folds every record; the one that wrote it tells.
        if (by === identity.node) tellAdapted(around, model.manifest.name, folded);
      },
      source: experienceSource(log, (messageId) => messageId.startsWith(`${origin}-`)),
    }),
    voter: (buffer, relay) => ({
      model,
      node: identity.node,
      nodeIncarnation: identity.incarnation,
      desk,
      buffer,
      relay,
      append: (batchId, record, patience) => log.append(batchId, record, patience),
      telemetry,
      meter,
    }),
    inference: (buffer) => ({
      model,
      desk,
      buffer,
      heads: headSource(log, model),
      meter,
      shadows,
      origin,
      introductionMs: introduce,
      threads: ofEngine,
      openEngine: () => engine.take(),
      ...(around.wish === undefined ? {} : { wish: around.wish }),
      ...poisonGuard(around, model, desk),
    }),
    served: (inference, buffer) => ({
      model,
      desk,
      inference,
      buffer,
      meter,
      counters: telemetry.counters,
      sourceAnswer: (id) => shadows.sourceAnswer(id),
      appendLabel: (id, label, of) => appendWord(log, around, model, { kind: "label", id, label, of }),
      appendReward: (id, reward, of) => appendWord(log, around, model, { kind: "reward", id, reward, of }),
    }),
  };
}

function wireRelay({ around, name, log }: Place, outbox: WatchedOutbox): RelayDeps {
  return {
    model: name,
    outbox,
    newestRecords: () => newestRecords(log, around.clock, outbox),
    recordsFrom: (fromSeq) => recordsFrom(log, fromSeq),
    publish: (task, messageId) => log.enqueue({ kind: "task", task }, messageId),
    telemetry: around.telemetry,
  };
}

function wireUpdater({ around, model, name, log, holdings }: Place): UpdaterDeps {
  const { identity, bus, logBus = bus, subjects, clock, telemetry } = around;
  const lease = (): Lease => openLease(logBus, clock, subjects.leaseBucket, name);
  return {
    model,
    node: identity.node,
    nodeIncarnation: identity.incarnation,
    store: log,
    acquireLease: (signal, holder) => holdings.acquire(holder, lease(), ownerOf(identity), signal),
    openLearner: () => openLearner(),
    telemetry,
    ...(around.spans === undefined ? {} : { spans: around.spans }),
    restore: restoreOrders(around, name, log),
    onPoison: (poison) => {
      const letter = deadLetterOfUpdate(name, { node: identity.node, atMs: clock.nowMs() }, poison);
      if (letter !== undefined) around.giveUp?.(letter);
    },
  };
}

/** How every request ended is counted, by model. */
function openDesk(
  { clock, telemetry: { counters }, spans, log, desk: settings = deskDefaults }: Surroundings,
  model: string,
  meter: InferMeter,
): Desk {
  // Made once: a name that is put together for every request is hashed for every request.
  const [answered, refused, spentMs] = [`answered_${model}`, `closed_refused_${model}`, `processing_ms_${model}`];
  const ears: DeskEars = {
    closed: ({ request, code, tookMs }) => {
      meter.closed(request, code === undefined, tookMs);
      if (spans?.isOn === true) spans.closed(jobOf(model, request, code, request.acceptedAtMs + tookMs));
      if (code !== undefined) log?.info("request refused", refusalLine(model, request, code, tookMs, desk));
      counters.add(code === undefined ? "answered" : "closed_refused");
      counters.add(code === undefined ? answered : refused);
      counters.add(spentMs, tookMs);
    },
    answered: (requests, nowMs) => {
      if (requests.length === 0) return;
      meter.answeredTogether(requests, nowMs);
      let tookMs = 0;
      for (const request of requests) {
        if (spans?.isOn === true) spans.closed(jobOf(model, request, undefined, nowMs));
        tookMs += nowMs - request.acceptedAtMs;
      }
      counters.add("answered", requests.length);
      counters.add(answered, requests.length);
      counters.add(spentMs, tookMs);
    },
  };
  const desk = new Desk(clock, ears, settings);
  return desk;
}

/** Where the request was when it was refused, and how full the node. */
function refusalLine(
  model: string,
  { id, traceId, timings }: OpenRequest,
  code: string,
  tookMs: number,
  { size, settings: { openMax } }: Desk,
): LogFields {
  const phase = timings === undefined ? "queue" : phaseReached(timings);
  const pool = { active: size, slots: openMax, utilisation: size / openMax };
  return {
    trace: traceId,
    span: requestSpanId(traceId, id),
    component: "desk",
    phase,
    model,
    id,
    code,
    tookMs,
    ...pool,
  };
}

/** Spelled out: one for every request. */
function jobOf(model: string, request: OpenRequest, code: string | undefined, closedAtMs: number): JobToRecord {
  const { id, traceId, caller, receivedAtMs, acceptedAtMs, timings } = request;
  const parentSpanId = caller?.parentSpanId;
  const sampled = caller?.sampled;
  return { model, id, traceId, parentSpanId, sampled, receivedAtMs, acceptedAtMs, closedAtMs, code, timings };
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
        refuse(message, { code: answer.code, message: answer.message });
      });
      return () => subscription.unsubscribe();
    },
  };
}

function tellAdapted(
  { telemetry, identity: { incarnation } }: Surroundings,
  model: string,
  { domain, begun, ended, floor }: Folded,
): void {
  const tell = (kind: string, cause: string, of = domain): void =>
    telemetry.event(kind, { actor: "buffer", incarnation }, () => [{ about: `${model}-${of}`, cause }]);
  if (ended !== undefined) tell("domain_ended", "its inputs are home's, or it made room for a new one", ended);
  if (begun) tell("domain_begun", `inputs unlike any domain that ${model} knows`);
  if (floor === "source") tell("domain_to_source", "the source model does better on such inputs: it answers");
  if (floor === "adapted") tell("domain_adapted", "the adapted model does as well again: it answers");
}

/** `isOwn`: whether this node's voter wrote the record of this id. */
function experienceSource(log: ModelLog, isOwn: (messageId: string) => boolean): BufferDeps["source"] {
  return {
    adaptation: async () => {
      const { adaptation, experienceSeq } = await log.newestPolicy();
      return { adaptation, experienceSeq };
    },
    // The last sequence outlives its message: in an emptied stream there is nothing to catch up with.
    lastSeq: async () => {
      const { lastSeq, messages } = await log.state("experience");
      return messages === 0 ? 0 : lastSeq;
    },
    lastSeqNow: () => log.lastSeqNow("experience"),
    follow: (fromSeq, signal, known) => log.experiences(fromSeq, signal, { echo: { isOwn, known } }),
    between: (fromSeq, toSeq, signal) => log.experiencesBetween(fromSeq, toSeq, signal),
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

type Word = Omit<LateLabel, "model" | "node" | "atMs"> | Omit<LateReward, "model" | "node" | "atMs">;

async function appendWord(
  log: ModelLog,
  { identity, clock }: Surroundings,
  model: Model,
  word: Word,
): Promise<Written> {
  const { of } = word;
  const record = { ...word, model: model.manifest.name, node: identity.node, atMs: clock.nowMs() };
  const said = word.kind === "label" ? word.label : word.reward;
  const outcome = await log.append(`${word.kind}.${of.seq}.${of.index}.${said}`, record);
  if (outcome.kind !== "appended") return "refused";
  return outcome.duplicate ? "repeated" : "new";
}

/** A node without a root is a run of its own. */
export function ownerOf({ node, incarnation, run, origin }: NodeIdentity): LeaseOwner {
  return { node, incarnation, run: run ?? origin };
}
