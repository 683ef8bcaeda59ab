// Whether a process keeps its memory, life by life: start and end compared, and the trend between.
//
// Owns: the rule of a leak, which lives are long enough for it. Does not own: the line (trend-line.ts), the readings (observer of a run).
//
// M1. A life is one incarnation of one node: a restarted process begins with nothing, so nothing is compared across a restart.
// M2. The beginning of a life is warm-up and is not compared: a minute in which code is compiled, and until the memories of experiences, which
//     are bounded, are full and their index has been built anew once.
// M3. A leak is growth by a tenth and by 32 MB: each alone is noise of a small process, or of a large one.

import { median } from "../../models/numbers/median.js";
import { type Reading, type TrendLine, trendLine } from "./trend-line.js";

export interface MemoryReading {
  readonly atMs: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
}

/** One incarnation of one node, as it was seen. */
export interface NodeLife {
  readonly node: string;
  readonly incarnation: number;
  readonly roles: readonly string[];
  readonly readings: readonly MemoryReading[];
  /** When the memories of experiences that it holds were full and turned over; null when they were not until its end. Its birth, where it holds none. */
  readonly fullAtMs: number | null;
}

export interface MemoryVerdict {
  readonly node: string;
  readonly incarnation: number;
  readonly roles: readonly string[];
  /** As far as it was seen. */
  readonly livedMs: number;
  /** What is known of it; null where too little of its life was behind the warm-up. */
  readonly judged: JudgedMemory | null;
}

export interface JudgedMemory {
  /** Median of the first window after warm-up: a tenth of what is left. */
  readonly baselineBytes: number;
  /** Median of the last window. */
  readonly finalBytes: number;
  readonly growthBytes: number;
  readonly ratio: number;
  readonly leaks: boolean;
  /** Of the resident memory; bytes. */
  readonly rss: TrendLine | null;
  /** Of V8's heap; bytes. */
  readonly heap: TrendLine | null;
  /** What the fitted line would add within eight hours. */
  readonly growthIn8hBytes: number | null;
  /** The slope is above 0 with 95 % confidence, and would be noticed within eight hours. */
  readonly rising: boolean;
}

export const memoryRule = {
  /** Shorter lives are not judged. */
  leastLifeMs: 120_000,
  warmUpMs: 60_000,
  ratioMax: 1.1,
  growthMaxBytes: 32 * 1024 * 1024,
} as const;

/**
 * The windows that are compared: a tenth of the life behind its warm-up. A dead index's memory comes back when V8 collects its handle, so
 * resident memory is a sawtooth of minutes; a tenth of a short life would compare a trough with a peak. There a window is three minutes, or a
 * third of what there is.
 */
const window = { share: 0.1, leastMs: 180_000, shareMax: 1 / 3 } as const;
const readingsLeast = 6;
const hours = 8;

export function judgeMemory(lives: readonly NodeLife[]): readonly MemoryVerdict[] {
  return lives.map(({ node, incarnation, roles, readings, fullAtMs }) => {
    const [first, last] = [readings[0], readings.at(-1)];
    const livedMs = first === undefined || last === undefined ? 0 : last.atMs - first.atMs;
    const judged = livedMs < memoryRule.leastLifeMs || fullAtMs === null ? null : judge(readings, fullAtMs);
    return { node, incarnation, roles, livedMs, judged };
  });
}

function judge(readings: readonly MemoryReading[], fullAtMs: number): JudgedMemory | null {
  const dueMs = Math.max(fullAtMs, (readings[0]?.atMs ?? 0) + memoryRule.warmUpMs);
  const warm = readings.filter(({ atMs }) => atMs >= dueMs);
  const warmAtMs = warm[0]?.atMs ?? dueMs;
  if (warm.length < readingsLeast) return null;
  const endMs = warm.at(-1)?.atMs ?? warmAtMs;
  const spanMs = endMs - warmAtMs;
  const windowMs = Math.max(window.share * spanMs, Math.min(window.leastMs, window.shareMax * spanMs));
  const medianOf = (within: (atMs: number) => boolean): number =>
    median(warm.filter(({ atMs }) => within(atMs)).map(({ rssBytes }) => rssBytes));
  const baselineBytes = medianOf((atMs) => atMs <= warmAtMs + windowMs);
  const finalBytes = medianOf((atMs) => atMs >= endMs - windowMs);
  const growthBytes = finalBytes - baselineBytes;
  const ratio = finalBytes / baselineBytes;
  const rss = trendLine(warm.map(({ atMs, rssBytes }): Reading => ({ atMs, value: rssBytes })));
  const heap = trendLine(warm.map(({ atMs, heapUsedBytes }): Reading => ({ atMs, value: heapUsedBytes })));
  const growthIn8hBytes = rss === null ? null : rss.perHour * hours;
  const isCertain = rss !== null && rss.lowPerHour > 0;
  return {
    ...{ baselineBytes, finalBytes, growthBytes, ratio, rss, heap, growthIn8hBytes },
    leaks: ratio >= memoryRule.ratioMax && growthBytes > memoryRule.growthMaxBytes,
    rising: isCertain && (growthIn8hBytes ?? 0) > memoryRule.growthMaxBytes,
  };
}
