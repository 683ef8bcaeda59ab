// The report of an evaluation for a terminal: one table for each stream.
//
// Owns: what stands in it. Does not own: the figures (document.ts), columns and colours (operations/terminal).
import type { Colours } from "../../../operations/terminal/colours.js";
import { type Cell, type Column, renderTable } from "../../../operations/terminal/table.js";
import { plural, printable } from "../../../operations/text.js";
import type { Spread } from "../measures.js";
import { type EvaluationReport, type Summary, streamNames } from "./document.js";

/** A difference as small as this is as good as none. */
const nothing = 0.005;
/** A worst window below this is one that somebody would notice. */
const harm = -0.05;

export function renderReport(report: EvaluationReport, width: number, colours: Colours): string {
  const { model, requests, seeds, streams, summary, complete } = report;
  const sections = streamNames(streams).map((stream) => {
    const own = summary.filter((each) => each.stream === stream);
    return [colours.title(stream), ...tableOf(report, own, width, colours)].join("\n");
  });
  const head = `${printable(model)}: ${plural(requests, "request")} of each stream, ${plural(seeds.length, "seed")}; ${notes(report)}`;
  const broken = complete ? [] : [colours.warn("interrupted: what is missing was not measured")];
  return [colours.quiet(head), ...broken, ...sections].join("\n\n");
}

function notes({ methods, microBatch }: EvaluationReport): string {
  const late = methods.filter(({ own, batch }) => !own && batch > 1).map(({ name }) => name);
  const batched = microBatch > 1 ? `driftmend's stages answer ${microBatch} at once; ` : "";
  const answered = late.length === 0 ? "" : `${late.join(", ")} answer 64 together, late; `;
  return `${batched}${answered}time is this machine's`;
}

function tableOf(report: EvaluationReport, rows: readonly Summary[], width: number, colours: Colours): string[] {
  const right = (title: string): Column => ({ title, align: "right" });
  const columns = [
    { title: "  method" },
    right("accuracy"),
    right("lowest..highest"),
    right("gain"),
    right("worst 200"),
    right("forgotten"),
    right("passes"),
    right("us"),
  ];
  return renderTable(
    columns,
    rows.map((row) => cellsOf(report, row, colours)),
    width,
    colours.quiet,
  );
}

function cellsOf({ methods }: EvaluationReport, row: Summary, colours: Colours): readonly Cell[] {
  const own = methods.find(({ name }) => name === row.method)?.own === true;
  const { accuracy, gain, worstWindow, forgotten, passesPerRequest, medianUs } = row;
  const worst = worstWindow?.difference;
  return [
    { text: `  ${row.method}`, paint: own ? colours.accent : undefined },
    { text: accuracy.mean.toFixed(3) },
    { text: rangeOf(accuracy), paint: colours.quiet },
    {
      text: signed(gain.mean),
      paint: gain.mean > nothing ? colours.good : gain.mean < -nothing ? colours.bad : undefined,
    },
    {
      text: worst === undefined ? "–" : signed(worst),
      paint: worst !== undefined && worst < harm ? colours.bad : undefined,
    },
    {
      text: forgotten === null ? "–" : signed(forgotten.mean),
      paint: (forgotten?.mean ?? 0) > nothing ? colours.warn : undefined,
    },
    { text: passesPerRequest.toFixed(1) },
    { text: medianUs.toFixed(0), paint: colours.quiet },
  ];
}

export function rangeOf({ low, high }: Spread): string {
  return low === high ? "" : `${low.toFixed(3)}..${high.toFixed(3)}`;
}

/** Three digits with a sign; what rounds to nothing has none. */
export function signed(value: number): string {
  const text = Math.abs(value).toFixed(3);
  if (Number(text) === 0) return text;
  return `${value < 0 ? "-" : "+"}${text}`;
}
