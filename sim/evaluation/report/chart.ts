// One chart: sliding accuracy of every method over one stream, the drifts behind it, as inline SVG.
//
// Owns: scales, bands, lines, and the attributes by which the page's script finds them. Does not own: colours (style.ts), the page.
//
// C1. Every series is a polyline with data-method; a reader without scripts sees all of them.

import { escaped } from "../../page/escape.js";
import { niceStep, round } from "../../page/scale.js";
import type { CurvePoint } from "../measures.js";
import type { Stretch } from "../streams.js";

export interface Series {
  readonly method: string;
  /** Number of its colour in the style sheet. */
  readonly colour: number;
  readonly own: boolean;
  readonly curve: readonly CurvePoint[];
}

export interface ChartData {
  readonly title: string;
  readonly requests: number;
  readonly stretches: readonly Stretch[];
  readonly series: readonly Series[];
}

const size = { width: 1080, height: 340 } as const;
const plot = { left: 46, right: 1068, top: 30, bottom: 308 } as const;
/** Stretches shorter than this on average are one band: nobody could tell them apart. */
const shortest = 5;
/** About this many units of the drawing are one letter of a band's name. */
const letter = 6.6;

export function chart(data: ChartData): string {
  const scale = scaleOf(data.series);
  const { low } = scale;
  const x = (request: number): number => plot.left + ((plot.right - plot.left) * request) / Math.max(1, data.requests);
  const y = (accuracy: number): number => plot.bottom - ((plot.bottom - plot.top) * (accuracy - low)) / (1 - low);
  return [
    `<svg class="chart" viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escaped(data.title)}"`,
    ` data-requests="${data.requests}" data-low="${low}" data-left="${plot.left}" data-right="${plot.right}"`,
    ` data-top="${plot.top}" data-bottom="${plot.bottom}">`,
    bands(data.stretches, x),
    accuracyLines(scale, y),
    requestMarks(data.requests, x),
    data.series.map((series) => line(series, x, y)).join(""),
    `<line class="cross" x1="0" x2="0" y1="${plot.top}" y2="${plot.bottom}" visibility="hidden"/>`,
    "</svg>",
  ].join("");
}

/** Where the scale of accuracy may begin, and the distance of its lines then. */
const scales = [
  { low: 0, step: 0.2 },
  { low: 0.2, step: 0.2 },
  { low: 0.4, step: 0.2 },
  { low: 0.6, step: 0.1 },
  { low: 0.8, step: 0.05 },
  { low: 0.9, step: 0.02 },
  { low: 0.95, step: 0.01 },
] as const;

/** The narrowest that shows every point. */
function scaleOf(series: readonly Series[]): { readonly low: number; readonly step: number } {
  const values = series.flatMap(({ curve }) => curve.map(({ accuracy }) => accuracy));
  const least = Math.min(1, ...values);
  return scales.findLast(({ low }) => low <= least) ?? scales[0];
}

type Scale = (value: number) => number;

function bands(stretches: readonly Stretch[], x: Scale): string {
  const total = stretches.at(-1)?.to ?? 0;
  if (total / Math.max(1, stretches.length) < shortest)
    return band({ drift: "another drift with every request", severity: 0, from: 0, to: total }, 0, x);
  return stretches.map((stretch, i) => band(stretch, i, x)).join("");
}

function band({ drift, severity, from, to }: Stretch, index: number, x: Scale): string {
  const [left, right] = [x(from), x(to)];
  const name = drift === "none" ? "clean" : severity === 0 ? drift : `${drift} ${severity}`;
  const kind = drift === "none" ? "clean" : index % 2 === 0 ? "even" : "odd";
  const fits = name.length * letter < right - left;
  const label = fits
    ? `<text class="drift" x="${round((left + right) / 2)}" y="${plot.top - 9}" text-anchor="middle">${escaped(name)}</text>`
    : "";
  const { top, bottom } = plot;
  const rect = `<rect class="band ${kind}" x="${round(left)}" y="${top}" width="${round(right - left)}" height="${bottom - top}" data-drift="${escaped(name)}" data-from="${from}" data-to="${to}">`;
  return `${rect}<title>${escaped(name)}: requests ${from + 1} to ${to}</title></rect>${label}`;
}

function accuracyLines({ low, step }: { readonly low: number; readonly step: number }, y: Scale): string {
  const lines: string[] = [];
  const count = Math.round((1 - low) / step);
  for (let i = 0; i <= count; i++) {
    const at = round(y(low + i * step));
    const text = (low + i * step).toFixed(step < 0.1 ? 2 : 1);
    lines.push(
      `<line class="grid" x1="${plot.left}" x2="${plot.right}" y1="${at}" y2="${at}"/>`,
      `<text class="axis" x="${plot.left - 8}" y="${at + 4}" text-anchor="end">${text}</text>`,
    );
  }
  return lines.join("");
}

function requestMarks(requests: number, x: Scale): string {
  const step = niceStep(requests / 8);
  const marks: string[] = [];
  for (let at = 0; at <= requests; at += step)
    marks.push(
      `<text class="axis" x="${round(x(at))}" y="${plot.bottom + 18}" text-anchor="middle">${at === 0 ? "request" : at}</text>`,
    );
  return marks.join("");
}

function line({ method, colour, own, curve }: Series, x: Scale, y: Scale): string {
  const points = curve.map(({ at, accuracy }) => `${round(x(at))},${round(y(accuracy))}`).join(" ");
  const classes = `series m${colour}${own ? " own" : ""}${method === "source" ? " source" : ""}`;
  return `<polyline class="${classes}" data-method="${escaped(method)}" points="${points}"/>`;
}
