// The intake: the door of one serving node.
//
// Owns: the subscriptions (requests by queue group, feedback), decoding once, the refusal of what does not fit.
// Does not own: the open requests (desk.ts), what is said of earlier ones (feedback.ts), validation rules (transport/messages/wire.ts, models/manifest.ts).
//
// One subscription takes the requests for every model, so that one for a model that nobody serves is refused by name instead of
// meeting silence. All serving nodes of a cluster serve the same models; one that is not that far yet says so, and another is tried.
//
// I1. Every message with a reply address is answered: opened at the desk, joined to an open request, or refused by name.
// I2. Stopping closes the door first; what is open or on its way goes on until it is settled or its deadline passes.
// I3. Of an input by reference not a byte is fetched before all that can be known of it without is found right (arrivals.ts).

import type { InferMeter } from "../../operations/metrics/infer-meter.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import type { SpanRecorder } from "../../operations/traces/recorder.js";
import type { ClosedJob } from "../../operations/traces/span-items.js";
import { parseTraceparent, type TraceContext } from "../../operations/traces/trace-context.js";
import type { Behaviour, Life } from "../../supervision/actor/behaviour.js";
import type { Ref } from "../../supervision/actor/ref.js";
import { asError, type ExitReason } from "../../supervision/exit-reason.js";
import type { Bus, Incoming, Subscribed } from "../../transport/bus/bus.js";
import {
  encodeFeedbackReply,
  encodeRefusal,
  type FeedbackRequest,
  parseFeedbackRequest,
  type Refusal,
} from "../../transport/messages/wire.js";
import { areOneUsers, header, modelOf, type Subjects } from "../../transport/subjects.js";
import type { Doors } from "../model-roll.js";
import type { Arrival, Arrivals } from "./arrivals.js";
import type { Answerer, Desk, NewRequest } from "./desk.js";
import { type FeedbackDeps, hear } from "./feedback.js";
import { randomHex } from "./identifiers.js";
import type { InferenceMessage } from "./messages.js";
import { type ReadRequest, readRequest, type Wanted } from "./request-reading.js";

/** One model behind the door. */
export interface Served extends Omit<FeedbackDeps, "locateMs"> {
  readonly desk: Desk;
  readonly inference: Ref<InferenceMessage>;
  readonly meter: InferMeter;
}

export interface IntakeDeps {
  readonly node: string;
  readonly bus: Bus;
  readonly subjects: Subjects;
  /** By name, as they are now. */
  readonly models: Doors<Served>;
  /** What a request for a model that has no door is told; that it is unknown, when left out. */
  readonly absence?: (name: string) => Pick<Refusal, "code" | "message" | "retryAfterMs">;
  readonly telemetry: Telemetry;
  /** Told of what is refused before it is open at a desk. */
  readonly spans?: SpanRecorder;
  /** Takes inputs by reference; none are taken when left out. */
  readonly arrivals?: Arrivals;
  /** Of a request that names none. */
  readonly deadlineMs: number;
}

export interface IntakeMessage {
  readonly kind: "feedback";
  readonly served: Served;
  readonly request: FeedbackRequest;
  readonly message: Incoming;
}

interface State {
  readonly subscriptions: readonly Subscribed[];
}

export function intake(deps: IntakeDeps): Behaviour<IntakeMessage, State> {
  return {
    init: (life) => {
      deps.arrivals?.listen();
      return { subscriptions: subscribe(deps, life) };
    },
    receive: (_state, message, turn) => takeWord(deps, message, turn),
    stop: (state, reason) => close(deps, state, reason),
    summary: () => ({
      models: [...deps.models.keys()],
      open: [...deps.models.values()].reduce((sum, { desk }) => sum + desk.size, 0),
      ...(deps.arrivals === undefined ? {} : { arriving: deps.arrivals.size }),
      ...overflowOf(deps),
    }),
  };
}

/** Every desk of a node goes by the same settings. */
function overflowOf({ models }: IntakeDeps): Readonly<Record<string, string | number>> {
  for (const { desk } of models.values()) return { openMax: desk.settings.openMax, overflow: desk.settings.policy };
  return {};
}

function subscribe(deps: IntakeDeps, life: Life<IntakeMessage>): Subscribed[] {
  const { bus, subjects } = deps;
  const queue = { queue: subjects.servingGroup };
  return [
    bus.subscribe(subjects.all.infer, queue, (message) => admit(deps, life, message)),
    bus.subscribe(subjects.all.feedback, queue, (message) => takeFeedback(deps, life, message)),
  ];
}

/** A restart leaves what is open to the actors behind the door; a shutdown waits for it, and every request has a deadline. */
async function close(deps: IntakeDeps, { subscriptions }: State, reason: ExitReason): Promise<void> {
  await Promise.all(subscriptions.map((subscription) => subscription.drain()));
  if (reason.kind !== "shutdown") return;
  await deps.arrivals?.drained();
  await Promise.all([...deps.models.values()].map(({ desk }) => desk.drained()));
}

function absent({ models, absence }: IntakeDeps, name: string): Refusal {
  if (absence !== undefined) return absence(name);
  const known = [...models.keys()].join(", ");
  return { code: "unknown_model", message: `no model "${name}" is served here; there is: ${known}` };
}

function takeFeedback(deps: IntakeDeps, life: Life<IntakeMessage>, message: Incoming): void {
  const name = modelOf(message.subject);
  const served = deps.models.get(name);
  const parsed = parseFeedbackRequest(message.data);
  if (served === undefined) refuse(deps, life, message, absent(deps, name));
  else if (parsed.kind === "refused") refuse(deps, life, message, parsed);
  else if (life.self.tell({ kind: "feedback", served, request: parsed.value, message }) !== "ok")
    refuse(deps, life, message, { code: "overloaded", message: "too much feedback is waiting", retryAfterMs: 250 });
}

function admit(deps: IntakeDeps, life: Life<IntakeMessage>, message: Incoming): void {
  const receivedAtMs = life.clock.monotonicMs();
  deps.telemetry.counters.add("requests");
  deps.telemetry.counters.add("phase_infer_receive_started");
  const caller = callerOf(message);
  const traceId = caller?.traceId ?? randomHex(16);
  const name = modelOf(message.subject);
  const served = deps.models.get(name);
  if (served === undefined) {
    turnAway(deps, life, message, { ...absent(deps, name), traceId });
    return;
  }
  const at = { model: name, traceId, caller, receivedAtMs };
  const read = readRequest(deps, served.model.manifest, message, at);
  if (read.kind === "refused") {
    turnAway(deps, life, message, read.refusal);
    recordRefusal(deps, life, at, read.refusal);
    return;
  }
  const { wanted } = read;
  const answerer = new Asker(deps, life, message, wanted);
  const turnedAway = (refusal: Refusal): void => {
    deps.telemetry.counters.add("phase_infer_receive_failed");
    recordRefusal(deps, life, at, { ...refusal, id: wanted.id });
  };
  if (read.kind === "ok") openAtDesk(served, read.wanted, [answerer], turnedAway);
  else arrive(deps, life, { served, read, wanted, answerer, message, turnedAway });
}

/** A way back to whoever sent this message. */
class Asker implements Answerer {
  readonly #deps: IntakeDeps;
  readonly #life: Life<IntakeMessage>;
  readonly #message: Incoming;
  readonly #of: Pick<NewRequest, "id" | "traceId" | "isRetry">;

  constructor(
    deps: IntakeDeps,
    life: Life<IntakeMessage>,
    message: Incoming,
    of: Pick<NewRequest, "id" | "traceId" | "isRetry">,
  ) {
    this.#deps = deps;
    this.#life = life;
    this.#message = message;
    this.#of = of;
  }

  answer(payload: Uint8Array): void {
    if (this.#of.isRetry) countRetry(this.#deps, true);
    this.#message.respond(payload);
  }

  refuse(code: Refusal["code"], why: string, retryAfterMs?: number): void {
    const { id, traceId, isRetry } = this.#of;
    if (isRetry) countRetry(this.#deps, false);
    refuse(this.#deps, this.#life, this.#message, { id, traceId, code, message: why, retryAfterMs });
  }
}

/** The first of them opens the request, the others join it. */
function openAtDesk(
  served: Served,
  wanted: NewRequest,
  answerers: readonly Answerer[],
  turnedAway: (refusal: Refusal) => void,
): void {
  let opened = false;
  for (const answerer of answerers) {
    const admission = served.desk.open(wanted, answerer);
    if (admission.kind === "refused") {
      turnedAway({ ...admission });
      answerer.refuse(admission.code, admission.message, admission.retryAfterMs);
    }
    if (admission.kind !== "opened") continue;
    opened = true;
    served.meter.opened(admission.request);
    const told = served.inference.tell({ kind: "request", request: admission.request });
    if (told === "full") served.desk.refuse(admission.request, "overloaded", "the inference mailbox is full", 50);
    if (told === "dead") served.desk.refuse(admission.request, "not_ready", goingDown(served), 50);
  }
  if (!opened) wanted.held?.release();
}

function goingDown({ model }: Served): string {
  return `${model.manifest.name} is going down on this node`;
}

interface ByReference {
  readonly served: Served;
  readonly read: Extract<ReadRequest, { readonly kind: "remote" }>;
  readonly wanted: Wanted;
  readonly answerer: Answerer;
  readonly message: Incoming;
  readonly turnedAway: (refusal: Refusal) => void;
}

/** A request whose bytes have to be fetched first: to the desk when they are here, unless it is open, on its way, or has to be refused. */
function arrive(deps: IntakeDeps, life: Life<IntakeMessage>, arriving: ByReference): void {
  const { served, read, wanted, answerer, message, turnedAway } = arriving;
  const { id, traceId, receivedAtMs } = wanted;
  const refuseOne = (refusal: Refusal): void => {
    turnedAway(refusal);
    refuse(deps, life, message, { ...refusal, id, traceId });
  };
  const joined = served.desk.join(id, answerer) ?? deps.arrivals?.join(served.model.manifest.name, id, answerer);
  if (joined?.kind === "joined") return;
  const objection = joined?.kind === "refused" ? joined : objectionTo(deps, arriving);
  if (objection !== undefined || deps.arrivals === undefined) {
    refuseOne(objection ?? byReferenceNowhere);
    return;
  }
  const deadlineAtMs = receivedAtMs + wanted.deadlineMs;
  const { remote, scale } = read;
  const onEnd = (arrival: Arrival): void => {
    const [, ...others] = arrival.answerers;
    if (arrival.kind === "refused") {
      const { code, message: why, retryAfterMs } = arrival.refusal;
      refuseOne(arrival.refusal);
      for (const other of others) other.refuse(code, why, retryAfterMs);
      return;
    }
    const deadlineMs = Math.max(1, deadlineAtMs - life.clock.monotonicMs());
    openAtDesk(served, { ...wanted, ...arrival.input, deadlineMs }, arrival.answerers, turnedAway);
  };
  deps.arrivals
    .fetch({ id, manifest: served.model.manifest, remote, scale, deadlineAtMs }, answerer, onEnd)
    .catch((error) => life.fail(asError(error)));
}

const byReferenceNowhere: Refusal = {
  code: "bad_tensor",
  field: "input.ref",
  message: "tensors by reference are not taken here; send the bytes in d",
};

/** What speaks against fetching it, as far as that can be known before. */
function objectionTo(deps: IntakeDeps, { served, read, wanted, message }: ByReference): Refusal | undefined {
  const { ref } = read.remote;
  // A node may publish to everybody's inbox: whoever offers a tensor is who asks.
  if (deps.bus.hasUsers === true && !areOneUsers(ref.ask, message.replyTo))
    return { code: "bad_tensor", field: "input.ref.ask", message: "must be under the inbox of whoever asks" };
  return served.desk.objection(wanted.priority) ?? deps.arrivals?.objection(read.remote);
}

/** Refuses at the door: nothing was opened. */
function turnAway(deps: IntakeDeps, life: Life<IntakeMessage>, message: Incoming, refusal: Refusal): void {
  deps.telemetry.counters.add("phase_infer_receive_failed");
  refuse(deps, life, message, refusal);
}

/** A try after the first has ended. */
function countRetry({ telemetry: { counters } }: IntakeDeps, isAnswered: boolean): void {
  counters.add("retried_infer");
  if (isAnswered) counters.add("retried_infer_ok");
}

async function takeWord(
  deps: IntakeDeps,
  { served, request, message }: IntakeMessage,
  life: Life<IntakeMessage>,
): Promise<void> {
  const traceId = callerOf(message)?.traceId ?? randomHex(16);
  const heard = await hear({ ...served, locateMs: deps.bus.timeouts.locate }, request, life);
  if (heard.kind === "refused") return refuse(deps, life, message, heard.refusal);
  const { id, label, reward, of, kept } = heard.reply;
  if (kept === undefined)
    deps.telemetry.event("feedback", { actor: life.path, incarnation: life.incarnation }, () => [
      { traceId, id, label: label?.label, reward: reward ?? undefined, seq: of.seq, index: of.index },
    ]);
  message.respond(encodeFeedbackReply({ ...heard.reply, traceId }));
}

function refuse(deps: IntakeDeps, life: Life<IntakeMessage>, message: Incoming, refusal: Refusal): void {
  const { bytes, headers } = encodeRefusal(refusal);
  message.respond(bytes, headers);
  deps.telemetry.counters.add(`refused_${refusal.code}`);
  deps.telemetry.event("refused", { actor: life.path, incarnation: life.incarnation }, () => [
    { traceId: refusal.traceId, id: refusal.id, code: refusal.code, field: refusal.field, message: refusal.message },
  ]);
}

/** A request that never was open ends here, so its spans do. */
function recordRefusal(
  { spans }: IntakeDeps,
  { clock }: Life<IntakeMessage>,
  at: Pick<ClosedJob, "model" | "traceId" | "receivedAtMs"> & { readonly caller: TraceContext | undefined },
  { id, code }: Pick<Refusal, "id" | "code">,
): void {
  if (spans?.isOn !== true) return;
  const { caller, ...job } = at;
  const closedAtMs = clock.monotonicMs();
  const of = { id: id ?? "", parentSpanId: caller?.parentSpanId, sampled: caller?.sampled };
  spans.closed({ ...job, ...of, acceptedAtMs: closedAtMs, closedAtMs, code, timings: undefined });
}

/** The trace of the caller, where it names one. */
function callerOf(message: Incoming): TraceContext | undefined {
  const given = message.headers.get(header.traceparent);
  return given === undefined ? undefined : parseTraceparent(given);
}
