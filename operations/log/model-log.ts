// One model's logs as its actors use them: typed records in order, instead of bytes on subjects.
//
// Owns: which stream is read for what, the rule for records that cannot be decoded, what may be truncated.
// Does not own: the streams (transport/), the fold (log-fold.ts, models/policy/policy.ts).
//
// G1. A record that cannot be decoded is skipped by every reader alike, and reported: the fold stays the same everywhere. In the
//     experience log its place is told, so that who waits for a position (a node that catches up, a mark) is not kept waiting by it.
//     A record that does not fit the model is as unreadable as one that cannot be decoded.
// G2. Truncation keeps what the oldest kept snapshot needs to be folded on from, and as many records as a memory may hold. The kept snapshots are those in the
//     stream, whoever stored them, so that a writer that has just started truncates as one that has run for long.

import type { Clock } from "../../models/clock.js";
import type { ExperienceRecord, UpdateEntry } from "../../models/experience.js";
import type { Model } from "../../models/manifest.js";
import { misfit, type Policy } from "../../models/policy/policy.js";
import type { Bus } from "../../transport/bus/bus.js";
import { type Chain, type CommitOutcome, isLink, openChain } from "../../transport/log/chain.js";
import type { CopyBehind, Followed, FollowOptions } from "../../transport/log/follow.js";
import type { StreamState, Unavailable } from "../../transport/log/jetstream.js";
import { type AppendOutcome, type Log, openLog, type Patience } from "../../transport/log/log.js";
import {
  type Commit,
  decodeCommit,
  decodeExperience,
  decodeUpdate,
  encodeCommit,
  encodeExperience,
  encodeUpdate,
} from "../../transport/log/records.js";
import { openSnapshots, type SnapshotListing } from "../../transport/log/snapshot.js";
import { boundsOf, limitsFor, streamLimits } from "../../transport/log/streams.js";
import type { Parsed } from "../../transport/messages/fields.js";
import { header, type StreamKind, type Subjects } from "../../transport/subjects.js";
import { KeptSnapshots, type PolicyAt, type StartingPoint } from "./kept-snapshots.js";
import type { LoggedExperience, LoggedUpdate } from "./log-fold.js";

/** A record that no reader understands: somebody else wrote it, or it is damaged. */
export interface Unreadable {
  readonly stream: StreamKind;
  readonly seq: number;
  readonly message: string;
}

export interface LoggedCommit {
  readonly seq: number;
  readonly commit: Commit;
}

/** The log could not be read or written for a whole deadline: waiting or another broker helps, another try at once does not. */
export class LogUnavailableError extends Error {
  override readonly name = "LogUnavailableError";
  constructor(
    readonly what: string,
    readonly why: Unavailable["why"],
  ) {
    super(`${what}: the log is unavailable (${why})`);
  }
}

export interface ModelLogOptions {
  /** The bound of the experience stream, if it is not the usual one. */
  readonly experienceMaxBytes?: number | undefined;
  /** Told when a reader of these logs passes by a server's copy that lags. */
  readonly onCopyBehind?: (copy: CopyBehind) => void;
}

/** What need not be sent, and when the rest is. */
type Way = Pick<FollowOptions, "echo" | "fetching">;

/** From this share of the experience stream's bound on, it is truncated. */
const truncateFrom = 0.5;
/** Beyond these a consumer is quicker. */
const fewRecords = 64;
const readTries = 20;
const readPauseMs = 150;

export class ModelLog {
  readonly #bus: Bus;
  readonly #subjects: Subjects;
  readonly #model: Model;
  readonly #name: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #chain: Chain;
  readonly #snapshots: KeptSnapshots;
  readonly #onUnreadable: (record: Unreadable) => void;
  readonly #onCopyBehind: (copy: CopyBehind) => void;
  readonly #truncateFromBytes: number;

  constructor(
    bus: Bus,
    subjects: Subjects,
    model: Model,
    clock: Clock,
    onUnreadable: (record: Unreadable) => void,
    { experienceMaxBytes = streamLimits.experienceMaxBytes, onCopyBehind = () => undefined }: ModelLogOptions = {},
  ) {
    this.#bus = bus;
    this.#subjects = subjects;
    this.#model = model;
    this.#name = model.manifest.name;
    this.#clock = clock;
    this.#log = openLog(bus, clock, {
      boundOf: boundsOf(subjects, this.#name, limitsFor(experienceMaxBytes)),
    });
    this.#chain = openChain(bus, clock, this.#at("weights"));
    this.#onUnreadable = onUnreadable;
    this.#onCopyBehind = onCopyBehind;
    this.#truncateFromBytes = truncateFrom * experienceMaxBytes;
    this.#snapshots = new KeptSnapshots({
      model,
      snapshots: openSnapshots(bus, clock, this.#at("snapshot")),
      reading: (what, read) => this.#reading(what, read),
      state: (kind) => this.state(kind),
      onUnreadable: (seq, message) => onUnreadable({ stream: "snapshot", seq, message }),
    });
  }

  append(batchId: string, record: ExperienceRecord, patience: Patience = "patient"): Promise<AppendOutcome> {
    return this.#log.append(this.#at("experience").subject, encodeExperience(record), batchId, undefined, patience);
  }

  enqueue(entry: UpdateEntry, messageId: string): Promise<AppendOutcome> {
    const { traceparent } = entry.kind === "task" ? entry.task : {};
    const headers = traceparent === undefined ? {} : { [header.traceparent]: traceparent };
    return this.#log.append(this.#at("update").subject, encodeUpdate(entry), messageId, headers);
  }

  commit(commit: Commit, expectedSeq: number): Promise<CommitOutcome> {
    return this.#chain.commit(encodeCommit(commit), expectedSeq);
  }

  /** Experience records from `fromSeq` on, then each new one. Each is decoded when its `record` is first looked at. */
  async *experiences(fromSeq: number, signal: AbortSignal, way: Way = {}): AsyncGenerator<LoggedExperience> {
    for await (const { seq, bytes } of this.#follow("experience", fromSeq, signal, way))
      yield undecoded(seq, () => this.#decode("experience", seq, this.#fitting(decodeExperience(bytes))));
  }

  /**
   * The records of a span, for whoever misses a few: read one by one. A consumer for them would be quicker made than read with one server;
   * of several, each has to agree to it, and the answers of many retries at once would wait for that. Ends early where a record cannot be
   * read: passing one by would leave a hole in a fold.
   */
  async *experiencesBetween(fromSeq: number, toSeq: number, signal: AbortSignal): AsyncGenerator<LoggedExperience> {
    if (toSeq - fromSeq >= fewRecords) {
      for await (const logged of this.experiences(fromSeq, signal)) {
        yield logged;
        if (logged.seq >= toSeq) return;
      }
    }
    for (let seq = fromSeq; seq <= toSeq && !signal.aborted; seq += 1) {
      const found = await this.#log.get(this.#at("experience").stream, seq);
      if (found.kind !== "found") return;
      const { bytes } = found.message;
      yield undecoded(seq, () => this.#decode("experience", seq, this.#fitting(decodeExperience(bytes))));
    }
  }

  async *updates(fromSeq: number, signal: AbortSignal): AsyncGenerator<LoggedUpdate> {
    for await (const { seq, bytes, headers, atMs } of this.#follow("update", fromSeq, signal)) {
      const entry = this.#decode("update", seq, decodeUpdate(bytes));
      const traceparent = headers.get(header.traceparent);
      if (entry !== undefined)
        yield { seq, entry, storedAtMs: atMs, ...(traceparent === undefined ? {} : { traceparent }) };
    }
  }

  async *commits(fromSeq: number, signal: AbortSignal): AsyncGenerator<LoggedCommit> {
    for await (const { seq, bytes, headers } of this.#follow("weights", fromSeq, signal)) {
      if (!isLink({ seq, headers })) continue;
      const commit = this.#decode("weights", seq, decodeCommit(bytes));
      if (commit !== undefined) yield { seq, commit };
    }
  }

  async state(kind: StreamKind): Promise<StreamState> {
    const outcome = await this.#reading(`state of the ${kind} stream`, () => this.#log.state(this.#at(kind).stream));
    return outcome.state;
  }

  /** Sequence of the newest message, asked once; undefined when the broker does not answer. */
  async lastSeqNow(kind: StreamKind): Promise<number | undefined> {
    const outcome = await this.#log.state(this.#at(kind).stream);
    return outcome.kind === "unavailable" ? undefined : outcome.state.lastSeq;
  }

  /** The newest link of the chain up to a sequence; undefined when it is not kept or nobody can read it. */
  async commitAt(upToSeq: number): Promise<LoggedCommit | undefined> {
    const get = (at: number) => this.#reading(`commit ${at}`, () => this.#log.get(this.#at("weights").stream, at));
    let seq = upToSeq;
    let outcome = await get(seq);
    while (outcome.kind === "found" && !isLink(outcome.message)) {
      seq -= 1;
      outcome = await get(seq);
    }
    if (outcome.kind === "none") return undefined;
    const commit = this.#decode("weights", seq, decodeCommit(outcome.message.bytes));
    return commit === undefined ? undefined : { seq, commit };
  }

  async lastCommit(): Promise<LoggedCommit | undefined> {
    const outcome = await this.#reading("the newest commit", () => this.#chain.head());
    if (outcome.kind === "none") return undefined;
    const { seq, bytes } = outcome.message;
    const commit = decodeCommit(bytes);
    if (commit.kind !== "ok") throw new Error(`commit ${seq} of ${this.#name} is unreadable: ${commit.message}`);
    return { seq, commit: commit.value };
  }

  /** The policy to fold on from: the newest snapshot that can be used, or the source. */
  async newestPolicy(): Promise<Policy> {
    return (await this.startingPoint()).policy;
  }

  startingPoint(): Promise<StartingPoint> {
    return this.#snapshots.newest();
  }

  /** The source, if the logs still reach back to it; a NothingToFoldFromError otherwise. */
  sourcePolicy(): Promise<Policy> {
    return this.#snapshots.source();
  }

  /** Newest first. */
  snapshots(): Promise<readonly SnapshotListing[]> {
    return this.#snapshots.list();
  }

  snapshotAt(seq: number): Promise<PolicyAt> {
    return this.#snapshots.at(seq);
  }

  /** `behind`: sequence of the snapshot before it, 0 for none; `fenced` when another writer has stored one since. */
  saveSnapshot(policy: Policy, behind: number): ReturnType<KeptSnapshots["put"]> {
    return this.#snapshots.put(policy, behind);
  }

  /** Removes from the log what neither the kept snapshots nor a memory needs (G2). */
  async truncate(): Promise<void> {
    const { bytes, lastSeq } = await this.state("experience");
    if (bytes < this.#truncateFromBytes) return;
    const places = await this.#snapshots.places(streamLimits.snapshotsKept);
    if (places.length < streamLimits.snapshotsKept) return;
    const remembered = Math.max(0, lastSeq - this.#model.manifest.learning.capacity);
    const experienceSeq = Math.min(remembered, ...places.map((place) => place.experienceSeq));
    const updateSeq = Math.min(...places.map((place) => place.updateSeq));
    if (experienceSeq > 0) await this.#log.purgeUpTo(this.#at("experience").stream, experienceSeq);
    if (updateSeq > 0) await this.#log.purgeUpTo(this.#at("update").stream, updateSeq);
  }

  #fitting(decoded: Parsed<ExperienceRecord>): Parsed<ExperienceRecord> {
    const why = decoded.kind === "ok" ? misfit(decoded.value, this.#model) : null;
    return why === null ? decoded : { kind: "refused", code: "bad_request", message: why };
  }

  #follow(kind: StreamKind, fromSeq: number, signal: AbortSignal, way: Way = {}): AsyncIterable<Followed> {
    const onCopyBehind = this.#onCopyBehind;
    return this.#log.follow(this.#at(kind).stream, { fromSeq, signal, onCopyBehind, ...way });
  }

  #decode<T>(stream: StreamKind, seq: number, decoded: Parsed<T>): T | undefined {
    if (decoded.kind === "ok") return decoded.value;
    this.#onUnreadable({ stream, seq, message: decoded.message });
    return undefined;
  }

  #at(kind: StreamKind): { readonly stream: string; readonly subject: string } {
    return { stream: this.#subjects.stream(kind, this.#name), subject: this.#subjects.logSubject(kind, this.#name) };
  }

  /** Reads again while the broker is away: a restart of it must not look like an empty log. */
  async #reading<T extends { readonly kind: string }>(
    what: string,
    read: () => Promise<T | Unavailable>,
  ): Promise<Exclude<T, Unavailable>> {
    const electedByMs = this.#clock.monotonicMs() + this.#bus.timeouts.election;
    for (let tries = 1; ; tries += 1) {
      const outcome = await read();
      if (!isUnavailable(outcome)) return outcome as Exclude<T, Unavailable>;
      // That nobody leads is said at once, again and again: it is waited for by time.
      const isElecting = outcome.why === "no_leader" && this.#clock.monotonicMs() < electedByMs;
      if ((tries >= readTries && !isElecting) || outcome.why === "denied")
        throw new LogUnavailableError(what, outcome.why);
      await this.#clock.delay(readPauseMs);
    }
  }
}

/** A serving node gets its own records back from the log after it has folded them: most are passed by without a decode. */
function undecoded(seq: number, decode: () => ExperienceRecord | undefined): LoggedExperience {
  let decoded: { readonly record: ExperienceRecord | undefined } | undefined;
  return {
    seq,
    get record() {
      decoded ??= { record: decode() };
      return decoded.record;
    },
  };
}

function isUnavailable(outcome: { readonly kind: string }): outcome is Unavailable {
  return outcome.kind === "unavailable";
}
