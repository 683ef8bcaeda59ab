// Text that fits: numbers, cuts and padding for a terminal of a given width.
//
// Owns: how a number is spelled, what is unprintable, where a line is cut. Does not own: colour (colours.ts), layout (table.ts).
//
// T1. Text that came from outside passes `printable` before it is shown: a label may not move the cursor or forge a line.

import { formatDuration } from "./duration.js";

/** Widths are counted in code points: names here are Latin text, and a cell that is off by one is better than a dependency. */
export function widthOf(text: string): number {
  let width = 0;
  for (const _ of text) width += 1;
  return width;
}

/** C0 and C1 controls, line separators and bidirectional overrides become a visible replacement. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\uFFFD");
}

/** Why a file that a person named was not read: the system's three usual reasons in words, any other as the system puts it. */
export function whyUnread(error: Error & { readonly code?: unknown }): string {
  if (error.code === "ENOENT") return "there is no such file";
  if (error.code === "EISDIR") return "it is a directory";
  if (error.code === "EACCES" || error.code === "EPERM") return "it may not be read";
  return error.message;
}

/** A path or name as it has to be typed: in single quotes where a shell would take it apart. */
export function typed(word: string): string {
  return /^[\p{L}\p{N}_./:@%+=,-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** At most `width` code points; a cut ends in an ellipsis. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return "";
  return `${[...text].slice(0, width - 1).join("")}…`;
}

/** Lines of at most `width` code points, broken at blanks; a word longer than that is cut by nobody and stands alone. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && widthOf(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}

export function padRight(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - widthOf(text)));
}

export function padLeft(text: string, width: number): string {
  return " ".repeat(Math.max(0, width - widthOf(text))) + text;
}

/** 12840 -> "12,840"; a fraction keeps at most `digits` digits. */
export function count(value: number, digits = 0): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/** 0.875 -> "87.5 %"; null, where nothing was measured yet, is a dash and never a zero. */
export function percent(ratio: number | null): string {
  return ratio === null ? "–" : `${(ratio * 100).toFixed(1)} %`;
}

/** 0.265 -> "+26.5", in percentage points. */
export function points(ratio: number | null): string {
  if (ratio === null) return "–";
  const value = (ratio * 100).toFixed(1);
  return Number(value) < 0 ? value : `+${Number(value) === 0 ? "0.0" : value}`;
}

/** 1536 -> "1.5 KiB". */
export function bytes(size: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = size;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A number as what its name says it is: units are the last word of a name. Fractions keep four significant digits. */
export function quantity(name: string, value: number): string {
  if (/^pid$|Pid$/.test(name)) return String(value);
  if (name.endsWith("AtMs")) return isoTime(value);
  if (name.endsWith("Ms") && value >= 1_000) return formatDuration(value);
  if (/bytes$/i.test(name) && value >= 0) return bytes(value);
  return Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(4)));
}

/** Epoch milliseconds; beyond the calendar a dash. */
function isoTime(atMs: number): string {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? "–" : date.toISOString();
}

/** "1 restart", "2 restarts". */
export function plural(n: number, word: string): string {
  return `${count(n)} ${word}${n === 1 ? "" : "s"}`;
}
