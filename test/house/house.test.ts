// The house rules as tests: where imports may go, who may know which library, how long things get, and what may not be written.
// Read from the sources with the eyes of a reader: text, not types.

import { readdir, readFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import test from "ava";

const rooms = ["models", "transport", "supervision", "operations", "actors", "node.ts", "sim", "cli.ts"] as const;
/** These look at every room and nobody looks at them. */
const onlookers = ["bench", "test"] as const;

/** One seam per foreign library. Tests and benchmarks may hold a library against its seam. */
const seams: Readonly<Record<string, readonly string[]>> = {
  nact: ["supervision/actor/kernel.ts"],
  "onnxruntime-node": ["models/serving/onnx-session.ts"],
  "hnswlib-node": ["models/memory/memory-index.ts"],
  "@tensorflow/": ["models/learning/tensorflow.ts", "models/digits/train.ts", "models/mail/train.ts"],
  msgpackr: ["transport/messages/codec.ts"],
  "@nats-io/": [
    "transport/bus/bus.ts",
    "transport/bus/bus-outcome.ts",
    "transport/bus/bus-wire.ts",
    "transport/bus/bus-sign-in.ts",
  ],
  "@nats-io/nkeys": [],
  "onnx-proto": ["models/onnx-file.ts"],
  nodemailer: ["operations/alerts/notify/mail.ts"],
  pino: ["supervision/logger.ts"],
  commander: [
    "cli.ts",
    "operations/verbs/auth-grammar.ts",
    "operations/verbs/client-grammar.ts",
    "operations/verbs/flags.ts",
    "operations/verbs/grammar.ts",
    "sim/stability/grammar.ts",
    "operations/verbs/trace-grammar.ts",
  ],
  fastify: ["operations/http/server.ts", "operations/http/server-limits.ts"],
  "@fastify/": ["operations/http/server.ts", "operations/http/server-limits.ts"],
  picocolors: ["operations/terminal/colours.ts"],
  yaml: ["operations/health/yaml-text.ts"],
  preact: ["operations/page/view.ts"],
  htm: ["operations/page/view.ts"],
  uplot: ["operations/page/plot.ts"],
  esbuild: ["operations/page/build.ts", "operations/packed/build.ts"],
};

const linesMax = 400;
const functionLinesMax = 70;

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources: Source[] = [];

test.before(async () => {
  for (const place of [...rooms, ...onlookers]) for (const file of await filesOf(place)) sources.push(await read(file));
});

async function filesOf(place: string): Promise<string[]> {
  if (place.endsWith(".ts")) return [place];
  const entries = await readdir(place, { recursive: true });
  return entries.filter((entry) => entry.endsWith(".ts")).map((entry) => join(place, entry));
}

async function read(file: string): Promise<Source> {
  const text = await readFile(file, "utf8");
  const found = text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\(\s*"([^"]+)"\s*\)/g);
  return { file, text, imports: Array.from(found, (match) => match[1] ?? match[2] ?? "") };
}

function roomOf(file: string): number {
  const first = file.split("/")[0] ?? "";
  return (rooms as readonly string[]).indexOf(first);
}

function target(source: Source, specifier: string): string {
  return normalize(join(dirname(source.file), specifier)).replace(/\.js$/, ".ts");
}

const inRooms = (): Source[] => sources.filter((source) => roomOf(source.file) >= 0);

test("imports run one way: models, transport, supervision, operations, actors, node.ts, sim, cli.ts", (t) => {
  const against = inRooms().flatMap((source) =>
    source.imports
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) => ({ from: source.file, to: target(source, specifier) }))
      .filter(({ from, to }) => roomOf(to) === -1 || roomOf(to) > roomOf(from)),
  );
  t.deepEqual(against, []);
  t.true(inRooms().length > 100, "the sources were read");
});

function circlesIn(next: ReadonlyMap<string, Iterable<string>>): readonly string[] {
  const done = new Set<string>();
  const circles: string[] = [];
  const walk = (place: string, path: readonly string[]): void => {
    if (path.includes(place)) circles.push([...path.slice(path.indexOf(place)), place].join(" -> "));
    if (done.has(place) || path.includes(place)) return;
    for (const to of next.get(place) ?? []) walk(to, [...path, place]);
    done.add(place);
  };
  for (const place of next.keys()) walk(place, []);
  return circles;
}

test("no file imports itself through others", (t) => {
  const next = new Map(
    inRooms().map((source) => [
      source.file,
      source.imports.filter((specifier) => specifier.startsWith(".")).map((specifier) => target(source, specifier)),
    ]),
  );
  t.deepEqual(circlesIn(next), []);
});

/** A room's folder, or a file that stands in none. */
function partOf(file: string): string {
  return file.split("/").slice(0, 2).join("/");
}

test("inside a room too imports run one way, from folder to folder", (t) => {
  const next = new Map<string, Set<string>>();
  for (const source of inRooms())
    for (const specifier of source.imports.filter((name) => name.startsWith("."))) {
      const [from, to] = [partOf(source.file), partOf(target(source, specifier))];
      if (from !== to && roomOf(from) === roomOf(to)) next.set(from, (next.get(from) ?? new Set()).add(to));
    }
  t.deepEqual(circlesIn(next), []);
  t.true(next.size > 50, "folders import each other");
});

test("each foreign library has one seam", (t) => {
  const leaks = inRooms().flatMap((source) =>
    Object.entries(seams)
      .filter(
        ([library, files]) => source.imports.some((name) => name.startsWith(library)) && !files.includes(source.file),
      )
      .map(([library]) => `${source.file} imports ${library}`),
  );
  t.deepEqual(leaks, []);
});

test("a subject is spelled in transport/subjects.ts only (law 12)", (t) => {
  const spelled = inRooms()
    .filter(({ file }) => file !== "transport/subjects.ts")
    .flatMap(({ file, text }) => (/["'`][^"'`\n]*(\$JS\.|\$KV\.|\$SRV\.|_INBOX\.)/.test(code(text)) ? [file] : []));
  t.deepEqual(spelled, []);
});

test("time and chance come in as arguments (law 11)", (t) => {
  const allowed: Readonly<Record<string, readonly RegExp[]>> = {
    "supervision/clock.ts": [/./],
  };
  const taken = inRooms().flatMap(({ file, text }) =>
    [/\bDate\.now\(/, /\bMath\.random\(/, /(?<![.\w])setTimeout\(/, /(?<![.\w])setInterval\(/]
      .filter((pattern) => pattern.test(code(text)) && allowed[file] === undefined)
      .map((pattern) => `${file}: ${pattern.source}`),
  );
  t.deepEqual(taken, []);
});

test("the environment, the arguments and the exit code belong to the roots", (t) => {
  const roots = ["cli.ts", "node.ts", "models/digits/train.ts"];
  const taken = inRooms()
    .filter(({ file, text }) => !roots.includes(file) && /(?<!\.)process\.(env\b|argv\b|exit\()/.test(code(text)))
    .map(({ file }) => file);
  t.deepEqual(taken, []);
});

test("nothing escapes the type checker, nothing is swallowed, nothing is left for later", (t) => {
  const banned: readonly (readonly [RegExp, string])[] = [
    [/\bas any\b|: any\b/, "any"],
    [/\bas unknown as\b/, "double cast"],
    [/@ts-(ignore|expect-error|nocheck)/, "silenced checker"],
    [/catch\s*(\([^)]*\))?\s*\{\s*\}/, "empty catch"],
    [/\b(TODO|FIXME|XXX)\b/, "left for later"],
    [/\b\w*(Manager|Helper|Utils?)\b/, "a name that says nothing"],
  ];
  const found = sources
    .filter(({ file }) => !file.startsWith("test/house/"))
    .flatMap(({ file, text }) =>
      banned.filter(([pattern]) => pattern.test(code(text))).map(([, what]) => `${file}: ${what}`),
    );
  t.deepEqual(found, []);
});

test("every file begins by saying what it is for, and none is longer than a reader's patience", (t) => {
  const silent = inRooms().filter(({ text }) => !/^(#!.*\n)?\/\/ \S/.test(text));
  t.deepEqual(
    silent.map(({ file }) => file),
    [],
  );
  const long = sources.filter(({ text }) => text.split("\n").length > linesMax + 1);
  t.deepEqual(
    long.map(({ file }) => file),
    [],
  );
});

test("functions fit a screen", (t) => {
  const long = sources.flatMap(({ file, text }) =>
    functionsIn(text)
      .filter(({ lines }) => lines > functionLinesMax)
      .map(({ name, lines }) => `${file}: ${name} has ${lines} lines`),
  );
  t.deepEqual(long, []);
});

/** Source without comments: what is written there may name what is forbidden. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/[^\n]*/g, "$1");
}

/** Top-level functions: from their first line to the closing brace at the margin. */
function functionsIn(text: string): { readonly name: string; readonly lines: number }[] {
  const lines = text.split("\n");
  const found: { name: string; lines: number }[] = [];
  for (const [start, line] of lines.entries()) {
    const name = /^(?:export )?(?:async )?function\*? (\w+)/.exec(line)?.[1];
    if (name === undefined) continue;
    const end = lines.findIndex((later, index) => index > start && later.startsWith("}"));
    found.push({ name, lines: end - start + 1 });
  }
  return found;
}
