// Traces as text: the tree of spans with durations and bars, lists of traces, the table of phases.

import { count, padLeft, padRight, percent, plural, printable, widthOf } from "../text.js";
import type { Span } from "../traces/span.js";
import { sections } from "../traces/spans.js";
import type { TraceSummary } from "../traces/trace-book.js";
import { criticalPath, type PhaseTable, type TraceNode, treeOfSpans } from "../traces/trace-tree.js";
import type { Colours } from "./colours.js";
import { timeOfDay } from "./events.js";
import { type Cell, renderTable } from "./table.js";

const barMin = 12;
const barMax = 48;
/** Between two jobs of one trace an hour may lie; their bars would be dots. */
const fullBlock = "█";

interface Line {
  readonly span: Span;
  readonly label: string;
}

export function renderTrace(spans: readonly Span[], width: number, colours: Colours): string {
  const fromMs = spans.reduce((least, { startMs }) => Math.min(least, startMs), Number.POSITIVE_INFINITY);
  const toMs = spans.reduce((latest, { endMs }) => Math.max(latest, endMs), Number.NEGATIVE_INFINITY);
  const critical = criticalPath(spans);
  const lines = treeOfSpans(spans).flatMap((node) => linesOf(node, "", ""));
  const labelWidth = Math.max(...lines.map(({ label }) => widthOf(label)));
  const whoWidth = Math.max(...lines.map(({ span }) => widthOf(whoOf(span))));
  const barWidth = Math.min(barMax, Math.max(barMin, width - labelWidth - whoWidth - 24));
  const rows = lines.map(({ span, label }) => {
    const isCritical = critical.has(span.spanId);
    const paint = span.status === "error" ? colours.bad : isCritical ? colours.accent : colours.quiet;
    const bar = padRight(barOf(span, fromMs, toMs, barWidth), barWidth);
    const mark = isCritical ? "*" : " ";
    const tail = tailOf(span, colours);
    return `${mark} ${padRight(label, labelWidth)}  ${padLeft(msText(span.endMs - span.startMs), 10)}  ${paint(bar)}  ${colours.quiet(padRight(whoOf(span), whoWidth))}${tail}`.trimEnd();
  });
  return [titleOf(spans, toMs - fromMs, colours), ...rows, colours.quiet("* on the critical path")].join("\n");
}

function titleOf(spans: readonly Span[], durationMs: number, colours: Colours): string {
  const [first] = spans;
  const nodes = new Set(spans.map(({ node }) => node));
  const about = `${msText(durationMs)}, ${plural(spans.length, "span")} on ${plural(nodes.size, "node")}, began ${timeOfDay(first?.startMs ?? 0)} UTC`;
  return `${colours.title(`trace ${first?.traceId ?? ""}`)}  ${about}`;
}

function linesOf({ span, children }: TraceNode, lead: string, below: string): Line[] {
  const inner = children.flatMap((child, place) => {
    const isLast = place === children.length - 1;
    return linesOf(child, `${below}${isLast ? "└ " : "├ "}`, `${below}${isLast ? "  " : "│ "}`);
  });
  const before = span.attributes.before === undefined ? "" : ` (${printable(String(span.attributes.before))})`;
  return [{ span, label: `${lead}${printable(span.name)}${before}` }, ...inner];
}

function whoOf({ node, actor, incarnation }: Span): string {
  return printable(`${node}/${actor}#${incarnation}`);
}

/** What a job's own span says of itself; of a phase only its failure. */
function tailOf({ name, status, attributes }: Span, colours: Colours): string {
  const shown = name.includes(".") ? [] : ["id", "code", "guard", "outcome", "mode", "experience", "rows"];
  const words = shown.flatMap((key) => {
    const value = attributes[key];
    return value === undefined ? [] : [`${colours.quiet(key)} ${printable(String(value))}`];
  });
  if (status === "error") words.unshift(colours.bad("error"));
  return words.length === 0 ? "" : `  ${words.join("  ")}`;
}

function barOf({ startMs, endMs }: Span, fromMs: number, toMs: number, width: number): string {
  const scale = toMs > fromMs ? width / (toMs - fromMs) : 0;
  const begins = Math.min(width - 1, Math.floor((startMs - fromMs) * scale));
  const length = Math.max(1, Math.min(width - begins, Math.round((endMs - startMs) * scale)));
  return " ".repeat(begins) + fullBlock.repeat(length);
}

/** 0.043 ms, 12.31 ms, 1,204.5 ms: spans are compared, so they share a unit. */
function msText(ms: number): string {
  return `${count(ms, ms < 1 ? 3 : ms < 100 ? 2 : 1)} ms`;
}

export function renderTraces(traces: readonly TraceSummary[], width: number, colours: Colours): string {
  const rows = traces.map(({ traceId, name, startMs, durationMs, status, spans }): Cell[] => [
    { text: traceId },
    { text: printable(name) },
    { text: timeOfDay(startMs) },
    { text: msText(durationMs) },
    { text: status, paint: status === "error" ? colours.bad : colours.good },
    { text: count(spans) },
  ]);
  const columns = [
    { title: "TRACE" },
    { title: "BEGAN WITH" },
    { title: "AT (UTC)" },
    { title: "DURATION", align: "right" },
    { title: "STATUS" },
    { title: "SPANS", align: "right" },
  ] as const;
  return renderTable(columns, rows, width, colours.title).join("\n");
}

export function renderPhases(
  { job, jobs, jobMs, phasesMs, phases, sections: bySection }: PhaseTable,
  width: number,
  colours: Colours,
): string {
  const rows = phases.map(({ phase, section, jobs: came, meanMs, maxMs, share }): Cell[] => [
    { text: printable(phase) },
    { text: section },
    { text: count(came), paint: came === jobs ? undefined : colours.quiet },
    { text: msText(meanMs) },
    { text: msText(maxMs) },
    { text: percent(share) },
  ]);
  const columns = [
    { title: "PHASE" },
    { title: "SECTION" },
    { title: "JOBS", align: "right" },
    { title: "MS A JOB", align: "right" },
    { title: "LONGEST", align: "right" },
    { title: "SHARE", align: "right" },
  ] as const;
  const together = sections.map((section) => `${section} ${msText(bySection[section])}`).join(", ");
  return [
    `${colours.title(job)}: ${plural(jobs, "job")}, ${msText(jobMs)} each; phases together ${msText(phasesMs)}`,
    ...renderTable(columns, rows, width, colours.title),
    colours.quiet(`a job: ${together}`),
  ].join("\n");
}
