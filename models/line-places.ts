// Where each line of a script stands in its sources: what is left of a source map when its columns are left out. A map of a packed script takes
// a tenth of a second to take apart, and somebody asks for a stack whenever a connection ends; this takes a millisecond.
//
// Owns: the file, made when a script is packed and read when an error's stack is. Does not own: who asks (source-positions.ts).

import type { SourceMap } from "node:module";

/** Lines and columns from 0, as SourceMap counts them. */
export interface Place {
  readonly originalSource: string;
  readonly originalLine: number;
  readonly originalColumn: number;
}

/** The file: a line of JSON, which names the sources, then for each line of the script three numbers of 4 bytes: source from 1, line, column. */
const perLine = 3;
const newline = 0x0a;

export class LinePlaces {
  readonly #sources: readonly string[];
  readonly #lines: Uint32Array;

  /** Throws SyntaxError for bytes that are no such file. */
  constructor(file: Uint8Array) {
    const end = file.indexOf(newline);
    this.#sources = JSON.parse(Buffer.from(file.subarray(0, Math.max(end, 0))).toString("utf8"));
    // A copy, for the numbers begin anywhere.
    const numbers = new Uint8Array(file.subarray(end + 1));
    this.#lines = new Uint32Array(numbers.buffer, 0, Math.floor(numbers.length / Uint32Array.BYTES_PER_ELEMENT));
  }

  /** An empty object where the line has no source. */
  findEntry(line: number): Place | Record<string, never> {
    const [source = 0, originalLine = 0, originalColumn = 0] = this.#lines.subarray(
      perLine * line,
      perLine * (line + 1),
    );
    const originalSource = this.#sources[source - 1];
    return originalSource === undefined ? {} : { originalSource, originalLine, originalColumn };
  }
}

/** The file's bytes, from the script and its map. */
export function linePlaces(script: string, map: SourceMap): Uint8Array {
  const sources = new Map<string, number>();
  const places = script.split("\n").flatMap((text, line) => {
    const entry = map.findEntry(line, text.search(/\S|$/));
    if (!("originalSource" in entry) || entry.generatedLine !== line) return [0, 0, 0];
    const { originalSource, originalLine, originalColumn } = entry;
    if (!sources.has(originalSource)) sources.set(originalSource, sources.size + 1);
    return [sources.get(originalSource) ?? 0, originalLine, originalColumn];
  });
  return Buffer.concat([
    Buffer.from(`${JSON.stringify([...sources.keys()])}\n`),
    new Uint8Array(Uint32Array.from(places).buffer),
  ]);
}
