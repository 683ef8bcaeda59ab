// A small line without axes, as SVG: the shape of an hour beside the figure of now.
//
// Owns: the path. Does not own: the figure it stands beside, which says in words what the line only shows (so it is hidden from readers).

import type { ColourName } from "./palette.js";
import { html, type View } from "./view.js";

export interface SparkLine {
  readonly values: readonly (number | null)[];
  readonly colour: ColourName;
  /** The scale holds zero. */
  readonly fromZero?: boolean;
}

const width = 240;
const height = 44;

export function spark({ values, colour, fromZero = true }: SparkLine): View {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return html`<div class="spark none" aria-hidden="true"></div>`;
  const low = fromZero ? Math.min(0, ...known) : Math.min(...known);
  const high = Math.max(...known);
  const { line, area } = pathsOf(values, low, high === low ? low + 1 : high);
  return html`<svg class="spark" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" aria-hidden="true" style=${{ color: `var(--${colour})` }}>
    <path class="spark-area" d=${area} />
    <path class="spark-line" d=${line} />
  </svg>`;
}

/** Line and area; where a value is not known the line breaks. */
function pathsOf(values: readonly (number | null)[], low: number, high: number) {
  const step = width / Math.max(1, values.length - 1);
  const y = (value: number): number => height - 2 - ((value - low) / (high - low)) * (height - 5);
  const runs: string[][] = [[]];
  for (const [index, value] of values.entries()) {
    if (value === null) {
      if (runs.at(-1)?.length !== 0) runs.push([]);
    } else runs.at(-1)?.push(`${(index * step).toFixed(1)},${y(value).toFixed(1)}`);
  }
  const drawn = runs.filter((run) => run.length > 0);
  return {
    line: drawn.map((run) => `M${run.join("L")}`).join(""),
    area: drawn.map((run) => `M${xOf(run[0])},${height}L${run.join("L")}L${xOf(run.at(-1))},${height}Z`).join(""),
  };
}

function xOf(point: string | undefined): string {
  return point?.split(",")[0] ?? "0";
}
