// Going back: the parameters of an earlier position, made ready as an entry of the update stream.
//
// Owns: finding or folding them, and why that cannot be done. Does not own: the entry's effect (models/policy/policy.ts), who may order it, when
// it is applied (in its place in the stream, like any update).
//
// E1. The entry is self-contained: a fold that meets it needs neither the snapshot nor the log it was made from.

import type { Restore } from "../../models/experience.js";
import type { Learner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import type { Policy } from "../../models/policy/policy.js";
import type { RestoreOrder } from "../../transport/messages/operator-orders.js";
import { NothingToFoldFromError } from "./kept-snapshots.js";
import { LogFold } from "./log-fold.js";
import type { ModelLog } from "./model-log.js";

export type FoldableLog = Pick<
  ModelLog,
  "experiences" | "updates" | "snapshots" | "snapshotAt" | "sourcePolicy" | "lastCommit"
>;

export interface RestoreMaterial {
  readonly log: FoldableLog;
  readonly model: Model;
  readonly node: string;
  readonly nowMs: () => number;
  readonly openLearner: () => Promise<Learner>;
  readonly signal: AbortSignal;
}

export type PreparedRestore =
  | { readonly kind: "ready"; readonly restore: Restore }
  | { readonly kind: "refused"; readonly message: string };

export async function prepareRestore(order: RestoreOrder, material: RestoreMaterial): Promise<PreparedRestore> {
  return order.kind === "snapshot" ? fromSnapshot(order.seq, material) : fromPosition(order.updateSeq, material);
}

async function fromSnapshot(seq: number, material: RestoreMaterial): Promise<PreparedRestore> {
  const found = await material.log.snapshotAt(seq);
  if (found.kind === "policy") return { kind: "ready", restore: restoreOf(found.policy, material, seq) };
  const why = found.kind === "missing" ? "it is not kept (any more)" : `it cannot be used: ${found.why}`;
  return { kind: "refused", message: `snapshot ${seq} of ${material.model.manifest.name}: ${why}` };
}

async function fromPosition(updateSeq: number, material: RestoreMaterial): Promise<PreparedRestore> {
  const { log, model, signal } = material;
  const last = await log.lastCommit();
  const endSeq = last?.commit.updateSeq ?? 0;
  if (last === undefined || updateSeq > endSeq)
    return { kind: "refused", message: `update ${updateSeq} is not committed yet; the last one is ${endSeq}` };
  const { seqs: skipped = [], wholeFrom = 0 } = last.commit.skipped ?? {};
  const policy = await nearestPolicy(log, updateSeq, wholeFrom);
  if (policy === undefined)
    return { kind: "refused", message: `update ${updateSeq} lies before what is kept of the log` };
  const learner = await material.openLearner();
  try {
    if (learner.backend !== last.commit.backend)
      return { kind: "refused", message: `the log was learned on the backend "${last.commit.backend}"` };
    const fold = { log, model, learner, policy, untilSeq: updateSeq, endSeq, skipped: new Set(skipped), signal };
    await foldUntil(fold);
    return { kind: "ready", restore: restoreOf(policy, material) };
  } finally {
    learner.close();
  }
}

/** The newest kept snapshot at or before an update, or the source. */
async function nearestPolicy(log: FoldableLog, updateSeq: number, wholeFrom: number): Promise<Policy | undefined> {
  for (const { seq, intact, place } of await log.snapshots()) {
    if (!intact || place === undefined || place.updateSeq > updateSeq || place.updateSeq < wholeFrom) continue;
    const found = await log.snapshotAt(seq);
    if (found.kind === "policy") return found.policy;
  }
  return wholeFrom > 0 ? undefined : sourceOf(log);
}

/** The untrained state, or undefined where the log does not reach back to it. */
export async function sourceOf(log: Pick<FoldableLog, "sourcePolicy">): Promise<Policy | undefined> {
  try {
    return await log.sourcePolicy();
  } catch (error) {
    if (error instanceof NothingToFoldFromError) return undefined;
    throw error;
  }
}

export interface Folding {
  readonly log: Pick<ModelLog, "experiences" | "updates">;
  readonly model: Model;
  readonly learner: Learner;
  /** Where it begins; moved on in place. */
  readonly policy: Policy;
  readonly untilSeq: number;
  /** A committed position at or behind `untilSeq`: there is an update there, so the reading has an end. */
  readonly endSeq: number;
  readonly skipped: ReadonlySet<number>;
  readonly signal: AbortSignal;
  readonly onUpdate?: (updateSeq: number) => void;
}

/** Folds every update up to `untilSeq`; the number of them. */
export async function foldUntil(folding: Folding): Promise<number> {
  const { log, policy, model, learner, skipped, untilSeq, endSeq, onUpdate } = folding;
  if (policy.updateSeq >= untilSeq) return 0;
  const reading = new AbortController();
  const stop = (): void => reading.abort();
  folding.signal.addEventListener("abort", stop, { once: true });
  if (folding.signal.aborted) stop();
  let updates = 0;
  try {
    const experiences = log.experiences(policy.experienceSeq + 1, reading.signal);
    const fold = new LogFold(policy, experiences, learner, model, skipped);
    for await (const update of log.updates(policy.updateSeq + 1, reading.signal)) {
      if (update.seq > untilSeq) break;
      await fold.apply(update);
      updates += 1;
      onUpdate?.(update.seq);
      if (update.seq >= Math.min(untilSeq, endSeq)) break;
    }
    return updates;
  } finally {
    stop();
    folding.signal.removeEventListener("abort", stop);
  }
}

function restoreOf(policy: Policy, { model, node, nowMs }: RestoreMaterial, snapshot?: number): Restore {
  const { updateSeq, version, head, served, firstMoment, secondMoment, steps } = policy;
  const from = { updateSeq, version, ...(snapshot === undefined ? {} : { snapshot }) };
  return { model: model.manifest.name, node, atMs: nowMs(), from, head, served, firstMoment, secondMoment, steps };
}
