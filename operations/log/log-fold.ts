// The fold of a model's two logs into its policy, in the one order that everybody uses: the live updater, recovery, and `replay`.
//
// Owns: the position rule. Does not own: what a record or an entry does to the policy (models/policy/policy.ts), how records are read
// (transport/), which updates are skipped (operations/log/attempts.ts decides, the chain of commits keeps it).
//
// P1. Before update u is applied, the experience log is folded up to the highest experience position named by any update up to u.
//     Every such record is in the log already: an update is published after its experience is acknowledged. So the same logs give the
//     same policy, bit for bit, whatever the timing.
// P2. An update that the chain of commits names as skipped names no position: its experience is folded when a later one asks for it.

import type { ExperienceRecord, UpdateEntry } from "../../models/experience.js";
import type { Learner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import {
  applyMark,
  applyRestore,
  applySkip,
  applyTask,
  foldExperience,
  type Policy,
  type StepOutcome,
} from "../../models/policy/policy.js";

export interface LoggedExperience {
  readonly seq: number;
  /** Undefined where nobody can read what stands there: every fold passes the place by, alike. */
  readonly record: ExperienceRecord | undefined;
}

export interface LoggedUpdate {
  readonly seq: number;
  readonly entry: UpdateEntry;
  /** When the stream took it, epoch milliseconds; and the trace context that came with it. Neither moves a fold. */
  readonly storedAtMs?: number;
  readonly traceparent?: string;
}

export class LogFold {
  readonly policy: Policy;
  readonly #experiences: AsyncIterator<LoggedExperience>;
  readonly #learner: Learner;
  readonly #model: Model;
  readonly #skipped: ReadonlySet<number>;
  #ahead: LoggedExperience | undefined;

  /**
   * `experiences` yields the log from `policy.experienceSeq + 1` on and waits at its end. `skipped`: sequences of updates to pass by, looked
   * up when they come, so that its owner may add to it.
   */
  constructor(
    policy: Policy,
    experiences: AsyncIterable<LoggedExperience>,
    learner: Learner,
    model: Model,
    skipped: ReadonlySet<number> = new Set(),
  ) {
    this.policy = policy;
    this.#experiences = experiences[Symbol.asyncIterator]();
    this.#learner = learner;
    this.#model = model;
    this.#skipped = skipped;
  }

  /** Undefined for a mark and a restore: nothing was to be learned. `onLoaded`: the experience before a task is folded, its step comes now. */
  async apply({ seq, entry }: LoggedUpdate, onLoaded?: () => void): Promise<StepOutcome | undefined> {
    if (this.#skipped.has(seq)) return applySkip(this.policy, seq);
    switch (entry.kind) {
      case "task":
        await this.#foldUpTo(entry.task.experience.seq);
        onLoaded?.();
        return applyTask(this.policy, seq, entry.task, this.#learner, this.#model);
      case "mark":
        await this.#foldUpTo(entry.mark.experienceSeq);
        applyMark(this.policy, seq, entry.mark);
        return undefined;
      case "restore":
        applyRestore(this.policy, seq, entry.restore);
        return undefined;
      default:
        return entry satisfies never;
    }
  }

  async #foldUpTo(seq: number): Promise<void> {
    while (this.policy.experienceSeq < seq) {
      const next = this.#ahead ?? (await this.#next());
      if (next.seq > seq) {
        this.#ahead = next;
        return;
      }
      this.#ahead = undefined;
      if (next.record === undefined) this.policy.experienceSeq = next.seq;
      else foldExperience(this.policy, next.seq, next.record, this.#model);
    }
  }

  async #next(): Promise<LoggedExperience> {
    const next = await this.#experiences.next();
    if (next.done) throw new Error("the experience log ended before the position that an update names");
    return next.value;
  }
}

/** The highest experience position that an entry names; 0 when it names none. */
export function namedPosition(entry: UpdateEntry): number {
  switch (entry.kind) {
    case "task":
      return entry.task.experience.seq;
    case "mark":
      return entry.mark.experienceSeq;
    case "restore":
      return 0;
    default:
      return entry satisfies never;
  }
}

export function modelNamed(entry: UpdateEntry): string {
  switch (entry.kind) {
    case "task":
      return entry.task.model;
    case "mark":
      return entry.mark.model;
    case "restore":
      return entry.restore.model;
    default:
      return entry satisfies never;
  }
}
