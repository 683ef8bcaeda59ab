// Distributions on the wire: what was written comes back, and nothing else is taken for one.

import test from "ava";
import fc from "fast-check";
import { PercentileSketch } from "../../operations/metrics/percentile-sketch.js";
import { encodeMetrics, parseMetrics } from "../../transport/messages/events.js";
import {
  keyMax,
  readSketch,
  type SketchParts,
  sketchBytesMax,
  writeSketch,
} from "../../transport/messages/sketch-bytes.js";

const values = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 1e-12, max: 1e15, noNaN: true })), {
  minLength: 1,
  maxLength: 200,
});

function sketchOf(given: readonly number[]): PercentileSketch {
  const sketch = new PercentileSketch();
  for (const value of given) sketch.add(value);
  return sketch;
}

const room = new Uint8Array(sketchBytesMax);

function written(given: Partial<SketchParts>): Uint8Array {
  return writeSketch({ zeros: 0, firstKey: -2, counts: Float64Array.of(1, 0, 0, 2), sum: 3, max: 1, ...given }, room);
}

test("what was written comes back with every quantile, the count, the sum and the maximum", (t) => {
  fc.assert(
    fc.property(values, (given) => {
      const sketch = sketchOf(given);
      const back = PercentileSketch.decode(sketch.encode());
      return (
        back !== undefined &&
        [0, 0.25, 0.5, 0.95, 1].every((q) => back.quantile(q) === sketch.quantile(q)) &&
        back.count === sketch.count &&
        back.sum === sketch.sum &&
        back.max === sketch.max
      );
    }),
  );
  t.deepEqual(readSketch(new PercentileSketch().encode())?.counts, new Float64Array(0));
});

test("the difference of two states is a sketch of what came between, and goes over the wire like any other", (t) => {
  fc.assert(
    fc.property(values, values, (before, between) => {
      const sketch = sketchOf(before);
      const earlier = PercentileSketch.decode(sketch.encode());
      for (const value of between) sketch.add(value);
      const grown = earlier && PercentileSketch.decode(sketch.since(earlier).encode());
      if (grown === undefined || grown.count !== between.length) return false;
      const sorted = [...between].sort((a, b) => a - b);
      return [0.5, 0.95].every((q) => {
        const truth = sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
        // Tiny values count as none, and those beyond thirty years as thirty years.
        return truth < 1e-9 || truth > 1e12 || Math.abs(grown.quantile(q) - truth) <= 0.0101 * truth;
      });
    }),
  );
  t.pass();
});

test("any bytes at all are refused or are a sound sketch, and never throw", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const parts = readSketch(bytes);
      return parts === undefined || (parts.counts.length <= 2_419 && parts.sum >= 0 && Number.isFinite(parts.max));
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});

test("a sketch with one byte changed, cut off or added is refused or is another sound one", (t) => {
  const sketch = sketchOf([0, 0.2, 3, 3, 3.1, 200]).encode();
  for (let at = 0; at < sketch.length; at += 1) {
    t.is(readSketch(sketch.subarray(0, at)), undefined, `${at} bytes`);
    const other = Uint8Array.from(sketch);
    other[at] = (other[at] ?? 0) ^ 0x81;
    t.notThrows(() => PercentileSketch.decode(other)?.quantile(0.9));
  }
  t.is(readSketch(Uint8Array.of(...sketch, 0)), undefined);
});

test("counts, keys, sum and maximum that no sketch has are refused", (t) => {
  t.truthy(readSketch(written({})));
  const wrong: readonly Partial<SketchParts>[] = [
    { firstKey: keyMax - 1 },
    { firstKey: -1_037 },
    { counts: Float64Array.of(0, 1) },
    { counts: Float64Array.of(1, 0) },
    { counts: Float64Array.of(2 ** 53, 1) },
    { counts: Float64Array.of(2 ** 52, 2 ** 52) },
    { zeros: 2 ** 53 },
    { sum: Number.NaN },
    { sum: -1 },
    { sum: 1_000 },
    { max: Number.POSITIVE_INFINITY, sum: 1 },
    { max: Number.NaN },
  ];
  for (const parts of wrong) t.is(readSketch(written(parts)), undefined, JSON.stringify(parts));
  t.is(readSketch(Uint8Array.of(2, ...written({}).subarray(1))), undefined, "another version");
});

const sample = { node: "serving-1", incarnation: 1, atMs: 5, values: { requests: 3 }, run: "r", rooted: true };

test("a sample brings its sketches along, each under its name", (t) => {
  const sketches = { job_infer_ms: sketchOf([1, 2, 3]).encode(), kl_nats: sketchOf([0]).encode() };
  const parsed = parseMetrics(encodeMetrics({ ...sample, sketches }));
  if (parsed.kind !== "ok") return t.fail(parsed.message);
  t.deepEqual(Object.keys(parsed.value.sketches ?? {}), ["job_infer_ms", "kl_nats"]);
  for (const [name, bytes] of Object.entries(sketches))
    t.deepEqual([...(parsed.value.sketches?.[name] ?? [])], [...bytes], name);
});

test("(S2-31) sketches whose names and sizes do not fit their bytes are refused", (t) => {
  const bytes = encodeMetrics({ ...sample, sketches: { aa: Uint8Array.of(1, 2), bb: Uint8Array.of(3) } });
  const turned = (from: string, to: string): Uint8Array => {
    const at = Buffer.from(bytes).indexOf(from, "latin1");
    const copy = Buffer.from(bytes);
    copy.write(to, at, "latin1");
    return copy;
  };
  t.is(parseMetrics(bytes).kind, "ok");
  t.is(parseMetrics(turned("\xa2aa\xa2bb", "\xa2bb\xa2bb")).kind, "refused", "one name twice");
  t.is(parseMetrics(turned("\xabsketchSizes\x92\x02\x01", "\xabsketchSizes\x92\x02\x02")).kind, "refused");
  t.is(parseMetrics(turned("\xabsketchSizes\x92\x02\x01", "\xabsketchSizes\x92\x00\x03")).kind, "refused");
  t.is(parseMetrics(turned("sketchNames", "sketchNamex")).kind, "refused");
  t.deepEqual(parseMetrics(encodeMetrics({ ...sample, sketches: {} })), { kind: "ok", value: sample });
});

test("a sum or a maximum that is no finite number is no sketch's: a difference of two such would be none either", (t) => {
  for (const sum of [Number.POSITIVE_INFINITY, Number.NaN])
    t.is(readSketch(written({ sum, max: Number.MAX_VALUE })), undefined, `${sum}`);
  for (const max of [Number.POSITIVE_INFINITY, Number.NaN]) t.is(readSketch(written({ max })), undefined, `${max}`);
});

test("of a sample, a value that is no finite number is left out, and the rest stands", (t) => {
  const values = { requests: 3, mean_kl_divergence: Number.NaN, cpuPct: Number.POSITIVE_INFINITY };
  const parsed = parseMetrics(encodeMetrics({ node: "n", incarnation: 1, atMs: 1, values }));
  t.like(parsed, { kind: "ok" });
  if (parsed.kind === "ok") t.deepEqual(parsed.value.values, { requests: 3 });
});
