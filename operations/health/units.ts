// Figures with units as rules spell them and as people read them: `95 %`, `200ms`, `2GiB`, `0.2 nats`, `5/m`.
//
// Owns: both directions. Does not own: which measure has which unit (measures.ts).
//
// U1. A duration or a size without its unit is refused: a bare 5 would be five of what?

import { formatDuration, parseDuration } from "../duration.js";
import { bytes } from "../text.js";

export type Unit = "percent" | "points" | "ms" | "bytes" | "count" | "nats" | "perMinute" | "times" | "trend" | "yesNo";

export type LevelParse =
  | { readonly kind: "ok"; readonly value: number }
  | { readonly kind: "refused"; readonly message: string };

/** Trends are ordered, so that a rule may also ask for `> decreasing`. */
export const trendLevels = { decreasing: -1, stable: 0, increasing: 1 } as const;
const yesNoLevels: Readonly<Record<string, number>> = { no: 0, yes: 1 };

const sizes: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** What may stand behind a number of this unit beside nothing at all. */
const suffixes: Readonly<Record<Exclude<Unit, "ms" | "bytes" | "trend" | "yesNo">, readonly string[]>> = {
  percent: ["%"],
  points: ["%", "points"],
  count: [],
  nats: ["nats"],
  perMinute: ["/m", "per minute"],
  times: ["x"],
};

const examples: Readonly<Record<Unit, string>> = {
  percent: "95 or 95 %",
  points: "-2 or -2 points",
  ms: "200ms or 5s",
  bytes: "512MiB or 2GiB",
  count: "100",
  nats: "0.2 or 0.2 nats",
  perMinute: "5 or 5/m",
  times: "2 or 2x",
  trend: "increasing, stable or decreasing",
  yesNo: "yes or no",
};

/** The level that stands on the right of a comparison, in the measure's own unit. */
export function parseLevel(text: string, unit: Unit): LevelParse {
  const refused: LevelParse = { kind: "refused", message: `"${text}" is no level here: write ${examples[unit]}` };
  if (unit === "trend" || unit === "yesNo") {
    const levels: Readonly<Record<string, number>> = unit === "trend" ? trendLevels : yesNoLevels;
    const value = Object.hasOwn(levels, text) ? levels[text] : undefined;
    return value === undefined ? refused : { kind: "ok", value };
  }
  if (unit === "ms") {
    const parsed = parseDuration(text.replace(/\s+/g, ""));
    return parsed.kind === "ok" ? { kind: "ok", value: parsed.ms } : refused;
  }
  const [, digits, suffix = ""] = /^([+-]?\d{1,15}(?:\.\d{1,9})?)\s*(\S.*)?$/.exec(text) ?? [];
  if (digits === undefined) return refused;
  const value = Number(digits);
  if (unit === "bytes") {
    const size = Object.hasOwn(sizes, suffix) ? sizes[suffix] : undefined;
    return size === undefined ? refused : { kind: "ok", value: value * size };
  }
  return suffix === "" || suffixes[unit].includes(suffix) ? { kind: "ok", value } : refused;
}

/** Made once: to look the language up for every figure of every report costs more than all the rest of a report. */
const upTo = [0, 1, 2].map((digits) => new Intl.NumberFormat("en-US", { maximumFractionDigits: digits }));

function count(value: number, digits: 0 | 1 | 2): string {
  return upTo[digits]?.format(value) ?? String(value);
}

/** For people; null, where nothing was measured, is a dash. */
export function sayLevel(value: number | null, unit: Unit): string {
  if (value === null) return "–";
  switch (unit) {
    case "percent":
      return `${count(value, 1)} %`;
    case "points":
      return `${count(value, 1)} points`;
    case "ms":
      return sayMs(value);
    case "bytes":
      return bytes(value);
    case "count":
      return count(value, 1);
    case "nats":
      return `${Number(value.toPrecision(3))} nats`;
    case "perMinute":
      return `${count(value, 1)} per minute`;
    case "times":
      return `${count(value, 2)}x`;
    case "trend":
      return Object.entries(trendLevels).find(([, level]) => level === value)?.[0] ?? String(value);
    case "yesNo":
      return value === 0 ? "no" : "yes";
  }
}

function sayMs(value: number): string {
  if (value < 1_000) return `${count(value, value < 10 ? 1 : 0)} ms`;
  return value < 60_000 ? `${count(value / 1_000, 1)} s` : formatDuration(value);
}
