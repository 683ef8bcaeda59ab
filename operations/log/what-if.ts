// What if: the log of a model folded twice, under the settings it was made with and under others, and the answers compared.
//
// Owns: the two folds side by side, their figures. Does not own: the fold (log-fold.ts), the answers (recast.ts), where a fold can begin
// (replay.ts). Reads the log only.
//
// W1. Both folds begin at one state and take the same updates in the same order: a setting that changes which answers become updates
//     (gate, coldStart) is counted in the answers, and learns from the updates that the log has.
// W2. An answer of version v is compared with what the other fold serves behind the update that made v.

import type { Clock } from "../../models/clock.js";
import { type GuardrailValues, guarded } from "../../models/learning/guard-limits.js";
import { type Learner, openLearner } from "../../models/learning/learner.js";
import { loadModel, type Model } from "../../models/manifest.js";
import { checksum, type Policy, type StepOutcome, sourcePolicy } from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import { type Setting, type SettingValue, valueAt, withSettings } from "../../models/setting-keys.js";
import type { Bus } from "../../transport/bus/bus.js";
import type { Subjects } from "../../transport/subjects.js";
import { LogFold, type LoggedExperience } from "./log-fold.js";
import { type LoggedCommit, ModelLog } from "./model-log.js";
import { type AnswerCounts, Recast } from "./recast.js";
import { backendOf, beginning, ReplayError } from "./replay.js";

export interface WhatIfRequest {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly model: string;
  readonly folder: string;
  readonly clock: Clock;
  readonly changes: readonly Setting[];
  /** Fold updates up to this sequence only. */
  readonly until?: number;
  /** The guardrails that the cluster runs with, when they are not the manifest's. */
  readonly guardrails?: GuardrailValues;
  readonly onProgress?: (updateSeq: number, endSeq: number) => void;
}

export interface FoldFigures {
  readonly applied: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly duplicates: number;
  readonly clipped: number;
  /** Of the applied steps, nats; null without any. */
  readonly kl: { readonly mean: number; readonly max: number } | null;
  readonly version: number;
  /** Euclidean, from the source's head to the one that is served in the end. */
  readonly distanceToSource: number;
  readonly checksum: string;
}

export interface WhatIf {
  readonly model: string;
  readonly changes: readonly {
    readonly key: string;
    readonly recorded: SettingValue;
    readonly instead: SettingValue;
  }[];
  readonly updates: number;
  /** 0 = the source, else the update sequence of the oldest kept snapshot. */
  readonly from: number;
  readonly recorded: FoldFigures;
  readonly instead: FoldFigures;
  /** Euclidean, between the heads that the two folds serve in the end. */
  readonly headDistance: number;
  readonly answers: AnswerCounts;
  readonly recomputed: readonly string[];
  readonly keptAsRecorded: readonly string[];
}

const recomputed = [
  "every guarded step, from the log's own updates",
  "answers: the logged embedding times the head that would have been served",
  "the vote with the memory, and the gate",
];
const keptAsRecorded = [
  "embeddings and looks, as they were taken: a change of stages.moments, views or floor shows in no answer",
  "what neighbours answered, their confidence and priority",
  "which answers became updates: gate and coldStart are counted, not learned from anew",
];

export async function whatIf(request: WhatIfRequest): Promise<WhatIf> {
  const { bus, subjects, clock, folder, changes } = request;
  const model = guarded(await loadModel(folder), request.guardrails ?? {}, true);
  if (model.manifest.name !== request.model)
    throw new ReplayError(`${folder} holds the model "${model.manifest.name}", not "${request.model}"`);
  const other = changed(model, changes);
  const log = new ModelLog(bus, subjects, model, clock, () => undefined);
  const last = await log.lastCommit();
  const learner = await openLearner(last === undefined ? "auto" : backendOf(last.commit.backend));
  try {
    return await sideBySide(request, { log, model, other, learner, last });
  } finally {
    learner.close();
  }
}

interface Sides {
  readonly log: ModelLog;
  readonly model: Model;
  readonly other: Model;
  readonly learner: Learner;
  readonly last: LoggedCommit | undefined;
}

function changed(model: Model, changes: readonly Setting[]): Model {
  const learning = withSettings(model.manifest.learning, changes);
  if (learning.kind === "refused") throw new ReplayError(`these settings do not go together: ${learning.message}`);
  return { ...model, manifest: { ...model.manifest, learning: learning.settings } };
}

async function sideBySide(request: WhatIfRequest, sides: Sides): Promise<WhatIf> {
  const { log, model, other, learner, last } = sides;
  const skipped = new Set(last?.commit.skipped?.seqs);
  const endSeq = Math.min(request.until ?? Number.MAX_SAFE_INTEGER, last?.commit.updateSeq ?? 0);
  // A cluster that lives goes on meanwhile: what it answers from here on comes of versions that this fold does not have.
  const { lastSeq } = await log.state("experience");
  const start = last === undefined ? sourcePolicy(model) : await beginning(log, endSeq, last.commit.skipped);
  const instead = startOf(start, sides);
  const [from, experienceFrom] = [start.updateSeq, start.experienceSeq];
  const recast = new Recast(model, other);
  const reading = new AbortController();
  const answers = new Answers(log, recast, experienceFrom, reading.signal);
  const figures = [new Figures(), new Figures()] as const;
  const fold = (policy: Policy, of: Model): LogFold =>
    new LogFold(policy, log.experiences(experienceFrom + 1, reading.signal), learner, of, skipped);
  const folds = [fold(start, model), fold(instead, other)] as const;
  const serve = (): void => recast.serve(start.version, { recorded: start.served, instead: instead.served });
  let updates = 0;
  try {
    serve();
    if (from < endSeq)
      for await (const update of log.updates(from + 1, reading.signal)) {
        if (update.seq > endSeq) break;
        for (const [side, one] of folds.entries()) figures[side]?.take(await one.apply(update));
        updates += 1;
        serve();
        await answers.upTo(start.experienceSeq);
        request.onProgress?.(update.seq, endSeq);
        if (update.seq >= endSeq) break;
      }
    // Behind the last update lies what was answered since, unless an earlier position was asked for.
    if (request.until === undefined) await answers.upTo(lastSeq);
  } finally {
    reading.abort();
  }
  const source = model.calibration.head;
  return {
    model: request.model,
    changes: request.changes.map(({ key, value }) => ({
      key,
      recorded: valueAt(model.manifest.learning, key) ?? "",
      instead: value,
    })),
    updates,
    from,
    recorded: figures[0].of(start, source),
    instead: figures[1].of(instead, source),
    headDistance: distance(start.served, instead.served),
    answers: recast.counts,
    recomputed,
    keptAsRecorded,
  };
}

/** The same state under the other settings. */
function startOf(start: Policy, { model, other }: Sides): Policy {
  if (start.updateSeq === 0 && start.experienceSeq === 0) return sourcePolicy(other);
  if (other.manifest.learning.replayPerClass !== model.manifest.learning.replayPerClass)
    throw new ReplayError("replayPerClass cannot be changed here: the log begins at a snapshot, which has its own");
  const copy = decodePolicy(encodePolicy(start), model);
  if (copy.kind === "refused") throw new Error(`a snapshot cannot be copied: ${copy.why}`);
  return copy.policy;
}

/** Feeds the experience log to the comparison, no further than both folds have come. */
class Answers {
  readonly #records: AsyncIterator<LoggedExperience>;
  readonly #recast: Recast;
  readonly #from: number;
  #seq = 0;

  constructor(log: ModelLog, recast: Recast, from: number, signal: AbortSignal) {
    this.#records = log.experiences(1, signal)[Symbol.asyncIterator]();
    this.#recast = recast;
    this.#from = from;
  }

  async upTo(seq: number): Promise<void> {
    while (this.#seq < seq) {
      const next = await this.#records.next();
      if (next.done) return;
      this.#seq = next.value.seq;
      if (next.value.record !== undefined) this.#recast.take(next.value.seq, next.value.record, this.#from);
    }
  }
}

class Figures {
  readonly #refused: Record<string, number> = {};
  #applied = 0;
  #duplicates = 0;
  #clipped = 0;
  #klSum = 0;
  #klMax = 0;

  take(outcome: StepOutcome | undefined): void {
    switch (outcome?.kind) {
      case undefined:
        return;
      case "applied":
        this.#applied += 1;
        this.#clipped += outcome.clipped ? 1 : 0;
        this.#klSum += outcome.kl;
        this.#klMax = Math.max(this.#klMax, outcome.kl);
        return;
      case "refused":
        this.#refused[outcome.guard] = (this.#refused[outcome.guard] ?? 0) + 1;
        return;
      case "duplicate":
        this.#duplicates += 1;
        return;
      default:
        outcome satisfies never;
    }
  }

  of(policy: Policy, source: Float32Array): FoldFigures {
    const applied = this.#applied;
    return {
      applied,
      refused: this.#refused,
      duplicates: this.#duplicates,
      clipped: this.#clipped,
      kl: applied === 0 ? null : { mean: this.#klSum / applied, max: this.#klMax },
      version: policy.version,
      distanceToSource: distance(policy.served, source),
      checksum: checksum(policy),
    };
  }
}

function distance(one: Float32Array, other: Float32Array): number {
  return Math.sqrt(one.reduce((sum, value, i) => sum + (value - (other[i] ?? Number.NaN)) ** 2, 0));
}
