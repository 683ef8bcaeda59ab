// A plot over time as a figure: lines as SVG that fills whatever width there is, words as text that stays readable on a phone.
//
// Owns: scales, lines, marks, and the attributes by which the page's script finds them. Does not own: colours (style.ts), the page.
//
// P1. The drawing is stretched, the text is not: labels stand in HTML above it.
// P2. More samples than columns are thinned by keeping the least and the most of each column, so that no spike is lost.
// P3. A gap in the samples is a gap in the line. A mark is a line at its very moment, with its label as its title.

import { escaped } from "./escape.js";
import { niceFraction, round } from "./scale.js";

export interface TimePlot {
  readonly id: string;
  readonly title: string;
  /** One line on what it shows. */
  readonly about: string;
  readonly toMs: number;
  readonly lines: readonly PlotLine[];
  readonly marks?: readonly PlotMark[];
  /** Of the axis and the pointer. */
  readonly format: (value: number) => string;
  /** The scale shows these at least. */
  readonly atLeast?: readonly [number, number];
  /** What the steps of the scale are counted in, as a megabyte; 1 when left out. */
  readonly unit?: number;
}

export interface PlotLine {
  readonly name: string;
  /** Class in the style sheet: main, second, third, fit. */
  readonly look: string;
  readonly points: readonly PlotPoint[];
}

export interface PlotPoint {
  readonly atMs: number;
  readonly value: number | null;
}

export interface PlotMark {
  readonly atMs: number;
  readonly label: string;
  /** After the label, for whoever points at it. */
  readonly detail: string;
}

const size = { width: 1000, height: 100 } as const;
const columnsMax = 500;
const gridLines = 4;
/** More labels would cover one another. */
const labelsMax = 6;

export function timePlot(plot: TimePlot): string {
  const { id, title, about, toMs, lines, marks = [], format } = plot;
  const scale = scaleOf(plot);
  const x = (atMs: number): number => round((size.width * atMs) / Math.max(1, toMs));
  const y = (value: number): number => round(size.height * (1 - (value - scale.low) / (scale.high - scale.low)));
  const drawn = lines.map((line) => pathOf(line, toMs, x, y)).join("");
  const grid = scale.ticks.map(
    (tick) => `<line class="grid" x1="0" x2="${size.width}" y1="${y(tick)}" y2="${y(tick)}"/>`,
  );
  const strokes = marks.map(
    ({ atMs, label, detail }) =>
      `<line class="mark" data-mark="${escaped(label)}" data-at-ms="${Math.round(atMs)}" x1="${x(atMs)}" x2="${x(atMs)}" y1="0" y2="${size.height}"><title>${escaped(`${label}, ${detail}`)}</title></line>`,
  );
  return [
    `<figure class="plot" id="${escaped(id)}"><figcaption><b>${escaped(title)}</b> <span class="quiet">${escaped(about)}</span></figcaption>`,
    keyOf(lines, marks),
    `<div class="frame" data-to-ms="${Math.round(toMs)}" data-low="${scale.low}" data-high="${scale.high}">`,
    ...scale.ticks.map((tick) => `<span class="y" style="top:${y(tick)}%">${escaped(format(tick))}</span>`),
    `<svg viewBox="0 0 ${size.width} ${size.height}" preserveAspectRatio="none" role="img" aria-label="${escaped(title)}">`,
    ...grid,
    ...strokes,
    drawn,
    `<line class="cross" x1="0" x2="0" y1="0" y2="${size.height}" visibility="hidden"/></svg>`,
    ...labelsOf(marks, toMs),
    "</div>",
    timeAxis(toMs),
    "</figure>",
  ].join("");
}

/** Names of the lines and of the marks; one line alone is named by the title. */
function keyOf(lines: readonly PlotLine[], marks: readonly PlotMark[]): string {
  const names =
    lines.length > 1 ? lines.map(({ name, look }) => `<span><i class="${look}"></i>${escaped(name)}</span>`) : [];
  const labels = [...new Set(marks.map(({ label }) => label))];
  const kinds = labels.map((label) => {
    const times = marks.filter((mark) => mark.label === label).length;
    return `<span><i class="marked"></i>${escaped(label)}, ${times === 1 ? "once" : `${times} times`}</span>`;
  });
  return names.length + kinds.length === 0 ? "" : `<div class="key">${[...names, ...kinds].join("")}</div>`;
}

function labelsOf(marks: readonly PlotMark[], toMs: number): readonly string[] {
  if (marks.length > labelsMax) return [];
  return marks.map(({ atMs, label }, i) => {
    const share = (100 * atMs) / Math.max(1, toMs);
    const side = share > 70 ? `right:${round(100 - share)}%;text-align:right` : `left:${round(share)}%`;
    return `<span class="named" style="${side};top:${4 + (i % 3) * 16}px">${escaped(label)}</span>`;
  });
}

interface Scale {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
}

function scaleOf({ lines, atLeast, unit = 1 }: TimePlot): Scale {
  const values = lines.flatMap(({ points }) => points.flatMap(({ value }) => (value === null ? [] : [value])));
  const [floor, ceiling] = atLeast ?? [values[0] ?? 0, values[0] ?? 0];
  const least = values.reduce((a, b) => Math.min(a, b), floor);
  const most = values.reduce((a, b) => Math.max(a, b), ceiling);
  const step = unit * niceFraction(Math.max(1e-9, (most - least) / gridLines / unit));
  const low = Math.floor(least / step + 1e-9) * step;
  const high = Math.max(low + step, Math.ceil(most / step - 1e-9) * step);
  const count = Math.round((high - low) / step);
  return { low, high, ticks: Array.from({ length: count + 1 }, (_, i) => Number((low + i * step).toPrecision(12))) };
}

type Axis = (value: number) => number;

function pathOf({ name, look, points }: PlotLine, toMs: number, x: Axis, y: Axis): string {
  let command = "M";
  const steps: string[] = [];
  for (const { atMs, value } of thinned(points, toMs)) {
    if (value !== null) steps.push(`${command}${x(atMs)} ${y(value)}`);
    command = value === null ? "M" : "L";
  }
  return `<path class="line ${look}" data-name="${escaped(name)}" d="${steps.join("")}"/>`;
}

/** The least and the most of each column, in the order of time. */
export function thinned(points: readonly PlotPoint[], toMs: number): readonly PlotPoint[] {
  if (points.length <= 2 * columnsMax) return points;
  const columns = new Map<number, PlotPoint[]>();
  for (const point of points) {
    const column = Math.floor((columnsMax * point.atMs) / Math.max(1, toMs));
    const own = columns.get(column) ?? [];
    columns.set(column, own);
    own.push(point);
  }
  return [...columns.values()].flatMap((own) => {
    const known = own.filter(({ value }) => value !== null);
    const [gap] = own;
    if (known.length === 0) return gap === undefined ? [] : [gap];
    const sorted = [...known].sort((a, b) => (a.value ?? 0) - (b.value ?? 0));
    const ends = [sorted[0], sorted.at(-1)].filter((each) => each !== undefined);
    return [...new Set(ends)].sort((a, b) => a.atMs - b.atMs);
  });
}

const axisUnits = [
  { ms: 3_600_000, name: "h" },
  { ms: 60_000, name: "min" },
  { ms: 1_000, name: "s" },
] as const;

/** Five marks at most, in whole units. */
function timeAxis(toMs: number): string {
  const unit = axisUnits.find(({ ms }) => toMs >= 2 * ms) ?? { ms: 1_000, name: "s" };
  const step = niceFraction(Math.max(1e-9, toMs / unit.ms / 5));
  const spans: string[] = [];
  for (let i = 0; i * step * unit.ms <= toMs * 0.97; i += 1) {
    const left = round((100 * i * step * unit.ms) / Math.max(1, toMs));
    spans.push(
      `<span style="left:${left}%">${i === 0 ? "0" : `${Number((i * step).toPrecision(6))} ${unit.name}`}</span>`,
    );
  }
  return `<div class="x">${spans.join("")}</div>`;
}
