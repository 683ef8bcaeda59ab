// The set of numbers in one array, held against the language's own.

import test from "ava";
import fc from "fast-check";
import { NumberSet } from "../../models/numbers/number-set.js";

const most = 16;

test("whatever comes and goes within the bound, it holds what a Set holds", (t) => {
  // Few numbers, so that they meet again; and some that share their lower halves.
  const numbers = fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.integer({ min: 0, max: 40 }).map((high) => high * 2 ** 32),
  );
  const steps = fc.array(fc.record({ number: numbers, leaves: fc.boolean() }), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (taken) => {
      const ours = new NumberSet(most);
      const theirs = new Set<number>();
      for (const { number, leaves } of taken) {
        if (leaves) {
          ours.delete(number);
          theirs.delete(number);
        } else if (theirs.size < most) {
          ours.add(number);
          theirs.add(number);
        }
        if (ours.size !== theirs.size) return false;
      }
      return taken.every(({ number }) => ours.has(number) === theirs.has(number));
    }),
  );
  t.pass();
});

test("beyond its bound it refuses, and what is in already is no addition", (t) => {
  const full = new NumberSet(2);
  full.add(1);
  full.add(2 ** 52);
  t.throws(() => full.add(3), { instanceOf: RangeError });
  t.notThrows(() => full.add(1));
  full.clear();
  t.deepEqual([full.size, full.has(1)], [0, false]);
});
