// The floor of the recall figures: an exact search must be exact.
import test from "ava";
import { exactSearch, recallOf } from "../../bench/exact-search.js";
import { unitRows } from "../../models/calibration.js";
import { seededRandom } from "../../models/clock.js";
import { systemClock } from "../../supervision/clock.js";

const width = 6;
const k = 3;
const random = seededRandom(5);
const vectors = (count: number): Float32Array => Float32Array.from({ length: count * width }, () => 2 * random() - 1);
const held = vectors(40);
const asked = vectors(5);
const exact = exactSearch(held, asked, width, k, systemClock);

/** Every cosine of one query, sorted. */
function cosines(query: number): number[] {
  const [units, queries] = [unitRows(held, width), unitRows(asked, width)];
  const all = Array.from({ length: held.length / width }, (_, row) => {
    let cosine = 0;
    for (let i = 0; i < width; i++) cosine += (units[row * width + i] ?? 0) * (queries[query * width + i] ?? 0);
    return cosine;
  });
  return all.sort((a, b) => b - a);
}

test("the bound of a query is the cosine of its k-th nearest", (t) => {
  for (let query = 0; query < 5; query++) {
    t.true(Math.abs((exact.least[query] ?? Number.NaN) - (cosines(query)[k - 1] ?? Number.NaN)) < 1e-6);
  }
});

test("recall is 1 for the k nearest, and loses a k-th for each that is farther", (t) => {
  const all = cosines(0);
  t.is(recallOf(exact, 0, Float32Array.from(all.slice(0, k))), 1);
  t.is(recallOf(exact, 0, Float32Array.from([...all.slice(0, k - 1), all[k] ?? 0])), (k - 1) / k);
  t.is(recallOf(exact, 0, new Float32Array()), 0);
});
