// Looks at the streams and leases of a cluster, as the observer takes them every second.
//
// Owns: what is asked of JetStream, and how often. Does not own: what follows from it (aggregate.ts), when (actors/operations/observer.ts).
//
// Q1. Every question has the timeout of its kind, and they are asked at once: a look ends within about two seconds, found or not.
// Q2. A look is whole or it is none: figures of two moments are not mixed.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { isLink } from "../../transport/log/chain.js";
import { decodeDeadLetter } from "../../transport/log/dead-letter-records.js";
import {
  directMessage,
  type StreamState,
  storedMessage,
  streamState,
  type Unavailable,
} from "../../transport/log/jetstream.js";
import { LeaseClockwatch } from "../../transport/log/lease-ages.js";
import { openLog } from "../../transport/log/log.js";
import { decodeCommit } from "../../transport/log/records.js";
import { type StreamLimits, streamBounds } from "../../transport/log/streams.js";
import type { Subjects } from "../../transport/subjects.js";
import type { Looked } from "./looked.js";

export interface QueueLooksOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: Subjects;
  /** Looked at anew at each look. */
  readonly models: readonly string[];
  readonly limits: StreamLimits;
}

type Learned = Looked["models"][number];
type Committed = Pick<Learned, "committedSeq" | "version" | "applied" | "refused">;

interface KnownCommit {
  /** Of the commit on its stream. */
  readonly seq: number;
  readonly bytes: number;
  readonly readAtMs: number;
  readonly committed: Committed;
}

const noCommit: Committed = { committedSeq: 0, version: 0, applied: 0, refused: {} };
/** A commit brings the whole head along: a large one is read less often than it is written. */
const largeCommitBytes = 65_536;
const largeCommitEveryMs = 5_000;

export class QueueLooks {
  readonly #options: QueueLooksOptions;
  readonly #leases: LeaseClockwatch;
  readonly #commits = new Map<string, KnownCommit>();
  readonly #oldest = new Map<string, { readonly seq: number; readonly atMs: number }>();
  readonly #missing = new Set<string>();
  /** Letters that nobody did anything about: when each was written. */
  readonly #letters = new Map<number, number>();

  constructor(options: QueueLooksOptions) {
    const { bus, clock, subjects } = options;
    this.#options = options;
    this.#leases = new LeaseClockwatch(bus, clock, subjects.leaseBucket);
  }

  /** Undefined when something could not be asked. */
  async look(): Promise<Looked | undefined> {
    const { bus, models, subjects, limits } = this.#options;
    const bounds = streamBounds(subjects, models, limits);
    const names = [...bounds.keys()];
    // A name may be another model's one day.
    for (const name of this.#commits.keys()) if (!models.includes(name)) this.#commits.delete(name);
    const [states, leases] = await Promise.all([
      Promise.all(names.map(async (stream) => [stream, await this.#stateOf(stream)] as const)),
      this.#leases.look(),
    ]);
    if (leases.kind === "unavailable" || !bus.connected) return undefined;
    const found = new Map<string, StreamState>();
    for (const [stream, state] of states) {
      if (state.kind === "unavailable") return undefined;
      found.set(stream, state.state);
    }
    const learned = await Promise.all(models.map((model) => this.#learned(model, found)));
    if (learned.some((each) => each === undefined)) return undefined;
    this.#forgetLetters(found.get(subjects.deadLetterStream));
    const open = [...this.#letters.values()];
    return {
      v: 1,
      streams: [...found].map(([stream, { messages, bytes }]) => {
        return { stream, messages, bytes, maxBytes: bounds.get(stream) ?? null };
      }),
      models: learned.filter((each) => each !== undefined),
      leases: { held: leases.held, oldestAgeMs: leases.oldestAgeMs },
      deadLetters: {
        stream: subjects.deadLetterStream,
        open: open.length,
        oldestAtMs: open.length === 0 ? null : Math.min(...open),
      },
    };
  }

  /** Whether a stream was not there at the last look: one in memory is gone with its broker. */
  lacks(stream: string): boolean {
    return this.#missing.has(stream);
  }

  /** Follows the dead letters until the signal. */
  async followLetters(signal: AbortSignal): Promise<void> {
    const { bus, clock, subjects } = this.#options;
    for await (const { seq, bytes } of openLog(bus, clock).follow(subjects.deadLetterStream, { fromSeq: 1, signal })) {
      const record = decodeDeadLetter(bytes);
      if (record.kind !== "ok") continue;
      if (record.value.kind === "letter") this.#letters.set(seq, record.value.atMs);
      else this.#letters.delete(record.value.of);
    }
  }

  /** What fell off the beginning of the stream waits for nobody any more. */
  #forgetLetters(stream: StreamState | undefined): void {
    if (stream === undefined) return;
    for (const seq of this.#letters.keys()) if (seq < stream.firstSeq) this.#letters.delete(seq);
  }

  /** A stream that the broker has no memory for, or whose node was not there yet, is empty. */
  async #stateOf(stream: string): Promise<{ readonly kind: "state"; readonly state: StreamState } | Unavailable> {
    const outcome = await streamState(this.#options.bus, stream);
    this.#missing.delete(stream);
    if (outcome.kind !== "unavailable" || outcome.why !== "no_stream") return outcome;
    this.#missing.add(stream);
    return { kind: "state", state: { firstSeq: 0, lastSeq: 0, messages: 0, bytes: 0 } };
  }

  async #learned(name: string, states: ReadonlyMap<string, StreamState>): Promise<Learned | undefined> {
    const { subjects } = this.#options;
    const stream = subjects.stream("update", name);
    const lastSeq = states.get(stream)?.lastSeq ?? 0;
    const committed = await this.#committed(name, states.get(subjects.stream("weights", name))?.lastSeq ?? 0);
    if (committed === undefined) return undefined;
    const nextSeq = committed.committedSeq + 1;
    const oldestAtMs = nextSeq > lastSeq ? null : await this.#momentOf(stream, nextSeq);
    return { name, stream, lastSeq, ...committed, oldestAtMs };
  }

  /** Read anew when there is a newer one. */
  async #committed(model: string, lastSeq: number): Promise<Committed | undefined> {
    const { bus, clock, subjects } = this.#options;
    const known = this.#commits.get(model);
    if (lastSeq === 0) return noCommit;
    const isLarge = known !== undefined && known.bytes > largeCommitBytes;
    const isFresh = known !== undefined && clock.monotonicMs() - known.readAtMs < largeCommitEveryMs;
    if (known !== undefined && (known.seq === lastSeq || (isLarge && isFresh))) return known.committed;
    const stream = subjects.stream("weights", model);
    const outcome = await directMessage(bus, stream, { last_by_subj: subjects.weights(model) });
    if (outcome.kind === "none") return noCommit;
    if (outcome.kind === "unavailable") return undefined;
    const commit = decodeCommit(outcome.message.bytes);
    if (commit.kind !== "ok" || !isLink(outcome.message)) return known?.committed ?? noCommit;
    const { version, updateSeq, counters } = commit.value;
    const committed = { committedSeq: updateSeq, version, applied: counters.applied, refused: { ...counters.refused } };
    const { seq, bytes } = outcome.message;
    this.#commits.set(model, { seq, bytes: bytes.byteLength, readAtMs: clock.monotonicMs(), committed });
    return committed;
  }

  /** When the message at a place came; null when it is there no more, or cannot be asked. */
  async #momentOf(stream: string, seq: number): Promise<number | null> {
    const known = this.#oldest.get(stream);
    if (known?.seq === seq) return known.atMs;
    const outcome = await storedMessage(this.#options.bus, stream, { seq });
    if (outcome.kind !== "found") return null;
    this.#oldest.set(stream, { seq, atMs: outcome.message.atMs });
    return outcome.message.atMs;
  }
}
