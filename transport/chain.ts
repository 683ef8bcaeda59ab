// The fenced chain: a model's commits, each naming the one before it. One writer wins; every other one learns that it lost.
//
// Owns: the conditional append and the answer to "did my commit land?".
// Does not own: what a commit says (records.ts), who tries (lease.ts).
//
// C1. A commit is stored only behind the message it names (expected last subject sequence): two writers cannot both succeed.
// C2. `fenced` means that another writer went on from there: exit, never retry.
// C3. A commit whose acknowledgement got lost is looked up before it is tried again. Trying again is safe then: the same expectation
//     lets at most one of the two in, and the other is recognised as our own by its bytes, which name node and incarnation.

import type { Clock } from "../models/clock.js";
import type { Bus } from "./bus.js";
import { type StoredOutcome, store, storedMessage, type Unavailable } from "./jetstream.js";

export type CommitOutcome =
  | { readonly kind: "committed"; readonly seq: number }
  | { readonly kind: "fenced" }
  | Unavailable;

export interface Chain {
  /** The newest link; `none` before the first. */
  head(): Promise<StoredOutcome>;
  /** `expected`: sequence of the link to go on from, 0 for the first. On `unavailable` it is not known whether it landed. */
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
  const head = () => storedMessage(bus, at.stream, { last_by_subj: at.subject });
  return {
    head,
    commit: (bytes, expected) => commit(bus, clock, settings, { subject: at.subject, head, bytes, expected }),
  };
}

interface Attempt {
  readonly subject: string;
  readonly head: () => Promise<StoredOutcome>;
  readonly bytes: Uint8Array;
  readonly expected: number;
}

async function commit(bus: Bus, clock: Clock, settings: ChainSettings, attempt: Attempt): Promise<CommitOutcome> {
  const deadlineAtMs = clock.monotonicMs() + settings.deadlineMs;
  for (;;) {
    const outcome = await store(bus, attempt.subject, attempt.bytes, {
      timeoutMs: settings.tryMs,
      expectedLastSequence: attempt.expected,
    });
    if (outcome.kind === "stored") return { kind: "committed", seq: outcome.seq };
    if (outcome.kind === "unavailable" && outcome.why !== "timeout" && outcome.why !== "no_stream") return outcome;
    const landed = await lookUp(attempt);
    if (landed !== undefined) return landed;
    if (clock.monotonicMs() >= deadlineAtMs) return { kind: "unavailable", why: "timeout" };
    await clock.delay(settings.pauseMs);
  }
}

/** What became of an attempt; undefined when the chain still stands where it goes on from, or cannot be read (C3). */
async function lookUp(attempt: Attempt): Promise<CommitOutcome | undefined> {
  const head = await attempt.head();
  if (head.kind === "unavailable") return head.why === "closed" || head.why === "denied" ? head : undefined;
  if (head.kind === "none") return attempt.expected === 0 ? undefined : { kind: "fenced" };
  if (head.message.seq === attempt.expected) return undefined;
  if (Buffer.compare(head.message.bytes, attempt.bytes) === 0) return { kind: "committed", seq: head.message.seq };
  return { kind: "fenced" };
}
