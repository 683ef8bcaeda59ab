// The updater: the single writer of one model's parameters, as an actor.
//
// Owns: standing by for the lease, following the update stream, marks, the answer to orders, what is told about updates.
// Does not own: recovery, commits, snapshots (operations/log/model-writer.ts), the step (models/policy/policy.ts), who may try (the lease).
//
// U1. The lease only decides who tries; the chain decides who wins. A writer that is fenced ends its incarnation, which stands by again.
// U2. What an earlier incarnation queued is void: each reads the log itself.
// U3. An event about an update follows the commit that covers it: what is told is true, also when the turn is discarded later.

import { guardrailsOf } from "../../models/learning/guard-limits.js";
import type { Learner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import { KlWatch } from "../../operations/log/kl-watch.js";
import type { LoggedUpdate } from "../../operations/log/log-fold.js";
import type { ModelLog } from "../../operations/log/model-log.js";
import { type Applied, ModelWriter, type Poison, type WriterStore } from "../../operations/log/model-writer.js";
import { recoverForNothing, rehearseRecovery } from "../../operations/log/rehearsal.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import { UpdateMeter } from "../../operations/metrics/update-meter.js";
import type { SpanRecorder } from "../../operations/traces/recorder.js";
import type { BatchBehaviour, Life, Summary, Turn } from "../../supervision/actor/behaviour.js";
import { asError, type ExitReason } from "../../supervision/exit-reason.js";
import type { HeldLease } from "../../transport/log/lease.js";
import { tellWhenRoom } from "../tell-firmly.js";
import { type RestoreDeps, Restorer } from "./restorer.js";
import { recordBroken, recordUpdates } from "./update-spans.js";

export type UpdaterMessage =
  | { readonly kind: "look"; readonly incarnation: number }
  | { readonly kind: "elected"; readonly incarnation: number }
  | { readonly kind: "update"; readonly incarnation: number; readonly update: LoggedUpdate };

export type UpdaterStore = WriterStore & Pick<ModelLog, "enqueue">;

/** An update that every fold passes by from now on. */
export interface PoisonedUpdate extends Poison {
  readonly update: LoggedUpdate;
}

export interface UpdaterDeps {
  readonly model: Model;
  readonly node: string;
  readonly nodeIncarnation: number;
  readonly store: UpdaterStore;
  /** `holder` is the actor's path. */
  readonly acquireLease: (signal: AbortSignal, holder: string) => Promise<HeldLease | undefined>;
  readonly openLearner: () => Promise<Learner>;
  readonly telemetry: Telemetry;
  readonly spans?: SpanRecorder;
  /** Orders to go back to an earlier state; without it none are taken. */
  readonly restore?: RestoreDeps;
  /** Told of each update that was skipped, once its commit is written. */
  readonly onPoison?: (poisoned: PoisonedUpdate) => void;
}

interface Leading {
  readonly role: "leading";
  readonly writer: ModelWriter;
  readonly restorer: Restorer;
  readonly kl: KlWatch;
  readonly meter: UpdateMeter;
  /** Updates that come before this moment wait for it. */
  readonly company: { fromMs: number };
  /** Up to here the newest mark asks the fold to go. */
  markedSeq: number;
}

interface State {
  readonly learner: Learner;
  writing: { readonly role: "standby" } | Leading;
  lease: HeldLease | undefined;
  /** Over once the wait for the lease has ended, one way or the other. */
  standing: Promise<void>;
}

/** Updates of one turn, at most. */
const batchMax = 32;
/**
 * After a commit the next waits so long for company, unless a whole batch waits already: a commit costs its writer, the broker and every
 * serving node more than a step does, and learning may be late, where answers may not (law 7). What is folded is the same (M3).
 */
const companyMs = 100;
/** Between two tries to tell a full mailbox. */
const fullMs = 5;
const lookEveryMs = 5_000;
/** Who has no lease by now stands by, and uses the time. */
const rehearseAfterMs = 1_000;
/** Experience records without a task after which the fold is moved on by a mark. */
const markAfterRecords = 2_000;

export function updater(deps: UpdaterDeps): BatchBehaviour<UpdaterMessage, State> {
  return {
    batchMax,
    init: (life) => init(deps, life),
    receiveBatch: (state, messages, turn) => receive(deps, state, messages, turn),
    stop: (state, reason) => stop(state, reason),
    summary: (state) => summary(deps, state),
  };
}

async function init(deps: UpdaterDeps, life: Life<UpdaterMessage>): Promise<State> {
  const learner = await deps.openLearner();
  const state: State = { learner, writing: { role: "standby" }, lease: undefined, standing: Promise.resolve() };
  const elected = new AbortController();
  const stand = async (): Promise<void> => {
    const lease = await deps.acquireLease(life.signal, life.path);
    if (lease === undefined) return;
    state.lease = lease;
    elected.abort();
    if (life.signal.aborted) return lease.release();
    void lease.lost.then((why) => life.fail(new Error(`the writer's lease was lost: ${why}`)));
    await tellWhenRoom(life, { kind: "elected", incarnation: life.incarnation });
  };
  life.clock.after(rehearseAfterMs, () => {
    const signal = AbortSignal.any([life.signal, elected.signal]);
    prepare(deps, learner, life, signal).catch((error) => life.fail(asError(error)));
  });
  state.standing = stand().catch((error) => life.fail(asError(error)));
  return state;
}

/** What a takeover does, done before; over as soon as it comes. */
async function prepare(
  { model, store }: UpdaterDeps,
  learner: Learner,
  { clock, log }: Life<UpdaterMessage>,
  signal: AbortSignal,
): Promise<void> {
  if (!signal.aborted) await rehearseRecovery(learner, model, signal);
  if (signal.aborted) return;
  const outcome = await recoverForNothing({ learner, model, store, nowMs: () => clock.nowMs() }, signal);
  if (outcome !== "recovered" && !signal.aborted) log.info("a recovery was rehearsed in vain", { error: outcome });
}

/** A crash or a hang counts against the update that was being applied; an end from outside does not. */
async function stop(state: State, reason: ExitReason): Promise<void> {
  const { writing, learner } = state;
  if (writing.role === "leading") writing.meter.leave();
  const blameless = reason.kind !== "crash" && reason.kind !== "hang";
  if (writing.role === "leading" && blameless) await writing.writer.takeBack();
  // A lease that is granted in the moment of the end would stay behind.
  await state.standing;
  await state.lease?.release();
  learner.close();
}

async function receive(
  deps: UpdaterDeps,
  state: State,
  messages: readonly UpdaterMessage[],
  turn: Turn<UpdaterMessage>,
): Promise<void> {
  const mine = messages.filter((message) => message.incarnation === turn.incarnation);
  if (mine.some((message) => message.kind === "elected")) state.writing = await lead(deps, state.learner, turn);
  const { writing } = state;
  if (writing.role === "standby") return;
  if (mine.some((message) => message.kind === "look")) await mark(deps, writing, turn);
  const due: readonly LoggedUpdate[] = mine.flatMap((each) => (each.kind === "update" ? [each.update] : []));
  let queue = due;
  writing.meter.work(queue);
  try {
    while (queue.length > 0 && !turn.signal.aborted) {
      const { applied, rest } = await writing.writer.advance(queue).catch((error) => {
        tellBroken(deps, turn, writing);
        throw error;
      });
      report(deps, turn, applied);
      writing.meter.committed(applied, writing.writer.progress);
      recordUpdates(deps, turn, applied, writing.writer.progress);
      watchKl(deps, turn, applied, writing.kl);
      writing.restorer.applied(applied);
      queue = rest;
    }
  } finally {
    writing.meter.rest();
  }
  if (due.length > 0 && due.length < batchMax) writing.company.fromMs = turn.clock.monotonicMs() + companyMs;
}

/** What an advance came to before it threw: nothing of it is committed, and all of it is tried again. */
function tellBroken(deps: UpdaterDeps, turn: Turn<UpdaterMessage>, { writer: { progress }, meter }: Leading): void {
  for (const laps of [progress.shared, ...progress.begun.map(({ own }) => own)]) laps.fail();
  meter.broken(progress);
  recordBroken(deps, turn, progress);
}

async function lead(deps: UpdaterDeps, learner: Learner, turn: Turn<UpdaterMessage>): Promise<Leading> {
  const { model, node, nodeIncarnation, store } = deps;
  const { signal, clock } = turn;
  const meter = new UpdateMeter(model.manifest.name, deps.telemetry, clock);
  const times = { nowMs: () => clock.nowMs(), monotonicMs: () => clock.monotonicMs() };
  const writer = await ModelWriter.recover({ model, node, nodeIncarnation, store, learner, ...times, signal });
  const restorer = new Restorer(deps, turn);
  turn.onCommit(() => meter.lead());
  const company = { fromMs: 0 };
  turn.onCommit(() => follow(writer.updates, company, meter, turn));
  turn.onCommit(() => restorer.listen());
  armLook(turn);
  const { version, updateSeq } = writer.policy;
  turn.onCommit(() =>
    deps.telemetry.event("recovered", originOf(turn), () => [{ model: model.manifest.name, version, updateSeq }]),
  );
  const kl = new KlWatch(model.manifest.learning.klAlert);
  return { role: "leading", writer, restorer, kl, meter, company, markedSeq: 0 };
}

function follow(
  updates: AsyncIterator<LoggedUpdate>,
  company: Leading["company"],
  meter: UpdateMeter,
  life: Life<UpdaterMessage>,
): void {
  const held: LoggedUpdate[] = [];
  const { incarnation } = life;
  let isSending = false;
  /** In one go: told one by one, an idle actor would begin with the first alone. */
  const send = async (): Promise<void> => {
    isSending = true;
    try {
      const waitMs = company.fromMs - life.clock.monotonicMs();
      if (waitMs > 0) await life.clock.delay(waitMs, life.signal);
      for (let update = held[0]; update !== undefined && !life.signal.aborted; update = held[0]) {
        if (life.self.tell({ kind: "update", incarnation, update }) === "full")
          await life.clock.delay(fullMs, life.signal);
        else held.shift();
      }
    } finally {
      isSending = false;
    }
  };
  const pump = async (): Promise<void> => {
    let sent = Promise.resolve();
    for (let next = await updates.next(); !next.done; next = await updates.next()) {
      meter.heard(next.value);
      held.push(next.value);
      if (!isSending) sent = send().catch((error) => life.fail(asError(error)));
      if (held.length >= batchMax) await sent;
    }
    if (!life.signal.aborted) throw new Error("the update stream ended while it was followed");
  };
  pump().catch((error) => life.fail(asError(error)));
}

/**
 * Clean traffic gives no tasks, and without tasks the fold stands still and the log cannot be truncated. A mark in the update stream
 * moves it on, at a place that every replay finds again.
 */
async function mark(deps: UpdaterDeps, writing: Leading, turn: Turn<UpdaterMessage>): Promise<void> {
  armLook(turn);
  const { lastSeq } = await deps.store.state("experience");
  if (lastSeq - Math.max(writing.markedSeq, writing.writer.policy.experienceSeq) < markAfterRecords) return;
  const { name } = deps.model.manifest;
  const entry = { model: name, node: deps.node, atMs: turn.clock.nowMs(), experienceSeq: lastSeq };
  const outcome = await deps.store.enqueue({ kind: "mark", mark: entry }, `mark.${lastSeq}`);
  if (outcome.kind === "appended") writing.markedSeq = lastSeq;
}

/** A look that found the mailbox full of tasks would be the last one, so it waits like the tasks do. */
function armLook(life: Life<UpdaterMessage>): void {
  const arm = async (): Promise<void> => {
    await life.clock.delay(lookEveryMs, life.signal);
    await tellWhenRoom(life, { kind: "look", incarnation: life.incarnation });
  };
  arm().catch((error) => life.fail(asError(error)));
}

function report(deps: UpdaterDeps, life: Life<UpdaterMessage>, applied: readonly Applied[]): void {
  const { counters } = deps.telemetry;
  const items = applied.flatMap(({ update: { seq, entry }, outcome }) =>
    outcome === undefined ? [] : [{ traceId: entry.kind === "task" ? entry.task.traceId : "", seq, outcome }],
  );
  for (const { outcome } of items)
    counters.add(outcome.kind === "refused" ? `updates_refused_${outcome.guard}` : `updates_${outcome.kind}`);
  if (items.length > 0)
    deps.telemetry.event("update", originOf(life), () =>
      items.map(({ outcome, ...item }) => ({ ...item, ...outcome })),
    );
  reportCommit(deps, life, applied);
  for (const { update, poison } of applied) if (poison !== undefined) reportPoison(deps, life, { update, ...poison });
}

/** The commit that covers these updates, once for each of their traces. */
function reportCommit(deps: UpdaterDeps, life: Life<UpdaterMessage>, applied: readonly Applied[]): void {
  const tasks = applied.flatMap(({ update: { entry } }) => (entry.kind === "task" ? [entry.task] : []));
  const last = applied.at(-1);
  if (last === undefined || tasks.length === 0) return;
  const { version, update } = last;
  const of = { model: deps.model.manifest.name, version, updateSeq: update.seq };
  deps.telemetry.event("commit", originOf(life), () => tasks.map(({ traceId }) => ({ traceId, ...of })));
}

/** Every step that was computed has a KL, also one that a guard refused for it. */
function watchKl(deps: UpdaterDeps, life: Life<UpdaterMessage>, applied: readonly Applied[], watch: KlWatch): void {
  const { name, learning } = deps.model.manifest;
  for (const { outcome } of applied) {
    if (outcome === undefined || !("kl" in outcome) || !Number.isFinite(outcome.kl)) continue;
    const turned = watch.take(outcome.kl, life.clock.nowMs());
    if (watch.mean !== null) deps.telemetry.counters.set("mean_kl_divergence", watch.mean);
    if (turned === undefined) continue;
    const { above, forMs } = learning.klAlert;
    const side = turned === "high" ? `has been above ${above} for ${forMs} ms` : `is ${above} or less again`;
    deps.telemetry.event(`kl_${turned}`, originOf(life), () => [
      { about: name, cause: `KL to the source ${side}: ${outcome.kl.toFixed(4)}` },
    ]);
  }
}

function reportPoison(deps: UpdaterDeps, life: Life<UpdaterMessage>, poisoned: PoisonedUpdate): void {
  const { update, cause, attempts } = poisoned;
  const { seq, entry } = update;
  const place = entry.kind === "task" ? entry.task.experience : undefined;
  deps.telemetry.event("update_poisoned", originOf(life), () => [
    {
      model: deps.model.manifest.name,
      kind: entry.kind,
      seq,
      task: place === undefined ? undefined : `${place.seq}.${place.index}`,
      of_seq: place?.seq,
      of_index: place?.index,
      traceId: entry.kind === "task" ? entry.task.traceId : undefined,
      cause,
      attempts,
    },
  ]);
  const trace = entry.kind === "task" ? entry.task.traceId : null;
  life.log.warn("an update is skipped by every fold", { trace, phase: "step", updateSeq: seq, cause, attempts });
  deps.onPoison?.(poisoned);
}

function originOf({ path, incarnation }: Life<UpdaterMessage>): { actor: string; incarnation: number } {
  return { actor: path, incarnation };
}

function summary(deps: UpdaterDeps, { writing, learner }: State): Summary {
  const base = { model: deps.model.manifest.name, role: writing.role, backend: learner.backend };
  if (writing.role === "standby") return base;
  const { version, updateSeq, experienceSeq, counters } = writing.writer.policy;
  const { careful } = writing.writer;
  return { ...base, version, updateSeq, experienceSeq, counters, careful, guardrails: guardrailsOf(deps.model) };
}
