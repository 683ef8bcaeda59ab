// The durable side of one model in memory: both logs, the fenced chain, the snapshots, and a lease that one writer holds.

import type { UpdaterStore } from "../../actors/learning/updater.js";
import type { ExperienceRecord, UpdateEntry } from "../../models/experience.js";
import type { Model } from "../../models/manifest.js";
import { sourcePolicy } from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import type { LoggedExperience, LoggedUpdate } from "../../operations/log/log-fold.js";
import type { HeldLease } from "../../transport/log/lease.js";
import type { Commit } from "../../transport/log/records.js";
import { MemoryLog } from "./memory-log.js";

export class MemoryStore implements UpdaterStore {
  readonly experienceLog = new MemoryLog<ExperienceRecord>();
  readonly updateLog = new MemoryLog<UpdateEntry>();
  readonly chain = new MemoryLog<Commit>();
  readonly snapshots: Uint8Array[] = [];
  /** Awaited before a commit reaches the chain. */
  beforeCommit: (commit: Commit) => void | Promise<void> = () => undefined;
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
  }

  /** One record of the experience log; its position is the returned sequence. */
  answer(record: ExperienceRecord): number {
    return this.experienceLog.append(`batch-${this.experienceLog.lastSeq + 1}`, record).seq;
  }

  startingPoint: UpdaterStore["startingPoint"] = async () => {
    const bytes = this.snapshots.at(-1);
    if (bytes === undefined) return { policy: sourcePolicy(this.#model), snapshotSeq: 0 };
    const decoded = decodePolicy(bytes, this.#model);
    if (decoded.kind !== "policy") throw new Error(decoded.why);
    return { policy: decoded.policy, snapshotSeq: this.snapshots.length };
  };

  saveSnapshot: UpdaterStore["saveSnapshot"] = async (policy, behind) => {
    if (this.snapshots.length !== behind) return { kind: "fenced" };
    return { kind: "stored", seq: this.snapshots.push(encodePolicy(policy)) };
  };

  /** Everything is kept. */
  truncate = async (): Promise<void> => undefined;

  lastCommit: UpdaterStore["lastCommit"] = async () => {
    const commit = this.chain.entries.at(-1);
    return commit === undefined ? undefined : { seq: this.chain.lastSeq, commit };
  };

  commit: UpdaterStore["commit"] = async (commit, expectedSeq) => {
    const kept = structuredClone(commit);
    await this.beforeCommit(kept);
    if (this.chain.lastSeq !== expectedSeq) return { kind: "fenced" };
    return { kind: "committed", seq: this.chain.append(`${expectedSeq}`, kept).seq };
  };

  enqueue: UpdaterStore["enqueue"] = async (entry, id) => this.updateLog.append(id, entry);

  state: UpdaterStore["state"] = async (kind) => {
    const { lastSeq } = kind === "experience" ? this.experienceLog : this.updateLog;
    return { firstSeq: 1, lastSeq, messages: lastSeq, bytes: 0 };
  };

  async *experiences(fromSeq: number, signal: AbortSignal): AsyncGenerator<LoggedExperience> {
    for await (const { seq, entry } of this.experienceLog.follow(fromSeq, signal)) yield { seq, record: entry };
  }

  async *updates(fromSeq: number, signal: AbortSignal): AsyncGenerator<LoggedUpdate> {
    for await (const { seq, entry } of this.updateLog.follow(fromSeq, signal)) yield { seq, entry };
  }
}

/** Hands the lease to whoever asks first; the others wait. */
export class MemoryLease {
  #holders = 0;
  readonly #queue: (() => void)[] = [];

  acquire = async (signal: AbortSignal): Promise<HeldLease | undefined> => {
    if (this.#holders > 0) await new Promise<void>((resolve) => this.#queue.push(resolve));
    if (signal.aborted) return undefined;
    this.#holders += 1;
    return {
      owner: { node: "node-a", incarnation: 1 },
      lost: new Promise(() => undefined),
      release: async () => {
        this.#holders -= 1;
        this.#queue.shift()?.();
      },
    };
  };
}
