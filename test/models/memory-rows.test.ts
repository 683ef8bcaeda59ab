// Which rows of a log record the memory takes in.
import test from "ava";
import fc from "fast-check";
import { seededRandom } from "../../models/clock.js";
import type { ExperienceBatch } from "../../models/experience.js";
import { type MemoryRows, memoryRows } from "../../models/memory/memory-rows.js";
import { MemoryStore } from "../../models/memory/memory-store.js";
import { answersOf, smallSubject, width } from "./small-world.js";

function batchOf(priorities: readonly number[], cold: readonly number[] = []): ExperienceBatch {
  const labels = priorities.map((_, row) => row % 3);
  return {
    ...answersOf(smallSubject(), labels, seededRandom(8)),
    priorities: Float32Array.from(priorities),
    cold: Uint8Array.from(labels, (_, row) => cold[row] ?? 0),
  };
}

const taken = (rows: MemoryRows): number[] => Array.from(rows.indexes);

test("a record with few rows enters whole", (t) => {
  t.deepEqual(taken(memoryRows(1, batchOf([0.1, 0.9, 0.5]), { rememberedPerRecord: 3 })), [0, 1, 2]);
  t.deepEqual(taken(memoryRows(1, batchOf([]), { rememberedPerRecord: 1 })), []);
});

test("of a larger one the rows of the highest priority enter, the lower index of equals, and keep their place", (t) => {
  const batch = batchOf([0.5, 0.1, 0.9, 0.5, 0.5, 0.7]);
  const rows = memoryRows(7, batch, { rememberedPerRecord: 4 });
  t.deepEqual(taken(rows), [0, 2, 3, 5]);
  t.deepEqual(Array.from(rows.priorities), Array.from(Float32Array.of(0.5, 0.9, 0.5, 0.7)));
  for (const [row, index] of rows.indexes.entries()) {
    t.is(rows.answers[row], batch.answers[index]);
    t.is(rows.confidences[row], batch.confidences[index]);
    t.deepEqual(
      rows.embeddings.slice(row * width, (row + 1) * width),
      batch.embeddings.slice(index * width, (index + 1) * width),
    );
  }
});

test("cold rows always enter", (t) => {
  t.deepEqual(
    taken(memoryRows(1, batchOf([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1]), { rememberedPerRecord: 1 })),
    [0, 1, 2, 3],
  );
  t.deepEqual(taken(memoryRows(1, batchOf([0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]), { rememberedPerRecord: 1 })), [0, 3]);
});

test("the choice follows from the record alone and spares no row of a lower priority than one it left out", (t) => {
  const priorities = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 });
  fc.assert(
    fc.property(priorities, fc.integer({ min: 1, max: 10 }), (ranks, rememberedPerRecord) => {
      const batch = batchOf(ranks.map((rank) => rank / 5));
      const chosen = taken(memoryRows(1, batch, { rememberedPerRecord }));
      t.deepEqual(taken(memoryRows(2, batch, { rememberedPerRecord })), chosen);
      t.is(chosen.length, Math.min(ranks.length, rememberedPerRecord));
      const lowest = Math.min(...chosen.map((index) => ranks[index] ?? 0));
      for (const [index, rank] of ranks.entries()) t.true(chosen.includes(index) || rank <= lowest);
    }),
  );
});

test("only what was chosen is copied, into a buffer of its own", (t) => {
  const rows = memoryRows(1, batchOf([0.1, 0.9, 0.5]), { rememberedPerRecord: 1 });
  t.is(rows.embeddings.buffer.byteLength, 4 * width + 12);
  t.is(rows.indexes.buffer, rows.embeddings.buffer);
});

test("a late label finds its row by its place in the record, and is ignored for a row that was left out", (t) => {
  const store = new MemoryStore({ width, capacity: 100 });
  store.add(memoryRows(4, batchOf([0.1, 0.9, 0.5]), { rememberedPerRecord: 2 }));
  t.false(store.label({ seq: 4, index: 0 }, 2));
  t.true(store.label({ seq: 4, index: 2 }, 2));
  t.like(store.stats(), { size: 2, verified: 1 });
});
