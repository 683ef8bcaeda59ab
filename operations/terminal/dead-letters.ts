// The dead letters, for people: a list that fits the terminal, and one letter whole.
import type { BookEntry, Page } from "../dead-letters/dead-letter-book.js";
import { bytes, count, padRight, printable, quantity } from "../text.js";
import type { Colours } from "./colours.js";
import { renderTable } from "./table.js";

const labelWidth = 12;

export function renderLetters(page: Page, width: number, colours: Colours, self: string): string {
  if (page.entries.length === 0) return colours.quiet("  no dead letters");
  const rows = page.entries.map(({ seq, letter, ...entry }) => [
    { text: `  ${seq}` },
    { text: quantity("diedAtMs", letter.atMs) },
    { text: `${letter.model}/${letter.phase}` },
    { text: letter.state, paint: colours.warn },
    { text: count(letter.attempts) },
    { text: standingOf(entry), paint: colours.quiet },
    { text: printable(letter.jobId) },
    { text: printable(letter.cause) },
  ]);
  const titles = ["  id", "died", "where", "state", "tries", "since", "job", "cause"].map((title) => ({ title }));
  const lines = renderTable(titles, rows, width, colours.quiet);
  if (page.cursor !== null) lines.push("", `  older ones: ${self} dlq ls --cursor ${page.cursor}`);
  return lines.join("\n");
}

export function renderLetter({ seq, letter, ...entry }: BookEntry, colours: Colours): string {
  const { payload } = letter;
  const held =
    payload.kind === "request"
      ? `request, ${bytes(payload.bytes.length)}`
      : payload.kind === "update"
        ? `update ${payload.seq}, experience ${payload.of.seq}/${payload.of.index}`
        : `request of ${bytes(payload.byteLength)}, too large to be kept`;
  const fields: readonly (readonly [string, string])[] = [
    ["job", printable(letter.jobId)],
    ["where", `${letter.model}/${letter.phase} on ${printable(letter.node)}`],
    ["state", `${letter.state} after ${count(letter.attempts)} tries`],
    ["died", quantity("diedAtMs", letter.atMs)],
    ["trace", printable(letter.traceId)],
    ["payload", held],
    ["since", standingOf(entry)],
    ["cause", printable(letter.cause)],
    ...(entry.resolution === null ? [] : [["resolution", printable(entry.resolution)] as const]),
  ];
  const rows = fields.map(([label, value]) => `  ${colours.quiet(padRight(label, labelWidth))}${value}`);
  return [`  ${colours.title(`dead letter ${seq}`)}`, ...rows].join("\n");
}

/** What was done about it. */
function standingOf({ investigated, requeuedAtMs }: Pick<BookEntry, "investigated" | "requeuedAtMs">): string {
  const said = [
    ...(investigated ? ["resolved"] : []),
    ...(requeuedAtMs === null ? [] : [`requeued ${quantity("requeuedAtMs", requeuedAtMs)}`]),
  ];
  return said.length === 0 ? "open" : said.join(", ");
}
