// YAML with positions: what a text says, and where in it each part stands.
//
// Owns: the seam to `yaml`, lines and columns. Does not own: what the parts mean (rules.ts, operations-file.ts).
//
// Y1. Never more than `textMax` characters, and no alias more than a hundred times: a few lines of YAML can otherwise mean gigabytes.

import { createRequire } from "node:module";
import type { Node } from "yaml";

export interface Position {
  /** Both counted from 1. */
  readonly line: number;
  readonly column: number;
}

/** `what`: what is wrong, and what would be right. */
export interface Problem extends Position {
  readonly what: string;
}

export type Path = readonly (string | number)[];

export interface YamlText {
  readonly kind: "read";
  readonly value: unknown;
  /** Of the value at `path`, or of the nearest part around it that exists; `index`: at that character of a text. */
  at(path: Path, index?: number): Position;
  /** Of the key itself. */
  atKey(path: Path, key: string): Position;
}

export type YamlRead = YamlText | { readonly kind: "refused"; readonly problems: readonly Problem[] };

export const textMax = 256 * 1024;
const aliasesMax = 100;

/** Loaded with the first text: most processes read none. */
let loaded: typeof import("yaml") | undefined;

function library(): typeof import("yaml") {
  loaded ??= createRequire(import.meta.url)("yaml") as typeof import("yaml");
  return loaded;
}

export function readYaml(text: string): YamlRead {
  if (text.length > textMax)
    return refused({ line: 1, column: 1 }, `${text.length} characters are too many: ${textMax} at most`);
  const { isMap, isScalar, LineCounter, parseDocument } = library();
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const wrong = [...document.errors, ...document.warnings];
  if (wrong.length > 0)
    return {
      kind: "refused",
      problems: wrong.map(({ pos, message }) => ({ ...position(pos[0]), what: explained(text, pos[0], message) })),
    };
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: aliasesMax });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    return refused({ line: 1, column: 1 }, `${error.message}: write the parts out instead of using aliases`);
  }
  const nodeAt = (path: Path): Node | undefined => {
    for (let length = path.length; length >= 0; length -= 1) {
      const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return node;
    }
    return undefined;
  };
  return {
    kind: "read",
    value,
    at(path, index) {
      const node = nodeAt(path);
      const start = node?.range?.[0] ?? 0;
      return position(index === undefined ? start : start + offsetInside(text, start, node, index));
    },
    atKey(path, key) {
      const node = nodeAt(path);
      const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && item.key.value === key) : undefined;
      return position((isScalar(pair?.key) ? pair.key.range?.[0] : node?.range?.[0]) ?? 0);
    },
  };
}

function refused(at: Position, what: string): YamlRead {
  return { kind: "refused", problems: [{ ...at, what }] };
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "range" in value;
}

/** From the start of a scalar to the character at `index` of its value, where the source spells that value as it is. */
function offsetInside(text: string, start: number, node: Node | undefined, index: number): number {
  if (!library().isScalar(node) || typeof node.value !== "string") return 0;
  const quote = text[start] === '"' || text[start] === "'" ? 1 : 0;
  const spelled = text.slice(start + quote, start + quote + node.value.length);
  return spelled === node.value ? quote + index : 0;
}

/** `clear: > 90` is the beginning of a folded text to YAML, and its own words for that help nobody. */
function explained(text: string, offset: number, message: string): string {
  const before = text.slice(text.lastIndexOf("\n", offset - 1) + 1, offset);
  const sign = /:\s+([>|])\s*\S*\s*$/.exec(before)?.[1];
  if (sign !== undefined) return `a value that begins with ${sign} needs quotes, as in "${sign} 90"`;
  return message.replace(/\s+/g, " ").trim();
}
