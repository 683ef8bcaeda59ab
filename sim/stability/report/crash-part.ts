// The page's part about crashes: the pattern all of them share, how long each took, and which process followed which.
//
// Owns: the average around a crash, the distribution of recovery times, the table. Does not own: how recovery is found (learning-watch.ts).

import { formatDuration } from "../../../operations/duration.js";
import { count } from "../../../operations/text.js";
import { escaped } from "../../page/escape.js";
import { timePlot } from "../../page/time-plot.js";
import type { AppliedIn, Crash } from "../learning-watch.js";
import type { StabilityReport, StabilitySeries } from "./document.js";
import { range } from "./text.js";

/** Seconds shown before and behind a crash. */
const around = { before: 10, behind: 20 } as const;
const barsMax = 24;

export function crashPart(
  { chaos, cleanups, startedAtMs }: StabilityReport,
  { appliedBySecond }: StabilitySeries,
): string {
  if (chaos.kills.length === 0) {
    const why = chaos.enabled
      ? "No iteration struck in this run."
      : "Nothing was killed: --enable-chaos-testing was not given.";
    return `<section class="card"><h2>Crashes</h2><p>${why}</p></section>`;
  }
  const rows = chaos.kills.map(rowOf(startedAtMs));
  const table = `<div class="scroll"><table><tr><th>at</th><th>process</th><th>signal</th><th>pid</th><th>next pid</th><th>next update</th><th>80 % of the pace</th></tr>${rows.join("")}</table></div>`;
  return [
    `<section class="card"><h2>Crashes</h2><p class="quiet">${count(chaos.count)} kills of the learning node, ${count(cleanups.confirmed)} cleanups confirmed. Next update: ${range(chaos.recoveryMs)}. Back at 80 % of the pace before: ${range(chaos.backToPaceMs)}.</p>`,
    `<div class="plots">${pattern(chaos.kills, appliedBySecond, startedAtMs)}${distribution(chaos.kills)}</div>`,
    `<details${rows.length <= 12 ? " open" : ""}><summary>every crash</summary>${table}</details></section>`,
  ].join("\n");
}

function rowOf(startedAtMs: number): (crash: Crash) => string {
  return ({ node, incarnation, atMs, signal, pid, nextPid, recoveryMs, backToPaceMs }) =>
    `<tr><td>${formatDuration(Math.max(0, atMs - startedAtMs))}</td><td>${escaped(node)} #${incarnation}</td><td>${escaped(signal)}</td><td>${pid}</td><td>${nextPid ?? "–"}</td><td>${time(recoveryMs)}</td><td>${time(backToPaceMs)}</td></tr>`;
}

function time(ms: number | null): string {
  return ms === null ? '<span class="bad">never</span>' : formatDuration(ms);
}

/** Mean of the updates in each second around the crashes that have the whole of it within the run. */
function meanAround(
  kills: readonly Pick<Crash, "atMs">[],
  applied: readonly AppliedIn[],
  startedAtMs: number,
): readonly number[] {
  const by = new Map(applied.map((each) => [each.second, each.applied]));
  const last = applied.at(-1)?.second ?? 0;
  const seconds = kills
    .map(({ atMs }) => Math.floor((atMs - startedAtMs) / 1_000))
    .filter((second) => second >= around.before && second + around.behind <= last);
  if (seconds.length === 0) return [];
  return Array.from({ length: around.before + around.behind }, (_, i) => {
    const total = seconds.reduce((sum, second) => sum + (by.get(second - around.before + i) ?? 0), 0);
    return total / seconds.length;
  });
}

function pattern(kills: readonly Crash[], applied: readonly AppliedIn[], startedAtMs: number): string {
  const means = meanAround(kills, applied, startedAtMs);
  if (means.length === 0) return "";
  return timePlot({
    id: "around_a_crash",
    title: "around a crash",
    about: `updates per second, mean over the crashes; the kill is at ${around.before} s`,
    toMs: means.length * 1_000,
    format: (value) => count(value, 1),
    atLeast: [0, 1],
    marks: [
      { atMs: around.before * 1_000, label: "kill", detail: "the second in which the process was killed begins here" },
    ],
    lines: [{ name: "updates", look: "main", points: means.map((value, i) => ({ atMs: (i + 0.5) * 1_000, value })) }],
  });
}

function distribution(kills: readonly Crash[]): string {
  const times = kills.flatMap(({ recoveryMs }) => (recoveryMs === null ? [] : [recoveryMs]));
  if (times.length === 0) return "";
  const most = Math.max(...times);
  const stepMs = Math.max(50, Math.ceil(most / barsMax / 50) * 50);
  const bars = new Array<number>(Math.floor(most / stepMs) + 1).fill(0);
  for (const ms of times) bars[Math.floor(ms / stepMs)] = (bars[Math.floor(ms / stepMs)] ?? 0) + 1;
  const highest = Math.max(...bars);
  const drawn = bars.map((n, i) => {
    const title = `${count(i * stepMs)} to ${count((i + 1) * stepMs)} ms: ${n}`;
    return `<div style="height:${n === 0 ? 0 : Math.max(3, Math.round((100 * n) / highest))}%" title="${title}"></div>`;
  });
  return `<figure class="plot"><figcaption><b>recovery time</b> <span class="quiet">from a kill to the next applied update; ${count(times.length)} crashes, ${stepMs} ms a bar</span></figcaption><div class="bars" role="img" aria-label="distribution of recovery times">${drawn.join("")}</div><div class="x"><span style="left:0">0</span><span style="left:94%">${formatDuration(bars.length * stepMs)}</span></div></figure>`;
}
