// Inference: turns the requests that are queued into one run of the model.
//
// Owns: the engine (a worker thread with the ONNX session), the parameters that the next run uses, the choice of cold or adapted parameters.
// Does not own: admission (desk.ts), the memory (buffer.ts), the answer (voter.ts).
//
// F1. Natural batching: a turn takes what is queued, up to batchMax, and never waits for more.
// F2. Parameters change between runs, never inside one. New weights are inputs of the graph; the session is never rebuilt.
// F3. The first `coldStart` requests of a model run with the source parameters: their answer is the source model's, bit for bit.
// F4. What was in the model when the process died is suspect to the next one: it runs alone. In flight at too many deaths, it is
//     condemned, and reaches no model any more (supervision/process/flight-record.ts).
// F5. A few requests are run again with the source parameters (shadows.ts), in a turn in which no request waits, or not at all. Where the
//     source's answer is at hand, no run is needed, and it is told in the same turn.
// F6. A run is bounded by the bytes of its inputs too. A large input is held while the model may read it, and not copied on this thread.

import { type Adapted, sourceParameters } from "../../models/adaptation/adaptation.js";
import type { Parameters } from "../../models/adaptation/pass.js";
import { type Model, sizeOf } from "../../models/manifest.js";
import { argmaxAt } from "../../models/numbers/softmax.js";
import { requestSeed } from "../../models/request-chance.js";
import type { Engine } from "../../models/serving/engine.js";
import { startEngine } from "../../models/serving/engine.js";
import { numbersIn, stacked } from "../../models/serving/sent-input.js";
import type { ThreadBounds } from "../../models/threads/thread-silence.js";
import type { InferMeter } from "../../operations/metrics/infer-meter.js";
import { begin, end, newTimings } from "../../operations/timings/batch-timings.js";
import { ask } from "../../supervision/actor/ask.js";
import type { BatchBehaviour, Life, Turn } from "../../supervision/actor/behaviour.js";
import type { Ref } from "../../supervision/actor/ref.js";
import { asError } from "../../supervision/exit-reason.js";
import { type FlightRecord, noFlightRecord } from "../../supervision/process/flight-record.js";
import { timeoutDefaults } from "../../transport/timeouts.js";
import type { Desk, OpenRequest } from "./desk.js";
import type { BufferMessage, EmbeddedBatch, InferenceMessage, Remembered, ServedHead } from "./messages.js";
import type { ProviderWish } from "./provider-wish.js";
import { type Shadow, type Shadows, shadowMax, sourceAnswerOf } from "./shadows.js";

export interface InferenceDeps {
  readonly model: Model;
  readonly desk: Desk;
  readonly buffer: Ref<BufferMessage>;
  readonly heads: HeadSource;
  readonly meter?: InferMeter;
  /** Without them none are run. */
  readonly shadows?: Shadows;
  /** Unique to this process: batch ids stay unique across node incarnations. */
  readonly origin: string;
  /** How long the memory may take to introduce itself. */
  readonly introductionMs?: number;
  readonly threads?: ThreadBounds;
  /** Where the model shall compute; on the CPU when left out. Outlives the actor. */
  readonly wish?: ProviderWish;
  /** Finds requests that end the whole process; without it none is looked for. */
  readonly flight?: FlightRecord;
  /** Closes a request that must not reach the model any more. */
  readonly condemn?: (request: OpenRequest, deaths: number) => void;
  readonly openEngine?: typeof startEngine;
}

/** Where committed heads come from: the newest one now, and every later one until the signal aborts. */
export interface HeadSource {
  latest(): Promise<ServedHead & { readonly seq: number }>;
  follow(fromSeq: number, signal: AbortSignal, onHead: (served: ServedHead) => void): Promise<void>;
}

interface State {
  readonly engine: Engine;
  readonly source: Parameters;
  /** Replaced where it differs, never changed: the engine sends an object to its thread once. */
  adapted: Parameters;
  version: number;
  /** Experiences in the log, as far as this node has folded it. */
  experiences: number;
  /** Requests passed on that have not reached their end: each may become an experience. */
  onTheWay: number;
  runs: number;
  rows: number;
  /** Requests whose shadow is due, the newest at the end; at most `shadowMax`. */
  readonly shadows: Shadow[];
  /** Takes the figures and slots of this incarnation away. */
  readonly unmeter: () => void;
}

/** A suspect that was told to itself: it is the only one of its turn to reach the model. */
type InferenceTold = InferenceMessage | { readonly kind: "alone"; readonly request: OpenRequest };

/** Requests of one run at most, and the bytes of their inputs where they are more than one. */
const batchMax = 64;
const batchBytesMax = 32 * 1024 * 1024;

function rowsMax({ manifest: { input } }: Model): number {
  const rowBytes = sizeOf(input.shape) * Float32Array.BYTES_PER_ELEMENT;
  return Math.max(1, Math.min(batchMax, Math.floor(batchBytesMax / rowBytes)));
}

export function inference(deps: InferenceDeps): BatchBehaviour<InferenceTold, State> {
  return {
    batchMax: rowsMax(deps.model),
    init: (life) => init(deps, life),
    receiveBatch: (state, messages, turn) => receive(deps, state, messages, turn),
    stop: (state) => {
      state.unmeter();
      return state.engine.close();
    },
    summary: (state) => ({
      model: deps.model.manifest.name,
      provider: state.engine.runsOn.provider,
      modelVersion: state.version,
      mode: state.experiences < deps.model.manifest.learning.coldStart ? "cold" : "ensemble",
      runs: state.runs,
      rows: state.rows,
    }),
  };
}

async function init(deps: InferenceDeps, life: Life<InferenceTold>): Promise<State> {
  const introduced = ask<BufferMessage, Remembered>(deps.buffer, (reply) => ({ kind: "introduce", reply }), {
    clock: life.clock,
    deadlineMs: deps.introductionMs ?? timeoutDefaults.introduce,
  });
  const [remembered, served] = await Promise.all([introduced, deps.heads.latest()]);
  const engine = await (deps.openEngine ?? startEngine)(deps.model, life.clock, deps.threads, deps.wish?.wanted);
  deps.wish?.tell(deps.model.manifest.name, engine.runsOn, life.log);
  void engine.died.then((error) => life.fail(error));
  followHeads(deps, served.seq + 1, life);
  const { meter } = deps;
  const unmeter = [meter?.provide(rowsMax(deps.model)), meter?.show("model_version", () => state.version)];
  const state: State = {
    engine,
    source: sourceParameters(deps.model),
    adapted: { ...remembered.adapted, head: served.head },
    version: served.version,
    experiences: remembered.experiences,
    onTheWay: 0,
    runs: 0,
    rows: 0,
    shadows: [],
    unmeter: () => {
      for (const end of unmeter) end?.();
    },
  };
  return state;
}

/** Only the newest head counts: one that finds the mailbox full is made up for by the next. */
function followHeads(deps: InferenceDeps, fromSeq: number, life: Life<InferenceTold>): void {
  const onHead = (served: ServedHead): void => {
    if (!life.signal.aborted) life.self.tell({ kind: "committed", served });
  };
  deps.heads.follow(fromSeq, life.signal, onHead).then(
    () => life.fail(new Error("the commits ended while they were followed")),
    (error) => life.fail(asError(error)),
  );
}

async function receive(
  deps: InferenceDeps,
  state: State,
  messages: readonly InferenceTold[],
  turn: Turn<InferenceTold>,
): Promise<void> {
  const taken = takeRequests(deps.desk, state, messages);
  if (taken.requests.length === 0 && taken.alone.length === 0) return runShadows(deps, state, turn);
  const requests = admitted(deps, taken, turn);
  if (requests.length === 0) return;
  for (const { held } of requests) held?.retain();
  try {
    await runAll(deps, state, requests, turn);
  } finally {
    for (const { held } of requests) held?.release();
  }
}

async function runAll(
  deps: InferenceDeps,
  state: State,
  requests: readonly OpenRequest[],
  turn: Turn<InferenceTold>,
): Promise<void> {
  const coldLeft = Math.max(0, deps.model.manifest.learning.coldStart - state.experiences - state.onTheWay);
  const cold = requests.slice(0, coldLeft);
  const warm = requests.slice(coldLeft);
  for (const [rows, isCold] of [[cold, true] as const, [warm, false] as const]) {
    if (rows.length === 0) continue;
    const batch = await embed(deps, state, rows, isCold, turn);
    turn.send(deps.buffer, { kind: "recall", batch });
    if (!isCold) {
      noteShadows(deps, state, batch);
      answerAtHand(deps, state, batch);
    }
  }
  state.onTheWay += requests.length;
}

/** A cold answer is the source's already. */
function noteShadows({ shadows, model }: InferenceDeps, state: State, { requests, embedded }: EmbeddedBatch): void {
  if (shadows === undefined) return;
  // A large input is not kept for one.
  for (let row = 0; row < requests.length; row++) {
    const request = requests[row];
    if (request === undefined || request.held !== undefined || !shadows.wants(request.id)) continue;
    state.shadows.push({ request, adapted: answerIn(embedded.logits, row, model) });
  }
  if (state.shadows.length > shadowMax) state.shadows.splice(0, state.shadows.length - shadowMax);
}

/** What the source says of those that need no run. */
function answerAtHand({ model }: InferenceDeps, { shadows }: State, { requests, embedded }: EmbeddedBatch): void {
  for (const [place, shadow] of shadows.entries()) {
    const row = requests.indexOf(shadow.request);
    const source = row < 0 ? undefined : sourceAnswerOf(embedded, row, model);
    if (source !== undefined) shadows[place] = { ...shadow, source };
  }
}

/** What the memory tells after each batch comes behind its reply, and is the moment. */
async function runShadows(
  { shadows, model, flight = noFlightRecord }: InferenceDeps,
  { engine, source, shadows: due }: State,
  turn: Turn<InferenceTold>,
): Promise<void> {
  if (shadows === undefined || due.length === 0) return;
  const origin = { actor: turn.path, incarnation: turn.incarnation };
  const answered = due.flatMap((shadow) => (shadow.source === undefined ? [] : [shadow.source]));
  const known = due.filter(({ source }) => source !== undefined);
  const chosen = due.splice(0).filter(({ source }) => source === undefined);
  if (known.length > 0) turn.onCommit(() => shadows.take(known, answered, origin));
  if (chosen.length === 0) return;
  const requests = chosen.map(({ request }) => request);
  const ids = requests.map(({ id }) => id);
  flight.takeOff(ids);
  const { logits } = await engine
    .run(stack(requests), requests.length, source, seedsOf(ids))
    .finally(() => flight.land(ids));
  const answers = requests.map((_, row) => answerIn(logits, row, model));
  turn.onCommit(() => shadows.take(chosen, answers, origin));
}

/** The likeliest label of a row of logits. */
function answerIn(logits: Float32Array, row: number, { calibration: { classes } }: Model): number {
  return argmaxAt(logits, row * classes, classes);
}

interface Taken {
  readonly requests: OpenRequest[];
  /** Suspects whose turn it is. */
  readonly alone: OpenRequest[];
}

/**
 * The requests of this turn. A suspect waits for a turn of its own, and then everybody else waits for the next: so the others are through
 * before it may end the process, and it cannot be kept waiting by them.
 */
function admitted(deps: InferenceDeps, taken: Taken, turn: Turn<InferenceTold>): readonly OpenRequest[] {
  const { flight = noFlightRecord, condemn } = deps;
  const { requests, alone } = taken;
  if (flight.watched === 0 && alone.length === 0) return requests;
  const [suspect, ...later] = alone;
  if (suspect !== undefined) {
    for (const request of later) turn.send(turn.self, { kind: "alone", request });
    for (const request of requests) turn.send(turn.self, { kind: "request", request });
    return [suspect];
  }
  const clear: OpenRequest[] = [];
  for (const request of requests) {
    const standing = flight.standing(request.id);
    if (standing === "condemned") turn.onCommit(() => condemn?.(request, flight.deaths(request.id)));
    else if (standing === "suspect") turn.send(turn.self, { kind: "alone", request });
    else clear.push(request);
  }
  return clear;
}

/** Applies what is not a request, at once, and returns the requests somebody still waits for. */
function takeRequests(desk: Desk, state: State, messages: readonly InferenceTold[]): Taken {
  const requests: OpenRequest[] = [];
  const alone: OpenRequest[] = [];
  for (const message of messages) {
    switch (message.kind) {
      case "request":
        if (desk.isOpen(message.request)) requests.push(message.request);
        break;
      case "alone":
        if (desk.isOpen(message.request)) alone.push(message.request);
        break;
      case "remembered":
        if (!isSame(message.adapted, state.adapted)) state.adapted = { ...message.adapted, head: state.adapted.head };
        state.experiences = Math.max(state.experiences, message.experiences);
        // A batch of an incarnation before this one arrives here too.
        state.onTheWay = Math.max(0, state.onTheWay - message.arrived);
        break;
      case "committed":
        // Queued by an earlier incarnation, and older than the head that this one began with.
        if (message.served.version < state.version) break;
        state.adapted = { ...state.adapted, head: message.served.head };
        state.version = message.served.version;
        break;
      default:
        message satisfies never;
    }
  }
  return { requests, alone };
}

/** Whether the memory tells of the very columns that serving has: after most batches at home it does. */
function isSame({ signatures, limits, table, plan }: Adapted, now: Parameters): boolean {
  return signatures === now.signatures && limits === now.limits && table === now.table && plan === now.plan;
}

async function embed(
  deps: InferenceDeps,
  state: State,
  requests: readonly OpenRequest[],
  cold: boolean,
  turn: Turn<InferenceTold>,
): Promise<EmbeddedBatch> {
  const version = cold ? 0 : state.version;
  const atMs = turn.clock.nowMs();
  const ran = deps.meter?.run(requests);
  const timings = newTimings({ rows: requests.length, cold, version }, requests[0]?.timings);
  for (const request of requests) request.timings = timings;
  begin(timings.stations.model, turn);
  const { flight = noFlightRecord } = deps;
  const ids = requests.map(({ id }) => id);
  flight.takeOff(ids);
  const embedded = await state.engine
    .run(stack(requests), requests.length, cold ? state.source : state.adapted, seedsOf(ids))
    .finally(() => {
      ran?.();
      flight.land(ids);
    });
  end(timings.stations.model, turn);
  state.runs += 1;
  state.rows += requests.length;
  return { batchId: `${deps.origin}-${requests[0]?.key}`, requests, cold, version, atMs, embedded, timings };
}

/** Filled one by one: a typed array made from a list by a function asks an iterator for every number. */
function seedsOf(ids: readonly string[]): Uint32Array {
  const seeds = new Uint32Array(ids.length);
  for (let row = 0; row < ids.length; row++) seeds[row] = requestSeed(ids[row] ?? "");
  return seeds;
}

function stack(requests: readonly OpenRequest[]): Float32Array {
  const [first] = requests;
  if (first?.held !== undefined && requests.length === 1) return numbersIn(first.input);
  return stacked(requests.map(({ input }) => input));
}
