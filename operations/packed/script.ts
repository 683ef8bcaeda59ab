// One part of the pack, loaded: a script of many modules, and what V8 has compiled of it already (build.ts makes both).
//
// Owns: how a script runs, what stands for `require` and for a module's own place in it. Does not own: what is in a part (build.ts), whether the
// pack may be used (pack.ts).
//
// S1. V8 refuses a cache of another version, of other flags or of another script, and compiles what it needs: slower, and the same.
// S2. A library that is a part of its own is one for the whole thread, whoever asks for it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { constants, Script } from "node:vm";

export interface LoadedPart {
  readonly script: Script;
  readonly exports: Readonly<Record<string, () => unknown>>;
}

type Require = ((name: string) => unknown) & { readonly resolve: (name: string) => string };

/** dist/, where every module of a part was before it was packed. */
const built = new URL("../../", import.meta.url);
const folder = new URL("packed/", built);
/** Libraries that are large and that few nodes need: the part that has each of them. */
const apart: Readonly<Record<string, string>> = {
  "@tensorflow/tfjs": "tensorflow",
  "@tensorflow/tfjs-core": "tensorflow",
  "@tensorflow/tfjs-backend-wasm": "tensorflow",
};

/** What a part finds as in a module of CommonJS, and where its modules were. */
const known = [
  "exports",
  "require",
  "module",
  "__filename",
  "__dirname",
  "__file",
  "__place",
  "__requireFrom",
  "__thread",
];

const loaded = new Map<string, LoadedPart>();

/** Of this thread; loaded once. Throws an error of the system where there is no such part. */
export function loadPart(name: string): LoadedPart {
  const found = loaded.get(name);
  if (found !== undefined) return found;
  const url = scriptOf(name);
  const script = compilePart(name);
  const module = { exports: {} };
  const part = { script, exports: module.exports };
  loaded.set(name, part);
  const run: (...given: readonly unknown[]) => void = script.runInThisContext();
  const fileOf = (file: string): string => fileURLToPath(placeOf(file));
  const [file, here] = [fileURLToPath(url), fileURLToPath(folder)];
  run(module.exports, requireFrom(url), module, file, here, fileOf, placeOf, requireFrom, threadOf);
  return part;
}

/** Compiled, not run. */
export function compilePart(name: string): Script {
  const cachedData = cacheOf(name);
  // One byte for each character, which is how V8 keeps what has no others; the bundler escapes those.
  const source = readFileSync(scriptOf(name), "latin1");
  return new Script(`(function (${known.join(", ")}) {${source}\n})`, {
    filename: scriptOf(name).href,
    ...(cachedData === undefined ? {} : { cachedData }),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
}

export function loadedParts(): ReadonlyMap<string, LoadedPart> {
  return loaded;
}

/** In the folder of the pack: runs a part, in a process or a thread of its own. */
export function startFile(name: string): string {
  return `${name}-start.js`;
}

export function cacheFile(name: string): string {
  return fileURLToPath(new URL(`${name}.cache`, folder));
}

function scriptOf(name: string): URL {
  return new URL(`${name}.js`, folder);
}

function cacheOf(name: string): Buffer | undefined {
  try {
    return readFileSync(cacheFile(name));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** As `createRequire`, with the libraries that are parts (S2). */
function requireFrom(place: URL | string): Require {
  const outside = createRequire(place);
  const own = (name: string): unknown => {
    const part = apart[name];
    return part === undefined ? outside(name) : loadPart(part).exports[name]?.();
  };
  return Object.assign(own, { resolve: (name: string) => outside.resolve(name) });
}

/** What `import.meta.url` says in a module, by its file in dist/. */
function placeOf(file: string): string {
  return new URL(file, built).href;
}

/** What a thread runs whose own script is a part. */
function threadOf(part: string): URL {
  return new URL(startFile(part), folder);
}
