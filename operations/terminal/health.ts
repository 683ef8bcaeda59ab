// The cluster's health, for people: the status first, what fails and what to do about it, then every check with its figure.
//
// Does not own: the figures and their words (health/health.ts). `about` and messages may hold names from outside, so they pass `printable`.
import { formatDuration } from "../duration.js";
import { type CheckResult, type HealthReport, severities } from "../health/health-report.js";
import { plural, printable, wrap } from "../text.js";
import type { Colours } from "./colours.js";
import { renderTable } from "./table.js";

export function renderHealth(report: HealthReport, width: number, colours: Colours): string {
  const bad = report.checks.filter(({ status, severity }) => status !== "pass" && severity !== "info");
  // Of several severities that one check fails in, the most severe tells it all.
  const told = bad.filter(
    (check) => !bad.some((other) => subjectOf(other) === subjectOf(check) && rankOf(other) < rankOf(check)),
  );
  return [
    headline(report, told.length, colours),
    ...told.flatMap((check) => failing(check, report, width, colours)),
    "",
    ...table(report, width, colours),
    "",
    ...rulesLines(report, width, colours),
  ].join("\n");
}

function headline({ status, sinceMs, atMs, checks }: HealthReport, failing: number, colours: Colours): string {
  const paint = { healthy: colours.good, degraded: colours.warn, unhealthy: colours.bad }[status];
  const all = plural(new Set(checks.map(subjectOf)).size, "check");
  const what = failing === 0 ? `${all} pass` : `${failing} of ${all} ${failing === 1 ? "fails" : "fail"}`;
  return `  ${paint(status)} for ${formatDuration(Math.max(0, atMs - sinceMs))}, ${what}`;
}

/** One check about one thing is one line, in however many severities it has rules. */
function subjectOf({ name, about }: CheckResult): string {
  return `${name}:${about}`;
}

/** Advice is the most severe one's of a check about one thing. */
function failing(check: CheckResult, { recommendations }: HealthReport, width: number, colours: Colours): string[] {
  const paint = check.severity === "critical" ? colours.bad : colours.warn;
  const { name, about } = check;
  const advice = recommendations.filter((each) => each.check === name && each.about === about).map(({ text }) => text);
  const indented = (text: string, mark: string): string[] =>
    wrap(printable(text), width - 6).map((line, index) => `    ${index === 0 ? mark : "  "}${line}`);
  return [
    "",
    `  ${paint(`${check.severity} ${name}`)} ${printable(about)}`,
    ...indented(check.message, ""),
    ...advice.flatMap((text) => indented(text, "-> ")),
  ];
}

/** One line for each check about each thing: the most severe of its rules that fails, or the sternest one when none does. */
function table({ checks }: HealthReport, width: number, colours: Colours): string[] {
  const lines = new Map<string, CheckResult>();
  for (const check of checks) {
    const key = subjectOf(check);
    const known = lines.get(key);
    if (known === undefined || rankOf(check) < rankOf(known)) lines.set(key, check);
  }
  const paints = [colours.bad, colours.warn, colours.accent, colours.good];
  const rows = [...lines.values()]
    .sort((a, b) => Math.min(rankOf(a), passes) - Math.min(rankOf(b), passes))
    .map((check) => [
      {
        text: `  ${check.status === "pass" ? "pass" : check.severity}`,
        paint: paints[Math.min(rankOf(check), passes)],
      },
      { text: check.name },
      { text: printable(check.about) },
      { text: printable(check.message), paint: check.status === "pass" ? colours.quiet : undefined },
    ]);
  const titles = ["  status", "check", "about", "figure"].map((title) => ({ title }));
  return renderTable(titles, rows, width, colours.quiet);
}

const passes = severities.length;

/** Failing ones by severity, then passing ones by severity. */
function rankOf({ status, severity }: CheckResult): number {
  return severities.indexOf(severity) + (status === "pass" ? passes : 0);
}

function rulesLines({ rules }: HealthReport, width: number, colours: Colours): string[] {
  const from = colours.quiet(`  rules: ${printable(rules.source)}`);
  if (rules.rejected === null) return [from];
  const lines = rules.rejected
    .split("\n")
    .flatMap((line) => wrap(printable(line), width - 4).map((part) => `    ${part}`));
  return [from, colours.warn("  a newer version of them was not taken:"), ...lines];
}
