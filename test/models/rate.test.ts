import test from "ava";
import fc from "fast-check";
import { learningRate } from "../../models/learning/rate.js";

test("(S2-44) confidence 0, 0.5 and 1 give the highest rate, half of it, and the lowest", (t) => {
  const limits = { min: 1e-4, max: 3e-3 };
  t.is(learningRate(0, limits), 3e-3);
  t.is(learningRate(0.5, limits), 1.5e-3);
  t.is(learningRate(1, limits), 1e-4);
});

test("the rate stays within its limits and never rises with confidence", (t) => {
  const limits = { min: 1e-4, max: 3e-3 };
  const confidence = fc.double({ min: -1, max: 2, noNaN: true });
  fc.assert(
    fc.property(confidence, confidence, (a, b) => {
      const [low, high] = a < b ? [a, b] : [b, a];
      t.true(learningRate(low, limits) >= learningRate(high, limits));
      t.true(learningRate(a, limits) <= limits.max && learningRate(a, limits) >= limits.min);
    }),
  );
  t.throws(() => learningRate(Number.NaN, limits), { instanceOf: RangeError });
});
