// Figures as cells and tables of Markdown.
//
// Owns: how a figure is written. Does not own: which are shown (results.ts, learning-results.ts).
import type { Spread } from "./statistics.js";

/** Median, and least to most, as two cells. */
export function spread({ median, least, most }: Spread, digits: number): [string, string] {
  const show = (value: number): string => (Number.isFinite(value) ? grouped(value.toFixed(digits)) : "-");
  return [show(median), `${show(least)} - ${show(most)}`];
}

/** Digits in groups of three. */
export function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ",");
}

/** A table of Markdown: the first column to the left, figures to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line)];
}
