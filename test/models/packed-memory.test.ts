// What is packed comes out as it went in, whatever travels together.
import test from "ava";
import fc from "fast-check";
import type { MemoryRows } from "../../models/memory/memory-rows.js";
import {
  answerIn,
  type MemoryChange,
  type MemorySearch,
  PackedChanges,
  packMemory,
  searchIn,
} from "../../models/memory/packed-memory.js";

const width = 5;
const whole = fc.integer({ min: 0, max: 2 ** 37 - 1 });
const index = fc.integer({ min: 0, max: 65_535 });
const position = fc.record({ seq: whole, index });
const float = fc.float({ noDefaultInfinity: true });
const floats = (length: number) =>
  fc.array(float, { minLength: length, maxLength: length }).map((list) => Float32Array.from(list));
const shorts = (length: number) =>
  fc.array(index, { minLength: length, maxLength: length }).map((list) => Uint16Array.from(list));

const rows: fc.Arbitrary<MemoryRows> = fc.nat(7).chain((count) =>
  fc.record({
    seq: whole,
    atMs: whole,
    rows: fc.constant(count),
    indexes: shorts(count),
    embeddings: floats(count * width),
    answers: shorts(count),
    confidences: floats(count),
    priorities: floats(count),
  }),
);
const change: fc.Arbitrary<MemoryChange> = fc.oneof(
  fc.record({ kind: fc.constant("add"), rows }),
  fc.record({ kind: fc.constant("label"), position, label: index }),
  fc.record({ kind: fc.constant("judge"), position, reward: float }),
);
const search: fc.Arbitrary<MemorySearch> = fc.integer({ min: 1, max: 9 }).chain((count) =>
  fc.record({
    id: whole,
    embeddings: floats(count * width),
    rows: fc.constant(count),
    k: fc.integer({ min: 1, max: 12 }),
    labelled: fc.nat(5),
  }),
);

function* changesIn(packed: PackedChanges): Generator<MemoryChange> {
  for (let next = packed.next(); next !== undefined; next = packed.next()) yield next;
}

test("changes and a search come out of a piece as they went in, and the changes outlive it", (t) => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 6 }), fc.option(search, { nil: undefined }), (changes, asked) => {
      const piece = packMemory(changes, asked, width);
      const found = searchIn(piece, width);
      t.deepEqual(found?.search, asked);
      const packed = new PackedChanges(piece, width, found !== undefined);
      t.is(packed.isEmpty, changes.length === 0);
      // What the thread does to a piece that goes back.
      if (found !== undefined) structuredClone(piece, { transfer: [piece] });
      t.deepEqual([...changesIn(packed)], changes);
      t.true(packed.isEmpty);
    }),
    { numRuns: 200 },
  );
});

test("what is written into the room of a search is the answer, and touches nothing that was asked", (t) => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 3 }), search, (changes, asked) => {
      const piece = packMemory(changes, asked, width);
      const found = searchIn(piece, width);
      if (found === undefined) throw new Error("no search");
      const { into } = found;
      for (const column of [into.seqs, into.atMs, into.similarities, into.confidences]) column.fill(1.5);
      for (const column of [into.indexes, into.answers, into.verified, into.found]) column.fill(7);
      t.deepEqual(found.search, asked);
      t.deepEqual([...changesIn(new PackedChanges(piece, width, true))], changes);
      const back = answerIn(piece);
      t.is(back.id, asked.id);
      t.deepEqual({ ...back.neighbours }, { ...into });
      t.deepEqual([back.neighbours.rows, back.neighbours.k], [asked.rows, asked.k + asked.labelled]);
    }),
    { numRuns: 100 },
  );
});
