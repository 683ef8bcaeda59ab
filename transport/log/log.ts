// The write-ahead log: appending, reading single messages, truncating. Following it is follow.ts.
//
// Owns: the retry rule of an append. Does not own: what the bytes mean (records.ts), the streams' limits (streams.ts).
//
// L1. An append is retried with the same message id only, so that it is stored once however often it was sent.
// L2. `appended` means that the server acknowledged it: it survives the death of every process, this one and the broker's included.
// L3. A bounded subject is refused here, before the server's own bound is met. nats-server 2.9.10 checks a stream's bound without a message's
//     overhead, and where the overhead is what crosses it, drops the oldest messages in spite of "discard new": with 9 of 40 sizes of a
//     message, acknowledged ones were lost. So the server's bound lies above the one that is kept here (streams.ts, withHeadroom).

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import type { Headers } from "../bus/bus-outcome.js";
import { jetStreamApi } from "../subjects.js";
import { type Followed, type FollowOptions, follow } from "./follow.js";
import {
  ask,
  JetStreamError,
  type StateOutcome,
  type StoredOutcome,
  store,
  storedMessage,
  streamState,
  type Unavailable,
} from "./jetstream.js";

export type AppendOutcome =
  /** `duplicate`: an earlier publication with this id is the one that is stored. */
  { readonly kind: "appended"; readonly seq: number; readonly duplicate: boolean } | Unavailable;

export interface LogSettings {
  /** How long one try waits for its acknowledgement. */
  readonly tryMs: number;
  /** How long all tries together may take. */
  readonly deadlineMs: number;
  /** Wait between tries after a quick refusal. */
  readonly pauseMs: number;
}
const pauseMs = 25;

/** By default shorter than the deadline of a request, so that who asks hears `log_unavailable` and not `deadline`. */
function settingsOf({ timeouts }: Bus): LogSettings {
  return { tryMs: timeouts.appendTry, deadlineMs: timeouts.append, pauseMs };
}

/** How much a subject's stream may hold, in bytes. */
export interface Bound {
  readonly stream: string;
  readonly maxBytes: number;
}
export type BoundOf = (subject: string) => Bound | undefined;

export interface LogOptions {
  readonly settings: LogSettings;
  readonly boundOf: BoundOf;
}

/** `once`: no longer than one try, for who knows that the log did not answer a moment ago. */
export type Patience = "patient" | "once";

export interface Log {
  append(
    subject: string,
    bytes: Uint8Array,
    messageId: string,
    headers?: Headers,
    patience?: Patience,
  ): Promise<AppendOutcome>;
  follow(stream: string, options: FollowOptions): AsyncIterable<Followed>;
  state(stream: string): Promise<StateOutcome>;
  last(stream: string, subject: string): Promise<StoredOutcome>;
  get(stream: string, seq: number): Promise<StoredOutcome>;
  /** Removes every message up to and including `seq`. */
  purgeUpTo(stream: string, seq: number): Promise<{ readonly kind: "purged"; readonly messages: number } | Unavailable>;
}

export function openLog(
  bus: Bus,
  clock: Clock,
  { settings = settingsOf(bus), boundOf = () => undefined }: Partial<LogOptions> = {},
): Log {
  const levels = new Map<string, Level>();
  return {
    append: async (subject, bytes, messageId, headers, patience = "patient") => {
      const deadlineMs = patience === "once" ? settings.tryMs : settings.deadlineMs;
      const appended = () => append(bus, clock, { ...settings, deadlineMs }, { subject, bytes, messageId, headers });
      const bound = boundOf(subject);
      // Kept of bounded subjects only: marks on dead letters have each a subject of their own.
      if (bound === undefined) return appended();
      const level = levels.get(subject) ?? { bytes: Number.POSITIVE_INFINITY, seq: 0, largest: 0 };
      levels.set(subject, level);
      if (!(await fits(bus, bound, level, bytes.byteLength))) return { kind: "unavailable", why: "full" };
      const outcome = await appended();
      if (outcome.kind === "appended") raise(level, outcome.seq, bytes.byteLength);
      return outcome;
    },
    follow: (stream, options) => follow(bus, clock, stream, options),
    state: (stream) => streamState(bus, stream),
    last: (stream, subject) => storedMessage(bus, stream, { last_by_subj: subject }),
    get: (stream, seq) => storedMessage(bus, stream, { seq }),
    purgeUpTo: (stream, seq) => purgeUpTo(bus, stream, seq),
  };
}

/** What is known of how full a stream is: too high rather than too low, so that it is asked in time. */
interface Level {
  bytes: number;
  seq: number;
  largest: number;
}

/** Up to this share of the bound the estimate is good enough; beyond, the stream is asked before each append. */
const surelyFits = 0.8;
/** A message's headers, subject and framing in the server's files, at most. */
const overheadBytes = 512;

/** A stream that cannot be asked is left to the append itself, which says what is wrong. */
async function fits(bus: Bus, { stream, maxBytes }: Bound, level: Level, size: number): Promise<boolean> {
  if (level.bytes + size < maxBytes * surelyFits) return true;
  const outcome = await streamState(bus, stream);
  if (outcome.kind === "unavailable") return true;
  level.bytes = outcome.state.bytes;
  level.seq = outcome.state.lastSeq;
  return level.bytes + size + overheadBytes <= maxBytes;
}

/** Messages of others came in between: each is taken for as large as the largest of ours. */
function raise(level: Level, seq: number, size: number): void {
  level.largest = Math.max(level.largest, size + overheadBytes);
  level.bytes += Math.max(0, seq - level.seq) * level.largest;
  level.seq = Math.max(level.seq, seq);
}

interface Append {
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly messageId: string;
  readonly headers: Headers | undefined;
}

async function append(bus: Bus, clock: Clock, settings: LogSettings, what: Append): Promise<AppendOutcome> {
  const deadlineAtMs = clock.monotonicMs() + settings.deadlineMs;
  for (;;) {
    const leftMs = deadlineAtMs - clock.monotonicMs();
    const outcome = await store(bus, what.subject, what.bytes, {
      timeoutMs: Math.max(1, Math.min(settings.tryMs, leftMs)),
      messageId: what.messageId,
      headers: what.headers,
    });
    if (outcome.kind === "stored") return { kind: "appended", seq: outcome.seq, duplicate: outcome.duplicate };
    if (outcome.kind === "wrong_sequence") throw new Error(`${what.subject}: an append expects no sequence`);
    // Of several servers that elect a leader nobody may listen for a moment.
    const isQuick = outcome.why === "no_stream" || outcome.why === "no_leader";
    const passing = outcome.why === "timeout" || isQuick;
    if (!passing || deadlineAtMs - clock.monotonicMs() <= settings.pauseMs) return outcome;
    if (isQuick) await clock.delay(settings.pauseMs);
  }
}

async function purgeUpTo(bus: Bus, stream: string, seq: number): ReturnType<Log["purgeUpTo"]> {
  const outcome = await ask(bus, jetStreamApi.streamPurge(stream), { seq: seq + 1 });
  if (outcome.kind === "unavailable") return outcome;
  if (outcome.kind === "refused") throw new JetStreamError(stream, outcome.code, outcome.description);
  return { kind: "purged", messages: Number(outcome.body.purged) };
}
