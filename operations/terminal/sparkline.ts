// A curve in one line of text.

const bars = "▁▂▃▄▅▆▇█";

/**
 * The last `width` values, one bar each, on the fixed scale `low`..`high` so that two curves above each other can be compared. A value
 * outside the scale gets the end bar; one that is not a number gets a blank.
 */
export function sparkline(values: readonly number[], width: number, low = 0, high = 1): string {
  const shown = width <= 0 ? [] : values.slice(-width);
  return shown.map((value) => barFor(value, low, high)).join("");
}

function barFor(value: number, low: number, high: number): string {
  if (Number.isNaN(value)) return " ";
  const share = high > low ? (value - low) / (high - low) : 0;
  const step = Math.floor(Math.min(Math.max(share, 0), 1) * bars.length);
  return bars.charAt(Math.min(step, bars.length - 1));
}
