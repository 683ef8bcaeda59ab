// A node's status, whatever it says of itself: nested names and values, aligned.
//
// Does not own: which figures a node has. What is there is shown, what is not there is not invented.
import type { Fields } from "../../transport/messages/codec.js";
import { count, cut, padRight, printable, quantity, widthOf } from "../text.js";
import type { Colours } from "./colours.js";

const depthMax = 6;
const labelMax = 28;

/** Groups are headed by their name, values stand in one column within a group. Lines no wider than `width` before colour. */
export function renderStatus(name: string, status: Fields, width: number, colours: Colours): string {
  return [colours.title(printable(name)), ...group(status, 1, width, colours)].join("\n");
}

function group(map: Fields, depth: number, width: number, colours: Colours): string[] {
  const indent = "  ".repeat(depth);
  const entries = Object.entries(map).filter((entry): entry is [string, unknown] => entry[1] !== undefined);
  const simple = entries.filter(([, value]) => !isMap(value));
  const labelWidth =
    Math.min(
      labelMax,
      simple.reduce((widest, [key]) => Math.max(widest, widthOf(key)), 0),
    ) + 2;
  return entries.flatMap(([key, value]) => {
    const label = printable(key);
    if (isMap(value) && depth < depthMax && Object.keys(value).length > 0)
      return [
        `${indent}${colours.accent(cut(label, width - indent.length))}`,
        ...group(value, depth + 1, width, colours),
      ];
    const room = Math.max(8, width - indent.length - labelWidth);
    return [
      `${indent}${colours.quiet(padRight(cut(label, labelWidth - 1), labelWidth))}${cut(plainText(key, value), room)}`,
    ];
  });
}

function isMap(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function plainText(name: string, value: unknown): string {
  if (value === null) return "–";
  if (typeof value === "number") return quantity(name, value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "object") return printable(String(value));
  if (value instanceof Uint8Array) return `${count(value.length)} bytes`;
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map((each) => plainText(name, each)).join(", ");
  return Object.keys(value).length === 0 ? "none" : printable(JSON.stringify(value));
}
