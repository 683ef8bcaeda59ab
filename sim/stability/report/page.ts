// The report of a stability run as one page that needs nothing else: no network, no other file.
//
// Owns: the page's parts and their order. Does not own: plots (sim/page/time-plot.ts), which lines are in them (plots.ts), memory and crashes
// (memory-part.ts, crash-part.ts), looks (style.ts).

import { formatDuration } from "../../../operations/duration.js";
import { bytes, count, percent } from "../../../operations/text.js";
import { escaped } from "../../page/escape.js";
import type { Assertion } from "../assertions.js";
import { crashPart } from "./crash-part.js";
import type { StabilityReport, StabilitySeries } from "./document.js";
import { memoryPart } from "./memory-part.js";
import { vitalPlots } from "./plots.js";
import { script } from "./script.js";
import { style } from "./style.js";
import { ms, rateText, verdictWord } from "./text.js";

export const pageTitle = "Nightly Stability Test";

/** Of one assertion; the rest is in report.json. */
const aboutMax = 20;

export function page(report: StabilityReport, series: StabilitySeries): string {
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">`,
    `<title>${pageTitle}: ${escaped(verdictWord(report))}</title><style>${style}</style></head><body><main>`,
    header(report),
    `<section class="card"><h2>Assertions</h2>${checks(report.assertions)}</section>`,
    `<section class="card"><h2>Vital signs</h2><p class="quiet">Every few seconds, as the cluster itself reports them; a line breaks where nothing was known.</p><div class="plots">${vitalPlots(report, series)}</div></section>`,
    crashPart(report, series),
    memoryPart(report, series),
    again(report),
    `</main><script>${script}</script></body></html>\n`,
  ].join("\n");
}

function header(report: StabilityReport): string {
  const { assertions, passed, startedAtMs, elapsedMs, requests, accuracy, chaos, updates, log, machine } = report;
  const failed = assertions.some((each) => each.passed === false);
  const look = failed ? "bad" : passed === null ? "quiet" : "good";
  const figures: readonly (readonly [string, string, string])[] = [
    ["ran", formatDuration(elapsedMs), `of ${formatDuration(report.planned.atMostMs)}, from ${when(startedAtMs)}`],
    ["requests", count(requests.due), rateText(report)],
    ["latency p99", requests.latencyMs === null ? "–" : ms(requests.latencyMs.p99), "from when each was due"],
    ["accuracy", percent(accuracy.adapting), `the source model alone ${percent(accuracy.source)}`],
    [
      "crashes",
      count(chaos.count),
      chaos.enabled
        ? `kill -9, probability ${chaos.probability} in ${count(chaos.requestsPerIteration)} requests`
        : "nothing was killed",
    ],
    ["updates", count(updates.applied), `of ${count(updates.enqueued)} tasks in the log at the end`],
    ["log", bytes(log.bytes), `${count(log.snapshots)} snapshots`],
    ["machine", `${machine.cpus} CPUs`, `${machine.cpuModel}, ${bytes(machine.memoryBytes)}, Node ${machine.node}`],
  ];
  const list = figures.map(
    ([name, figure, more]) => `<div><dt>${name}</dt><dd>${escaped(figure)}<small>${escaped(more)}</small></dd></div>`,
  );
  return `<h1>${pageTitle}</h1><p class="verdict ${look}">${escaped(verdictWord(report))}</p><dl class="facts">${list.join("")}</dl>`;
}

function checks(assertions: readonly Assertion[]): string {
  const rows = assertions.map(({ name, passed, measured, allowed, how, about }) => {
    const [word, look] = passed === null ? ["not judged", "quiet"] : passed ? ["holds", "good"] : ["FAILED", "bad"];
    const named = passed === false ? about.filter((each) => each !== measured).slice(0, aboutMax) : [];
    const which = named.length === 0 ? "" : `<small>${named.map(escaped).join("<br>")}</small>`;
    return `<tr data-assertion="${name}" data-passed="${passed}"><td>${name}</td><td><b class="${look}">${word}</b></td><td class="words">${escaped(measured)}${which}</td><td class="words">${escaped(allowed)}</td><td class="words quiet">${escaped(how)}</td></tr>`;
  });
  return `<div class="scroll"><table class="checks"><tr><th></th><th></th><th class="words">measured</th><th class="words">allowed</th><th class="words">how</th></tr>${rows.join("")}</table></div>`;
}

function again({ command, seed, id }: StabilityReport): string {
  return `<section class="card"><h2>The same again</h2><p>Seed ${seed} gives the same pictures in the same order and strikes in the same iterations.</p><code>${escaped(command)}</code><p class="quiet">Run ${escaped(id)}. Beside this page: report.json (these figures), series.json (every point), samples.jsonl (the cluster's own figures), history.jsonl (flat, with _step and _timestamp).</p></section>`;
}

function when(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
