// The pack that nodes start from: when it may be used (in a made-up project), and what a script of it says of itself (the real one, made here
// where the build did not).

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { nodeSpecs } from "../../operations/cluster/node-specs.js";
import { packedEntry, recordFile, recordOf } from "../../operations/packed/pack.js";
import { systemClock } from "../../supervision/clock.js";

interface Project {
  readonly entry: string;
  readonly packed: string;
  write(path: string, text: string): void;
}

const module = "dist/models/manifest.js";
const library = "node_modules/zod/package.json";

/** A project with a pack of one module and one library. */
function projectOf(t: ExecutionContext): Project {
  const root = mkdtempSync(join(tmpdir(), "driftmend-packed-"));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  for (const path of ["dist/cli.js", module, library]) write(path, "{}");
  const record = { files: [module, library].map((path) => recordOf(root, path)) };
  write(`dist/packed/${recordFile}`, JSON.stringify(record));
  return { entry: join(root, "dist/cli.js"), packed: join(root, "dist/packed/node-start.js"), write };
}

function moved(file: string, bySeconds: number): void {
  const at = systemClock.nowMs() / 1_000 + bySeconds;
  utimesSync(file, at, at);
}

test("nodes start from the pack where everything is as it was packed", (t) => {
  const { entry, packed } = projectOf(t);
  t.is(packedEntry(entry), packed);
});

test("nodes start from the modules when a packed module was written anew, is longer, or is gone", (t) => {
  const later = projectOf(t);
  moved(join(dirname(later.entry), "models/manifest.js"), 5);
  t.is(packedEntry(later.entry), later.entry);
  const longer = projectOf(t);
  longer.write(module, "{ }");
  t.is(packedEntry(longer.entry), longer.entry);
  const gone = projectOf(t);
  rmSync(join(dirname(gone.entry), "models/manifest.js"));
  t.is(packedEntry(gone.entry), gone.entry);
});

test("nodes start from the modules when a packed library was exchanged", (t) => {
  const project = projectOf(t);
  project.write(library, '{ "version": "2.0.0" }');
  t.is(packedEntry(project.entry), project.entry);
});

test("nodes start from the modules without a pack, with one that cannot be read, and for a program that is not cli.js", (t) => {
  const { entry, write } = projectOf(t);
  write(`dist/packed/${recordFile}`, '{ "files": [');
  t.is(packedEntry(entry), entry);
  rmSync(join(dirname(entry), "packed"), { recursive: true });
  t.is(packedEntry(entry), entry);
  const other = projectOf(t);
  const program = join(dirname(other.entry), "test", "poisonable-node.js");
  t.is(packedEntry(program), program);
});

test("nodes start from the modules where a native TensorFlow.js is installed, which registers itself with the library's own copy", (t) => {
  const project = projectOf(t);
  project.write("node_modules/@tensorflow/tfjs-node/package.json", '{ "main": "index.js" }');
  project.write("node_modules/@tensorflow/tfjs-node/index.js", "");
  t.is(packedEntry(project.entry), project.entry);
});

const built = fileURLToPath(new URL("../..", import.meta.url));
const cli = join(built, "cli.js");
const worker = "models/memory/memory-worker.ts";

test.before(() => {
  if (packedEntry(cli) === cli) execFileSync(process.execPath, [join(built, "operations/packed/build.js")]);
});

test("a packed script's stack names the source and the line", (t) => {
  // Not in a thread, so that it throws where it looks for its parent.
  const start = join(built, "packed", "memory-worker-start.js");
  const { stderr } = spawnSync(process.execPath, [start], { encoding: "utf8", env: { PATH: process.env.PATH } });
  const lines = readFileSync(join(dirname(built), worker), "utf8").split("\n");
  const line = 1 + lines.findIndex((text) => text.includes("throw new Error"));
  t.true(line > 0);
  t.true(stderr.includes(`${worker}:${line}:`), stderr);
});

/** Whether V8 takes what it compiled of the node's part when the pack was made. */
function takes(flags: readonly string[]): boolean {
  const script = JSON.stringify(new URL("../../operations/packed/script.js", import.meta.url).href);
  const words = `import(${script}).then(({ compilePart }) => process.stdout.write(String(compilePart("node").cachedDataRejected)))`;
  return execFileSync(process.execPath, [...flags, "--eval", words], { encoding: "utf8" }) === "false";
}

test("what V8 compiled is taken by a process that is started as a node is, and refused under other flags", (t) => {
  const options = { cluster: "any", serving: 1, models: [], store: tmpdir(), entry: "cli.js", env: {} };
  const args = nodeSpecs(options, { url: "", node: undefined, run: "any" })[0]?.args ?? [];
  t.true(takes(args.slice(0, args.indexOf("cli.js"))));
  t.false(takes(["--no-lazy"]));
});
