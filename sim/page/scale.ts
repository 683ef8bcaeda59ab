// Numbers of a drawing: steps that people like to read, and coordinates as short as they need be.
//
// Owns: these rules. Does not own: any chart.

/** 1, 2 or 5 times a power of ten, at least `least`, which is above 0. */
export function niceFraction(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * (1 - 1e-9)) ?? 10 * power;
}

/** The same in whole numbers. */
export function niceStep(least: number): number {
  return niceFraction(Math.max(1, least));
}

/** To a tenth of a unit of the drawing. */
export function round(value: number): number {
  return Math.round(10 * value) / 10;
}
