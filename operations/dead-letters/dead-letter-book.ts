// The book of dead letters: a fold over their stream, letters and marks together.
//
// Owns: what is known of a letter after all marks on it, and the order in which letters are listed.
// Does not own: the stream (transport/log/dead-letters.ts), who may mark (operations/dead-letters/dead-letter-orders.ts).
//
// K1. The log is the truth (law 1): the book is read anew whenever somebody asks, and is nowhere else. The stream's bound bounds it.
// K2. A mark on a letter that the stream no longer holds is passed by, as is a record that nobody can read.
// K3. Reading ends: when the stream's last record is read, or as unavailable once `readMs` are over.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import {
  type DeadLetterMark,
  type DeadLetterRecord,
  decodeDeadLetter,
} from "../../transport/log/dead-letter-records.js";
import type { Unavailable } from "../../transport/log/jetstream.js";
import { openLog } from "../../transport/log/log.js";
import type { Subjects } from "../../transport/subjects.js";

export interface BookEntry {
  /** Place in the stream: what `dlq show` is given. */
  readonly seq: number;
  readonly letter: DeadLetterRecord;
  readonly investigated: boolean;
  readonly resolution: string | null;
  readonly requeuedAtMs: number | null;
}

/** Entries by sequence, in the stream's order. */
export type Book = Map<number, BookEntry>;

/** Takes the record at `seq` into the book. */
export function enter(book: Book, seq: number, record: DeadLetterRecord | DeadLetterMark): void {
  if (record.kind === "letter") {
    book.set(seq, { seq, letter: record, investigated: false, resolution: null, requeuedAtMs: null });
    return;
  }
  const entry = book.get(record.of);
  if (entry === undefined) return;
  const marked: Partial<BookEntry> =
    record.what === "requeued"
      ? { requeuedAtMs: entry.requeuedAtMs ?? record.atMs }
      : { investigated: true, resolution: record.note ?? entry.resolution };
  book.set(record.of, { ...entry, ...marked });
}

export type ReadBook = { readonly kind: "book"; readonly book: Book } | Unavailable;

/** A whole book of the largest size is read in a fraction of it; a broker that does not answer is not waited for longer. */
const readMs = 15_000;

/** Everything the stream holds now. An operator may read it. */
export async function readBook(bus: Bus, clock: Clock, subjects: Subjects): Promise<ReadBook> {
  const log = openLog(bus, clock);
  const stream = subjects.deadLetterStream;
  const state = await log.state(stream);
  if (state.kind === "unavailable") return state;
  const { messages, lastSeq } = state.state;
  const book: Book = new Map();
  if (messages === 0) return { kind: "book", book };
  const reading = new AbortController();
  const cancel = clock.after(readMs, () => reading.abort());
  try {
    for await (const { seq, bytes, pending } of log.follow(stream, { fromSeq: 1, signal: reading.signal })) {
      const decoded = decodeDeadLetter(bytes);
      if (decoded.kind === "ok") enter(book, seq, decoded.value);
      if (seq >= lastSeq || pending === 0) return { kind: "book", book };
    }
  } finally {
    cancel();
    reading.abort();
  }
  return { kind: "unavailable", why: "timeout" };
}

export interface Page {
  readonly entries: readonly BookEntry[];
  /** Given back as `before`, shows the next older page; null on the last one. */
  readonly cursor: number | null;
}

/** The newest entries first; those before the cursor where one is given. */
export function pageOf(
  book: Book,
  wanted: { readonly model?: string | undefined; readonly limit: number; readonly before?: number | undefined },
): Page {
  const { model, limit, before = Number.POSITIVE_INFINITY } = wanted;
  const fitting = [...book.values()]
    .filter(({ seq, letter }) => seq < before && (model === undefined || letter.model === model))
    .reverse();
  const entries = fitting.slice(0, limit);
  return { entries, cursor: fitting.length > limit ? (entries.at(-1)?.seq ?? null) : null };
}

/** By place in the list, or the newest letter of a job by the job's own id. */
export function findEntry(book: Book, id: string): BookEntry | undefined {
  const bySeq = /^\d{1,15}$/.test(id) ? book.get(Number(id)) : undefined;
  return bySeq ?? [...book.values()].reverse().find(({ letter }) => letter.jobId === id);
}

/** One entry as a JSON document: times in epoch milliseconds, the request's bytes in base64. */
export function plainEntry({ seq, letter, investigated, resolution, requeuedAtMs }: BookEntry) {
  const { kind: _, payload, ...job } = letter;
  const reference =
    payload.kind === "request"
      ? { kind: payload.kind, byteLength: payload.bytes.length, base64: Buffer.from(payload.bytes).toString("base64") }
      : payload;
  return { id: seq, ...job, payload: reference, investigated, resolution, requeued_at: requeuedAtMs };
}
