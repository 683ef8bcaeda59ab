// Makes the pack: dist/packed, from what tsc wrote to dist/. Part of the build, run by hand too: `node dist/operations/packed/build.js`.
//
// Owns: what goes into which part, how modules become a script. Does not own: when it is used (pack.ts), how it runs (script.ts), what V8 keeps
// of it (compile.ts).
//
// Modules of upper rooms are named here, as words in a script: the build runs this, and no room imports it.
//
// B1. It is used whole or not at all: the old record goes first, the new one comes last. Files change in one step each: a node of a cluster
//     that runs while its pack is made anew finds the old or the new one.
// B2. What is native stays outside, and is loaded as ever. A library that finds files of its own finds them where they were.
// B3. Nothing is rewritten but where a module says where it lies: numbers are computed by the same code.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { SourceMap } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile, type Plugin } from "esbuild";
import { linePlaces } from "../../models/line-places.js";
import { nodeFlags } from "./node-flags.js";
import { type PackRecord, recordFile, recordOf } from "./pack.js";
import { replaceFile } from "./replace-file.js";
import { startFile } from "./script.js";

const built = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const project = dirname(built);
const folder = join(built, "packed");

/** What runs in a part, by its name: functions, from dist/. */
const parts: Readonly<Record<string, string>> = {
  node: `exports.run = () => import("./cli.js");
    exports.warm = async () => {
      const [{ openLearner }, { loadModel }, { rehearseRecovery }, { openServer }, { lookRoutes }] = await Promise.all([
        import("./models/learning/learner.js"),
        import("./models/manifest.js"),
        import("./operations/log/rehearsal.js"),
        import("./operations/http/server.js"),
        import("./operations/http/routes-looks.js"),
        import("./node.js"),
        import("./actors/wiring/operations-wiring.js"),
        import("./actors/wiring/web-wiring.js"),
      ]);
      const learner = await openLearner();
      await rehearseRecovery(learner, await loadModel(${JSON.stringify(join(project, "models", "digits"))}));
      const { systemClock: clock } = await import("./supervision/clock.js");
      const around = { access: {}, events: { close() {} }, log: {}, version: "", rate: { perMinute: 1, clock } };
      await (await openServer({ ...around, routes: lookRoutes({ sources: {}, clock }) })).close();
    };`,
  tensorflow: ["@tensorflow/tfjs", "@tensorflow/tfjs-core", "@tensorflow/tfjs-backend-wasm"]
    .map((name) => `exports["${name}"] = () => require("${name}");`)
    .join("\n"),
  "engine-worker": `exports.run = () => require("./models/serving/engine-worker.js");`,
  "memory-worker": `exports.run = () => require("./models/memory/memory-worker.js");`,
};

/** Libraries that are packed (B2), by the beginning of their names. */
const inside =
  /^(zod|pino|commander|picocolors|nact|msgpackr|fastify|fastify-type-provider-zod|@fastify\/(swagger|swagger-ui|rate-limit)|@nats-io\/[^/]+)($|\/)/;
/** Libraries that find files by where theirs is. */
const findsItsFiles = /\/node_modules\/(@fastify\/swagger|@fastify\/swagger-ui|pino|thread-stream)\//;
/** Of the name under which the bundler knows what is written above. */
const partEnd = "-part.js";
/** Verbs that no node runs. */
const otherVerbs = /\/dist\/(cli\.js|sim\/|operations\/verbs\/)/;

const places: Plugin = {
  name: "places",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ path, importer, kind }) => {
      if (kind === "entry-point" || inside.test(path)) return undefined;
      // What a packed library needs comes along.
      const isOurs = importer.startsWith(built) && !importer.endsWith(partEnd);
      return isOurs || path === "msgpackr-extract" ? { path, external: true } : undefined;
    });
    onResolve({ filter: /^\./ }, ({ path, importer, kind, resolveDir }) => {
      if (kind !== "dynamic-import" || !otherVerbs.test(importer) || path === "./node.js") return undefined;
      return { path: `./${relative(folder, join(resolveDir, path))}`, external: true };
    });
    onLoad({ filter: /\.m?js$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      return text.includes("import.meta.url") || findsItsFiles.test(path)
        ? { contents: placed(text, relative(built, path)), loader: "js" }
        : undefined;
    });
  },
};

/** A module's text, where the script says what the module would have known of itself. */
function placed(text: string, file: string): string {
  return text
    .replace(/new Worker\(new URL\("\.\/([\w-]+)\.js", import\.meta\.url\)/g, 'new Worker(__thread("$1")')
    .replaceAll(/\bcreateRequire\(/g, "__requireFrom(")
    .replaceAll("import.meta.url", `__place(${JSON.stringify(file)})`)
    .replace(findsItsFiles.test(file) ? /\b__dirname\b/g : /$^/, `__file(${JSON.stringify(dirname(file))})`);
}

async function pack(name: string, contents: string): Promise<Metafile> {
  const outfile = join(folder, `${name}.js`);
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: built, sourcefile: `${name}${partEnd}` },
    absWorkingDir: project,
    outfile,
    bundle: true,
    write: false,
    metafile: true,
    format: "cjs",
    platform: "node",
    target: "node20",
    legalComments: "none",
    sourcemap: "external",
    sourcesContent: false,
    logLevel: "warning",
    logOverride: { "require-resolve-not-external": "silent" },
    plugins: [places],
  });
  const script = outputFiles.find(({ path }) => path.endsWith(".js"))?.text ?? "";
  const map = outputFiles.find(({ path }) => path.endsWith(".map"))?.text ?? "";
  replaceFile(outfile, script);
  const start = `// Made by operations/packed/build.ts.\nimport { loadPart } from "../operations/packed/script.js";\nloadPart("${name}").exports.run();\n`;
  replaceFile(join(folder, startFile(name)), start);
  replaceFile(`${outfile}.places`, linePlaces(script, new SourceMap(JSON.parse(map))));
  return metafile;
}

/** What a pack depends on: modules of ours, and the package.json of every library. */
function filesOf(metafiles: readonly Metafile[]): string[] {
  const inputs = metafiles.flatMap(({ inputs }) => Object.keys(inputs));
  const files = inputs.flatMap((path) => {
    const library = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
    if (library !== undefined) return [join(library, "package.json")];
    return path.startsWith(`${basename(built)}/`) && !path.endsWith(partEnd) ? [path] : [];
  });
  return [...new Set([...files, relative(project, fileURLToPath(new URL("script.js", import.meta.url)))])].sort();
}

mkdirSync(folder, { recursive: true });
rmSync(join(folder, recordFile), { force: true });
const metafiles = await Promise.all(Object.entries(parts).map(([name, contents]) => pack(name, contents)));
// As a node is started: flags are a part of what V8 goes by.
execFileSync(process.execPath, [...nodeFlags, fileURLToPath(new URL("compile.js", import.meta.url))], {
  stdio: "inherit",
});
const record: PackRecord = { files: filesOf(metafiles).map((path) => recordOf(project, path)) };
replaceFile(join(folder, recordFile), JSON.stringify(record));
