// The demo's report (contract.md, Reports) for people. With --json the report itself is printed instead.
import { formatDuration } from "../duration.js";
import { bytes, count, padRight, percent, plural, points, printable } from "../text.js";
import type { Colours } from "./colours.js";
import { tally } from "./demo-screen.js";
import { renderTable } from "./table.js";

export interface DemoReport {
  readonly requests: number;
  readonly answered: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** Shares in 0..1; null when nothing was scored. */
  readonly accuracy: { readonly adapting: number | null; readonly source: number | null };
  readonly accuracyByDrift: readonly DriftAccuracy[];
  readonly mode: { readonly cold: number; readonly ensemble: number };
  readonly updates: {
    readonly enqueued: number;
    readonly applied: number;
    readonly refused: Readonly<Record<string, number>>;
    /** Times that the source model took over a domain of inputs because it did better there. */
    readonly rolledBack: number;
  };
  readonly modelVersion: number;
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number };
  readonly log: { readonly experiences: number; readonly updates: number; readonly bytes: number };
  readonly restarts: number;
  /** The log folded again, compared with what the cluster committed. */
  readonly replay: { readonly updates: number; readonly equal: boolean; readonly checksum: string };
  /** Kills of the learning process by the demo itself; none without --chaos. */
  readonly chaos?: ChaosTally;
  readonly seed: number;
}

export interface ChaosTally {
  /** `at` is ISO 8601; `nextPid` is the process that came after, null when none was seen. */
  readonly kills: readonly {
    readonly pid: number;
    readonly at: string;
    readonly signal: string;
    readonly nextPid: number | null;
  }[];
  readonly count: number;
}

export interface DriftAccuracy {
  readonly drift: string;
  readonly severity: number;
  readonly n: number;
  readonly adapting: number;
  readonly source: number;
}

const labelWidth = 12;

export function renderReport(report: DemoReport, width: number, colours: Colours): string {
  const { latencyMs, log, updates, accuracy } = report;
  const gain = accuracy.adapting === null || accuracy.source === null ? null : accuracy.adapting - accuracy.source;
  const field = (label: string, value: string) => `  ${colours.quiet(padRight(label, labelWidth))}${value}`;
  return [
    colours.title(
      `  ${plural(report.requests, "request")} in ${formatDuration(report.seconds * 1_000)}, seed ${report.seed}`,
    ),
    "",
    ...driftTable(report, gain, width, colours),
    "",
    field("answered", `${count(report.answered)}, ${tally(report.refused, "refused")}`),
    field("mode", `${count(report.mode.cold)} cold, ${count(report.mode.ensemble)} ensemble`),
    field("latency", `p50 ${ms(latencyMs.p50)}, p95 ${ms(latencyMs.p95)}, p99 ${ms(latencyMs.p99)}`),
    field(
      "updates",
      `${count(updates.enqueued)} asked for, ${count(updates.applied)} applied, ${tally(updates.refused, "refused")}`,
    ),
    field("version", count(report.modelVersion)),
    field("log", `${plural(log.experiences, "experience")}, ${plural(log.updates, "update")}, ${bytes(log.bytes)}`),
    field("restarts", count(report.restarts)),
    ...(report.chaos === undefined || report.chaos.count === 0
      ? []
      : [field("chaos", `${plural(report.chaos.count, "kill")} of the learning process`)]),
    field("replay", replayLine(report.replay, colours)),
  ].join("\n");
}

function replayLine({ updates, equal, checksum }: DemoReport["replay"], colours: Colours): string {
  const folded = `${plural(updates, "update")} folded again`;
  return equal
    ? colours.good(`${folded}: equal bit for bit (${checksum.slice(0, 8)})`)
    : colours.bad(`${folded}: NOT what was committed`);
}

function driftTable(report: DemoReport, gain: number | null, width: number, colours: Colours): string[] {
  const shade = (difference: number | null) =>
    difference === null || difference === 0 ? colours.quiet : difference > 0 ? colours.good : colours.warn;
  const rows = report.accuracyByDrift.map((row) => [
    { text: `  ${printable(row.drift)}` },
    { text: String(row.severity) },
    { text: count(row.n) },
    { text: percent(row.adapting) },
    { text: percent(row.source) },
    { text: points(row.adapting - row.source), paint: shade(row.adapting - row.source) },
  ]);
  const total = [
    { text: "  all", paint: colours.title },
    { text: "" },
    { text: count(report.answered) },
    { text: percent(report.accuracy.adapting), paint: colours.title },
    { text: percent(report.accuracy.source) },
    { text: points(gain), paint: shade(gain) },
  ];
  const right = (title: string) => ({ title, align: "right" as const });
  const columns = [
    { title: "  drift" },
    right("severity"),
    right("n"),
    right("adapting"),
    right("left alone"),
    right("gain"),
  ];
  return renderTable(columns, [...rows, total], width, colours.quiet);
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : count(value)} ms`;
}
