// The report of an evaluation as one page that needs nothing else: no network, no other file.
//
// Owns: the page's parts and their order. Does not own: charts (chart.ts), looks (style.ts), what it does (script.ts), figures (document.ts).

import { escaped } from "../../page/escape.js";
import { methodNames } from "../methods/names.js";
import { chart } from "./chart.js";
import type { EvaluationReport, Summary } from "./document.js";
import { streamNames } from "./document.js";
import { script } from "./script.js";
import { colourCount, style } from "./style.js";
import { rangeOf, signed } from "./table.js";

/** What a reader who has never seen the streams must know of them. */
const about: Readonly<Record<string, string>> = {
  iid: "drifts follow one another, classes mixed evenly",
  noniid: "the same drifts, classes in bursts",
  mixed: "another drift with every request",
  recur: "three drifts that keep coming back, a clean stretch after each round",
  clean: "no drift, classes mixed evenly: there is nothing to gain, and nothing may be lost",
  cleanBursts: "no drift, classes in bursts: there is nothing to gain, and nothing may be lost",
};

/** A gain or loss of so much has the full colour. */
const fullColour = 0.3;
const harm = -0.05;

export function page(report: EvaluationReport): string {
  const title = `driftmend eval: ${escaped(report.model)}`;
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">`,
    `<title>${title}</title><style>${style}</style></head><body><main>`,
    header(report, title),
    overview(report),
    legend(report),
    streamNames(report.streams)
      .map((stream) => section(report, stream))
      .join("\n"),
    methodList(report),
    `</main><script>${script}</script></body></html>\n`,
  ].join("\n");
}

function header({ requests, seeds, microBatch, complete, quick }: EvaluationReport, title: string): string {
  const size = `${requests} requests of each stream, ${seeds.length === 1 ? "1 seed" : `${seeds.length} seeds`}, ${quick ? "quick setting, " : ""}micro-batches of ${microBatch} for driftmend's stages.`;
  const broken = complete
    ? ""
    : `<div class="card warning">The evaluation was interrupted: what is missing here was not measured.</div>`;
  return `<h1>${title}</h1><p class="quiet">${size} Every answer is scored before anything is learned from it; labels are seen by the scorer only. "Source" is the same model left alone.</p>${broken}`;
}

/** Gains by method and stream, the worst window under each. */
function overview(report: EvaluationReport): string {
  const streams = streamNames(report.streams);
  const rows = report.methods.map((method) => {
    const cells = streams.map((stream) => overviewCell(find(report, method.name, stream), method.name === "source"));
    return `<tr${method.own ? ' class="own"' : ""}><td>${named(method.name)}</td>${cells.join("")}</tr>`;
  });
  const titles = streams.map((stream) => `<th>${escaped(stream)}</th>`).join("");
  return `<div class="card"><h2>Gain over the source</h2><p class="quiet">Mean over seeds; below it the worst 200 requests in a row of any seed. For the source, its accuracy.</p><div class="scroll"><table><tr><th></th>${titles}</tr>${rows.join("")}</table></div></div>`;
}

function overviewCell(summary: Summary | undefined, isSource: boolean): string {
  if (summary === undefined) return "<td>–</td>";
  if (isSource) return `<td>${summary.accuracy.mean.toFixed(3)}</td>`;
  const { gain, worstWindow } = summary;
  const worst =
    worstWindow === null
      ? ""
      : `<small${worstWindow.difference < harm ? ' class="bad"' : ""}>${signed(worstWindow.difference)}</small>`;
  return `<td${tint(gain.mean)}>${signed(gain.mean)}${worst}</td>`;
}

function legend({ methods }: EvaluationReport): string {
  const chips = methods.map(
    ({ name }) => `<button type="button" aria-pressed="true" data-method="${escaped(name)}">${named(name)}</button>`,
  );
  return `<div class="bar legend">${chips.join("")}</div>`;
}

function section(report: EvaluationReport, stream: string): string {
  const runs = report.streams.filter((each) => each.stream === stream);
  const seeds = runs.map(
    ({ seed }, i) => `<button type="button" aria-pressed="${i === 0}" data-seed="${seed}">seed ${seed}</button>`,
  );
  const figures = runs.map(({ seed, requests, stretches }) => {
    const series = report.methods.flatMap(({ name, own }) => {
      const found = report.results.find((each) => each.method === name && each.stream === stream && each.seed === seed);
      return found === undefined ? [] : [{ method: name, colour: colourOf(name), own, curve: found.curve }];
    });
    const title = `accuracy over the newest 200 requests, ${stream}, seed ${seed}`;
    const drawn = chart({ title, requests, stretches, series });
    return `<figure data-seed="${seed}">${drawn}<figcaption>Accuracy over the newest 200 requests, seed ${seed}.</figcaption></figure>`;
  });
  const chooser = seeds.length > 1 ? `<div class="bar seeds">${seeds.join("")}</div>` : "";
  const words = about[stream] === undefined ? "" : `<span class="quiet">${about[stream]}</span>`;
  return [
    `<section class="card" data-stream="${escaped(stream)}"><div class="head"><div><h2>${escaped(stream)}</h2>${words}</div>${chooser}</div>`,
    ...figures,
    figuresTable(report, stream),
    driftTable(report, stream),
    "</section>",
  ].join("\n");
}

function figuresTable(report: EvaluationReport, stream: string): string {
  const rows = report.methods.flatMap(({ name, own }) => {
    const summary = find(report, name, stream);
    if (summary === undefined) return [];
    const { accuracy, gain, worstWindow, forgotten, passesPerRequest, medianUs } = summary;
    const cells = [
      named(name),
      `${accuracy.mean.toFixed(3)}<small>${rangeOf(accuracy)}</small>`,
      `<span${mark(gain.mean > 0.005, gain.mean < -0.005)}>${signed(gain.mean)}</span>`,
      worstText(worstWindow),
      forgotten === null ? "–" : `<span${mark(false, forgotten.mean > 0.005)}>${signed(forgotten.mean)}</span>`,
      passesPerRequest.toFixed(1),
      medianUs.toFixed(0),
    ];
    return [`<tr${own ? ' class="own"' : ""}>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`];
  });
  const titles = ["", "accuracy", "gain", "worst 200 requests", "forgotten", "passes", "µs per request"];
  return `<div class="scroll"><table><tr>${titles.map((each) => `<th>${each}</th>`).join("")}</tr>${rows.join("")}</table></div>`;
}

function worstText(worst: Summary["worstWindow"]): string {
  if (worst === null) return "–";
  const { difference, from, seed } = worst;
  return `<span${mark(false, difference < harm)}>${signed(difference)}</span><small>from request ${from + 1}, seed ${seed}</small>`;
}

function driftTable(report: EvaluationReport, stream: string): string {
  const floor = report.summary.find((each) => each.method === "source" && each.stream === stream);
  const drifts =
    (floor ?? report.summary.find((each) => each.stream === stream))?.byDrift.map(({ drift }) => drift) ?? [];
  if (drifts.length < 2) return "";
  const rows = report.methods.flatMap(({ name, own }) => {
    const summary = find(report, name, stream);
    if (summary === undefined) return [];
    const cells = drifts.map((drift) => {
      const accuracy = accuracyOn(summary, drift);
      const plain = accuracyOn(floor, drift);
      return `<td${name === "source" || plain === undefined ? "" : tint((accuracy ?? 0) - plain)}>${accuracy?.toFixed(2) ?? "–"}</td>`;
    });
    return [`<tr${own ? ' class="own"' : ""}><td>${named(name)}</td>${cells.join("")}</tr>`];
  });
  const titles = drifts.map((drift) => `<th>${escaped(drift === "none" ? "clean" : drift)}</th>`).join("");
  return `<details><summary>accuracy by drift</summary><div class="scroll"><table><tr><th></th>${titles}</tr>${rows.join("")}</table></div></details>`;
}

function methodList({ methods }: EvaluationReport): string {
  const rows = methods.map(({ name, about: words, own, batch }) => {
    const late = batch > 1 ? `, ${batch} at a time` : "";
    return `<tr${own ? ' class="own"' : ""}><td>${named(name)}</td><td style="text-align:left;white-space:normal">${escaped(words)}${late}</td></tr>`;
  });
  const notes = `Forgotten: what of the source's accuracy on 500 clean inputs is lost after the stream, learning stopped. Passes: inputs through the network per request, the way back of a gradient counted as one. A method that takes 64 at a time answers them together: late for all but the last, which no figure here shows. Time is that of the machine that measured.`;
  return `<div class="card"><h2>Methods and measures</h2><table>${rows.join("")}</table><p class="quiet">${notes}</p></div>`;
}

function find({ summary }: EvaluationReport, method: string, stream: string): Summary | undefined {
  return summary.find((each) => each.method === method && each.stream === stream);
}

function accuracyOn(summary: Summary | undefined, drift: string): number | undefined {
  return summary?.byDrift.find((each) => each.drift === drift)?.accuracy;
}

function named(name: string): string {
  return `<span class="swatch m${colourOf(name)}"></span>${escaped(name)}`;
}

/** The same in every report, whichever methods are in it. */
function colourOf(name: string): number {
  const names: readonly string[] = methodNames;
  const place = names.indexOf(name);
  return place < colourCount ? Math.max(0, place) : 1 + ((place - 1) % (colourCount - 1));
}

function tint(gain: number): string {
  const strength = Math.min(1, Math.abs(gain) / fullColour) * 0.55;
  if (strength < 0.01) return "";
  return ` style="background:rgba(var(--${gain > 0 ? "good" : "bad"}),${strength.toFixed(2)})"`;
}

function mark(good: boolean, bad: boolean): string {
  return good ? ' class="good"' : bad ? ' class="bad"' : "";
}
