// The vital signs of a run as plots: which figures stand together, and how their axes are spelled.
//
// Owns: the choice of lines. Does not own: the drawing (sim/page/time-plot.ts), the figures (facts.ts).
//
// P1. `update_rate` is drawn from the chain of commits in short stretches, because the cluster's own figure is a mean over a minute and shows
//     a crash of a second as a dent; that mean is drawn beside it.

import { formatDuration } from "../../../operations/duration.js";
import { bytes, count } from "../../../operations/text.js";
import { type PlotLine, type PlotMark, type PlotPoint, timePlot } from "../../page/time-plot.js";
import type { Point } from "../facts.js";
import type { AppliedIn } from "../learning-watch.js";
import type { StabilityReport, StabilitySeries } from "./document.js";

const crashLabel = "Worker Crash";

/** Small ones keep three digits that say something. */
const plain = (value: number): string => (Math.abs(value) < 1 ? String(Number(value.toPrecision(3))) : count(value, 3));
const share = (value: number): string => `${count(100 * value, 2)} %`;
const milliseconds = (value: number): string => `${count(value, 1)} ms`;

type Figure = (point: Point) => number | null;

/** One plot: its id and title, what it shows, how values are spelled, what the scale shows at least, and its lines in order. */
interface VitalPlot {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly format: (value: number) => string;
  readonly atLeast: readonly [number, number];
  readonly lines: Readonly<Record<string, Figure>>;
  readonly marked?: true;
  readonly unit?: number;
}

const vitals: readonly VitalPlot[] = [
  {
    ...{ id: "knn_failure_rate", title: "knn_failure_rate", about: "share of searches that failed" },
    ...{ format: share, atLeast: [0, 0.01], lines: { failures: (p) => p.knnFailureRate } },
  },
  {
    ...{ id: "mean_kl_divergence", title: "mean_kl_divergence", about: "nats, newest updates against the source" },
    ...{ format: plain, atLeast: [0, 0.001], lines: { KL: (p) => p.meanKlDivergence } },
  },
  {
    ...{ id: "queue_size", title: "queue_size", about: "tasks in the log and not in the parameters", marked: true },
    ...{ format: plain, atLeast: [0, 10], lines: { tasks: (p) => p.queueSize } },
  },
  {
    ...{ id: "accuracy", title: "accuracy", about: "of all answers so far", format: share, atLeast: [1, 1] },
    lines: { adapting: (p) => p.accuracyAdapting, "source model": (p) => p.accuracySource },
  },
  {
    ...{ id: "latency", title: "latency", about: "from when each request was due", format: milliseconds },
    ...{ atLeast: [0, 1], lines: { p50: (p) => p.p50Ms, p99: (p) => p.p99Ms } },
  },
  {
    ...{ id: "requests_per_second", title: "requests", about: "answers per second", format: plain },
    ...{ atLeast: [0, 1], lines: { answers: (p) => p.requestsPerSecond } },
  },
  {
    ...{ id: "confidence", title: "confidence and gate", about: "means; share of answers that asked for an update" },
    ...{ format: share, atLeast: [0, 1], lines: { confidence: (p) => p.confidence, "gate rate": (p) => p.gateRate } },
  },
  {
    ...{ id: "loop_delay", title: "event loop", about: "longest delay of any node", format: milliseconds },
    ...{ atLeast: [0, 10], lines: { delay: (p) => p.loopDelayMaxMs } },
  },
];

const mebibyte = 1024 * 1024;
const looks = ["main", "second", "third"] as const;

export function vitalPlots(report: StabilityReport, series: StabilitySeries): string {
  const { points } = series;
  const linesOf = (figures: Readonly<Record<string, Figure>>): readonly PlotLine[] =>
    Object.entries(figures).map(([name, figure], i) => ({
      name,
      look: looks[i % looks.length] ?? "main",
      points: points.map((point): PlotPoint => ({ atMs: point.elapsedMs, value: figure(point) })),
    }));
  const drawn = [...vitals, logPlot(points)].map(({ lines, marked, ...plot }) =>
    timePlot({
      ...{ ...plot, toMs: report.elapsedMs, lines: linesOf(lines) },
      ...(marked === undefined ? {} : { marks: marksOf(report) }),
    }),
  );
  return [updatePlot(report, series), ...drawn].join("");
}

function logPlot(points: readonly Point[]): VitalPlot {
  const names = new Set(points.flatMap(({ logBytes }) => Object.keys(logBytes)));
  const streams = [...names].filter((name) => /-(experience|update)-/.test(name));
  return {
    ...{ id: "log_bytes", title: "log", about: "truncated behind snapshots", format: bytes },
    ...{ atLeast: [0, mebibyte], unit: mebibyte },
    lines: Object.fromEntries(streams.map((stream) => [stream, (p: Point) => p.logBytes[stream] ?? null])),
  };
}

function updatePlot(report: StabilityReport, { appliedBySecond, points }: StabilitySeries): string {
  const stretchMs = stretchOf(report.elapsedMs);
  const mean = points.map(({ elapsedMs, updateRate }) => ({ atMs: elapsedMs, value: updateRate }));
  return timePlot({
    id: "update_rate",
    title: "update_rate",
    about: `updates per minute, in stretches of ${formatDuration(stretchMs)}`,
    toMs: report.elapsedMs,
    format: plain,
    atLeast: [0, 10],
    marks: marksOf(report),
    lines: [
      { name: "update_rate", look: "main", points: perMinute(appliedBySecond, stretchMs, report.elapsedMs) },
      { name: "the cluster's own, a mean over a minute", look: "second", points: mean },
    ],
  }).replace('class="plot"', 'class="plot wide"');
}

const stretchLeastMs = 1_000;
const stretchesMax = 480;

/** Whole seconds, as short as the plot has room for. */
function stretchOf(elapsedMs: number): number {
  return Math.max(stretchLeastMs, Math.ceil(elapsedMs / stretchesMax / 1_000) * 1_000);
}

/** Updates per minute, one point in the middle of each stretch; zeros included. */
export function perMinute(applied: readonly AppliedIn[], stretchMs: number, toMs: number): readonly PlotPoint[] {
  const counts = new Array<number>(Math.max(1, Math.floor(toMs / stretchMs))).fill(0);
  for (const { second, applied: updates } of applied) {
    const stretch = Math.floor((second * 1_000) / stretchMs);
    const before = counts[stretch];
    if (before !== undefined) counts[stretch] = before + updates;
  }
  return counts.map((updates, i) => ({ atMs: (i + 0.5) * stretchMs, value: (updates * 60_000) / stretchMs }));
}

function marksOf({ chaos, startedAtMs }: StabilityReport): readonly PlotMark[] {
  return chaos.kills.map(({ atMs, node, incarnation, pid, recoveryMs }) => ({
    atMs: atMs - startedAtMs,
    label: crashLabel,
    detail: `${node} #${incarnation} (process ${pid}) at ${formatDuration(Math.max(0, atMs - startedAtMs))}, ${recoveryMs === null ? "no update behind it" : `next update after ${formatDuration(recoveryMs)}`}`,
  }));
}
