// Faults for people: what is active, one line per fault of a schedule, and the report of a schedule.
import type { ActiveChaos, Halted } from "../../transport/messages/chaos-orders.js";
import { formatDuration } from "../duration.js";
import type { FaultRecord, FaultReport, Spread } from "../faults/fault-run.js";
import { count, padRight, plural, printable } from "../text.js";
import type { Colours } from "./colours.js";
import { renderTable } from "./table.js";

const labelWidth = 12;
const right = (title: string) => ({ title, align: "right" as const });

export function renderActiveChaos(active: ActiveChaos, nowMs: number, width: number, colours: Colours): string {
  const { faults, schedules } = active;
  if (faults.length === 0 && schedules.length === 0) return "no fault is active, no schedule runs";
  const rows = [
    ...faults.map(({ id, node, target, mode, beganAtMs, endsAtMs, by }) => ({
      what: node === target ? node : `${node}/${target}`,
      ends: endsAtMs === null ? "when it is mended" : `in ${formatDuration(Math.max(0, endsAtMs - nowMs))}`,
      ...{ id, mode, beganAtMs, by },
    })),
    ...schedules.map(({ id, beganAtMs, by }) => ({
      what: "chaos run",
      mode: "schedule",
      ends: "by itself",
      id,
      beganAtMs,
      by,
    })),
  ];
  const columns = [
    { title: "target" },
    { title: "mode" },
    right("began"),
    { title: "ends" },
    { title: "by" },
    { title: "id" },
  ];
  return renderTable(
    columns,
    rows.map(({ what, mode, beganAtMs, ends, by, id }) => [
      { text: printable(what), paint: colours.title },
      { text: printable(mode), paint: colours.warn },
      { text: `${formatDuration(Math.max(0, nowMs - beganAtMs))} ago` },
      { text: ends },
      { text: by === undefined ? "" : printable(by) },
      { text: printable(id), paint: colours.quiet },
    ]),
    width,
    colours.quiet,
  ).join("\n");
}

export function renderHalted({ faults, schedules }: Halted): string {
  return `ended ${plural(faults, "fault")} and ${plural(schedules, "schedule")}`;
}

export function renderFaultLine(record: FaultRecord, colours: Colours): string {
  const { iteration, target, mode, repairMs, lost, hasReceipt } = record;
  const mended = !hasReceipt ? "no receipt" : repairMs === null ? "not mended yet" : `mended after ${ms(repairMs)}`;
  const loss = lost === null ? "" : lost === 0 ? ", 0 lost" : colours.bad(`, ${count(lost)} lost`);
  return `  ${colours.quiet(padRight(`#${iteration}`, 7))}${colours.title(printable(target))}  ${mode}  ${mended}${loss}`;
}

export function renderFaultReport(report: FaultReport, width: number, colours: Colours): string {
  const { totals, iterations, seconds, seed } = report;
  const field = (label: string, value: string) => `  ${colours.quiet(padRight(label, labelWidth))}${value}`;
  const why = { duration: "", interrupted: ", interrupted", halted: ", halted" }[report.endedBy];
  const refused = Object.entries(totals.refused).map(([code, n]) => `${printable(code)} ${count(n)}`);
  const verdict =
    totals.notMended === 0 ? colours.good("all run again") : colours.bad(`${totals.notMended} NOT mended`);
  const silent = totals.withoutReceipt === 0 ? "" : `, ${plural(totals.withoutReceipt, "receipt")} lost on the way`;
  return [
    colours.title(
      `  ${plural(totals.injected, "fault")} in ${plural(iterations, "iteration")}, ${formatDuration(seconds * 1_000)}, seed ${seed}${why}`,
    ),
    "",
    ...faultTable(report.faults, width, colours),
    ...(report.faults.length === 0 ? [] : [""]),
    field("mended", `${verdict}${silent}`),
    field("noticed", spreadText(totals.detectMs)),
    field("repair", spreadText(totals.repairMs)),
    field(
      "messages",
      totals.lost === 0 ? colours.good("0 lost where messages are seen") : colours.bad(`${count(totals.lost)} lost`),
    ),
    field("refused", refused.length === 0 ? "none" : refused.join(", ")),
  ].join("\n");
}

function faultTable(faults: readonly FaultRecord[], width: number, colours: Colours): string[] {
  if (faults.length === 0) return [];
  const columns = [
    right("  #"),
    { title: "target" },
    { title: "mode" },
    right("pid"),
    right("then"),
    right("noticed"),
    right("mended"),
    right("lost"),
    { title: "cause" },
  ];
  const rows = faults.map((fault) => [
    { text: `  ${fault.iteration}` },
    { text: printable(fault.target) },
    { text: fault.mode },
    { text: fault.pidBefore === null ? "–" : String(fault.pidBefore) },
    { text: fault.pidAfter === null ? "–" : String(fault.pidAfter) },
    { text: ms(fault.detectMs) },
    { text: ms(fault.repairMs), paint: fault.mended ? undefined : colours.bad },
    { text: fault.lost === null ? "–" : count(fault.lost), paint: fault.lost ? colours.bad : undefined },
    { text: fault.cause === null ? "" : printable(fault.cause), paint: colours.quiet },
  ]);
  return renderTable(columns, rows, width, colours.quiet);
}

function spreadText({ p50, p95 }: Spread): string {
  return p50 === null ? "not measured" : `p50 ${ms(p50)}, p95 ${ms(p95)}`;
}

function ms(value: number | null): string {
  return value === null ? "–" : `${count(value, value < 10 ? 1 : 0)} ms`;
}
