// The report of a stability run for a terminal: assertions first, then the figures they stand on.
//
// Owns: what stands in it. Does not own: the figures (document.ts), columns and colours (operations/terminal).

import { formatDuration } from "../../../operations/duration.js";
import type { Colours } from "../../../operations/terminal/colours.js";
import { bytes, count, padRight, percent, plural } from "../../../operations/text.js";
import type { Assertion } from "../assertions.js";
import type { Spread, StabilityReport } from "./document.js";

const nameWidth = 23;
const labelWidth = 12;
/** Of one assertion; the rest is in the document. */
const aboutMax = 6;

export function renderReport(report: StabilityReport, colours: Colours): string {
  const { requests, updates, log, accuracy } = report;
  const field = (label: string, value: string): string => `  ${colours.quiet(padRight(label, labelWidth))}${value}`;
  const { latencyMs } = requests;
  return [
    colours.title(
      `  stability, ${formatDuration(report.elapsedMs)}, seed ${report.seed}${report.interrupted ? ", interrupted" : ""}`,
    ),
    "",
    ...report.assertions.flatMap((each) => linesOf(each, colours)),
    "",
    field(
      "requests",
      `${count(requests.due)} due, ${count(requests.answeredInTime)} answered in time, ${plural(requests.retried, "second try").replace("trys", "tries")}`,
    ),
    field("rate", rateText(report)),
    field(
      "latency",
      latencyMs === null
        ? "–"
        : `p50 ${ms(latencyMs.p50)}, p95 ${ms(latencyMs.p95)}, p99 ${ms(latencyMs.p99)}, from when each was due`,
    ),
    field("accuracy", `${percent(accuracy.adapting)} adapting, ${percent(accuracy.source)} left alone`),
    ...crashLines(report).map((line, i) => field(i === 0 ? "crashes" : "", line)),
    field("updates", `${count(updates.enqueued)} in the log, ${count(updates.applied)} applied`),
    field("log", `${bytes(log.bytes)}, ${plural(log.snapshots, "snapshot")}, version ${count(report.modelVersion)}`),
    field("memory", memoryText(report)),
    field("again", report.command),
    "",
    `  ${verdict(report, colours)}`,
  ].join("\n");
}

function crashLines({ chaos, cleanups }: StabilityReport): readonly string[] {
  if (chaos.count === 0) return ["0 injected"];
  return [
    `${count(chaos.count)} injected, ${count(cleanups.confirmed)} cleaned up; next update ${range(chaos.recoveryMs)}`,
    `back at 80 % of the pace ${range(chaos.backToPaceMs)}`,
  ];
}

export function verdictWord({ passed, assertions }: Pick<StabilityReport, "passed" | "assertions">): string {
  const failed = assertions.filter((each) => each.passed === false).length;
  if (failed > 0) return `${plural(failed, "assertion")} failed`;
  return passed === null ? "interrupted; nothing that could be judged failed" : "every assertion holds";
}

function verdict(report: StabilityReport, colours: Colours): string {
  const failed = report.assertions.some((each) => each.passed === false);
  return (failed ? colours.bad : report.passed === null ? colours.warn : colours.good)(verdictWord(report));
}

function linesOf({ name, passed, measured, allowed, how, about }: Assertion, colours: Colours): readonly string[] {
  const word =
    passed === null ? colours.quiet("not judged") : passed ? colours.good("holds     ") : colours.bad("FAILED    ");
  const bound = passed === null ? how : `allowed: ${allowed}`;
  const line = `  ${word} ${padRight(name, nameWidth)}${measured}; ${colours.quiet(bound)}`;
  if (passed !== false) return [line];
  const others = about.filter((each) => each !== measured);
  const rest = others.length > aboutMax ? [`${count(others.length - aboutMax)} more`] : [];
  return [line, ...[...others.slice(0, aboutMax), ...rest].map((each) => `             ${each}`)];
}

export function rateText({ requests }: Pick<StabilityReport, "requests">): string {
  const { wantedPerSecond, sentPerSecond, answeredPerSecond, limitedBy, lateMs } = requests;
  const figures = `${sentPerSecond.toFixed(1)} sent and ${answeredPerSecond.toFixed(1)} answered of ${count(wantedPerSecond, 1)} wanted a second`;
  const why = {
    nobody: "",
    load: `; the load limited it: requests left up to ${ms(lateMs?.max ?? 0)} late`,
    cluster: "; the cluster limited it: requests left, answers did not come in time",
  }[limitedBy];
  return `${figures}${why}`;
}

function memoryText({ memory }: StabilityReport): string {
  const judged = memory.flatMap((each) => (each.judged === null ? [] : [each.judged]));
  const rising = judged.filter((each) => each.rising).length;
  const short = memory.length - judged.length;
  return `${plural(judged.length, "process").replace("processs", "processes")} judged, ${rising} rising; ${short} lived too short`;
}

export function range({ n, p50, p95, max }: Spread): string {
  if (p50 === null || p95 === null || max === null) return "never";
  return `p50 ${ms(p50)}, p95 ${ms(p95)}, at most ${ms(max)} (${count(n)})`;
}

export function ms(value: number): string {
  return value < 10 ? `${value.toFixed(1)} ms` : formatDuration(value);
}
