// The policy: everything a model has become, as a fold over its two logs.
//
// Owns: what a record and a task do to the state, which tasks are duplicates, the checksum.
// Does not own: the order of records and tasks between the logs (whoever folds), bytes (policy-snapshot.ts), the step
// itself (guarded-step.ts), I/O of any kind.
//
// P1. Before task u is applied, the experience log is folded up to the highest position named by any task or mark up to u,
//     and no further: then the same logs give the same bits, live, after a crash, or offline.
// P2. A task is exactly one guarded step or one named refusal. A refused task changes the book-keeping only.
// P3. A position is learned from once; a second task for it, within `taskWindow` tasks, is a duplicate.
// P4. Whatever fails in between, the state is that before the task or that after it.
// P5. Of two records of one request id the first counts: the row of the second is passed by, and a task that names it is a duplicate.
// P6. What the chain of commits says was skipped moves the position on and changes nothing else. A restore brings its parameters along;
//     what was folded from experience (domains, replay) stays.
import { createHash } from "node:crypto";
import { type Adaptation, adaptationArrays, emptyAdaptation, foldRow } from "../adaptation/adaptation.js";
import { adaptationRow } from "../adaptation/logged-rows.js";
import { kindsOf } from "../adaptation/standing.js";
import { seededRandom } from "../clock.js";
import {
  type ExperienceBatch,
  type ExperienceRecord,
  type LateLabel,
  type LateReward,
  type Mark,
  type Restore,
  rowsOf,
  type UpdateTask,
} from "../experience.js";
import { guardedStep, type HeadState, type StepReport, sourceHeadState } from "../learning/guarded-step.js";
import { allFinite, type Refusal } from "../learning/guardrails.js";
import type { Learner } from "../learning/learner.js";
import { learningRate } from "../learning/rate.js";
import { admit, classesHeld, correct, distrust, draw, emptyReplay, passBy, type Replay } from "../learning/replay.js";
import type { Subject } from "../manifest.js";
import { positionKey } from "../memory/memory-contents.js";
import { RecentIds } from "../memory/recent-ids.js";
import type { BlockArray } from "../numbers/blocks.js";
import { at } from "../numbers/softmax.js";

/** Mutable; owned by one fold. Arrays of the head are replaced, never written into: who holds `served` holds a version. */
export interface Policy extends Mutable<HeadState> {
  readonly model: string;
  /** sha256 of the model file this state belongs to. */
  readonly source: string;
  /** Accepted steps. */
  version: number;
  /** Stream sequence of the last task applied, refused or skipped, or of the last mark. */
  updateSeq: number;
  /** Stream sequence of the last experience record folded. */
  experienceSeq: number;
  /** Highest experience sequence that a task or a mark has named (P1). */
  horizonSeq: number;
  /** Rows folded: the measure of cold. */
  experiences: number;
  readonly adaptation: Adaptation;
  readonly replay: Replay;
  readonly recentIds: RecentIds;
  /** [repeatWindow] position keys of the newest rows that were passed by as repeats, the newest last, -1 = none yet. */
  readonly repeatedRows: Float64Array;
  /** [taskWindow] position keys of the newest tasks, -1 = none yet. */
  readonly recentTasks: Float64Array;
  /** Tasks ever seen. */
  tasks: number;
  readonly counters: Counters;
}

/** For people; nothing that follows depends on them. A type, not an interface, so that it is plain JSON to the compiler. */
export type Counters = {
  applied: number;
  duplicates: number;
  clipped: number;
  readonly refused: Record<Refusal, number>;
  /** Rows left out because a value in them was not finite. */
  rowsSkipped: number;
  /** Rows passed by because an earlier record answered the same request (P5). */
  rowsRepeated: number;
  /** Late labels that became material, and those that came too late or name no class. */
  labelsUsed: number;
  labelsMissed: number;
  /** Bad answers that were taken out of the material. */
  rewardsUsed: number;
};

export type StepOutcome =
  | ({ readonly kind: "applied"; readonly version: number } & StepReport)
  | ({ readonly kind: "refused"; readonly guard: StepRefusal; readonly version: number } & StepReport)
  | { readonly kind: "refused"; readonly guard: Exclude<Refusal, StepRefusal>; readonly version: number }
  | { readonly kind: "duplicate"; readonly version: number };

/** Refusals of a step that was computed; the others come before any arithmetic. */
type StepRefusal = "kl" | "anchors" | "nan";

type DecidingNumber = "version" | "updateSeq" | "experienceSeq" | "horizonSeq" | "experiences" | "steps" | "tasks";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

const taskWindow = 4096;
/** A repeat's task follows its record within a few records: far fewer than this lie between. */
const repeatWindow = 1024;
/** A step from one class alone only pushes everything into it. */
const classesMin = 2;

/** The state before anything was learned. */
export function sourcePolicy({ manifest, calibration }: Subject): Policy {
  const { classes, width } = calibration;
  return {
    model: manifest.name,
    source: manifest.files.model.sha256,
    version: 0,
    updateSeq: 0,
    experienceSeq: 0,
    horizonSeq: 0,
    experiences: 0,
    ...sourceHeadState(calibration),
    adaptation: emptyAdaptation({ manifest, calibration }),
    replay: emptyReplay(classes, manifest.learning.replayPerClass, width),
    recentIds: new RecentIds(),
    repeatedRows: new Float64Array(repeatWindow).fill(-1),
    recentTasks: new Float64Array(taskWindow).fill(-1),
    tasks: 0,
    counters: noCounts(),
  };
}

/** Takes one record of the experience log in. Records come in rising order; one that does not fit the model throws. */
export function foldExperience(policy: Policy, seq: number, record: ExperienceRecord, subject: Subject): void {
  if (seq <= policy.experienceSeq) throw new Error(`experience ${seq} comes after ${policy.experienceSeq}`);
  const why = misfit(record, subject);
  if (why !== null) throw new Error(`experience ${seq}: ${why}`);
  switch (record.kind) {
    case "answers":
      foldAnswers(policy, seq, record, subject);
      break;
    case "label":
      foldLabel(policy, record);
      break;
    case "reward":
      foldReward(policy, record);
      break;
    default:
      record satisfies never;
  }
  policy.experienceSeq = seq;
}

/** Applies task `updateSeq`: one guarded step, or a named reason why not. */
export async function applyTask(
  policy: Policy,
  updateSeq: number,
  task: UpdateTask,
  learner: Learner,
  subject: Subject,
): Promise<StepOutcome> {
  if (task.model !== policy.model) throw new Error(`a task of ${task.model} for ${policy.model}`);
  assertNext(policy, updateSeq, task.experience.seq);
  const key = positionKey(task.experience);
  const isDuplicate = policy.recentTasks.includes(key) || policy.repeatedRows.includes(key);
  const { outcome, next } = isDuplicate
    ? { outcome: { kind: "duplicate", version: policy.version } as const, next: null }
    : await step(policy, updateSeq, task, learner, subject);
  if (next !== null) Object.assign(policy, next);
  record(policy, updateSeq, task, key, outcome);
  return outcome;
}

/** Takes note of a mark: the experience up to it is folded, and there was nothing to learn. */
export function applyMark(policy: Policy, updateSeq: number, mark: Mark): void {
  if (mark.model !== policy.model) throw new Error(`a mark of ${mark.model} for ${policy.model}`);
  policy.horizonSeq = assertNext(policy, updateSeq, mark.experienceSeq);
  policy.updateSeq = updateSeq;
}

/** Passes an update by that the chain of commits names as skipped (P5). */
export function applySkip(policy: Policy, updateSeq: number): StepOutcome {
  if (updateSeq <= policy.updateSeq) throw new Error(`update ${updateSeq} comes after ${policy.updateSeq}`);
  policy.updateSeq = updateSeq;
  policy.counters.refused.poison += 1;
  return { kind: "refused", guard: "poison", version: policy.version };
}

/** Takes the parameters that the entry brings along (P5); those that do not fit the model throw, and change nothing. */
export function applyRestore(policy: Policy, updateSeq: number, restore: Restore): void {
  if (restore.model !== policy.model) throw new Error(`a restore of ${restore.model} for ${policy.model}`);
  assertNext(policy, updateSeq, 0);
  const { head, served, firstMoment, secondMoment, steps } = restore;
  for (const array of [head, served, firstMoment, secondMoment])
    if (array.length !== policy.head.length || !allFinite(array))
      throw new Error(`the parameters that update ${updateSeq} restores do not fit ${policy.model}`);
  Object.assign(policy, { head, served, firstMoment, secondMoment, steps, updateSeq, version: policy.version + 1 });
}

/** Why no fold of this model can take the record in; null when it can. */
export function misfit(record: ExperienceRecord, { manifest, calibration }: Subject): string | null {
  if (record.model !== manifest.name) return `a record of ${record.model} in the log of ${manifest.name}`;
  if (record.kind !== "answers") return null;
  const rows = rowsOf(record);
  const { width, channels, classes } = calibration;
  const { looks } = record;
  const kinds = kindsOf(manifest.views.length).count;
  const fits =
    record.embeddings.length === rows * width &&
    record.moments.length === rows * 2 * channels &&
    looks.answers.length === looks.rows.length * classes &&
    looks.kinds.every((kind) => kind < kinds);
  return fits ? null : `it does not have the shape of ${manifest.name}`;
}

/** sha256, hex, over every bit that decides what this policy does next. */
export function checksum(policy: Policy): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([policy.model, policy.source, decidingNumbers(policy)]));
  for (const array of Object.values(decidingArrays(policy))) {
    hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }
  return hash.digest("hex");
}

/** By name, in the order of the checksum. */
export function decidingNumbers(policy: Policy): Readonly<Record<DecidingNumber, number>> {
  const { version, updateSeq, experienceSeq, horizonSeq, experiences, steps, tasks } = policy;
  return { version, updateSeq, experienceSeq, horizonSeq, experiences, steps, tasks };
}

/** By name, in the order of the checksum. */
export function decidingArrays(policy: Policy): Record<string, BlockArray> {
  const { replay } = policy;
  return {
    head: policy.head,
    served: policy.served,
    firstMoment: policy.firstMoment,
    secondMoment: policy.secondMoment,
    ...adaptationArrays(policy.adaptation),
    replayEmbeddings: replay.embeddings,
    replayKeys: replay.keys,
    replayEntered: replay.entered,
    replayVerified: replay.verified,
    replayRecentEmbeddings: replay.recentEmbeddings,
    replayRecentKeys: replay.recentKeys,
    replayCounts: replay.counts,
    recentIds: policy.recentIds.ring,
    repeatedRows: policy.repeatedRows,
    recentTasks: policy.recentTasks,
  };
}

function noCounts(): Counters {
  const refused: Record<Refusal, number> = {
    kl: 0,
    anchors: 0,
    nan: 0,
    cold: 0,
    no_material: 0,
    disabled: 0,
    poison: 0,
  };
  return {
    applied: 0,
    duplicates: 0,
    clipped: 0,
    refused,
    rowsSkipped: 0,
    rowsRepeated: 0,
    labelsUsed: 0,
    labelsMissed: 0,
    rewardsUsed: 0,
  };
}

function foldAnswers(policy: Policy, seq: number, batch: ExperienceBatch, subject: Subject): void {
  const rows = rowsOf(batch);
  const { width } = subject.calibration;
  const { trust } = subject.manifest.learning;
  for (let row = 0; row < rows; row++) {
    const embedding = batch.embeddings.subarray(row * width, (row + 1) * width);
    const key = positionKey({ seq, index: row });
    if (!policy.recentIds.take(batch.ids[row] ?? "")) {
      policy.repeatedRows.copyWithin(0, 1);
      policy.repeatedRows[repeatWindow - 1] = key;
      policy.counters.rowsRepeated += 1;
      continue;
    }
    policy.experiences += 1;
    // One value that is not finite would stay in every mean; the log keeps such rows, the fold leaves them out.
    const folded = allFinite(embedding) && foldRow(policy.adaptation, subject, adaptationRow(batch, row));
    if (!folded) {
      policy.counters.rowsSkipped += 1;
      continue;
    }
    passBy(policy.replay, key, embedding);
    if (at(batch.confidences, row) >= trust) admit(policy.replay, at(batch.answers, row), key, embedding, false);
  }
}

function foldLabel(policy: Policy, label: LateLabel): void {
  const named = Number.isInteger(label.label) && label.label >= 0 && label.label < policy.replay.classes;
  if (named && correct(policy.replay, positionKey(label.of), label.label)) policy.counters.labelsUsed += 1;
  else policy.counters.labelsMissed += 1;
}

/** An answer that somebody calls bad is no material for its own class; which class it belongs to, nobody said. */
function foldReward(policy: Policy, { of, reward }: LateReward): void {
  if (reward < 0 && distrust(policy.replay, positionKey(of))) policy.counters.rewardsUsed += 1;
}

/** P1; returns the horizon once an entry that names `experienceSeq` has been taken. */
function assertNext(policy: Policy, updateSeq: number, experienceSeq: number): number {
  if (updateSeq <= policy.updateSeq) throw new Error(`update ${updateSeq} comes after ${policy.updateSeq}`);
  const horizonSeq = Math.max(policy.horizonSeq, experienceSeq);
  if (policy.experienceSeq !== horizonSeq) {
    throw new Error(
      `update ${updateSeq} needs experience up to ${horizonSeq}, folded is up to ${policy.experienceSeq}`,
    );
  }
  return horizonSeq;
}

interface Stepped {
  readonly outcome: StepOutcome;
  readonly next: HeadState | null;
}

async function step(
  policy: Policy,
  updateSeq: number,
  task: UpdateTask,
  learner: Learner,
  { manifest, calibration }: Subject,
): Promise<Stepped> {
  const settings = manifest.learning;
  const { version } = policy;
  const early = refusedEarly(policy, settings);
  if (early !== null) return { outcome: { kind: "refused", guard: early, version }, next: null };
  const material = draw(policy.replay, settings.stepBatch, chanceOf(updateSeq));
  const rate = learningRate(task.confidence, settings.learningRate);
  const proposal = await guardedStep(policy, material, rate, learner, calibration, settings);
  if (proposal.kind === "accepted") {
    return { outcome: { kind: "applied", version: version + 1, ...proposal.report }, next: proposal.next };
  }
  return { outcome: { kind: "refused", guard: proposal.guard, version, ...proposal.report }, next: null };
}

function refusedEarly(policy: Policy, settings: Subject["manifest"]["learning"]): Exclude<Refusal, StepRefusal> | null {
  if (!settings.stages.head) return "disabled";
  if (policy.experiences < settings.coldStart) return "cold";
  if (classesHeld(policy.replay).length < classesMin) return "no_material";
  return null;
}

/** The chance of one step follows from its place in the log and from nothing else. */
function chanceOf(updateSeq: number): () => number {
  return seededRandom(Math.imul(updateSeq, 0x9e3779b1) ^ Math.floor(updateSeq / 2 ** 32));
}

function record(policy: Policy, updateSeq: number, task: UpdateTask, key: number, outcome: StepOutcome): void {
  policy.updateSeq = updateSeq;
  policy.horizonSeq = Math.max(policy.horizonSeq, task.experience.seq);
  policy.version = outcome.version;
  const { counters } = policy;
  switch (outcome.kind) {
    case "applied":
      counters.applied += 1;
      if (outcome.clipped) counters.clipped += 1;
      break;
    case "refused":
      counters.refused[outcome.guard] += 1;
      break;
    case "duplicate":
      counters.duplicates += 1;
      return;
    default:
      outcome satisfies never;
  }
  policy.recentTasks[policy.tasks % taskWindow] = key;
  policy.tasks += 1;
}
