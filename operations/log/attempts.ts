// How often a writer may try an update that ends it each time, and what is skipped at once: pure.
//
// Owns: the decision between going on, going on one by one, and skipping. Does not own: where tries are counted (in the chain of commits),
// what a skip does to the policy (models/policy/policy.ts).
//
// T1. A position that a writer began to go on from, and a later one finds unchanged, is gone on from one update at a time: then it is known
//     which update was at work.
// T2. Each try alone is counted in the chain before it begins, so that a death of the whole process counts too. After `maxDeliver` deaths
//     the update is skipped by a commit that names it; every fold passes it by from then on.
// T3. What can never be folded is skipped without a try: an entry of another model, a position that is not in the log and cannot come.
//     An update is published after its experience was acknowledged, so a position behind the end of the log was never written.

import type { UpdateEntry } from "../../models/experience.js";
import type { Policy } from "../../models/policy/policy.js";
import type { StreamState } from "../../transport/log/jetstream.js";
import type { Skipped, Trying } from "../../transport/log/records.js";
import { modelNamed, namedPosition } from "./log-fold.js";

/** Deaths of an update tried alone after which it is skipped. */
export const maxDeliver = 3;
/** Deaths at a position after which updates are tried alone. */
const togetherMax = 1;
/** Updates tried alone before they go in batches again: one batch, one of them was it. */
export const aloneFor = 32;
/** Skips that a commit names at most. Recovery folds on from a snapshot that is newer than all but the newest of them. */
const skippedMax = 512;
const causeMax = 500;

export type Begin =
  | { readonly kind: "try"; readonly trying: Trying }
  | { readonly kind: "skip"; readonly tries: number; readonly cause: string };

/** What the writer does that has just recovered and is about to apply what follows, or is about to try the next update alone. */
export function begin(before: Trying | undefined): Begin {
  const { times, alone, cause } = before ?? { times: 0, alone: 0 };
  if (alone === 0) {
    if (times < togetherMax) return { kind: "try", trying: { times: times + 1, alone } };
    return { kind: "try", trying: { times: 1, alone: aloneFor } };
  }
  if (times >= maxDeliver)
    return { kind: "skip", tries: times, cause: cause ?? "the process ended while it was applied" };
  return { kind: "try", trying: { times: times + 1, alone, ...(cause === undefined ? {} : { cause }) } };
}

/**
 * What is left to be careful about once a try has succeeded. `more`: the next follows at once, so this commit counts it already. `young`:
 * the writer has applied less than a batch since it recovered, and a death of it shall be counted wherever it comes.
 */
export function passed(trying: Trying | undefined, more: boolean, young: boolean): Trying | undefined {
  if (trying === undefined || trying.alone === 1) return undefined;
  if (trying.alone === 0) return more || young ? { times: 1, alone: 0 } : undefined;
  return { times: more ? 1 : 0, alone: trying.alone - 1 };
}

export function withCause(trying: Trying, error: Error): Trying {
  return { ...trying, cause: error.message.slice(0, causeMax) || error.name };
}

/** A try that was ended from outside is none: no update is to blame. */
export function takenBack(trying: Trying): Trying | undefined {
  if (trying.times <= 1 && trying.alone === 0) return undefined;
  return { ...trying, times: Math.max(0, trying.times - 1) };
}

/** Why no fold can ever take the entry in; null when one can, or will be able to. */
export function hopeless(
  entry: UpdateEntry,
  policy: Pick<Policy, "model" | "experienceSeq">,
  log: Pick<StreamState, "firstSeq" | "lastSeq">,
): string | null {
  if (modelNamed(entry) !== policy.model) return `it is an update of ${modelNamed(entry)}`;
  const seq = namedPosition(entry);
  if (seq <= policy.experienceSeq) return null;
  if (seq > log.lastSeq) return `it names experience ${seq}, the log ends at ${log.lastSeq}`;
  if (seq < log.firstSeq) return `it names experience ${seq}, the log begins at ${log.firstSeq}`;
  return null;
}

export function withSkip(before: Skipped | undefined, seq: number): Skipped {
  const { seqs, wholeFrom } = before ?? { seqs: [], wholeFrom: 0 };
  const all = [...seqs, seq];
  const dropped = all.slice(0, Math.max(0, all.length - skippedMax)).at(-1);
  return { seqs: all.slice(-skippedMax), wholeFrom: dropped ?? wholeFrom };
}
