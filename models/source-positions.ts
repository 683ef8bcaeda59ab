// Stack traces that name the sources, in a process that was not started with --enable-source-maps. With the flag, Node reads and takes apart
// the map of every module it loads, an eighth of the CPU that a node's start takes; here a map is read when an error's stack is.
//
// Owns: where a place in a compiled file stands in its source. Does not own: who prints a stack.
// Stands at the bottom of all rooms, so that the threads of the models can have it too.

import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { LinePlaces, type Place } from "./line-places.js";

interface Places {
  /** Counted from 0. An object without a place where there is none. */
  findEntry(line: number, column: number): object;
}

const place = /file:\/\/[^\s()]+?\.js:\d+:\d+/;

/** Of this process, or of this thread, from now on. */
export function nameSources(): void {
  const maps = new Map<string, Places | undefined>();
  const mapOf = (file: string): Places | undefined => {
    if (!maps.has(file)) maps.set(file, readMap(file));
    return maps.get(file);
  };
  Error.prepareStackTrace = (error, sites) => {
    const lines = sites.map((site) => `    at ${String(site).replace(place, (found) => inSource(found, mapOf))}`);
    return [headOf(error), ...lines].join("\n");
  };
}

/** What a stack begins with; an error may have a name or a message that cannot be read. */
function headOf(error: Error): string {
  try {
    return Error.prototype.toString.call(error);
  } catch (unreadable) {
    return `an error that cannot be said: ${typeof unreadable}`;
  }
}

/** `file:///x/dist/node.js:10:5` as `/x/node.ts:8:3`; as it was where there is no map, or none that can be read. */
function inSource(found: string, mapOf: (file: string) => Places | undefined): string {
  const [, url = "", line, column] = /^(.*):(\d+):(\d+)$/.exec(found) ?? [];
  const file = fileURLToPath(url);
  const entry = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1);
  if (entry === undefined || !isPlace(entry)) return found;
  return `${resolve(dirname(file), entry.originalSource)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
}

function isPlace(entry: object): entry is Place {
  return "originalSource" in entry;
}

/** A module's map, or what is left of a packed script's. */
function readMap(file: string): Places | undefined {
  const read = <T>(name: string, take: (bytes: Buffer) => T): T | undefined => {
    try {
      return take(readFileSync(name));
    } catch (error) {
      if (error instanceof SyntaxError || (error instanceof Error && "code" in error)) return undefined;
      throw error;
    }
  };
  return (
    read(`${file}.map`, (bytes) => new SourceMap(JSON.parse(bytes.toString("utf8")))) ??
    read(`${file}.places`, (bytes) => new LinePlaces(bytes))
  );
}
