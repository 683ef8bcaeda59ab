// docs/telemetry.md against the sources: every kind of event that is told is listed, and every kind that is listed is told.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { stationNames } from "../../../operations/timings/batch-timings.js";

const rooms = ["transport", "supervision", "operations", "actors", "sim", "node.ts"];

/** Where the kind is not written at the place that tells it: the file that names its kinds instead. Each must stand there in quotes. */
const named: Readonly<Record<string, readonly string[]>> = {
  "actors/operations/alert-telling.ts": ["actors/operations/alert-telling.ts"],
  "actors/host/host-reports.ts": ["supervision/events.ts"],
  "actors/serving/relay.ts": ["actors/serving/relay.ts"],
  "actors/operations/watchdog.ts": ["actors/operations/watchdog.ts"],
  "actors/wiring/model-wiring.ts": ["actors/wiring/model-wiring.ts"],
  "operations/broker/broker-pulse.ts": ["operations/broker/broker-pulse.ts"],
  "operations/dead-letters/dead-letter-orders.ts": ["operations/dead-letters/dead-letter-orders.ts"],
  "operations/traces/recorder.ts": ["operations/traces/span-items.ts"],
};
/** How such a file writes a kind. */
const namings: readonly RegExp[] = [
  /kind: "([a-z_]+)"/g,
  /report\([^;]*?"([a-z_]+)"/g,
  /\btell\("([a-z_]+)"/g,
  /\btell\(voice, "([a-z_]+)"/g,
  /Event = "([a-z_]+)"/g,
  /kind = .* \? "([a-z_]+)"/g,
  /kind = .* : "([a-z_]+)"/g,
  /kind: "([a-z_]+)" \| "[a-z_]+"/g,
  /kind: "[a-z_]+" \| "([a-z_]+)"/g,
];
const parts: Readonly<Record<string, readonly string[]>> = {
  kl_: ["high", "normal"],
  breaker_: ["opened", "half_opened", "closed"],
};

interface Told {
  readonly kinds: Set<string>;
  /** Kinds that only may be told: what a file that names its kinds has in quotes. */
  readonly possible: Set<string>;
  readonly unexplained: string[];
}

async function toldInSources(): Promise<Told> {
  const told: Told = { kinds: new Set(), possible: new Set(), unexplained: [] };
  for (const file of await sourceFiles()) {
    const text = await readFile(file, "utf8");
    for (const [, first = ""] of text.matchAll(/[tT]elemetry\??\.event\(\s*([^,]+?),/g))
      await explain(file, first, told);
  }
  for (const file of ["sim/score-telling.ts", "sim/stability/progress-telling.ts"]) await addNamed(file, told.kinds);
  return told;
}

async function explain(file: string, first: string, told: Told): Promise<void> {
  const literal = /^"([a-z_]+)"$/.exec(first)?.[1];
  const chosen = [...first.matchAll(/[?:]\s*"([a-z_]+)"/g)].flatMap(([, kind]) => kind ?? []);
  const stem = /^`([a-z_]+)\$\{/.exec(first)?.[1];
  if (literal !== undefined) told.kinds.add(literal);
  else if (chosen.length > 0) for (const kind of chosen) told.kinds.add(kind);
  else if (stem !== undefined && parts[stem] !== undefined) for (const end of parts[stem]) told.kinds.add(stem + end);
  else if (named[file] !== undefined) for (const place of named[file]) await addNamed(place, told.possible);
  else told.unexplained.push(`${file}: ${first}`);
}

async function addNamed(file: string, into: Set<string>): Promise<void> {
  const text = await readFile(file, "utf8");
  for (const naming of namings) for (const [, kind] of text.matchAll(naming)) if (kind !== undefined) into.add(kind);
}

async function sourceFiles(): Promise<string[]> {
  const found = await Promise.all(rooms.map(async (room) => (room.endsWith(".ts") ? [room] : filesUnder(room))));
  return found.flat();
}

async function filesUnder(room: string): Promise<string[]> {
  const entries = await readdir(room, { recursive: true });
  return entries.filter((entry) => entry.endsWith(".ts")).map((entry) => join(room, entry));
}

/** Words in backquotes in the first column of the tables under "Events". */
async function listedInDoc(): Promise<Set<string>> {
  const doc = await readFile("docs/telemetry.md", "utf8");
  const events = doc.slice(doc.indexOf("\n## Events"), doc.indexOf("\n## Traces"));
  const firsts = events.split("\n").flatMap((line) => (line.startsWith("| `") ? [line.split("|")[1] ?? ""] : []));
  return new Set(firsts.flatMap((cell) => [...cell.matchAll(/`([a-z_]+)`/g)].map(([, kind]) => kind ?? "")));
}

test("docs/telemetry.md lists every kind of event that the sources tell, and no other", async (t) => {
  const [told, listed] = await Promise.all([toldInSources(), listedInDoc()]);
  t.deepEqual(told.unexplained, [], "say in this test where these name their kinds");
  t.deepEqual(
    [...told.kinds].filter((kind) => !listed.has(kind)),
    [],
    "told, and not in docs/telemetry.md",
  );
  t.deepEqual(
    [...listed].filter((kind) => !(told.kinds.has(kind) || told.possible.has(kind))),
    [],
    "in docs/telemetry.md, and told by nobody",
  );
  t.true(told.kinds.size > 15, "the sources were read");
});

test("docs/telemetry.md lists the kinds of every file that tells them by a name", async (t) => {
  const listed = await listedInDoc();
  const facts = await readFile("supervision/events.ts", "utf8");
  for (const [, kind = ""] of facts.matchAll(/readonly kind: "([a-z_]+)"/g)) t.true(listed.has(kind), kind);
  for (const kind of [
    "domain_begun",
    "domain_ended",
    "domain_to_source",
    "domain_adapted",
    "node_silent",
    "node_heard",
    "spans",
  ])
    t.true(listed.has(kind), kind);
});

test("docs/telemetry.md names every phase that a job may have", async (t) => {
  const doc = await readFile("docs/telemetry.md", "utf8");
  for (const phase of ["receive", "queue", ...stationNames, "reply"]) t.true(doc.includes(`\`infer.${phase}\``), phase);
  for (const phase of ["queue", "claim", "load", "step", "publish"]) t.true(doc.includes(`\`update.${phase}\``), phase);
});
