// The memory called synchronously: contents, eviction, recall. Vectors are clusters of ReLU-like features from a seed.
import test from "ava";
import fc from "fast-check";
import { type Random, seededRandom } from "../../models/clock.js";
import type { Neighbours } from "../../models/memory/memory.js";
import type { MemoryRows } from "../../models/memory/memory-rows.js";
import { MemoryStore } from "../../models/memory/memory-store.js";

const width = 64;

function vectors(count: number, random: Random): Float32Array {
  const centres = Array.from({ length: 10 }, () =>
    Float32Array.from({ length: width }, () => (random() < 0.4 ? 2 * random() : 0)),
  );
  const rows = new Float32Array(count * width);
  for (let row = 0; row < count; row++) {
    const centre = centres[Math.floor(random() * centres.length)] ?? new Float32Array(width);
    for (let i = 0; i < width; i++)
      rows[row * width + i] = Math.max(0, (centre[i] ?? 0) + 1.2 * (random() + random() - 1));
  }
  return rows;
}

function record(seq: number, embeddings: Float32Array, priorities?: Float32Array): MemoryRows {
  const rows = embeddings.length / width;
  return {
    seq,
    atMs: seq,
    rows,
    indexes: Uint16Array.from({ length: rows }, (_, row) => row),
    embeddings,
    answers: new Uint16Array(rows).fill(seq % 10),
    confidences: new Float32Array(rows).fill(0.5),
    priorities: priorities ?? new Float32Array(rows).fill(0.5),
  };
}

function axis(i: number): Float32Array {
  const row = new Float32Array(width);
  row[i] = 1;
  return row;
}

function build(store: MemoryStore): void {
  while (store.advance(64));
}

function keysAt(found: Neighbours, row: number): string[] {
  return Array.from({ length: found.found[row] ?? 0 }, (_, place) => {
    const cell = row * found.k + place;
    return `${found.seqs[cell]}/${found.indexes[cell]}`;
  });
}

for (const [name, tail] of [
  ["most of it in the graph, as by default", undefined],
  ["exact", 5_000],
] as const) {
  test(`(S2-3) recall@10 against brute force is at least 0.95 on 5,000 items: ${name}`, (t) => {
    const count = 5_000;
    const data = vectors(count + 200, seededRandom(3));
    const stored = data.slice(0, count * width);
    const store = new MemoryStore({ width, capacity: 10_000, ...(tail === undefined ? {} : { tail }) });
    for (let seq = 1; seq <= count / 50; seq++) {
      store.add(record(seq, stored.slice((seq - 1) * 50 * width, seq * 50 * width)));
    }
    build(store);
    t.is(store.stats().graph > 4_000, tail === undefined);
    const recall = recallAt10(store, stored, data.slice(count * width));
    t.log(`recall@10 ${recall}`);
    t.true(recall >= 0.95, `${recall}`);
  });
}

function recallAt10(store: MemoryStore, stored: Float32Array, queries: Float32Array): number {
  const asked = queries.length / width;
  const found = store.search(queries, asked, 10);
  let hits = 0;
  for (let row = 0; row < asked; row++) {
    const truth = bruteForce(stored, queries.subarray(row * width, (row + 1) * width), 10);
    const keys = truth.map((item) => `${1 + Math.floor(item / 50)}/${item % 50}`);
    hits += keysAt(found, row).filter((key) => keys.includes(key)).length;
  }
  return hits / (10 * asked);
}

function bruteForce(data: Float32Array, query: Float32Array, k: number): number[] {
  const scores = Array.from({ length: data.length / width }, (_, item) => {
    let dot = 0;
    let square = 0;
    for (let i = 0; i < width; i++) {
      const value = data[item * width + i] ?? 0;
      dot += value * (query[i] ?? 0);
      square += value * value;
    }
    return { item, score: dot / Math.sqrt(square) };
  });
  scores.sort((a, b) => b.score - a.score);
  return scores.slice(0, k).map(({ item }) => item);
}

test("at capacity the lowest priority goes first, the oldest of equals, and what went is never found again", (t) => {
  const store = new MemoryStore({ width, capacity: 3 });
  const add = (seq: number, priority: number): void => store.add(record(seq, axis(seq), Float32Array.of(priority)));
  add(1, 0.9);
  add(2, 0.1);
  add(3, 0.1);
  const found = (i: number): string[] => keysAt(store.search(axis(i), 1, 3), 0).sort();
  add(4, 0.1);
  t.deepEqual(found(2), ["1/0", "3/0", "4/0"]);
  add(5, 0.1);
  t.deepEqual(found(3), ["1/0", "4/0", "5/0"]);
  t.is(store.stats().evicted, 2);
  t.is(store.stats().size, 3);
});

test("a priority fades by one while the memory is replaced once, so no hour of urgency stays for ever", (t) => {
  const store = new MemoryStore({ width, capacity: 20 });
  store.add(record(1, axis(0), Float32Array.of(1)));
  let gone = 0;
  for (let seq = 2; seq < 60 && gone === 0; seq++) {
    store.add(record(seq, axis(1), Float32Array.of(0)));
    if (!keysAt(store.search(axis(0), 1, 20), 0).includes("1/0")) gone = seq;
  }
  // It outlives the 20 that filled the memory, and another 20, and then it goes.
  t.true(gone >= 39 && gone <= 42, `${gone}`);
});

test("a true label corrects the answer, marks it verified, and is ignored for what is no longer here", (t) => {
  const store = new MemoryStore({ width, capacity: 3 });
  store.add(record(1, axis(1)));
  t.true(store.label({ seq: 1, index: 0 }, 7));
  t.false(store.label({ seq: 9, index: 0 }, 7));
  const found = store.search(axis(1), 1, 1);
  t.deepEqual([found.answers[0], found.verified[0], found.confidences[0]], [7, 1, 1]);
  t.is(store.stats().verified, 1);
  t.is(store.stats().priorityMin, 1);
});

test("what stats say is what is held: labels count once each and go with what is evicted", (t) => {
  const store = new MemoryStore({ width, capacity: 3 });
  for (let seq = 1; seq <= 3; seq++) store.add(record(seq, axis(seq), Float32Array.of(seq / 10)));
  store.label({ seq: 3, index: 0 }, 7);
  store.label({ seq: 3, index: 0 }, 8);
  t.like(store.stats(), { size: 3, verified: 1, priorityMin: Math.fround(0.1) });
  for (let seq = 4; seq <= 12; seq++) store.add(record(seq, axis(seq), Float32Array.of(0.5)));
  t.like(store.stats(), { size: 3, verified: 0, priorityMin: 0.5, evicted: 9 });
});

test("of equally near experiences the oldest comes first, wherever each of them is held", (t) => {
  const store = new MemoryStore({ width, capacity: 10, tail: 2 });
  for (let seq = 1; seq <= 5; seq++) store.add(record(seq, axis(1)));
  build(store);
  t.is(store.stats().graph, 3);
  t.deepEqual(keysAt(store.search(axis(1), 1, 5), 0), ["1/0", "2/0", "3/0", "4/0", "5/0"]);
});

test("what is not finite is refused and counted, on the way in and on the way out, and hurts no other row", (t) => {
  const store = new MemoryStore({ width, capacity: 10 });
  const rows = new Float32Array(4 * width);
  rows.set(axis(1), 0);
  rows.set(axis(2).fill(Number.NaN, 3), width);
  rows.set(axis(2).fill(Number.POSITIVE_INFINITY, 3), 2 * width);
  store.add(record(1, rows));
  t.is(store.stats().size, 1);
  t.is(store.stats().refused, 3);
  const asked = new Float32Array(2 * width);
  asked.fill(Number.NaN, 0, width);
  asked.set(axis(1), width);
  const found = store.search(asked, 2, 5);
  t.deepEqual(Array.from(found.found), [0, 1]);
  t.deepEqual([store.stats().searches, store.stats().failures], [2, 1]);
});

test("asking for more neighbours than there are gives what there is, also from an empty memory", (t) => {
  const store = new MemoryStore({ width, capacity: 300 });
  t.is(store.search(axis(0), 1, 255).found[0], 0);
  store.add(record(1, axis(0)));
  t.is(store.search(axis(0), 1, 255).found[0], 1);
  t.throws(() => store.search(axis(0), 1, 256), { instanceOf: RangeError });
  t.deepEqual([...store.search(axis(0), 1, 0).found], [0], "a manifest may ask for no neighbours at all");
});

test("a record that comes again changes nothing", (t) => {
  const store = new MemoryStore({ width, capacity: 10 });
  store.add(record(5, axis(0)));
  store.add(record(5, axis(0)));
  store.add(record(4, axis(1)));
  t.is(store.stats().size, 1);
});

test("contents follow from the records alone: whenever the graph was built, the same items are held", (t) => {
  const data = vectors(400, seededRandom(9));
  const slices = fc.array(fc.nat(40), { minLength: 40, maxLength: 40 });
  const contentsAfter = (moves: readonly number[]): string[] => {
    const store = new MemoryStore({ width, capacity: 60, tail: 8 });
    for (const [i, count] of moves.entries()) {
      const priorities = Float32Array.from({ length: 10 }, (_, row) => ((i * 7 + row * 3) % 10) / 10);
      store.add(record(i + 1, data.slice(i * 10 * width, (i + 1) * 10 * width), priorities));
      store.advance(count);
    }
    const found = store.search(data.slice(0, width), 1, 60);
    return keysAt(found, 0).sort();
  };
  const still = contentsAfter(new Array(40).fill(0));
  t.is(still.length, 60);
  fc.assert(
    fc.property(slices, (moves) => t.deepEqual(contentsAfter(moves), still)),
    { numRuns: 20 },
  );
});

test("while a new graph is built aside nothing is lost and nothing evicted comes back", (t) => {
  const random = seededRandom(4);
  const capacity = 100;
  const store = new MemoryStore({ width, capacity, tail: 10 });
  let rebuilt = false;
  for (let seq = 1; seq <= 900; seq++) {
    store.add(record(seq, vectors(1, random)));
    store.advance(2);
    rebuilt ||= store.stats().building;
    const found = store.search(vectors(1, random), 1, 5);
    t.is(found.found[0], Math.min(5, seq));
    for (const key of keysAt(found, 0)) t.true(Number(key.split("/")[0]) > seq - capacity);
  }
  t.true(rebuilt);
});
