// Percentiles within one per cent of the exact ones, in bounded space.

import test from "ava";
import fc from "fast-check";
import { PercentileSketch } from "../../../operations/metrics/percentile-sketch.js";

/** The order statistic that a quantile means. */
function exact(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
}

function sketchOf(values: readonly number[]): PercentileSketch {
  const sketch = new PercentileSketch();
  for (const value of values) sketch.add(value);
  return sketch;
}

const milliseconds = fc.array(fc.double({ min: 1e-3, max: 1e7, noNaN: true }), { minLength: 1, maxLength: 300 });
const share = fc.double({ min: 0, max: 1, noNaN: true });

test("any quantile of any values is within 1 % of the exact one", (t) => {
  fc.assert(
    fc.property(milliseconds, share, (values, q) => {
      const truth = exact(values, q);
      return Math.abs(sketchOf(values).quantile(q) - truth) <= 0.01 * truth * (1 + 1e-9);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test("sketches of two nodes merged are the sketch of both", (t) => {
  fc.assert(
    fc.property(milliseconds, milliseconds, share, (one, two, q) => {
      const merged = sketchOf(one);
      merged.merge(sketchOf(two));
      const whole = sketchOf([...one, ...two]);
      return merged.quantile(q) === whole.quantile(q) && merged.count === whole.count && merged.max === whole.max;
    }),
  );
  t.pass();
});

test("quantiles do not fall, and none is above the largest value", (t) => {
  fc.assert(
    fc.property(milliseconds, (values) => {
      const sketch = sketchOf(values);
      const quantiles = [0, 0.1, 0.5, 0.9, 0.99, 1].map((q) => sketch.quantile(q));
      return quantiles.every((value, i) => value <= sketch.max && value >= (quantiles[i - 1] ?? 0));
    }),
  );
  t.pass();
});

test("nothing added is 0, and zeros stay zeros", (t) => {
  t.is(new PercentileSketch().quantile(0.5), 0);
  t.is(sketchOf([0, 0]).quantile(0.99), 0);
  t.is(sketchOf([0, 0]).count, 2);
});
