// The writing of one model: recovery, applying what follows, commits, snapshots. One instance is one try to write; it is not used again
// after a failure.
//
// Owns: the policy, the end of the commit chain, what is skipped, when a snapshot is due.
// Does not own: who may try (actors/learning/updater.ts), the step (models/policy/policy.ts), the order of the fold (log-fold.ts), how often an update may
// end a writer (attempts.ts).
//
// M1. A commit that expects an old end is fenced: another writer went on, and this one must end (law 3). So is a snapshot.
// M2. Applied exactly once by construction: the last applied update is part of the state. Recovery folds on from the newest snapshot and
//     compares with the committed checksum; nothing depends on acknowledgements (law 4).
// M3. One commit covers the updates that were queued; what it holds does not depend on how they were grouped.
// M4. The first thing a writer commits is that it begins; that fences its predecessor, and lets its own death be counted.

import type { Learner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import { checksum, type Policy, type StepOutcome } from "../../models/policy/policy.js";
import type { StreamState } from "../../transport/log/jetstream.js";
import type { Commit, Skipped, Trying } from "../../transport/log/records.js";
import { UpdateLaps } from "../timings/update-laps.js";
import { aloneFor, begin, hopeless, passed, takenBack, withCause, withSkip } from "./attempts.js";
import { LogFold, type LoggedExperience, type LoggedUpdate, namedPosition } from "./log-fold.js";
import type { LoggedCommit, ModelLog } from "./model-log.js";
import { primed } from "./primed.js";
import { isSnapshotDue } from "./snapshot-due.js";

/** The durable side of one model, as its writer sees it. */
export type WriterStore = Pick<
  ModelLog,
  "startingPoint" | "saveSnapshot" | "truncate" | "lastCommit" | "commit" | "updates" | "experiences" | "state"
>;

export interface WriterDeps {
  readonly model: Model;
  readonly node: string;
  readonly nodeIncarnation: number;
  readonly store: WriterStore;
  readonly learner: Learner;
  readonly nowMs: () => number;
  /** Of durations; the same as `nowMs` when left out. */
  readonly monotonicMs?: () => number;
  /** Ends the following of the logs. */
  readonly signal: AbortSignal;
}

/** Why an update was skipped. */
export interface Poison {
  readonly cause: string;
  /** Writers that it ended while it was tried alone; 0 when no fold could ever take it in. */
  readonly attempts: number;
}

export interface Applied {
  readonly update: LoggedUpdate;
  /** Undefined for a mark and a restore. */
  readonly outcome: StepOutcome | undefined;
  /** The version behind it. */
  readonly version: number;
  readonly poison?: Poison;
}

export interface Advance {
  readonly applied: readonly Applied[];
  /** What is left of the queue. */
  readonly rest: readonly LoggedUpdate[];
}

/** What an advance spent its time on: for all updates together, and for each of those that it came to. */
export interface Progress {
  readonly shared: UpdateLaps;
  readonly begun: { readonly update: LoggedUpdate; readonly own: UpdateLaps }[];
}

/** The first commit after a recovery shall not wait for a whole batch. */
const firstChunkMax = 4;

/** The writer was overtaken: whatever it holds is out of date. */
export class FencedError extends Error {
  override readonly name = "FencedError";
  constructor(what: string) {
    super(`fenced: another incarnation writes this model (its ${what} came first)`);
  }
}

export class ModelWriter {
  /** Updates behind the recovered position, each once. */
  readonly updates: AsyncIterator<LoggedUpdate>;
  readonly #deps: WriterDeps;
  readonly #fold: LogFold;
  readonly #skips: Set<number>;
  #skipped: Skipped | undefined;
  #trying: Trying | undefined;
  /** The chain counts the try that comes next, or is under way. */
  #begun = false;
  #last: LoggedCommit | undefined;
  #snapshotSeq: number;
  #updatesSinceSnapshot = 0;
  /** Up to where the newest snapshot has folded experience. */
  #experienceSaved: number;
  #sinceRecovery = 0;
  #progress: Progress;
  #experience: StreamState = { firstSeq: 0, lastSeq: 0, messages: 0, bytes: 0 };

  private constructor(deps: WriterDeps, policy: Policy, snapshotSeq: number, last: LoggedCommit | undefined) {
    const { store, learner, model, signal } = deps;
    this.#deps = deps;
    this.#progress = this.#noProgress();
    this.#last = last;
    this.#snapshotSeq = snapshotSeq;
    this.#experienceSaved = policy.experienceSeq;
    this.#trying = last?.commit.trying;
    this.#skipped = last?.commit.skipped;
    this.#skips = new Set(this.#skipped?.seqs);
    // Both are asked for at once, before anything waits for them: recovery is a matter of round trips.
    // Experience is needed when an update names it, and most is not named: it comes when it is asked for.
    const recent = store.experiences(policy.experienceSeq + 1, signal, { fetching: "asked" });
    const experiences: AsyncIterable<LoggedExperience> = primed(recent);
    this.updates = primed(store.updates(policy.updateSeq + 1, signal))[Symbol.asyncIterator]();
    this.#fold = new LogFold(policy, experiences, learner, model, this.#skips);
  }

  /** Folds from the newest snapshot up to the end of the chain, and proves that the result is what was committed. */
  static async recover(deps: WriterDeps): Promise<ModelWriter> {
    const { store, learner } = deps;
    const [{ policy, snapshotSeq }, last] = await Promise.all([store.startingPoint(), store.lastCommit()]);
    const { wholeFrom = 0 } = last?.commit.skipped ?? {};
    if (policy.updateSeq < wholeFrom)
      throw new Error(`skipped updates are known from ${wholeFrom} on, the newest snapshot is at ${policy.updateSeq}`);
    const writer = new ModelWriter(deps, policy, snapshotSeq, last);
    const endSeq = last?.commit.updateSeq ?? 0;
    while (policy.updateSeq < endSeq) {
      const next = await writer.updates.next();
      if (next.done) throw new Error("the update stream ended before the committed position");
      await writer.#fold.apply(next.value);
      writer.#updatesSinceSnapshot += 1;
    }
    if (last !== undefined && policy.updateSeq === endSeq) assertSame(last.commit, policy, learner);
    return writer;
  }

  get policy(): Policy {
    return this.#fold.policy;
  }

  /** True while updates are applied one by one because one of them ended writers before. */
  get careful(): boolean {
    return (this.#trying?.alone ?? 0) > 0;
  }

  /** Of the newest advance. Where it threw, what was under way is still open. */
  get progress(): Progress {
    return this.#progress;
  }

  /** Applies and commits what is queued, or the first of it: a few after a recovery, one where care is due. */
  async advance(queue: readonly LoggedUpdate[]): Promise<Advance> {
    const due = queue.filter(({ seq }) => seq > this.policy.updateSeq);
    const [first] = due;
    if (first === undefined) return { applied: [], rest: [] };
    this.#progress = this.#noProgress();
    const { isFresh, lost, poison } = await this.#timed("claim", () => this.#claim(first, due));
    const isAlone = this.careful || lost || poison !== undefined;
    const chunk = isAlone ? [first] : due.slice(0, isFresh ? firstChunkMax : due.length);
    const rest = due.slice(chunk.length);
    const applied: Applied[] = [];
    for (const update of chunk) applied.push(await this.#apply(update, poison));
    this.#sinceRecovery += chunk.length;
    const next = passed(this.#trying, rest.length > 0, this.#sinceRecovery < aloneFor);
    await this.#timed("publish", () => this.#publish(next, chunk.length));
    return { applied, rest };
  }

  /** The try under way was ended from outside, by no fault of an update (at most one request; best effort). */
  async takeBack(): Promise<void> {
    const last = this.#last;
    if (!this.#begun || this.#trying === undefined || last === undefined) return;
    const { trying: _, ...commit } = last.commit;
    const trying = takenBack(this.#trying);
    await this.#deps.store.commit(trying === undefined ? commit : { ...commit, trying }, last.seq);
  }

  /** What is known of the first update that is due, and of this try. */
  async #claim(first: LoggedUpdate, due: readonly LoggedUpdate[]) {
    await this.#lookAtExperience(due);
    const lost = hopeless(first.entry, this.policy, this.#experience) !== null;
    const isFresh = !this.#begun;
    const poison = isFresh && !lost ? await this.#begin() : undefined;
    return { isFresh, lost, poison };
  }

  async #publish(next: Trying | undefined, applied: number): Promise<void> {
    await this.#commit(next);
    this.#trying = next;
    this.#begun = next === undefined || next.times > 0;
    await this.#snapshotWhenDue(applied);
  }

  #noProgress(): Progress {
    return { shared: new UpdateLaps(this.#deps.monotonicMs ?? this.#deps.nowMs), begun: [] };
  }

  /** Work for all these updates together. */
  async #timed<T>(phase: "claim" | "publish", work: () => Promise<T>): Promise<T> {
    const { shared } = this.#progress;
    shared.begin(phase);
    const result = await work();
    shared.end();
    return result;
  }

  async #foldIn(update: LoggedUpdate): Promise<StepOutcome | undefined> {
    const own = new UpdateLaps(this.#deps.monotonicMs ?? this.#deps.nowMs);
    this.#progress.begun.push({ update, own });
    own.begin("load");
    const outcome = await this.#fold.apply(update, () => own.begin("step"));
    own.end();
    return outcome;
  }

  /** Commits that what follows is begun; the reason when it has ended writers too often for that. */
  async #begin(): Promise<Poison | undefined> {
    const next = begin(this.#trying);
    if (next.kind === "skip") return { cause: next.cause, attempts: next.tries };
    this.#trying = next.trying;
    await this.#commit(next.trying);
    this.#begun = true;
    return undefined;
  }

  async #apply(update: LoggedUpdate, given: Poison | undefined): Promise<Applied> {
    const why = hopeless(update.entry, this.policy, this.#experience);
    const poison = why === null ? given : { cause: why, attempts: 0 };
    if (poison !== undefined) {
      this.#skips.add(update.seq);
      this.#skipped = withSkip(this.#skipped, update.seq);
    }
    try {
      const outcome = await this.#foldIn(update);
      return { update, outcome, version: this.policy.version, ...(poison === undefined ? {} : { poison }) };
    } catch (error) {
      if (error instanceof Error) await this.#noteCause(error);
      throw error;
    }
  }

  /** Only where one update alone can be the cause. What is committed beside it is what was committed before: the state may be half folded. */
  async #noteCause(error: Error): Promise<void> {
    if (!this.careful || this.#trying === undefined || this.#last === undefined) return;
    const commit = { ...this.#last.commit, trying: withCause(this.#trying, error) };
    await this.#deps.store.commit(commit, this.#last.seq);
  }

  /** The bounds of the experience log, asked again when an update names a position behind the end that is known. */
  async #lookAtExperience(due: readonly LoggedUpdate[]): Promise<void> {
    const named = due.reduce((highest, { entry }) => Math.max(highest, namedPosition(entry)), 0);
    if (named > this.#experience.lastSeq) this.#experience = await this.#deps.store.state("experience");
  }

  async #commit(trying: Trying | undefined): Promise<void> {
    const commit = this.#commitOf(trying);
    const committed = await this.#deps.store.commit(commit, this.#last?.seq ?? 0);
    if (committed.kind === "fenced") throw new FencedError("commit");
    if (committed.kind === "unavailable") throw new Error(`the commit could not be written: ${committed.why}`);
    this.#last = { seq: committed.seq, commit };
  }

  #commitOf(trying: Trying | undefined): Commit {
    const { policy } = this;
    const { model, node, nodeIncarnation, learner, nowMs } = this.#deps;
    return {
      model: model.manifest.name,
      version: policy.version,
      updateSeq: policy.updateSeq,
      experienceSeq: policy.experienceSeq,
      node,
      incarnation: nodeIncarnation,
      backend: learner.backend,
      checksum: checksum(policy),
      served: policy.served,
      // The policy's own go on counting; a commit says how they stood.
      counters: { ...policy.counters, refused: { ...policy.counters.refused } },
      atMs: nowMs(),
      ...(trying === undefined ? {} : { trying }),
      ...(this.#skipped === undefined ? {} : { skipped: this.#skipped }),
    };
  }

  async #snapshotWhenDue(applied: number): Promise<void> {
    this.#updatesSinceSnapshot += applied;
    const records = this.policy.experienceSeq - this.#experienceSaved;
    const unsaved = { updates: this.#updatesSinceSnapshot, records };
    if (!isSnapshotDue(unsaved, this.#deps.model.manifest.learning.snapshotEvery)) return;
    const outcome = await this.#deps.store.saveSnapshot(this.policy, this.#snapshotSeq);
    if (outcome.kind === "fenced") throw new FencedError("snapshot");
    this.#snapshotSeq = outcome.seq;
    this.#updatesSinceSnapshot = 0;
    this.#experienceSaved = this.policy.experienceSeq;
    await this.#deps.store.truncate();
  }
}

function assertSame(commit: Commit, policy: Policy, learner: Learner): void {
  const folded = checksum(policy);
  if (folded === commit.checksum) return;
  throw new Error(
    `the fold of the log (${folded.slice(0, 12)}, backend ${learner.backend}) is not what was committed as version ${commit.version} ` +
      `(${commit.checksum.slice(0, 12)}, backend ${commit.backend})`,
  );
}
