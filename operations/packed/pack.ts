// Which file a node runs: the pack, where there is one of exactly these modules, or the modules themselves.
//
// A node that loads its modules one by one spends half of its start on that: it finds, reads and compiles 311 files of ours and some hundred of
// others. The pack (dist/packed) has them in one script, beside what V8 compiled of it when it was built.
//
// Owns: when a pack may be used. Does not own: how it is made (build.ts), how it is run (script.ts).
//
// K1. Only a pack of what lies here now: of every module in it size and time are compared, of every library its package.json. `tsc` alone, a newer
//     library or a file that was copied elsewhere make it stale, and nodes start from the modules as if there were none.
// K2. Where a native TensorFlow.js is installed there is none: it registers itself with the package, and the pack has its own copy of that.

import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { startFile } from "./script.js";

/** What a pack was made from; paths are relative to the folder that has dist/ in it. */
export interface PackRecord {
  /** Whole seconds, as archives keep them. */
  readonly files: readonly (readonly [path: string, bytes: number, changedAtSeconds: number])[];
}

export const recordFile = "record.json";
/** Libraries that must not be there (K2). */
const natives = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"];

/** The file to run for a node instead of `entry`, which is dist/cli.js; `entry` where there is no pack for it. */
export function packedEntry(entry: string): string {
  const built = dirname(entry);
  if (basename(entry) !== "cli.js") return entry;
  const record = readRecord(join(built, "packed", recordFile));
  const isWhole = record?.files.every((file) => isUnchanged(dirname(built), file)) === true;
  return isWhole && !hasNative(entry) ? join(built, "packed", startFile("node")) : entry;
}

/** As `isUnchanged` will compare it. */
export function recordOf(project: string, path: string): PackRecord["files"][number] {
  const { size, mtimeMs } = statSync(join(project, path));
  return [path, size, Math.floor(mtimeMs / 1_000)];
}

function isUnchanged(project: string, [path, bytes, changedAtSeconds]: PackRecord["files"][number]): boolean {
  const found = statSync(join(project, path), { throwIfNoEntry: false });
  return found?.size === bytes && Math.floor(found.mtimeMs / 1_000) === changedAtSeconds;
}

/** Undefined where there is none, or none that can be read: the modules are there in any case. */
function readRecord(file: string): PackRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && "code" in error)) return undefined;
    throw error;
  }
}

function hasNative(entry: string): boolean {
  const { resolve } = createRequire(entry);
  return natives.some((name) => {
    try {
      resolve(name);
      return true;
    } catch {
      return false;
    }
  });
}
