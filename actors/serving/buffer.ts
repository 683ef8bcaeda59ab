// The buffer: this node's memory, a fold over the experience log.
//
// Owns: the HNSW view (a worker thread), the adaptation to each domain, the answers by request id, the place in the log up to which all three agree.
// Does not own: the log, the vote, the parameters of the head.
//
// B1. Records are folded in log order, each exactly once: a record at or below the last folded position is ignored. What the voter just
//     appended is folded without waiting for the log to bring it back, but only if it is the next in order. A log that has nothing but
//     this node's own writing to bring need not bring it (transport/log/echo.ts).
// B2. `init` ends when the fold has reached the end the log had when it began: a node that says ready remembers everything before.
// B3. A request id that the log already answered is answered from the log, not anew. For a request that was tried before, the log is
//     folded up to its present end first: another node may have answered it.
// B4. Of two records of one id the first counts, as in the policy's fold (models/policy/policy.ts P5).

import {
  type Adaptation,
  AdaptedView,
  emptyAdaptation,
  type Folded,
  foldRow,
  tallyOf,
} from "../../models/adaptation/adaptation.js";
import { adaptationRow } from "../../models/adaptation/logged-rows.js";
import { type ExperienceBatch, rowsOf } from "../../models/experience.js";
import { allFiniteAt } from "../../models/learning/guardrails.js";
import type { Model } from "../../models/manifest.js";
import { type Memory, type Neighbours, openMemory } from "../../models/memory/memory.js";
import { memoryRows } from "../../models/memory/memory-rows.js";
import { RecentIds } from "../../models/memory/recent-ids.js";
import type { ThreadBounds } from "../../models/threads/thread-silence.js";
import type { LoggedExperience } from "../../operations/log/log-fold.js";
import { primed } from "../../operations/log/primed.js";
import type { InferMeter } from "../../operations/metrics/infer-meter.js";
import type { Counters } from "../../operations/metrics/telemetry.js";
import { begin, end } from "../../operations/timings/batch-timings.js";
import type { Behaviour, Life, Turn } from "../../supervision/actor/behaviour.js";
import type { Ref } from "../../supervision/actor/ref.js";
import { within } from "../../supervision/deadline.js";
import { asError } from "../../supervision/exit-reason.js";
import { tellWhenRoom } from "../tell-firmly.js";
import { countSearches, setGauges, showMemory, unsearchable } from "./memory-figures.js";
import type {
  BufferMessage,
  EmbeddedBatch,
  InferenceMessage,
  Located,
  LookedUp,
  Remembered,
  VoterMessage,
} from "./messages.js";
import { PastAnswers } from "./past-answers.js";

/** The experience log as the buffer reads it. */
export interface ExperienceSource {
  /** The newest snapshot's adaptation and the position it contains, if there is a snapshot. */
  adaptation(): Promise<{ readonly adaptation: Adaptation; readonly experienceSeq: number } | undefined>;
  /** Position of the newest record, 0 when empty. */
  lastSeq(): Promise<number>;
  /** The same, asked once; undefined when the log does not answer. */
  lastSeqNow(): Promise<number | undefined>;
  /** Every retained record from `fromSeq` on in order, then each new one behind `known()`, until the signal aborts. */
  follow(fromSeq: number, signal: AbortSignal, known: () => number): AsyncIterable<LoggedExperience>;
  /** The records of a span in order; ends early where the log does not show one. */
  between(fromSeq: number, toSeq: number, signal: AbortSignal): AsyncIterable<LoggedExperience>;
}

export interface BufferDeps {
  readonly model: Model;
  readonly source: ExperienceSource;
  readonly inference: Ref<InferenceMessage>;
  readonly voter: Ref<VoterMessage>;
  readonly counters: Counters;
  readonly meter?: InferMeter;
  /** Told of what a row of a record that `node` wrote began or ended, once it is folded. */
  readonly onAdapted?: (folded: Folded, node: string) => void;
  readonly threads?: ThreadBounds;
}

interface State {
  readonly memory: Memory;
  readonly adaptation: Adaptation;
  readonly view: AdaptedView;
  /** Records up to here are already in `adaptation` (from the snapshot). */
  readonly adaptationFromSeq: number;
  readonly past: PastAnswers;
  readonly recentIds: RecentIds;
  lastSeq: number;
  experiences: number;
  labels: number;
  rewards: number;
  /** Each takes a figure of this incarnation away. */
  readonly unmeter: (() => void)[];
}

/** Records between two waits for the memory's thread while the log is replayed: bounds what is queued there. */
const settleEvery = 256;
/** Of the wait for records that another node wrote before a retry is answered. */
const overtakeMaxMs = 500;

export function buffer(deps: BufferDeps): Behaviour<BufferMessage, State> {
  return {
    init: (life) => init(deps, life),
    receive: (state, message, turn) => receive(deps, state, message, turn),
    stop: (state) => {
      for (const end of state.unmeter) end();
      return state.memory.close();
    },
    summary: (state) => ({
      model: deps.model.manifest.name,
      experiences: state.experiences,
      labels: state.labels,
      rewards: state.rewards,
      lastSeq: state.lastSeq,
      adaptation: { ...tallyOf(state.adaptation) },
      memory: { ...state.memory.lastStats },
    }),
  };
}

async function init(deps: BufferDeps, life: Life<BufferMessage>): Promise<State> {
  const { model, source, meter } = deps;
  const { embeddingWidth: width, learning } = model.manifest;
  // The thread starts and the first records come while the snapshot is read: what is added before the thread runs waits for it.
  const memory = openMemory({ width, capacity: learning.capacity }, life.clock, deps.threads);
  void memory.died.then((error) => life.fail(error));
  try {
    let state: State | undefined;
    const records = primed(source.follow(1, life.signal, () => state?.lastSeq ?? 0))[Symbol.asyncIterator]();
    const [endSeq, snapshot] = await Promise.all([source.lastSeq(), source.adaptation()]);
    state = emptyState(model, memory, snapshot);
    await catchUp(model, state, records, endSeq);
    pump(records, life).catch((error: Error) => life.fail(error));
    if (meter !== undefined) state.unmeter.push(...showMemory(meter, model, state));
    return state;
  } catch (error) {
    // Without a state there is no `stop`: the thread would outlive this incarnation.
    await memory.close();
    throw error;
  }
}

function emptyState(
  model: Model,
  memory: Memory,
  snapshot: Awaited<ReturnType<ExperienceSource["adaptation"]>>,
): State {
  const adaptation = snapshot?.adaptation ?? emptyAdaptation(model);
  return {
    memory,
    adaptation,
    view: new AdaptedView(model, adaptation),
    adaptationFromSeq: snapshot?.experienceSeq ?? 0,
    past: new PastAnswers(model.manifest.learning.capacity),
    recentIds: new RecentIds(),
    lastSeq: 0,
    experiences: 0,
    labels: 0,
    rewards: 0,
    unmeter: [],
  };
}

/** Folds what the log held when it was asked (B2). */
async function catchUp(
  model: Model,
  state: State,
  records: AsyncIterator<LoggedExperience>,
  endSeq: number,
): Promise<void> {
  const { memory } = state;
  while (state.lastSeq < endSeq) {
    const next = await records.next();
    if (next.done) throw new Error("the experience log ended before it was caught up");
    fold(model, state, next.value);
    if (state.lastSeq % settleEvery === 0) await memory.settled();
  }
  await memory.settled();
  await memory.stats();
}

/** Feeds later records into the mailbox, so that they are folded between two searches and never during one. */
async function pump(records: AsyncIterator<LoggedExperience>, life: Life<BufferMessage>): Promise<void> {
  for (let next = await records.next(); !next.done; next = await records.next()) {
    const logged = next.value;
    // Not spread: looking at `record` would decode it, and by its turn it is most often folded already.
    const message = { kind: "record", from: "log", logged } as const;
    await tellWhenRoom(life, message);
  }
  if (!life.signal.aborted) life.fail(new Error("the experience log ended while it was followed"));
}

async function receive(
  deps: BufferDeps,
  state: State,
  message: BufferMessage,
  turn: Turn<BufferMessage>,
): Promise<void> {
  switch (message.kind) {
    case "recall":
      turn.send(deps.voter, await recall(deps, state, message, turn));
      return;
    case "record":
      takeRecord(deps, state, message, turn);
      return;
    case "passed":
      tellInference(deps, state, message.arrived, turn);
      return;
    case "introduce":
      turn.onCommit(() => message.reply.answer(remembered(state)));
      return;
    case "locate": {
      // Another node may have answered it a moment ago.
      if (!state.past.has(message.id)) await overtake(deps, state, turn);
      const located = locate(state, message.id);
      turn.onCommit(() => message.reply.answer(located));
      return;
    }
    case "look_up": {
      if (!state.past.has(message.id)) await overtake(deps, state, turn);
      const found = await lookUp(state, message.id);
      turn.onCommit(() => message.reply.answer(found));
      return;
    }
    default:
      message satisfies never;
  }
}

function locate({ past }: State, id: string): Located | undefined {
  const found = past.get(id);
  return found && { at: found.at, answer: found.answer };
}

async function lookUp({ past, memory }: State, id: string): Promise<LookedUp | undefined> {
  const found = past.get(id);
  return found && { at: found.at, answer: found.answer, kept: await memory.find(found.at) };
}

async function recall(
  deps: BufferDeps,
  state: State,
  { batch }: Extract<BufferMessage, { kind: "recall" }>,
  turn: Turn<BufferMessage>,
): Promise<VoterMessage> {
  const { retrieve } = batch.timings.stations;
  begin(retrieve, turn);
  if (batch.requests.some(({ id, isRetry }) => isRetry && !state.past.has(id))) await overtake(deps, state, turn);
  const searching = batch.cold ? undefined : search(deps, state, batch, turn);
  // Looked up while the memory's thread searches.
  const past = batch.requests.map((request) => state.past.get(request.id));
  const neighbours = await searching;
  end(retrieve, turn, neighbours === undefined && !batch.cold);
  return { kind: "judge", batch, neighbours, past };
}

/**
 * Folds up to where the log ends now, ahead of the records that are still on their way to the mailbox (B1 passes those by). So what a record
 * brings is told here: nobody will when it comes. A log that does not answer is no reason to stop: it will not take the experience either.
 */
async function overtake(deps: BufferDeps, state: State, turn: Turn<BufferMessage>): Promise<void> {
  const asked = await within(turn.clock, overtakeMaxMs, deps.source.lastSeqNow());
  const endSeq = asked.kind === "done" ? asked.value : undefined;
  if (endSeq === undefined || endSeq <= state.lastSeq) return;
  const reading = new AbortController();
  const late = turn.clock.after(overtakeMaxMs, () => reading.abort());
  let folded = false;
  try {
    const signal = AbortSignal.any([reading.signal, turn.signal]);
    for await (const logged of deps.source.between(state.lastSeq + 1, endSeq, signal))
      folded = fold(deps.model, state, logged, deps.onAdapted) || folded;
  } finally {
    late();
    reading.abort();
  }
  if (!folded) return;
  setGauges(deps.counters, state.adaptation);
  tellInference(deps, state, 0, turn);
}

function takeRecord(
  deps: BufferDeps,
  state: State,
  message: Extract<BufferMessage, { kind: "record" }>,
  turn: Turn<BufferMessage>,
): void {
  const { logged } = message;
  const arrived = message.from === "voter" ? message.arrived : 0;
  const inOrder = message.from === "log" || logged.seq === state.lastSeq + 1;
  const folded = inOrder && fold(deps.model, state, logged, deps.onAdapted);
  if (folded) setGauges(deps.counters, state.adaptation);
  if (folded || arrived > 0) tellInference(deps, state, arrived, turn);
}

function tellInference(deps: BufferDeps, state: State, arrived: number, turn: Turn<BufferMessage>): void {
  turn.send(deps.inference, { kind: "remembered", arrived, ...remembered(state) });
}

/** A memory that cannot answer costs its vote, not the request. */
async function search(
  deps: BufferDeps,
  state: State,
  { embedded, requests }: EmbeddedBatch,
  life: Life<BufferMessage>,
): Promise<Neighbours | undefined> {
  try {
    const { neighbours, labelled } = deps.model.manifest.learning;
    const found = await state.memory.search(embedded.embeddings, embedded.rows, neighbours, labelled.neighbours);
    countSearches(deps.counters, embedded.rows, unsearchable(embedded));
    return found;
  } catch (error) {
    countSearches(deps.counters, embedded.rows, embedded.rows);
    const trace = requests[0]?.traceId;
    const { length: rows } = requests;
    life.log.warn("the memory could not be searched", { trace, phase: "retrieve", rows, error: asError(error) });
    return undefined;
  }
}

function remembered(state: State): Remembered {
  return { experiences: state.experiences, adapted: state.view.adapted };
}

/** True when the record was next in order and is now part of the memory. */
function fold(model: Model, state: State, logged: LoggedExperience, onAdapted?: BufferDeps["onAdapted"]): boolean {
  const { seq } = logged;
  if (seq <= state.lastSeq) return false;
  state.lastSeq = seq;
  const { record } = logged;
  if (record === undefined) return false;
  if (record.kind === "label") {
    state.memory.label(record.of, record.label);
    state.labels += 1;
    return true;
  }
  if (record.kind === "reward") {
    state.memory.judge(record.of, record.reward);
    state.rewards += 1;
    return true;
  }
  const repeats = repeatsIn(state.recentIds, record);
  const isRepeat = (index: number): boolean => repeats.has(index);
  if (seq > state.adaptationFromSeq) foldRows(model, state, record, isRepeat, onAdapted);
  state.memory.add(memoryRows(seq, record, model.manifest.learning, isRepeat));
  state.experiences += rowsOf(record) - repeats.size;
  remember(state.past, seq, record, isRepeat);
  return true;
}

const noRepeats: ReadonlySet<number> = new Set();

/** Rows whose request an earlier record answered (B4). */
function repeatsIn(recent: RecentIds, record: ExperienceBatch): ReadonlySet<number> {
  let repeats: Set<number> | undefined;
  for (let index = 0; index < record.ids.length; index++) {
    if (recent.take(record.ids[index] ?? "")) continue;
    repeats ??= new Set();
    repeats.add(index);
  }
  return repeats ?? noRepeats;
}

/** Leaves out the rows that the policy's fold leaves out. */
function foldRows(
  model: Model,
  { adaptation, view }: State,
  record: ExperienceBatch,
  isRepeat: (index: number) => boolean,
  onAdapted: BufferDeps["onAdapted"],
): void {
  const rows = rowsOf(record);
  const width = record.embeddings.length / rows;
  for (let index = 0; index < rows; index++) {
    if (isRepeat(index)) continue;
    if (!allFiniteAt(record.embeddings, index * width, width)) continue;
    const row = adaptationRow(record, index);
    const folded = foldRow(adaptation, model, row);
    if (folded === undefined) continue;
    view.folded(folded, row.looks.length > 0);
    if (folded.begun || folded.ended !== undefined || folded.floor !== undefined) onAdapted?.(folded, record.node);
  }
}

function remember(past: PastAnswers, seq: number, record: ExperienceBatch, isRepeat: (index: number) => boolean): void {
  for (let index = 0; index < record.ids.length; index++) {
    if (isRepeat(index)) continue;
    past.set(record.ids[index] ?? "", seq, index, {
      answer: record.answers[index] ?? 0,
      confidence: record.confidences[index] ?? 0,
      cold: record.cold[index] === 1,
      version: record.version,
      traceId: record.traceIds[index] ?? "",
    });
  }
}
