// Runs what a node runs when it starts, and keeps what V8 compiled of it: the last step of making a pack.
//
// Owns: what is run before it is kept. Does not own: what a part's `warm` does (build.ts). A thread's part is compiled only: it runs in its thread.

import { replaceFile } from "./replace-file.js";
import { cacheFile, compilePart, loadedParts, loadPart } from "./script.js";

await loadPart("node").exports.warm?.();
for (const [name, { script }] of loadedParts()) replaceFile(cacheFile(name), script.createCachedData());
for (const name of ["engine-worker", "memory-worker"])
  replaceFile(cacheFile(name), compilePart(name).createCachedData());
