// Aligned columns.
//
// Widths are counted before colour is applied, so colours never move a column.
import { cut, padLeft, padRight, widthOf } from "../text.js";

export interface Cell {
  readonly text: string;
  readonly paint?: ((text: string) => string) | undefined;
}

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

const gap = "  ";

/**
 * One line for the titles (none when all are empty) and one per row. Columns are as wide as their widest cell; when the whole is wider than
 * `width`, the last column is cut. No trailing blanks. Every row has as many cells as there are columns.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number,
  paintTitle: (text: string) => string = (text) => text,
): string[] {
  for (const row of rows)
    if (row.length !== columns.length)
      throw new Error(`a row of ${row.length} cells in a table of ${columns.length} columns`);
  const titles = columns.map((column): Cell => ({ text: column.title, paint: paintTitle }));
  const lines = columns.some((column) => column.title !== "") ? [titles, ...rows] : rows;
  const widths = fitWidths(columns.length, lines, width);
  return lines.map((line) => renderLine(columns, line, widths));
}

function fitWidths(columnCount: number, lines: readonly (readonly Cell[])[], width: number): number[] {
  const widths = Array.from({ length: columnCount }, (_, index) =>
    lines.reduce((widest, line) => Math.max(widest, widthOf(line[index]?.text ?? "")), 0),
  );
  const before = widths.slice(0, -1).reduce((sum, each) => sum + each + gap.length, 0);
  const last = widths.length - 1;
  if (last >= 0) widths[last] = Math.min(widths[last] ?? 0, Math.max(1, width - before));
  return widths;
}

function renderLine(columns: readonly Column[], line: readonly Cell[], widths: readonly number[]): string {
  const lastFilled = line.reduce((last, cell, index) => (cell.text === "" ? last : index), -1);
  const cells = line.slice(0, lastFilled + 1).map((cell, index) => {
    const width = widths[index] ?? 0;
    const shown = cut(cell.text, width);
    const right = columns[index]?.align === "right";
    const padded = right ? padLeft(shown, width) : index === lastFilled ? shown : padRight(shown, width);
    return cell.paint === undefined ? padded : cell.paint(padded);
  });
  return cells.join(gap);
}
