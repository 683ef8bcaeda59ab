// The memory against the plainest thing that keeps its promises: a list that is searched and sorted whole at every step. Whatever comes in, in
// whatever order, with whatever slices of building between.
import test from "ava";
import fc from "fast-check";
import type { Neighbours } from "../../models/memory/memory.js";
import type { MemoryRows } from "../../models/memory/memory-rows.js";
import { MemoryStore } from "../../models/memory/memory-store.js";

const width = 6;
const labels = 3;

interface Held {
  readonly seq: number;
  readonly index: number;
  readonly arrival: number;
  readonly unit: readonly number[];
  readonly atMs: number;
  answer: number;
  confidence: number;
  priority: number;
  verified: boolean;
}

interface Row {
  readonly vector: readonly number[];
  readonly priority: number;
}

type Step =
  | { readonly kind: "add"; readonly rows: readonly Row[]; readonly isAgain: boolean }
  | { readonly kind: "label"; readonly which: number; readonly label: number }
  | { readonly kind: "judge"; readonly which: number; readonly reward: number }
  | { readonly kind: "advance"; readonly moves: number }
  | { readonly kind: "search"; readonly vector: readonly number[]; readonly k: number; readonly labelled: number };

/** Few values, so that vectors come twice, point the same way, or nowhere; some that are none. */
const value = fc.oneof(
  { weight: 20, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 1e30, 1e-30) },
);
const vector = fc.array(value, { minLength: width, maxLength: width });
const priority = fc.oneof(
  fc.integer({ min: 0, max: 10 }).map((tenths) => tenths / 10),
  fc.constantFrom(Number.NaN, 7, -1),
);
const rows = fc.array(fc.record({ vector, priority }), { minLength: 1, maxLength: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("add"), rows, isAgain: fc.nat(9).map((nine) => nine === 9) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("label"), which: fc.nat(40), label: fc.nat(labels - 1) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("judge"),
      which: fc.nat(40),
      reward: fc.integer({ min: -4, max: 4 }).map((quarters) => quarters / 4),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("advance"), moves: fc.nat(8) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("search"),
      vector,
      k: fc.integer({ min: 1, max: 12 }),
      labelled: fc.nat(4),
    }),
  },
);

/** As the memory keeps it: in float32, of length 1; undefined when it has no direction. */
function unitOf(values: readonly number[]): readonly number[] | undefined {
  const own = Array.from(Float32Array.from(values));
  const square = own.reduce((sum, each) => sum + each * each, 0);
  if (!(square > 0 && Number.isFinite(square))) return undefined;
  return own.map((each) => Math.fround(each / Math.sqrt(square)));
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, each, i) => sum + each * (b[i] ?? 0), 0);

class Plain {
  held: Held[] = [];
  readonly #capacity: number;
  #arrived = 0;
  #newest = -1;
  refused = 0;
  evicted = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(seq: number, added: readonly Row[]): void {
    for (const [index, { vector: values, priority: given }] of added.entries()) {
      const unit = unitOf(values);
      if (unit === undefined) this.refused += 1;
      const key = seq * 65_536 + index;
      if (unit === undefined || key <= this.#newest) continue;
      this.#newest = key;
      if (this.held.length === this.#capacity) this.#evict();
      const own = Math.fround(given > 0 ? Math.min(given, 1) : 0);
      const rest = { answer: index % labels, confidence: 0.5, priority: own, verified: false };
      this.held.push({ seq, index, arrival: this.#arrived++, unit, atMs: seq, ...rest });
    }
  }

  #evict(): void {
    const standing = (item: Held): number => item.priority + item.arrival / this.#capacity;
    const [first] = this.held.toSorted((a, b) => standing(a) - standing(b) || a.arrival - b.arrival);
    this.held = this.held.filter((item) => item !== first);
    this.evicted += 1;
  }

  nearest(unit: readonly number[], among: readonly Held[], k: number): readonly Held[] {
    return among.toSorted((a, b) => dot(b.unit, unit) - dot(a.unit, unit) || a.arrival - b.arrival).slice(0, k);
  }
}

function recordOf(seq: number, added: readonly Row[]): MemoryRows {
  return {
    seq,
    atMs: seq,
    rows: added.length,
    indexes: Uint16Array.from(added.keys()),
    embeddings: Float32Array.from(added.flatMap((row) => row.vector)),
    answers: Uint16Array.from(added.keys(), (index) => index % labels),
    confidences: new Float32Array(added.length).fill(0.5),
    priorities: Float32Array.from(added, (row) => row.priority),
  };
}

interface FoundItem {
  readonly key: string;
  readonly similarity: number;
  readonly answer: number;
  readonly confidence: number;
  readonly verified: boolean;
}

function itemsOf(found: Neighbours): FoundItem[] {
  return Array.from({ length: found.found[0] ?? 0 }, (_, cell) => ({
    key: `${found.seqs[cell]}/${found.indexes[cell]}`,
    similarity: found.similarities[cell] ?? Number.NaN,
    answer: found.answers[cell] ?? -1,
    confidence: found.confidences[cell] ?? Number.NaN,
    verified: found.verified[cell] === 1,
  }));
}

/** `isExact`: all of it stays in exact search, so that the neighbours themselves must be the nearest. */
function live(steps: readonly Step[], capacity: number, isExact: boolean): void {
  const store = new MemoryStore({ width, capacity, ...(isExact ? { tail: capacity } : {}) });
  const plain = new Plain(capacity);
  let seq = 0;
  for (const each of steps) {
    const item = each.kind === "label" || each.kind === "judge" ? plain.held[each.which] : undefined;
    const at = { seq: item?.seq ?? 999_999, index: item?.index ?? 0 };
    if (each.kind === "add") {
      if (!each.isAgain) seq += 1;
      store.add(recordOf(seq, each.rows));
      plain.add(seq, each.rows);
    } else if (each.kind === "label") {
      same(store.label(at, each.label), item !== undefined, "labelled");
      if (item !== undefined) Object.assign(item, { answer: each.label, confidence: 1, priority: 1, verified: true });
    } else if (each.kind === "judge") {
      same(store.judge(at, each.reward), item !== undefined, "judged");
      if (item !== undefined && !item.verified) {
        item.priority = Math.fround(Math.max(item.priority, Math.abs(each.reward)));
        if (each.reward < 0) item.confidence = Math.fround(item.confidence * (1 + each.reward));
      }
    } else if (each.kind === "advance") store.advance(each.moves);
    else check(store, plain, each, isExact);
    for (const held of plain.held) {
      const { answer, confidence, priority: own, verified } = held;
      same(JSON.stringify(store.find(held)), JSON.stringify({ answer, confidence, priority: own, verified }), "kept");
    }
    const { size, evicted, refused, verified } = store.stats();
    const expected = [plain.held.length, plain.evicted, plain.refused, plain.held.filter((one) => one.verified).length];
    same(`${[size, evicted, refused, verified]}`, `${expected}`, "counted");
  }
}

function check(store: MemoryStore, plain: Plain, asked: Extract<Step, { kind: "search" }>, isExact: boolean): void {
  const items = itemsOf(store.search(Float32Array.from(asked.vector), 1, asked.k, asked.labelled));
  const unit = unitOf(asked.vector);
  if (unit === undefined) {
    same(items.length, 0, "found without a direction");
    return;
  }
  const near = plain.nearest(unit, plain.held, asked.k);
  const verified = plain.nearest(
    unit,
    plain.held.filter((held) => held.verified),
    asked.labelled,
  );
  const expected = [...near, ...verified.filter((held) => !near.includes(held))];
  for (const [place, item] of items.entries()) {
    const held = plain.held.find((one) => `${one.seq}/${one.index}` === item.key);
    if (held === undefined) throw new Error(`${item.key} is found and not held`);
    same(
      `${[item.answer, item.confidence, item.verified]}`,
      `${[held.answer, held.confidence, held.verified]}`,
      "told",
    );
    if (Math.abs(item.similarity - dot(held.unit, unit)) > 1e-6) throw new Error(`${item.key} is not as near as that`);
    const before = items[place - 1];
    if (place > 0 && place < near.length && before !== undefined && before.similarity < item.similarity)
      throw new Error("the nearest do not come first");
  }
  same(new Set(items.map(({ key }) => key)).size, items.length, "found twice");
  const nearCount = Math.min(asked.k, plain.held.length);
  if (items.length < nearCount) throw new Error(`${items.length} of ${nearCount} are found`);
  if (!isExact) return;
  same(items.length, expected.length, "how many");
  for (const [place, held] of expected.entries())
    if (Math.abs((items[place]?.similarity ?? Number.NaN) - dot(held.unit, unit)) > 1e-6)
      throw new Error(`place ${place}`);
}

function same<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${actual} instead of ${expected}`);
}

const steps = fc.array(step, { maxLength: 60 });
const long = fc.array(step, { minLength: 60, maxLength: 80 });
const capacity = fc.constantFrom(1, 2, 3, 7, 30);

test("(S2-3) searched exactly, the memory is the list that is sorted whole: what is kept, what goes first, what is nearest", (t) => {
  fc.assert(
    fc.property(steps, capacity, (given, most) => live(given, most, true)),
    { numRuns: 200 },
  );
  t.pass();
});

/** So many rows that the graph is full, and the next one about to be begun. */
function fullGraph(most: number): Step[] {
  return Array.from({ length: 2 * most }, (_, row): Step[] => {
    const values = Array.from({ length: width }, (_column, i) => ((row * 7 + i * row) % 11) - 5);
    return [
      { kind: "add", rows: [{ vector: values, priority: 0.1 }], isAgain: false },
      { kind: "advance", moves: 1 },
    ];
  }).flat();
}

test("(S2-3) with the graph and its rebuilding between, nothing is found that is not held, nothing twice, and never fewer than there are", (t) => {
  fc.assert(
    fc.property(steps, capacity, (given, most) => live(given, most, false)),
    { numRuns: 150 },
  );
  fc.assert(
    fc.property(long, (given) => live([...fullGraph(10), ...given], 10, false)),
    { numRuns: 60 },
  );
  t.pass();
});
