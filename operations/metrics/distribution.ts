// Distributions as they are shown, and the one place that knows how a node's cumulative sketches become those of a window.
//
// Owns: what is left out for want of samples. Does not own: the sketch (percentile-sketch.ts), which sketches belong together (window.ts).
//
// D1. A percentile that its samples cannot carry is null: p95 below 20 samples, p99 below 100. Every figure names its count.

import type { Distribution } from "./cluster-metrics.js";
import { PercentileSketch } from "./percentile-sketch.js";

export type Sketch = PercentileSketch;

const samplesForP95 = 20;
const samplesForP99 = 100;

export function emptySketch(): Sketch {
  return new PercentileSketch();
}

/** Undefined for bytes that are no sketch. */
export function readSketch(bytes: Uint8Array): Sketch | undefined {
  return PercentileSketch.decode(bytes);
}

/** What came between two states of one cumulative sketch. */
export function sketchSince(newer: Sketch, older: Sketch): Sketch {
  return newer.since(older);
}

export function distributionOf(sketch: Sketch): Distribution {
  const { count } = sketch;
  if (count === 0) return { count, mean: null, p50: null, p95: null, p99: null, max: null };
  return {
    count,
    mean: sketch.sum / count,
    p50: sketch.quantile(0.5),
    p95: count < samplesForP95 ? null : sketch.quantile(0.95),
    p99: count < samplesForP99 ? null : sketch.quantile(0.99),
    max: sketch.max,
  };
}
