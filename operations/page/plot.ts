// The seam to uPlot: curves over time, with marks for what happened.
//
// Owns: how a plot is drawn, kept up to date, read under the cursor, and read without eyes. Does not own: what is plotted.
//
// Y1. A mark is an element of the page, not paint: it has a label, and a test can find it. Its place follows the scale.
// Y2. Colours are asked for at each drawing, so the plot follows the theme.
// Y3. Whoever cannot see the plot hears its name, its range and its last value, and can open its figures as a table.

import UPlot from "uplot";
import { hour } from "./figures.js";
import type { Mark } from "./live.js";
import type { ColourName } from "./palette.js";
import { html, useEffect, useRef, useState, type View } from "./view.js";

export interface Curve {
  readonly label: string;
  readonly colour: ColourName;
  readonly values: readonly (number | null)[];
  readonly look?: "line" | "dashed" | "filled" | "dots" | "steps" | "crosses" | "fit";
}

export interface PlotProps {
  readonly label: string;
  readonly atMs: readonly number[];
  readonly curves: readonly Curve[];
  readonly marks?: readonly Mark[];
  /** Of a value, with its unit. */
  readonly format: (value: number | null) => string;
  readonly height?: number;
  /** The scale begins at zero; else it holds the values only. */
  readonly fromZero?: boolean;
  /** A line across, as a threshold. */
  readonly limit?: { readonly value: number; readonly label: string };
}

/** Where the times of all curves are the same. */
export function Plot(props: PlotProps): View {
  const host = useRef<HTMLDivElement>(null);
  const drawn = useRef<Drawn | null>(null);
  const [under, setUnder] = useState<number | null>(null);
  const shape = props.curves.map(({ label, look, colour }) => `${label}/${look ?? "line"}/${colour}`).join("|");
  useEffect(() => {
    if (host.current === null) return undefined;
    const plot = new Drawn(host.current, props, setUnder);
    drawn.current = plot;
    return () => plot.end();
  }, [shape, props.height]);
  useEffect(() => drawn.current?.show(props));
  return html`<figure class="plot">
    <figcaption class="legend">${props.curves.map((curve) => legendEntry(props, curve, under))}${under === null ? null : html`<span class="legend-time">${hour(props.atMs[under] ?? 0)}</span>`}</figcaption>
    <div class="plot-canvas" ref=${host} role="img" aria-label=${spoken(props)}></div>
    <details class="plot-table"><summary>Figures</summary>${figuresTable(props)}</details>
  </figure>`;
}

function legendEntry({ format }: PlotProps, { label, colour, values, look }: Curve, under: number | null): View {
  const value = under === null ? lastKnown(values) : (values[under] ?? null);
  return html`<span class="legend-entry"><i class="swatch look-${look ?? "line"}" aria-hidden="true" style=${{ color: `var(--${colour})` }}></i>${label} <b>${format(value)}</b></span>`;
}

function lastKnown(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

function spoken({ label, curves, format, marks = [] }: PlotProps): string {
  const said = curves.map(({ label: name, values }) => {
    const known = values.filter((value) => value !== null);
    if (known.length === 0) return `${name}: not known`;
    return `${name}: ${format(lastKnown(values))} now, between ${format(Math.min(...known))} and ${format(Math.max(...known))}`;
  });
  return `${label}. ${said.join(". ")}.${marks.length === 0 ? "" : ` ${marks.length} marks.`}`;
}

const rowsMax = 12;

/** A dozen moments spread over the time, newest last, then the marks. */
function figuresTable({ atMs, curves, format, marks = [] }: PlotProps): View {
  const step = Math.max(1, Math.ceil(atMs.length / rowsMax));
  const shown = atMs.map((_, index) => index).filter((index) => (atMs.length - 1 - index) % step === 0);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Figures of the plot"><table>
    <thead><tr><th scope="col">time</th>${curves.map(({ label }) => html`<th scope="col" class="right">${label}</th>`)}</tr></thead>
    <tbody>
      ${shown.map((index) => html`<tr><td>${hour(atMs[index] ?? 0)}</td>${curves.map(({ values }) => html`<td class="right">${format(values[index] ?? null)}</td>`)}</tr>`)}
      ${marks.map((mark) => html`<tr><td>${hour(mark.atMs)}</td><td colspan=${curves.length}>${mark.label} ${mark.about}</td></tr>`)}
    </tbody>
  </table></div>`;
}

const defaultHeight = 200;
const font = "12px system-ui, sans-serif";
/** Room above the curves in which the labels of marks stand, so that they cover none. */
const labelStripPx = 24;

/** One living uPlot. */
class Drawn {
  readonly #plot: UPlot;
  readonly #marks: HTMLDivElement;
  readonly #resize: ResizeObserver;
  readonly #theme: MutationObserver;
  readonly #scheme = matchMedia("(prefers-color-scheme: dark)");
  readonly #redraw = (): void => this.#plot.redraw(false);
  #props: PlotProps;

  constructor(host: HTMLElement, props: PlotProps, under: (index: number | null) => void) {
    this.#props = props;
    this.#marks = document.createElement("div");
    this.#marks.className = "marks";
    this.#plot = new UPlot(
      optionsOf(
        host,
        () => this.#props,
        under,
        () => this.#place(),
      ),
      dataOf(props),
      host,
    );
    this.#plot.over.append(this.#marks);
    this.#resize = new ResizeObserver(() => {
      if (host.clientWidth > 0) this.#plot.setSize({ width: host.clientWidth, height: props.height ?? defaultHeight });
    });
    this.#resize.observe(host);
    this.#theme = new MutationObserver(this.#redraw);
    this.#theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.#scheme.addEventListener("change", this.#redraw);
    this.#place();
  }

  show(props: PlotProps): void {
    const isNew = props.atMs.length !== this.#props.atMs.length || props.atMs.at(-1) !== this.#props.atMs.at(-1);
    const hasChanged = isNew || props.curves.some(({ values }, index) => values !== this.#props.curves[index]?.values);
    this.#props = props;
    if (hasChanged) this.#plot.setData(dataOf(props));
    else this.#place();
  }

  end(): void {
    this.#resize.disconnect();
    this.#theme.disconnect();
    this.#scheme.removeEventListener("change", this.#redraw);
    this.#plot.destroy();
  }

  #place(): void {
    const { min, max } = this.#plot.scales.x ?? {};
    if (min === undefined || max === undefined || min === null || max === null) return;
    const within = (this.#props.marks ?? []).filter(({ atMs }) => atMs / 1_000 >= min && atMs / 1_000 <= max);
    const leftsPx = within.map(({ atMs }) => this.#plot.valToPos(atMs / 1_000, "x"));
    const shifts = labelShifts(within, leftsPx, this.#plot.over.clientWidth);
    this.#marks.replaceChildren(
      ...within.map((mark, index) => markElement(mark, leftsPx[index] ?? 0, shifts[index] ?? null)),
    );
  }
}

/** At 12 px, the padding included. */
const widthPxOf = ({ label }: Mark): number => 6.4 * label.length + 12;

/** How far left of its line each label begins, so that it is within the plot; null where it would lie on another: the line stays. */
function labelShifts(marks: readonly Mark[], leftsPx: readonly number[], widthPx: number): readonly (number | null)[] {
  let takenPx = Number.NEGATIVE_INFINITY;
  return marks.map((mark, index) => {
    const leftPx = leftsPx[index] ?? 0;
    const from = Math.min(leftPx, widthPx - widthPxOf(mark));
    if (from < takenPx) return null;
    takenPx = from + widthPxOf(mark);
    return leftPx - from;
  });
}

function markElement(mark: Mark, leftPx: number, labelShiftPx: number | null): HTMLElement {
  const element = document.createElement("div");
  element.className = labelShiftPx === null ? "mark tight" : "mark";
  element.dataset.kind = mark.kind;
  element.dataset.atMs = String(mark.atMs);
  element.style.left = `${leftPx}px`;
  element.title = `${mark.label}, ${mark.about}, ${hour(mark.atMs)}`;
  const label = document.createElement("span");
  label.textContent = mark.label;
  if (labelShiftPx !== null) label.style.left = `${-1.5 - labelShiftPx}px`;
  element.append(label);
  return element;
}

function dataOf({ atMs, curves }: PlotProps): UPlot.AlignedData {
  return [atMs.map((ms) => ms / 1_000), ...curves.map(({ values }) => [...values])];
}

function optionsOf(
  host: HTMLElement,
  props: () => PlotProps,
  under: (index: number | null) => void,
  place: () => void,
): UPlot.Options {
  const { curves, height = defaultHeight, fromZero = true } = props();
  const quiet = (): string => colour("quiet");
  const grid = { stroke: () => colour("rule"), width: 1 };
  return {
    width: Math.max(200, host.clientWidth),
    height,
    padding: [() => ((props().marks ?? []).length > 0 ? labelStripPx : 10), 8, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 7 }, y: false },
    scales: {
      x: { time: true },
      y: { range: (_plot, low, high) => rangeOf(low, high, fromZero, props().limit?.value) },
    },
    axes: [
      {
        font,
        stroke: quiet,
        grid: { show: false },
        ticks: { show: false },
        values: (_plot, splits) => splits.map(timeLabel(splits)),
        space: 70,
        size: 26,
      },
      {
        font,
        stroke: quiet,
        grid,
        ticks: { show: false },
        values: (_plot, splits) => splits.map((at) => (at === null ? "" : axisLabel(props(), at))),
        size: axisWidth,
        space: 34,
      },
    ],
    series: [{}, ...curves.map(seriesOf)],
    hooks: {
      draw: [(plot) => drawLimit(plot, props().limit), place],
      setCursor: [(plot) => under(plot.cursor.idx ?? null)],
    },
  };
}

function axisLabel({ format }: PlotProps, value: number): string {
  return format(value).replace(" points", "");
}

/** As wide as its longest label. */
function axisWidth(_plot: UPlot, values: readonly string[] | null): number {
  const longest = Math.max(0, ...(values ?? []).map((value) => value.length));
  return Math.max(34, 7 * longest + 14);
}

function timeLabel(splits: readonly number[]): (atSeconds: number) => string {
  const step = (splits[1] ?? 60) - (splits[0] ?? 0);
  return (atSeconds) => (step < 60 ? hour(1_000 * atSeconds) : hour(1_000 * atSeconds).slice(0, 5));
}

/** A little air above, and never a scale of no height. */
function rangeOf(
  low: number | null,
  high: number | null,
  fromZero: boolean,
  limit: number | undefined,
): [number, number] {
  if (low === null || high === null) return [0, 1];
  const top = Math.max(high, limit ?? high);
  const bottom = fromZero ? Math.min(0, low) : low;
  const height = top - bottom === 0 ? Math.abs(top) || 1 : top - bottom;
  return [fromZero ? bottom : bottom - 0.08 * height, top + 0.08 * height];
}

function seriesOf({ label, colour: name, look = "line" }: Curve): UPlot.Series {
  const stroke = (): string => colour(name);
  const base: UPlot.Series = { label, stroke, width: 1.75, points: { show: false }, spanGaps: false };
  switch (look) {
    case "line":
      return base;
    case "dashed":
      return { ...base, dash: [5, 4] };
    case "fit":
      return { ...base, dash: [6, 4], width: 2.75 };
    case "filled":
      return { ...base, fill: () => `${colour(name)}1f` };
    case "steps":
      return UPlot.paths.stepped === undefined ? base : { ...base, paths: UPlot.paths.stepped({ align: 1 }) };
    case "dots":
      return { ...base, paths: () => null, points: { show: true, size: 5, fill: stroke, stroke } };
    case "crosses":
      return {
        ...base,
        paths: () => null,
        points: { show: true, size: 7, width: 1.75, fill: () => colour("card"), stroke },
      };
    default:
      return look satisfies never;
  }
}

function drawLimit(plot: UPlot, limit: PlotProps["limit"]): void {
  if (limit === undefined) return;
  const { ctx, bbox } = plot;
  const y = plot.valToPos(limit.value, "y", true);
  if (y < bbox.top || y > bbox.top + bbox.height) return;
  ctx.save();
  ctx.strokeStyle = colour("bad");
  ctx.fillStyle = colour("bad");
  ctx.setLineDash([4, 4]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "right";
  ctx.fillText(limit.label, bbox.left + bbox.width - 4, y - 5 * devicePixelRatio);
  ctx.restore();
}

function colour(name: ColourName): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
