// Replay: folds the log of a model again, with the production code, and compares with what the cluster committed.
//
// Owns: the comparison. Does not own: the fold (log-fold.ts), the step (models/policy.ts).
//
// R1. The backend is the one that committed: bits agree between equal backends only.
// R2. The fold begins at the source when the log still reaches back to its first message, else at the oldest point that is kept.

import type { Clock } from "../models/clock.js";
import { type GuardrailValues, guarded } from "../models/guard-limits.js";
import { openLearner } from "../models/learner.js";
import { loadModel, type Model } from "../models/manifest.js";
import { checksum, sourcePolicy } from "../models/policy.js";
import type { Backend } from "../models/tensorflow.js";
import { backends } from "../models/tensorflow.js";
import type { Bus } from "../transport/bus.js";
import type { Subjects } from "../transport/subjects.js";
import { LogFold } from "./log-fold.js";
import { type LoggedCommit, ModelLog } from "./model-log.js";

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
}

export interface Replayed {
  readonly model: string;
  /** Messages of the update stream in the fold. */
  readonly updates: number;
  readonly versions: number;
  readonly checksum: string;
  readonly committedChecksum: string;
  readonly equal: boolean;
}

/** The log cannot be compared: nothing was committed yet, or another model's folder was given. */
export class ReplayError extends Error {
  override readonly name = "ReplayError";
}

export async function replayModel(request: ReplayRequest): Promise<Replayed> {
  const { bus, subjects, clock, folder } = request;
  const model = guarded(await loadModel(folder), request.guardrails ?? {}, true);
  if (model.manifest.name !== request.model)
    throw new ReplayError(`${folder} holds the model "${model.manifest.name}", not "${request.model}"`);
  const log = new ModelLog(bus, subjects, model, clock, () => undefined);
  const commit = await commitToCompare(log, request.until);
  if (commit === undefined) return nothingCommitted(model);
  const learner = await openLearner(backendOf(commit.commit.backend));
  const reading = new AbortController();
  try {
    const first = await log.state("update");
    const policy = first.firstSeq <= 1 ? sourcePolicy(model) : await log.newestPolicy();
    if (policy.updateSeq > commit.commit.updateSeq)
      throw new ReplayError(
        `the log is kept from update ${policy.updateSeq} on; give --until ${policy.updateSeq} or more`,
      );
    const fold = new LogFold(policy, log.experiences(policy.experienceSeq + 1, reading.signal), learner, model);
    let updates = 0;
    if (policy.updateSeq < commit.commit.updateSeq)
      for await (const update of log.updates(policy.updateSeq + 1, reading.signal)) {
        await fold.apply(update);
        updates += 1;
        if (policy.updateSeq >= commit.commit.updateSeq) break;
      }
    const folded = checksum(policy);
    return {
      model: request.model,
      updates,
      versions: policy.version,
      checksum: folded,
      committedChecksum: commit.commit.checksum,
      equal: folded === commit.commit.checksum,
    };
  } finally {
    reading.abort();
    learner.close();
  }
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
  };
}

async function commitToCompare(log: ModelLog, until: number | undefined): Promise<LoggedCommit | undefined> {
  const last = await log.lastCommit();
  if (last === undefined || until === undefined || last.commit.updateSeq <= until) return last;
  const reading = new AbortController();
  let found: LoggedCommit | undefined;
  for await (const commit of log.commits(1, reading.signal)) {
    if (commit.commit.updateSeq > until) break;
    found = commit;
  }
  reading.abort();
  return found;
}

function backendOf(name: string): Backend {
  const found = backends.find((backend) => backend === name);
  if (found === undefined)
    throw new ReplayError(`the commits come from the backend "${name}", which is not known here`);
  return found;
}
