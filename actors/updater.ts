// The updater: the single writer of one model's parameters.
//
// Owns: the policy (parameters, optimiser, replay), the end of the commit chain, the snapshots.
// Does not own: the step (models/policy.ts), the order of the fold (operations/log-fold.ts), who may try (the lease).
//
// U1. The lease only decides who tries; the chain decides who wins. A commit that expects an old end is `fenced`: this incarnation ends.
// U2. Applied exactly once by construction: the last applied update is part of the state. Recovery folds on from the newest snapshot and
//     compares with the committed checksum; nothing depends on acknowledgements.
// U3. One commit covers the updates that were queued; what it holds does not depend on how they were grouped.

import { guardrailsOf } from "../models/guard-limits.js";
import type { Learner } from "../models/learner.js";
import type { Model } from "../models/manifest.js";
import { checksum, type Policy, type StepOutcome } from "../models/policy.js";
import { LogFold, type LoggedUpdate } from "../operations/log-fold.js";
import type { ModelLog } from "../operations/model-log.js";
import type { Telemetry } from "../operations/telemetry.js";
import type { BatchBehaviour, Life, Summary, Turn } from "../supervision/behaviour.js";
import { asError } from "../supervision/exit-reason.js";
import type { HeldLease } from "../transport/lease.js";
import type { Commit } from "../transport/records.js";

export type UpdaterMessage =
  | { readonly kind: "look"; readonly incarnation: number }
  | { readonly kind: "elected"; readonly incarnation: number }
  | { readonly kind: "update"; readonly incarnation: number; readonly update: LoggedUpdate };

/** The durable side of one model, as its writer sees it. */
export type UpdaterStore = Pick<
  ModelLog,
  "newestPolicy" | "saveSnapshot" | "lastCommit" | "commit" | "updates" | "experiences" | "enqueue" | "state"
>;

export interface UpdaterDeps {
  readonly model: Model;
  readonly node: string;
  readonly nodeIncarnation: number;
  readonly store: UpdaterStore;
  /** `holder` is the actor's path. */
  readonly acquireLease: (signal: AbortSignal, holder: string) => Promise<HeldLease | undefined>;
  readonly openLearner: () => Promise<Learner>;
  readonly telemetry: Telemetry;
}

interface Leading {
  readonly role: "leading";
  readonly fold: LogFold;
  chainSeq: number;
  /** Up to here the newest mark asks the fold to go. */
  markedSeq: number;
  sinceSnapshot: number;
}

interface State {
  readonly learner: Learner;
  writer: { readonly role: "standby" } | Leading;
  lease: HeldLease | undefined;
}

const lookEveryMs = 5_000;
/** Experience records without a task after which the fold is moved on by a mark. */
const markAfterRecords = 2_000;

export function updater(deps: UpdaterDeps): BatchBehaviour<UpdaterMessage, State> {
  return {
    batchMax: 32,
    init: (life) => init(deps, life),
    receiveBatch: (state, messages, turn) => receive(deps, state, messages, turn),
    stop: async (state) => {
      await state.lease?.release();
      state.learner.close();
    },
    summary: (state) => summary(deps, state),
  };
}

async function init(deps: UpdaterDeps, life: Life<UpdaterMessage>): Promise<State> {
  const learner = await deps.openLearner();
  const state: State = { learner, writer: { role: "standby" }, lease: undefined };
  const stand = async (): Promise<void> => {
    const lease = await deps.acquireLease(life.signal, life.path);
    if (lease === undefined) return;
    state.lease = lease;
    if (life.signal.aborted) return lease.release();
    void lease.lost.then((why) => life.fail(new Error(`the writer's lease was lost: ${why}`)));
    await tellSelf(life, { kind: "elected", incarnation: life.incarnation });
  };
  stand().catch((error) => life.fail(asError(error)));
  return state;
}

async function receive(
  deps: UpdaterDeps,
  state: State,
  messages: readonly UpdaterMessage[],
  turn: Turn<UpdaterMessage>,
): Promise<void> {
  // What an earlier incarnation queued is void: this one reads the log itself.
  const mine = messages.filter((message) => message.incarnation === turn.incarnation);
  if (mine.some((message) => message.kind === "elected")) state.writer = await recover(deps, state.learner, turn);
  const { writer } = state;
  if (writer.role === "standby") return;
  if (mine.some((message) => message.kind === "look")) await mark(deps, writer, turn);
  const updates = mine.flatMap((message) => (message.kind === "update" ? [message.update] : []));
  if (updates.length > 0) await advance(deps, state.learner, writer, updates, turn);
}

/** Folds from the newest snapshot up to the end of the chain, proves that the result is what was committed, and follows on from there. */
async function recover(deps: UpdaterDeps, learner: Learner, turn: Turn<UpdaterMessage>): Promise<Leading> {
  const policy = await deps.store.newestPolicy();
  const last = await deps.store.lastCommit();
  const fold = new LogFold(policy, deps.store.experiences(policy.experienceSeq + 1, turn.signal), learner, deps.model);
  const updates = deps.store.updates(policy.updateSeq + 1, turn.signal)[Symbol.asyncIterator]();
  const endSeq = last?.commit.updateSeq ?? 0;
  while (policy.updateSeq < endSeq) {
    const next = await updates.next();
    if (next.done) throw new Error("the update stream ended before the committed position");
    await fold.apply(next.value);
  }
  if (last !== undefined && policy.updateSeq === endSeq) assertSame(last.commit, policy, learner);
  turn.onCommit(() => follow(updates, turn));
  armLook(turn);
  const origin = { actor: turn.path, incarnation: turn.incarnation };
  turn.onCommit(() =>
    deps.telemetry.event("recovered", origin, () => [
      { model: deps.model.manifest.name, version: policy.version, updateSeq: policy.updateSeq },
    ]),
  );
  return { role: "leading", fold, chainSeq: last?.seq ?? 0, markedSeq: 0, sinceSnapshot: 0 };
}

function assertSame(commit: Commit, policy: Policy, learner: Learner): void {
  const folded = checksum(policy);
  if (folded === commit.checksum) return;
  throw new Error(
    `the fold of the log (${folded.slice(0, 12)}, backend ${learner.backend}) is not what was committed as version ${commit.version} ` +
      `(${commit.checksum.slice(0, 12)}, backend ${commit.backend})`,
  );
}

function follow(updates: AsyncIterator<LoggedUpdate>, life: Life<UpdaterMessage>): void {
  const pump = async (): Promise<void> => {
    for (let next = await updates.next(); !next.done; next = await updates.next()) {
      await tellSelf(life, { kind: "update", incarnation: life.incarnation, update: next.value });
    }
    if (!life.signal.aborted) throw new Error("the update stream ended while it was followed");
  };
  pump().catch((error) => life.fail(asError(error)));
}

/**
 * Clean traffic gives no tasks, and without tasks the fold stands still and the log cannot be truncated. A mark in the update stream
 * moves it on, at a place that every replay finds again.
 */
async function mark(deps: UpdaterDeps, writer: Leading, turn: Turn<UpdaterMessage>): Promise<void> {
  armLook(turn);
  const { lastSeq } = await deps.store.state("experience");
  if (lastSeq - Math.max(writer.markedSeq, writer.fold.policy.experienceSeq) < markAfterRecords) return;
  const { name } = deps.model.manifest;
  const entry = { model: name, node: deps.node, atMs: turn.clock.nowMs(), experienceSeq: lastSeq };
  const outcome = await deps.store.enqueue({ kind: "mark", mark: entry }, `mark.${lastSeq}`);
  if (outcome.kind === "appended") writer.markedSeq = lastSeq;
}

/** A look that found the mailbox full of tasks would be the last one, so it waits like the tasks do. */
function armLook(life: Life<UpdaterMessage>): void {
  const arm = async (): Promise<void> => {
    await life.clock.delay(lookEveryMs, life.signal);
    await tellSelf(life, { kind: "look", incarnation: life.incarnation });
  };
  arm().catch((error) => life.fail(asError(error)));
}

/** Waits while the mailbox is full, until the incarnation ends. */
async function tellSelf(life: Life<UpdaterMessage>, message: UpdaterMessage): Promise<void> {
  while (!life.signal.aborted && life.self.tell(message) === "full") await life.clock.delay(5, life.signal);
}

async function advance(
  deps: UpdaterDeps,
  learner: Learner,
  writer: Leading,
  updates: readonly LoggedUpdate[],
  turn: Turn<UpdaterMessage>,
): Promise<void> {
  const { policy } = writer.fold;
  const outcomes: Applied[] = [];
  for (const update of updates) {
    if (update.seq <= policy.updateSeq) continue;
    outcomes.push({ update, outcome: await writer.fold.apply(update) });
  }
  const commit = commitOf(deps, learner, policy, turn);
  const committed = await deps.store.commit(commit, writer.chainSeq);
  if (committed.kind === "fenced") throw new Error("fenced: another incarnation writes this model");
  if (committed.kind === "unavailable") throw new Error(`the commit could not be written: ${committed.why}`);
  writer.chainSeq = committed.seq;
  turn.onCommit(() => report(deps, turn, outcomes));
  writer.sinceSnapshot += outcomes.length;
  if (writer.sinceSnapshot < deps.model.manifest.learning.snapshotEvery) return;
  await deps.store.saveSnapshot(policy);
  writer.sinceSnapshot = 0;
}

function commitOf(deps: UpdaterDeps, learner: Learner, policy: Policy, turn: Turn<UpdaterMessage>): Commit {
  return {
    model: deps.model.manifest.name,
    version: policy.version,
    updateSeq: policy.updateSeq,
    experienceSeq: policy.experienceSeq,
    node: deps.node,
    incarnation: deps.nodeIncarnation,
    backend: learner.backend,
    checksum: checksum(policy),
    served: policy.served,
    counters: policy.counters,
    atMs: turn.clock.nowMs(),
  };
}

interface Applied {
  readonly update: LoggedUpdate;
  readonly outcome: StepOutcome | undefined;
}

function report(deps: UpdaterDeps, turn: Turn<UpdaterMessage>, applied: readonly Applied[]): void {
  const items = applied.flatMap(({ update, outcome }) =>
    outcome === undefined || update.entry.kind === "mark"
      ? []
      : [{ traceId: update.entry.task.traceId, seq: update.seq, outcome }],
  );
  for (const { outcome } of items)
    deps.telemetry.counters.add(
      outcome.kind === "refused" ? `updates_refused_${outcome.guard}` : `updates_${outcome.kind}`,
    );
  if (items.length === 0) return;
  const origin = { actor: turn.path, incarnation: turn.incarnation };
  deps.telemetry.event("update", origin, () => items.map(({ outcome, ...item }) => ({ ...item, ...outcome })));
}

function summary(deps: UpdaterDeps, state: State): Summary {
  const { writer, learner } = state;
  const base = { model: deps.model.manifest.name, role: writer.role, backend: learner.backend };
  if (writer.role === "standby") return base;
  const { version, updateSeq, experienceSeq, counters } = writer.fold.policy;
  return { ...base, version, updateSeq, experienceSeq, counters, guardrails: guardrailsOf(deps.model) };
}
