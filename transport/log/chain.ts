// The fenced chain: a model's commits, each naming the one before it. One writer wins; every other one learns that it lost.
//
// Owns: the conditional append and the answer to "did my commit land?".
// Does not own: what a commit says (records.ts), who tries (lease.ts).
//
// C1. A commit counts only directly behind the message it names (expected last subject sequence): two writers cannot both succeed. Whoever
//     reads the chain checks that from the message itself (`isLink`). The server's own check is not enough: with replicas nats-server
//     2.9.10 compares the expectation with what its leader has applied, before it orders the message, so of two that arrive together, or
//     beside a change of leader, both are stored. The order in the log is one for all, so everybody passes by the same one.
// C2. `fenced` means that another writer went on from there: exit, never retry.
// C3. A commit whose acknowledgement got lost is looked up before it is tried again. Trying again is safe then: of the two one counts, and
//     it is recognised as our own by its bytes, which name node and incarnation.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import type { HeaderView } from "../bus/bus-outcome.js";
import { header } from "../subjects.js";
import { type Stored, type StoredOutcome, store, storedMessage, type Unavailable } from "./jetstream.js";

export type CommitOutcome =
  | { readonly kind: "committed"; readonly seq: number }
  | { readonly kind: "fenced" }
  | Unavailable;

export interface Chain {
  /** The newest link; `none` before the first. */
  head(): Promise<StoredOutcome>;
  /**
   * `expected`: sequence of the link to go on from, 0 for the first. On `unavailable` it is not known whether it landed. `committed` names
   * the link's own sequence; messages that do not count may stand behind it.
   */
  commit(bytes: Uint8Array, expected: number): Promise<CommitOutcome>;
}

export interface ChainSettings {
  readonly tryMs: number;
  readonly deadlineMs: number;
  readonly pauseMs: number;
}
const pauseMs = 25;

function settingsOf({ timeouts }: Bus): ChainSettings {
  return { tryMs: timeouts.commitTry, deadlineMs: timeouts.commit, pauseMs };
}

export function openChain(
  bus: Bus,
  clock: Clock,
  at: { readonly stream: string; readonly subject: string },
  settings: ChainSettings = settingsOf(bus),
): Chain {
  const read: Read = (which) =>
    storedMessage(bus, at.stream, which === "last" ? { last_by_subj: at.subject } : { seq: which });
  return {
    head: () => head(read),
    commit: (bytes, expected) => commit(bus, clock, settings, { subject: at.subject, read, bytes, expected }),
  };
}

/**
 * Whether a message of a chain is one of its links: it names the message directly before it, or it is the first. A stream holds one chain
 * and nothing else, so the message before has the sequence before; that a first one is the first, the server checks while it stores it.
 */
export function isLink({ seq, headers }: { readonly seq: number; readonly headers: HeaderView }): boolean {
  const expected = headers.get(header.expectedLastSubjectSequence);
  return expected === "0" || expected === `${seq - 1}`;
}

type Read = (which: number | "last") => Promise<StoredOutcome>;

interface Attempt {
  readonly subject: string;
  readonly read: Read;
  readonly bytes: Uint8Array;
  readonly expected: number;
}

async function head(read: Read): Promise<StoredOutcome> {
  for (let found = await read("last"); ; found = await read(found.message.seq - 1))
    if (found.kind !== "found" || isLink(found.message)) return found;
}

async function commit(bus: Bus, clock: Clock, settings: ChainSettings, attempt: Attempt): Promise<CommitOutcome> {
  const deadlineAtMs = clock.monotonicMs() + settings.deadlineMs;
  let { expected } = attempt;
  for (;;) {
    const outcome = await store(bus, attempt.subject, attempt.bytes, {
      timeoutMs: settings.tryMs,
      expectedLastSequence: expected,
    });
    const isFirstOrNext = outcome.kind === "stored" && (expected === 0 || outcome.seq === expected + 1);
    if (isFirstOrNext) return { kind: "committed", seq: outcome.seq };
    if (outcome.kind === "unavailable" && !mayPass(outcome)) return outcome;
    const seen = await lookUp(attempt);
    if (seen.kind === "settled") return seen.outcome;
    if (clock.monotonicMs() >= deadlineAtMs) return { kind: "unavailable", why: "timeout" };
    // What stands there and does not count is gone on from, at once; everything else needs a moment.
    if (seen.kind === "passed" && seen.seq > expected) expected = seen.seq;
    else await clock.delay(settings.pauseMs);
  }
}

const passing: readonly Unavailable["why"][] = ["timeout", "no_stream", "no_leader"];

/** Whether another try may find it otherwise. */
export function mayPass({ why }: Unavailable): boolean {
  return passing.includes(why);
}

type Seen =
  | { readonly kind: "settled"; readonly outcome: CommitOutcome }
  /** Up to `seq` nothing counts behind the link that is gone on from. */
  | { readonly kind: "passed"; readonly seq: number }
  | { readonly kind: "unknown" };

/** What became of an attempt: the first link behind the one it went on from says it (C3). */
async function lookUp({ read, bytes, expected }: Attempt): Promise<Seen> {
  const last = expected === 0 ? await head(read) : await read("last");
  if (last.kind === "unavailable") return unseen(last);
  if (last.kind === "none") return expected === 0 ? { kind: "passed", seq: 0 } : fenced;
  if (expected === 0) return judged(last.message, bytes);
  if (last.message.seq < expected) return { kind: "unknown" };
  for (let seq = expected + 1; seq <= last.message.seq; seq += 1) {
    const found = seq === last.message.seq ? last : await read(seq);
    if (found.kind === "unavailable") return unseen(found);
    if (found.kind === "none") return fenced;
    if (isLink(found.message)) return judged(found.message, bytes);
  }
  return { kind: "passed", seq: last.message.seq };
}

const fenced: Seen = { kind: "settled", outcome: { kind: "fenced" } };

function judged(link: Stored, ours: Uint8Array): Seen {
  const isOurs = Buffer.compare(link.bytes, ours) === 0;
  return isOurs ? { kind: "settled", outcome: { kind: "committed", seq: link.seq } } : fenced;
}

function unseen(outcome: Unavailable): Seen {
  return outcome.why === "closed" || outcome.why === "denied" ? { kind: "settled", outcome } : { kind: "unknown" };
}
