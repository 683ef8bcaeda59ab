// Figures as a person reads them. Pure.
//
// Owns: rounding, units, and what stands where nothing is known. Does not own: spans of time above a second (operations/duration.ts).

import { formatDuration } from "../duration.js";

/** Where nothing is known: not a zero. */
export const unknown = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

type Maybe = number | null | undefined;

export function count(value: Maybe): string {
  if (value === null || value === undefined) return unknown;
  return Math.abs(value) >= 1_000_000 ? short.format(value) : whole.format(value);
}

/** Three figures that count: 0.0042, 1.28, 42.1, 1,280. */
export function decimal(value: Maybe): string {
  if (value === null || value === undefined) return unknown;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 100) return count(value);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  return size < 0.0001 ? value.toExponential(1) : value.toPrecision(2);
}

/** 0..1 as a percentage. What is not all is not written as 100 %, and what is not nothing not as 0 %. */
export function share(value: Maybe, digits = 1): string {
  if (value === null || value === undefined) return unknown;
  const least = 10 ** -digits;
  const percent = 100 * value;
  if (percent > 0 && percent < least / 2) return `< ${least.toFixed(digits)} %`;
  if (percent < 100 && percent >= 100 - least / 2) return `> ${(100 - least).toFixed(digits)} %`;
  return `${percent.toFixed(digits)} %`;
}

/** A difference of shares, in points, with its sign. */
export function points(value: number): string {
  const shown = (100 * value).toFixed(1);
  return `${value >= 0 ? "+" : "−"}${shown.replace("-", "")} points`;
}

/** Milliseconds, from parts of one to hours. */
export function span(ms: Maybe): string {
  if (ms === null || ms === undefined) return unknown;
  if (ms < 0.01) return "0 ms";
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
  return formatDuration(ms);
}

/** How long ago or for how long, in the one unit that matters: `12 s`, `4 min`, `3 h 05 m`, `2 d`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400)
    return `${Math.floor(seconds / 3_600)} h ${String(Math.floor((seconds % 3_600) / 60)).padStart(2, "0")} m`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Decimal units, as the disks and the requirement count them. */
export function bytes(value: Maybe): string {
  if (value === null || value === undefined) return unknown;
  const units = ["B", "kB", "MB", "GB", "TB"] as const;
  const step = value === 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(Math.abs(value)) / 3));
  const scaled = value / 1_000 ** step;
  return `${step === 0 || Math.abs(scaled) >= 100 ? scaled.toFixed(0) : scaled.toFixed(1)} ${units[step]}`;
}

/** The hour of the day, in the reader's zone: 14:03:07. */
export function hour(atMs: number): string {
  const at = new Date(atMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** With the day: 2026-11-22 14:03. */
export function day(atMs: number): string {
  const at = new Date(atMs);
  const date = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0"));
  return `${date.join("-")} ${hour(atMs).slice(0, 5)}`;
}
