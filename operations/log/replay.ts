// Replay: folds the log of a model again, with the production code, and compares with what the cluster committed.
//
// Owns: the comparison. Does not own: the fold (restore.ts, log-fold.ts), the step (models/policy/policy.ts).
//
// R1. The backend is the one that committed: bits agree between equal backends only.
// R2. The fold begins at the source when the log still reaches back to its first message, else at the oldest snapshot that is kept.
// R3. What the chain of commits says was skipped is skipped here too. The newest commit names it, so that the chain itself may be short.
// R4. With `until`, the newest commit at or before it is compared, and the fold goes on from there to the position that was asked for.

import { tallyOf } from "../../models/adaptation/adaptation.js";
import type { Clock } from "../../models/clock.js";
import { type GuardrailValues, guarded } from "../../models/learning/guard-limits.js";
import { type Learner, openLearner } from "../../models/learning/learner.js";
import type { Backend } from "../../models/learning/tensorflow.js";
import { backends } from "../../models/learning/tensorflow.js";
import { loadModel, type Model } from "../../models/manifest.js";
import { checksum, type Policy, sourcePolicy } from "../../models/policy/policy.js";
import type { Bus } from "../../transport/bus/bus.js";
import type { Skipped } from "../../transport/log/records.js";
import type { Subjects } from "../../transport/subjects.js";
import { type LoggedCommit, ModelLog } from "./model-log.js";
import { foldUntil, sourceOf } from "./restore.js";

export interface ReplayRequest {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly model: string;
  readonly folder: string;
  readonly clock: Clock;
  /** Fold updates up to this sequence only; the newest commit at or before it is compared. */
  readonly until?: number;
  /** The guardrails that the cluster runs with, when they are not the manifest's: others fold the log differently. */
  readonly guardrails?: GuardrailValues;
  /** Told after each update: where the fold is, and where it goes. */
  readonly onProgress?: (updateSeq: number, endSeq: number) => void;
}

export interface Replayed {
  readonly model: string;
  /** Messages of the update stream in the fold. */
  readonly updates: number;
  readonly versions: number;
  readonly checksum: string;
  readonly committedChecksum: string;
  readonly equal: boolean;
  /** Where the fold began: 0 = the source, else the update sequence of the oldest kept snapshot. */
  readonly from: number;
  /** Times that the source model took over a domain of inputs, up to there. */
  readonly returnsToSource: number;
  /** Update sequence of the commit that was compared. */
  readonly comparedAt: number;
  /** The parameters at the position asked for; equal to what was compared when a commit stands there. */
  readonly at: { readonly updateSeq: number; readonly version: number; readonly checksum: string };
}

/** The log cannot be compared: what is asked for is not kept, or another model's folder was given. */
export class ReplayError extends Error {
  override readonly name = "ReplayError";
}

export async function replayModel(request: ReplayRequest): Promise<Replayed> {
  const { bus, subjects, clock, folder } = request;
  const model = guarded(await loadModel(folder), request.guardrails ?? {}, true);
  if (model.manifest.name !== request.model)
    throw new ReplayError(`${folder} holds the model "${model.manifest.name}", not "${request.model}"`);
  const log = new ModelLog(bus, subjects, model, clock, () => undefined);
  const last = await log.lastCommit();
  if (last === undefined) return nothingCommitted(model);
  const commit = await commitToCompare(log, last, request.until);
  const learner = await openLearner(backendOf(commit.commit.backend));
  try {
    return await compare(request, { log, model, learner, last, commit });
  } finally {
    learner.close();
  }
}

interface Comparison {
  readonly log: ModelLog;
  readonly model: Model;
  readonly learner: Learner;
  readonly last: LoggedCommit;
  readonly commit: LoggedCommit;
}

async function compare(request: ReplayRequest, { log, model, learner, last, commit }: Comparison): Promise<Replayed> {
  const { updateSeq: comparedAt, checksum: committedChecksum } = commit.commit;
  const endSeq = last.commit.updateSeq;
  const untilSeq = Math.max(comparedAt, Math.min(request.until ?? comparedAt, endSeq));
  const policy = await beginning(log, comparedAt, last.commit.skipped);
  const from = policy.updateSeq;
  const common = {
    ...{ log, model, learner, policy, endSeq, skipped: new Set(last.commit.skipped?.seqs) },
    signal: new AbortController().signal,
    onUpdate: (seq: number) => request.onProgress?.(seq, untilSeq),
  };
  let updates = await foldUntil({ ...common, untilSeq: comparedAt });
  const folded = checksum(policy);
  updates += await foldUntil({ ...common, untilSeq });
  return {
    model: request.model,
    updates,
    versions: policy.version,
    checksum: folded,
    committedChecksum,
    equal: folded === committedChecksum,
    from,
    returnsToSource: tallyOf(policy.adaptation).toSource,
    comparedAt,
    at: { updateSeq: policy.updateSeq, version: policy.version, checksum: checksum(policy) },
  };
}

/** R2: the longer the fold, the more it proves. */
export async function beginning(log: ModelLog, comparedAt: number, skipped: Skipped | undefined): Promise<Policy> {
  const wholeFrom = skipped?.wholeFrom ?? 0;
  const source = wholeFrom > 0 ? undefined : await sourceOf(log);
  if (source !== undefined) return source;
  const kept = (await log.snapshots()).filter(({ intact, place }) => intact && (place?.updateSeq ?? -1) >= wholeFrom);
  for (const { seq, place } of kept.toReversed()) {
    if (place === undefined || place.updateSeq > comparedAt) continue;
    const found = await log.snapshotAt(seq);
    if (found.kind === "policy") return found.policy;
  }
  const oldest = kept.at(-1)?.place?.updateSeq;
  throw new ReplayError(
    oldest === undefined
      ? "the log does not reach back to its beginning, and no snapshot of this model can be used"
      : `the log is kept from update ${oldest} on; give --until ${oldest} or more`,
  );
}

/** Nothing was learned: the committed parameters are the source's, and so is the fold of an empty log. */
function nothingCommitted(model: Model): Replayed {
  const source = checksum(sourcePolicy(model));
  return {
    model: model.manifest.name,
    updates: 0,
    versions: 0,
    checksum: source,
    committedChecksum: source,
    equal: true,
    from: 0,
    returnsToSource: 0,
    comparedAt: 0,
    at: { updateSeq: 0, version: 0, checksum: source },
  };
}

/** The newest commit at or before `until`, found by halving: the positions of the chain only rise. */
async function commitToCompare(log: ModelLog, last: LoggedCommit, until: number | undefined): Promise<LoggedCommit> {
  if (until === undefined || last.commit.updateSeq <= until) return last;
  const { firstSeq } = await log.state("weights");
  let found: LoggedCommit | undefined;
  for (let [low, high] = [firstSeq, last.seq - 1]; low <= high; ) {
    const middle = Math.floor((low + high) / 2);
    const commit = await log.commitAt(middle);
    if (commit === undefined) throw new ReplayError(`commit ${middle} of the chain cannot be read`);
    if (commit.commit.updateSeq > until) high = middle - 1;
    else {
      found = commit;
      low = middle + 1;
    }
  }
  if (found !== undefined) return found;
  const oldest = await log.commitAt(firstSeq);
  throw new ReplayError(
    `the first commit that is kept covers update ${oldest?.commit.updateSeq}; give --until that or more`,
  );
}

export function backendOf(name: string): Backend {
  const found = backends.find((backend) => backend === name);
  if (found === undefined)
    throw new ReplayError(`the commits come from the backend "${name}", which is not known here`);
  return found;
}
