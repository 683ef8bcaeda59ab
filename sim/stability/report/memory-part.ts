// The page's part about memory: every life that was judged, with its fitted slope, the longest of them drawn.
//
// Owns: what is shown of a life. Does not own: the rule of a leak and the fit (memory.ts, trend-line.ts).

import { formatDuration } from "../../../operations/duration.js";
import { bytes, count } from "../../../operations/text.js";
import { escaped } from "../../page/escape.js";
import { timePlot } from "../../page/time-plot.js";
import { type JudgedMemory, type MemoryVerdict, memoryRule, type NodeLife } from "../memory.js";
import type { TrendLine } from "../trend-line.js";
import type { StabilityReport, StabilitySeries } from "./document.js";

const drawnMax = 8;
const mebibyte = 1024 * 1024;
const hourMs = 3_600_000;

type Judged = MemoryVerdict & { readonly judged: JudgedMemory };

export function memoryPart({ memory }: StabilityReport, { lives }: StabilitySeries): string {
  const judged = memory.filter((each): each is Judged => each.judged !== null).sort((a, b) => b.livedMs - a.livedMs);
  const short = memory.length - judged.length;
  const rule = `A process leaks when its resident memory ends at ${memoryRule.ratioMax} times its baseline or more, and ${bytes(memoryRule.growthMaxBytes)} above it. The slope is Theil–Sen's, after the warm-up (${memoryRule.warmUpMs / 1_000} s, and until the memory of experiences is full and turned over); it is rising where it lies above 0 with 95 % confidence and would add more than ${bytes(memoryRule.growthMaxBytes)} within 8 hours.`;
  const head = `<section class="card"><h2>Memory</h2><p class="quiet">${rule}</p>`;
  const rest =
    short === 0
      ? ""
      : `<p class="quiet">${count(short)} of ${count(memory.length)} processes were not judged: they lived less than ${memoryRule.leastLifeMs / 60_000} minutes, or ended soon after their warm-up.</p>`;
  if (judged.length === 0) return `${head}${rest}</section>`;
  const titles = ["process", "lived", "baseline", "end", "ratio", "RSS, MB/h", "in 8 h", "heap, MB/h", ""];
  const table = `<div class="scroll"><table><tr>${titles.map((each) => `<th>${each}</th>`).join("")}</tr>${judged.map(rowOf).join("")}</table></div>`;
  const drawn = judged.slice(0, drawnMax).map((each) => lifePlot(each, lives));
  return `${head}${table}${rest}<div class="plots">${drawn.join("")}</div></section>`;
}

function rowOf({ node, incarnation, livedMs, judged }: Judged): string {
  const { baselineBytes, finalBytes, ratio, rss, heap, growthIn8hBytes } = judged;
  const [word, look] = wordOf(judged);
  const slope = `<span class="${judged.rising ? "bad" : ""}">${perHour(rss)}</span>${interval(rss)}`;
  const cells = [
    `${escaped(node)} #${incarnation}`,
    formatDuration(livedMs),
    bytes(baselineBytes),
    bytes(finalBytes),
    ratio.toFixed(2),
    slope,
    growthIn8hBytes === null ? "–" : signed(growthIn8hBytes),
    `${perHour(heap)}${interval(heap)}`,
    `<b class="${look}">${word}</b>`,
  ];
  return `<tr data-life="${escaped(node)} #${incarnation}" data-rising="${judged.rising}">${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

function wordOf({ leaks, rising }: JudgedMemory): readonly [string, string] {
  if (leaks) return ["LEAKS", "bad"];
  return rising ? ["rising", "bad"] : ["steady", "good"];
}

function perHour(line: TrendLine | null): string {
  return line === null ? "–" : inMegabytes(line.perHour);
}

function interval(line: TrendLine | null): string {
  return line === null ? "" : `<small>${inMegabytes(line.lowPerHour)} to ${inMegabytes(line.highPerHour)}</small>`;
}

function inMegabytes(value: number): string {
  const text = (value / mebibyte).toFixed(1);
  return Number(text) > 0 ? `+${text}` : Number(text) === 0 ? "0.0" : text;
}

function signed(value: number): string {
  return value < 0 ? `-${bytes(-value)}` : `+${bytes(value)}`;
}

function lifePlot({ node, incarnation, judged }: Judged, lives: readonly NodeLife[]): string {
  const readings = lives.find((life) => life.node === node && life.incarnation === incarnation)?.readings ?? [];
  const bornAtMs = readings[0]?.atMs ?? 0;
  const toMs = (readings.at(-1)?.atMs ?? bornAtMs) - bornAtMs;
  const { rss } = judged;
  const at = (ms: number): number => (rss === null ? 0 : rss.startValue + (rss.perHour * (ms - rss.fromMs)) / hourMs);
  const fit = rss === null ? [] : [rss.fromMs, bornAtMs + toMs].map((ms) => ({ atMs: ms - bornAtMs, value: at(ms) }));
  return timePlot({
    id: `memory-${node}-${incarnation}`,
    title: `${node} #${incarnation}`,
    about: `${wordOf(judged)[0]}, ${perHour(rss)} MB/h`,
    toMs,
    format: bytes,
    unit: mebibyte,
    lines: [
      {
        name: "resident",
        look: "main",
        points: readings.map(({ atMs, rssBytes }) => ({ atMs: atMs - bornAtMs, value: rssBytes })),
      },
      {
        name: "V8 heap",
        look: "second",
        points: readings.map(({ atMs, heapUsedBytes }) => ({ atMs: atMs - bornAtMs, value: heapUsedBytes })),
      },
      { name: "fitted slope", look: "fit", points: fit },
    ],
  });
}
