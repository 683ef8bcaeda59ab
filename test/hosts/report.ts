// What a run on several hosts came to, for a person and for a program.

import { cpus } from "node:os";
import type { Check, FaultReport } from "./faults.js";
import type { Verdict } from "./verdict.js";

export interface HostsReport {
  readonly v: 1;
  readonly machine: string;
  readonly hosts: readonly string[];
  readonly natsServer: string;
  readonly replicas: number;
  readonly rate: number;
  readonly readyMs: number;
  /** After the last fault, until no warning was left; null when that did not come. */
  readonly healthyAfterMs: number | null;
  readonly faults: readonly FaultReport[];
  readonly verdict: Verdict;
  readonly interrupted: boolean;
  readonly holds: boolean;
}

export function machine(): string {
  const [first] = cpus();
  return `${cpus().length} x ${first?.model ?? "unknown"}, Node ${process.version}`;
}

export function renderReport(report: HostsReport): string {
  const { verdict } = report;
  const header = ["fault", "no answer", "one client", "p50", "p99", "settled", "answered", "refused"];
  const rows = report.faults.map(({ fault, seen, settledMs }) => [
    fault,
    seconds(seen.outageMs),
    seconds(seen.worstClientMs),
    ...[`${Math.round(seen.p50Ms)} ms`, `${Math.round(seen.p99Ms)} ms`],
    ...[seconds(settledMs), `${seen.answered}`, `${seen.refused}`],
  ]);
  return [
    `${report.hosts.length} hosts, ${report.natsServer}, ${report.replicas} copies, ${report.rate} requests per second; ${report.machine}`,
    "",
    ...table([header, ...rows]),
    "",
    ...report.faults.flatMap(({ fault, struck, checks }) => [
      `${fault}: ${struck}`,
      ...checks.map((check) => `  ${line(check)}`),
    ]),
    "",
    `${verdict.asked} asked: ${verdict.answered} answered, ${verdict.refusedByName} refused by name, ${verdict.lost} lost`,
    `${verdict.experiences} experiences (${verdict.repeatedRecords} repeated and passed by), ${verdict.updates} updates, ${verdict.doubled} learned twice, version ${verdict.version}`,
    healthLine(report),
    `replay ${verdict.replayEqual ? "equals" : "DIFFERS FROM"} the committed chain (${verdict.commits} commits)`,
    ...verdict.violations.slice(0, 20).map(({ name, about }) => `  VIOLATED ${name}: ${about}`),
    report.holds ? "everything holds" : "NOT everything holds",
  ].join("\n");
}

function healthLine({ healthyAfterMs, interrupted }: HostsReport): string {
  if (interrupted) return "interrupted: health was not waited for";
  return healthyAfterMs === null
    ? "NOT healthy again at the end"
    : `healthy ${seconds(healthyAfterMs)} after the last fault`;
}

function line({ name, passed, said }: Check): string {
  return `${passed ? "ok    " : "FAILED"} ${name}: ${said}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  "),
  );
}
