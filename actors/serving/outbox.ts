// The outbox as a node finds it: which records of the experience log may still owe the update stream their tasks.
//
// Owns: where a relay begins to look. Does not own: publishing (relay.ts), the streams (operations/log/model-log.ts).

import type { Clock } from "../../models/clock.js";
import type { LoggedExperience } from "../../operations/log/log-fold.js";
import type { ModelLog } from "../../operations/log/model-log.js";
import { messageId, type Outbox } from "./relay.js";

/** Newest records whose tasks are published again after a restart: more than one crash can leave without them. */
const reconciled = 256;
const newestTaskMs = 2_000;

export interface WatchedOutbox extends Outbox {
  /** Whether a relay of this process has looked through it: from then on it knows itself where it is. */
  isKnown: boolean;
  /** Filled by the first look through it. */
  readonly onStream: Set<string>;
}

/**
 * Where the outbox may not have been emptied. A new process begins behind the newest task on the update stream, less what other nodes may
 * have been ahead: a relay that was held up for long, and then killed with its process, finds all of its tasks again.
 */
export async function* newestRecords(
  log: ModelLog,
  clock: Clock,
  outbox: WatchedOutbox,
): AsyncGenerator<LoggedExperience> {
  const [{ lastSeq }, named] = await Promise.all([
    log.state("experience"),
    outbox.isKnown ? undefined : newestTaskOf(log, clock, outbox.onStream),
  ]);
  const newest = named ?? lastSeq;
  const fromSeq = Math.min(newest, lastSeq) - reconciled + 1;
  yield* recordsFrom(log, Math.max(1, Math.min(fromSeq, outbox.behindSeq ?? fromSeq)));
  outbox.isKnown = true;
}

/**
 * The experience that the newest task on the update stream names; marks are passed by. Undefined when no task is in sight. The message ids of
 * those that are go into `seen`.
 */
async function newestTaskOf(log: ModelLog, clock: Clock, seen: Set<string>): Promise<number | undefined> {
  const { lastSeq, messages } = await log.state("update");
  if (messages === 0) return undefined;
  const reading = new AbortController();
  // An entry that nobody can read is not told of: if it is the last one, there is nothing to wait for.
  const cancel = clock.after(newestTaskMs, () => reading.abort());
  let newest: number | undefined;
  try {
    for await (const { seq, entry } of log.updates(Math.max(1, lastSeq - reconciled + 1), reading.signal)) {
      if (entry.kind === "task") {
        newest = Math.max(newest ?? 0, entry.task.experience.seq);
        seen.add(messageId(entry.task.experience));
      }
      if (seq >= lastSeq) break;
    }
  } finally {
    cancel();
    reading.abort();
  }
  return newest;
}

/** From a record to the end that the log has now. */
export async function* recordsFrom(log: ModelLog, fromSeq: number): AsyncGenerator<LoggedExperience> {
  const { lastSeq, messages } = await log.state("experience");
  if (messages === 0 || fromSeq > lastSeq) return;
  const reading = new AbortController();
  try {
    for await (const record of log.experiences(fromSeq, reading.signal)) {
      yield record;
      if (record.seq >= lastSeq) return;
    }
  } finally {
    reading.abort();
  }
}
