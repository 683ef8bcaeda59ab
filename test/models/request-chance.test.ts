// The chance of a request follows from its id.
import test from "ava";
import { requestChance, requestSeed } from "../../models/request-chance.js";

test("seeds are FNV-1a: the values that its authors publish", (t) => {
  t.is(requestSeed(""), 0x811c9dc5);
  t.is(requestSeed("a"), 0xe40c292c);
  t.is(requestSeed("foobar"), 0xbf9cf968);
});

test("a seed is a number of 32 bits, whatever the id", (t) => {
  for (const id of ["", "r1", "\u0000", "東京", "x".repeat(10_000), "🦆"]) {
    const seed = requestSeed(id);
    t.is(seed, seed >>> 0);
    t.is(Uint32Array.of(seed)[0], seed);
  }
});

const first = (id: string, purpose: "slot" | "looks", count = 5) => {
  const chance = requestChance(requestSeed(id), purpose);
  return Array.from({ length: count }, chance);
};

test("the same id has the same chances, on every node and after every crash", (t) => {
  t.deepEqual(first("r1", "slot"), first("r1", "slot"));
  t.deepEqual(first("r1", "looks"), first("r1", "looks"));
  t.notDeepEqual(first("r1", "looks"), first("r2", "looks"));
});

test("each purpose has chances of its own, and drawing for one does not move the other", (t) => {
  const slots = first("r1", "slot", 1);
  const looks = requestChance(requestSeed("r1"), "looks");
  for (let i = 0; i < 7; i++) looks();
  t.deepEqual(first("r1", "slot", 1), slots);
  t.notDeepEqual(first("r1", "slot"), first("r1", "looks"));
});

test("over ids that differ by a counter the first chance is spread evenly, for either purpose, and neither follows the other", (t) => {
  const count = 4_000;
  const both = Array.from({ length: count }, (_, i) => [
    first(`client-7.${i}`, "slot", 1)[0] ?? Number.NaN,
    first(`client-7.${i}`, "looks", 1)[0] ?? Number.NaN,
  ]);
  for (const purpose of [0, 1])
    for (let tenth = 0; tenth < 10; tenth++) {
      const share = both.filter((chances) => Math.floor(10 * (chances[purpose] ?? -1)) === tenth).length / count;
      t.true(Math.abs(share - 0.1) < 0.025, `${purpose}, ${tenth}: ${share}`);
    }
  const together = both.filter(([slot = 1, looks = 1]) => slot < 0.5 && looks < 0.5).length / count;
  t.true(Math.abs(together - 0.25) < 0.03, `${together}`);
});
