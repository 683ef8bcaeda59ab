// What a handful of repeated measurements says.
//
// Owns: median, spread, percentiles. Does not own: what was measured.

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Throws on an empty list: a figure without a measurement does not exist. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  return { median: quantile(sorted, 0.5), least: quantile(sorted, 0), most: quantile(sorted, 1) };
}

/** Linear between the neighbours (Hyndman and Fan, 1996, type 7). `sorted` is ascending. */
export function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)];
  const above = sorted[Math.ceil(place)];
  if (below === undefined || above === undefined) throw new RangeError("no values to take a quantile of");
  return below + (above - below) * (place - Math.floor(place));
}

/** Round by round, so that what disturbed a whole round disturbs both sides. */
export function ratiosOf(above: readonly number[], below: readonly number[]): Spread {
  return spreadOf(above.map((value, round) => value / (below[round] ?? Number.NaN)));
}
