// What a run is worth, from its answers alone.
//
// Owns: accuracy, the worst window, the sliding curve, accuracy by drift, mean and spread over seeds.
// Does not own: who answered (methods/), which requests came (streams.ts).
//
// M1. Pure: equal answers give equal figures. No clock is read here.

/** Requests of the window in which a method may not be worse than the source. */
export const windowRequests = 200;
/** A curve's first point: fewer requests say nothing. */
const curveFrom = 25;
/** Points of a curve at most. */
const curvePoints = 240;

/** 1 = right, one element per request, in the order of the stream. */
export type Marks = Uint8Array;

export interface WorstWindow {
  /** Lowest (method - source) accuracy over any 200 requests in a row. */
  readonly difference: number;
  /** The first request of that window, the earliest of equals. */
  readonly from: number;
}

export interface DriftAccuracy {
  readonly drift: string;
  readonly n: number;
  readonly accuracy: number;
  readonly source: number;
}

export interface CurvePoint {
  /** Requests answered. */
  readonly at: number;
  /** Over the newest 200 of them, or over all when there are fewer. */
  readonly accuracy: number;
}

/** Over seeds. */
export interface Spread {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** Share of ones; NaN of nothing. */
export function share(marks: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < marks.length; i++) sum += marks[i] ?? 0;
  return sum / marks.length;
}

/** Null when there are fewer requests than one window. */
export function worstWindow(method: Marks, source: Marks, window = windowRequests): WorstWindow | null {
  let lead = 0;
  let worst: { lead: number; from: number } | null = null;
  for (let i = 0; i < method.length; i++) {
    lead += difference(method, source, i);
    if (i >= window) lead -= difference(method, source, i - window);
    if (i + 1 >= window && (worst === null || lead < worst.lead)) worst = { lead, from: i + 1 - window };
  }
  return worst === null ? null : { difference: worst.lead / window, from: worst.from };
}

function difference(method: Marks, source: Marks, i: number): number {
  return (method[i] ?? 0) - (source[i] ?? 0);
}

/** Accuracy over the newest 200 requests, at evenly spaced places; the last point is the stream's end. */
export function slidingAccuracy(marks: Marks, window = windowRequests): readonly CurvePoint[] {
  const sums = new Uint32Array(marks.length + 1);
  for (const [i, mark] of marks.entries()) sums[i + 1] = (sums[i] ?? 0) + mark;
  const over = (at: number): number => {
    const from = Math.max(0, at - window);
    return ((sums[at] ?? 0) - (sums[from] ?? 0)) / (at - from);
  };
  const step = Math.max(1, Math.ceil(marks.length / curvePoints));
  const points: CurvePoint[] = [];
  for (let at = Math.min(curveFrom, marks.length); at < marks.length; at += step)
    points.push({ at, accuracy: over(at) });
  if (marks.length > 0) points.push({ at: marks.length, accuracy: over(marks.length) });
  return points;
}

/** By name, in alphabetical order. `drifts` names the drift of each request. */
export function accuracyByDrift(drifts: readonly string[], method: Marks, source: Marks): readonly DriftAccuracy[] {
  const tallies = new Map<string, { n: number; right: number; source: number }>();
  for (const [i, drift] of drifts.entries()) {
    const tally = tallies.get(drift) ?? { n: 0, right: 0, source: 0 };
    tallies.set(drift, tally);
    tally.n += 1;
    tally.right += method[i] ?? 0;
    tally.source += source[i] ?? 0;
  }
  return [...tallies]
    .map(([drift, { n, right, source: plain }]) => ({ drift, n, accuracy: right / n, source: plain / n }))
    .sort((a, b) => (a.drift < b.drift ? -1 : 1));
}

/** Of one or more values. */
export function spreadOf(values: readonly number[]): Spread {
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    low: Math.min(...values),
    high: Math.max(...values),
  };
}

/** The middle one; of an even number, the lower of the two in the middle. NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}
