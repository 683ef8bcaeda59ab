// The book of dead letters as a fold, and its pages.

import test from "ava";
import { deadLetterOfUpdate } from "../../actors/giving-up.js";
import { type Book, enter, pageOf } from "../../operations/dead-letters/dead-letter-book.js";
import { systemClock } from "../../supervision/clock.js";
import {
  type DeadLetterMark,
  type DeadLetterRecord,
  decodeDeadLetter,
  encodeDeadLetter,
} from "../../transport/log/dead-letter-records.js";
import { ensureDeadLetterStream, openDeadLetters } from "../../transport/log/dead-letters.js";
import { startCluster } from "../transport/fixture.js";

function letter(jobId: string, model = "digits"): DeadLetterRecord {
  const task = {
    model,
    traceId: "ab".repeat(16),
    experience: { seq: 5, index: 1 },
    confidence: 0.4,
    atMs: 900,
    node: "serving-1",
  };
  const update = { seq: 9, entry: { kind: "task", task } } as const;
  const where = { node: "learning-1", atMs: 1_000 };
  const written = deadLetterOfUpdate(model, where, { update, cause: "it threw", attempts: 3 });
  if (written === undefined) throw new Error("a task is a job");
  return { ...written, jobId };
}

function mark(of: number, what: DeadLetterMark["what"], atMs: number, note?: string): DeadLetterMark {
  return { kind: "mark", of, model: "digits", jobId: "a", what, note, atMs };
}

test("(S1-52) marks are folded in order; one on a letter that is gone is passed by", (t) => {
  const book: Book = new Map();
  enter(book, 1, letter("a"));
  enter(book, 2, mark(1, "resolved", 20, "first"));
  enter(book, 3, mark(1, "requeued", 30));
  enter(book, 4, mark(1, "requeued", 40));
  enter(book, 5, mark(1, "resolved", 50, "second"));
  enter(book, 6, mark(99, "requeued", 60));
  t.is(book.size, 1);
  t.like(book.get(1), { investigated: true, resolution: "second", requeuedAtMs: 30 });
});

test("(S1-50) pages are newest first, and a cursor ends where nothing is older", (t) => {
  const book: Book = new Map();
  for (let seq = 1; seq <= 5; seq += 1) enter(book, seq, letter(`${seq}`, seq === 2 ? "other" : "digits"));
  const seqs = (wanted: Parameters<typeof pageOf>[1]) => pageOf(book, wanted).entries.map(({ seq }) => seq);
  t.deepEqual(seqs({ limit: 2 }), [5, 4]);
  t.is(pageOf(book, { limit: 2 }).cursor, 4);
  t.deepEqual(seqs({ limit: 2, before: 4, model: "digits" }), [3, 1]);
  t.is(pageOf(book, { limit: 2, before: 4, model: "digits" }).cursor, null);
  t.is(pageOf(book, { limit: 5 }).cursor, null);
});

test("(S1-49) a letter comes back from its bytes as it was", (t) => {
  const bytes = new Uint8Array([1, 2, 3]);
  for (const record of [
    letter("a"),
    { ...letter("b"), payload: { kind: "request", bytes } as const },
    { ...letter("c"), payload: { kind: "omitted", byteLength: 9 } as const },
    mark(3, "resolved", 7, "note"),
  ]) {
    const decoded = decodeDeadLetter(encodeDeadLetter(record));
    t.deepEqual(decoded, { kind: "ok", value: record });
  }
  t.is(decodeDeadLetter(new Uint8Array([0x80])).kind, "refused");
});

test("(S1-48, S1-51) a job has one letter until an operator acts, and of two requeueings one is the first", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const bus = await cluster.bus();
  await ensureDeadLetterStream(bus, cluster.subjects);
  const letters = openDeadLetters(bus, systemClock, cluster.subjects);
  t.like(await letters.publish(letter("a")), { kind: "appended", seq: 1, duplicate: false });
  t.like(await letters.publish(letter("a")), { seq: 1, duplicate: true });
  const both = await Promise.all([letters.mark(mark(1, "requeued", 1)), letters.mark(mark(1, "requeued", 2))]);
  t.deepEqual(both.map((outcome) => outcome.kind === "appended" && outcome.duplicate).sort(), [false, true]);
  t.like(await letters.publish(letter("a")), { seq: 3, duplicate: false });
});
