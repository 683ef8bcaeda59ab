// Equal vectors in the memory's index: one point for all of them, and every one of them found in its turn.

import test from "ava";
import { MemoryIndex } from "../../models/memory/memory-index.js";
import { UnitVector } from "../../models/memory/memory-vectors.js";

/** 0..1, the same row each time. */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

function vectorOf(width: number, draw: () => number): Float32Array {
  return Float32Array.from({ length: width }, () => draw() - 0.5);
}

interface Held {
  readonly slot: number;
  readonly unit: Float32Array;
}

/** An index, and the list of what it should hold, oldest first. */
function scene(width: number, capacity: number) {
  const index = new MemoryIndex({ width, capacity });
  const unit = new UnitVector(width);
  let held: readonly Held[] = [];
  const cosine = (each: Held): number => each.unit.reduce((sum, value, i) => sum + value * (unit.unit[i] ?? 0), 0);
  return {
    index,
    held: () => held,
    add: (slot: number, vector: Float32Array): void => {
      unit.take(vector, 0);
      index.add(slot, unit);
      held = [...held, { slot, unit: unit.unit.slice() }];
    },
    remove: (slot: number): void => {
      index.remove(slot);
      held = held.filter((each) => each.slot !== slot);
    },
    found: (vector: Float32Array, k: number): readonly number[] => {
      unit.take(vector, 0);
      const nearest = index.search(unit, k);
      return [...nearest.slots.subarray(0, nearest.count)];
    },
    /** A stable sort: of equally near ones the oldest first. */
    sorted: (vector: Float32Array, k: number): readonly number[] => {
      unit.take(vector, 0);
      const near = held.map((each) => ({ slot: each.slot, cosine: cosine(each) }));
      return near
        .sort((a, b) => (Math.abs(a.cosine - b.cosine) < 1e-6 ? 0 : b.cosine - a.cosine))
        .slice(0, k)
        .map(({ slot }) => slot);
    },
  };
}

test("(S2-3) of few vectors that come again and again, whatever is added, removed and built between, the oldest of the nearest are found", (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const draw = chance(seed);
    const pick = (count: number): number => Math.floor(draw() * count);
    const kinds = Array.from({ length: 6 }, () => vectorOf(4, draw));
    const { index, held, add, remove, found, sorted } = scene(4, 64);
    for (let step = 0; step < 600; step += 1) {
      const free = Array.from({ length: 64 }, (_, slot) => slot).filter((slot) => !held().some((h) => h.slot === slot));
      const kind = kinds[pick(kinds.length)] ?? new Float32Array(4);
      const [leaving, coming] = [held()[pick(held().length)], free[pick(free.length)]];
      if (leaving !== undefined && (coming === undefined || draw() < 0.45)) remove(leaving.slot);
      else if (coming !== undefined) add(coming, kind);
      if (draw() < 0.7) index.advance(pick(8));
      const k = 1 + pick(12);
      t.deepEqual(found(kind, k), sorted(kind, k), `seed ${seed}, step ${step}`);
      const { tail, graph } = index.shape();
      t.is(tail + graph, held().length);
    }
  }
});

test("(S2-3) half of what is held is one input that comes again and again, as from a camera that is stuck: the other half is found as before", (t) => {
  const [width, count, k] = [8, 2_000, 10];
  const draw = chance(7);
  const stuck = vectorOf(width, draw);
  const { index, held, add, found, sorted } = scene(width, 2 * count);
  for (let n = 0; n < count; n += 1) {
    add(2 * n, vectorOf(width, draw));
    add(2 * n + 1, stuck);
  }
  while (index.advance(256));
  t.deepEqual(index.shape(), { tail: 0, graph: 2 * count, building: false });
  let hits = 0;
  for (let query = 0; query < 50; query += 1) {
    const asked = vectorOf(width, draw);
    const wanted = new Set(sorted(asked, k));
    hits += found(asked, k).filter((slot) => wanted.has(slot)).length;
  }
  t.log(`recall@10 ${hits / (50 * k)} of ${held().length}`);
  t.true(hits / (50 * k) >= 0.95);
});
