// A straight line through noisy samples that a few outliers cannot bend: Theil-Sen, with the interval of its slope.
//
// Owns: the estimate. Does not own: what the samples are, what slope is too steep (memory.ts).
//
// Source: Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 1968: the median of the slopes of all pairs, and from
// the variance of Kendall's S the ranks between which the true slope lies. Samples of memory follow one another, which the interval does
// not know: they are thinned to medians of stretches before, so that neighbours have less to do with each other.

import { median } from "../../models/numbers/median.js";

export interface Reading {
  readonly atMs: number;
  readonly value: number;
}

export interface TrendLine {
  /** Change of the value per hour. */
  readonly perHour: number;
  /** Between these it lies with 95 % confidence. */
  readonly lowPerHour: number;
  readonly highPerHour: number;
  /** The line itself: value at `fromMs`. */
  readonly fromMs: number;
  readonly startValue: number;
}

/** All pairs of so many are a few thousand slopes. */
const stretchesMax = 120;
const leastSamples = 8;
/** Standard normal quantile of 0.975. */
const z = 1.96;
const hourMs = 3_600_000;

/** Null for fewer than eight samples, or when they are all of one moment. `readings` in the order of time. */
export function trendLine(readings: readonly Reading[]): TrendLine | null {
  const points = thinned(readings);
  const slopes = slopesOf(points);
  if (points.length < leastSamples || slopes.length === 0) return null;
  const slope = at(slopes, slopes.length / 2 - 0.5);
  const spread = z * Math.sqrt((points.length * (points.length - 1) * (2 * points.length + 5)) / 18);
  const low = at(slopes, (slopes.length - spread) / 2 - 0.5);
  const high = at(slopes, (slopes.length + spread) / 2 - 0.5);
  const fromMs = points[0]?.atMs ?? 0;
  const startValue = median(points.map(({ atMs, value }) => value - slope * (atMs - fromMs)));
  return { perHour: slope * hourMs, lowPerHour: low * hourMs, highPerHour: high * hourMs, fromMs, startValue };
}

/** Medians of equal stretches of samples. */
function thinned(readings: readonly Reading[]): readonly Reading[] {
  const size = Math.ceil(readings.length / stretchesMax);
  if (size <= 1) return readings;
  const points: Reading[] = [];
  for (let from = 0; from < readings.length; from += size) {
    const stretch = readings.slice(from, from + size);
    points.push({ atMs: median(stretch.map(({ atMs }) => atMs)), value: median(stretch.map(({ value }) => value)) });
  }
  return points;
}

/** Per millisecond, sorted. */
function slopesOf(points: readonly Reading[]): readonly number[] {
  const slopes: number[] = [];
  for (const [i, early] of points.entries())
    for (const late of points.slice(i + 1))
      if (late.atMs > early.atMs) slopes.push((late.value - early.value) / (late.atMs - early.atMs));
  return slopes.sort((a, b) => a - b);
}

/** The value at a rank from 0, between two when it is not whole, the nearest end beyond. */
function at(sorted: readonly number[], rank: number): number {
  const bounded = Math.min(sorted.length - 1, Math.max(0, rank));
  const below = sorted[Math.floor(bounded)] ?? 0;
  const above = sorted[Math.ceil(bounded)] ?? 0;
  return below + (above - below) * (bounded - Math.floor(bounded));
}
