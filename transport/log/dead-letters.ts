// The dead letters of a cluster: one bounded stream of jobs that were given up, and of what operators did about them.
//
// Owns: the stream's limits, the rule under which a letter is stored once. Does not own: the bytes (records.ts), what becomes of a
// letter (operations/dead-letters/dead-letter-book.ts), who gives up (actors/host/host.ts).
//
// D1. A job has one letter, however often it is given up and published, until an operator does something about it: the message id is made
//     of the job's and of its newest mark.
// D2. The stream discards old at its bound: letters are for people, and the newest tell most.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import type { Subjects } from "../subjects.js";
import { type DeadLetterMark, type DeadLetterRecord, encodeDeadLetter } from "./dead-letter-records.js";
import { ensureStream, type StoredOutcome, storedMessage, type Unavailable } from "./jetstream.js";
import { type AppendOutcome, openLog } from "./log.js";
import { bookLimits, dayMs, inFiles, nanosPerMs } from "./streams.js";

/** A request's bytes up to here are kept with its letter. */
export const payloadBytesMax = 128 * 1024;

export interface DeadLetters {
  publish(letter: DeadLetterRecord): Promise<AppendOutcome>;
  /** A requeueing that is in the log already is `duplicate`: the second of two operators learns that he is the second. */
  mark(mark: DeadLetterMark): Promise<AppendOutcome>;
}

export function ensureDeadLetterStream(
  bus: Bus,
  subjects: Subjects,
  replicas: number = bookLimits.replicas,
): Promise<{ readonly kind: "ready" } | Unavailable> {
  return ensureStream(bus, {
    ...inFiles(subjects.deadLetterStream, subjects.all.deadLetters, replicas),
    discard: "old",
    max_bytes: bookLimits.maxBytes,
    max_age: bookLimits.maxAgeDays * dayMs * nanosPerMs,
    duplicate_window: bookLimits.duplicateWindowMs * nanosPerMs,
  });
}

export function openDeadLetters(bus: Bus, clock: Clock, subjects: Subjects): DeadLetters {
  const log = openLog(bus, clock);
  const newestMark = (model: string, jobId: string): Promise<StoredOutcome> =>
    storedMessage(bus, subjects.deadLetterStream, { last_by_subj: subjects.deadLetterMarks(model, jobId) });
  return {
    publish: async (letter) => {
      const { model, phase, jobId } = letter;
      const marked = await newestMark(model, jobId);
      if (marked.kind === "unavailable") return marked;
      const since = marked.kind === "found" ? marked.message.seq : 0;
      return log.append(subjects.deadLetters(model, phase), encodeDeadLetter(letter), `${model}.${jobId}.${since}`);
    },
    mark: (mark) => {
      // A resolution may be said again with another note; a job is let run again once.
      const id = mark.what === "requeued" ? `requeued.${mark.of}` : `resolved.${mark.of}.${mark.atMs}`;
      return log.append(subjects.deadLetterMarks(mark.model, mark.jobId), encodeDeadLetter(mark), id);
    },
  };
}
