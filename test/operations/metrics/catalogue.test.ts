// The catalogue and the sources say the same names. Read from the sources as text: what is counted, set, recorded or shown somewhere must be
// in the catalogue, and what is in the catalogue must be written somewhere.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { catalogue, jobKinds, lookUp, phases } from "../../../operations/metrics/catalogue.js";
import { families } from "../../../operations/metrics/families.js";
import { processVitals } from "../../../operations/metrics/process-vitals.js";
import { systemClock } from "../../../supervision/clock.js";

interface Source {
  readonly file: string;
  readonly code: string;
}

const sources: Source[] = [];

test.before(async () => {
  for (const room of ["actors", "operations", "supervision", "transport"])
    for (const entry of await readdir(room, { recursive: true }))
      if (entry.endsWith(".ts")) sources.push(await read(join(room, entry)));
  sources.push(await read("node.ts"));
});

async function read(file: string): Promise<Source> {
  const text = await readFile(file, "utf8");
  return { file, code: text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/[^\n]*/g, "$1") };
}

/** Where names are looked at, not written. */
const readers = /^operations\/(metrics\/(catalogue|families|prometheus)\.ts|health\/|terminal\/|verbs\/)/;
const writers = (): Source[] => sources.filter(({ file }) => !readers.test(file));

const literal = /"([^"\n]*)"|`([^`\n]*)`/g;
/** A figure that is written as the field of a beat's values. */
const field = /^\s+([a-z]+(?:_[a-z]+)+): /gm;
const calls =
  /(?:counters\.(?:add|set)|instruments\.(?:distribution|observe)|this\.#record)\(((?:[^(),]|\((?:[^()]|\([^()]*\))*\))*)/g;

/** The literals in `text`; in templates a blank stands for whatever is filled in. */
function literalsIn(text: string): string[] {
  return Array.from(text.matchAll(literal), (match) => match[1] ?? (match[2] ?? "").replace(/\$\{[^}]*\}/g, " "));
}

/** The names that calls of the instruments are given. */
function argumentsIn(code: string): string[] {
  const given = Array.from(code.matchAll(calls), ([, argument = ""]) => argument.replace(/=== "[^"]*"/g, ""));
  return given.flatMap(literalsIn);
}

/** A name that the source may write. A blank at the beginning is filled with every word that the file has. */
function shapesOf(name: string, code: string): RegExp[] {
  const heads = name.startsWith(" ") ? literalsIn(code).filter((word) => /^[a-z_]+$/.test(word)) : [""];
  const rest = name.startsWith(" ") ? name.slice(1) : name;
  return heads.map((head) => new RegExp(`^${head}${rest.replaceAll(" ", "[\\w{}-]+")}$`));
}

/** What the sources write that is no name of the catalogue. */
function unknownIn(given: readonly Source[]): string[] {
  return given.flatMap(({ file, code }) =>
    argumentsIn(code)
      .filter((name) => /^[a-z_ ]/.test(name))
      .filter((name) => !shapesOf(name, code).some((shape) => catalogue.some((metric) => shape.test(metric.name))))
      .map((name) => `${file}: ${name.replaceAll(" ", "*")}`),
  );
}

/** Names of the catalogue that no source writes. */
function unwrittenIn(given: readonly Source[], names: readonly string[]): string[] {
  const shapes = given.flatMap(({ code }) => [
    ...literalsIn(code)
      .filter((name) => /^[a-z_]{4}[a-z_ ]*$/.test(name))
      .flatMap((name) => shapesOf(name, code)),
    ...argumentsIn(code)
      .filter((name) => name.startsWith(" "))
      .flatMap((name) => shapesOf(name, code)),
    ...Array.from(code.matchAll(field), ([, name = ""]) => new RegExp(`^${name}$`)),
  ]);
  const vitals = Object.keys(processVitals(systemClock)());
  return names.filter((name) => !vitals.includes(name) && !shapes.some((shape) => shape.test(name)));
}

test("every counter, gauge and distribution that the sources write is in the catalogue", (t) => {
  t.deepEqual(unknownIn(writers()), []);
  t.true(writers().length > 100, "the sources were read");
});

test("negative control: a counter that nobody entered is found", (t) => {
  const blank = "$".concat("{kind}");
  const forgotten = { file: "actors/new.ts", code: `counters.add("things_done"); counters.set(\`lost_${blank}\`, 1);` };
  t.deepEqual(unknownIn([forgotten]), ["actors/new.ts: things_done", "actors/new.ts: lost_*"]);
});

test("every name in the catalogue is written by some source", (t) => {
  // The process's own figures are asked for below; these two appear one look later, where the system tells them.
  const later = ["pid", "openFiles", "diskFreeBytes"];
  const names = catalogue.map(({ name }) => name).filter((name) => !later.includes(name));
  t.deepEqual(unwrittenIn(writers(), names), []);
  t.deepEqual(unwrittenIn(writers(), ["things_nobody_does"]), ["things_nobody_does"], "negative control");
});

test("names, families and labels fit each other", (t) => {
  const names = catalogue.map(({ name }) => name);
  t.is(new Set(names).size, names.length);
  const known = families.map(({ name }) => name as string);
  t.is(new Set(known).size, known.length);
  for (const { name, family, labels = {}, kind } of catalogue) {
    if (family === null) continue;
    const found = families.find((each) => each.name === family);
    t.truthy(found, `${name}: ${family}`);
    t.is(found?.type, kind === "sketch" ? "summary" : kind, name);
    const own = [...name.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "");
    // A process does not name itself: whoever hears its beat does.
    if (family.startsWith("driftmend_node_")) own.push("node");
    t.deepEqual([...own, ...Object.keys(labels)].sort(), [...(found?.labels ?? [])].sort(), name);
  }
  for (const { name, type } of families) t.is(name.endsWith("_total"), type === "counter", name);
});

test("a name is looked up by what it means: plain ones before patterns, and what stands for a placeholder becomes a label", (t) => {
  t.like(lookUp("refused_deadline"), { labels: { code: "deadline" } });
  t.is(lookUp("refused_whatever"), undefined);
  t.is(lookUp("answers_by_source")?.metric.name, "answers_by_source");
  t.deepEqual(lookUp("answers_mail-2")?.labels, { model: "mail-2" });
  t.deepEqual(lookUp("phase_infer_model_ms")?.labels, { kind: "infer", phase: "model", section: "compute" });
  t.deepEqual(lookUp("updates_refused_no_material")?.labels, { guard: "no_material" });
  for (const kind of jobKinds)
    for (const phase of Object.keys(phases[kind]))
      t.is(lookUp(`phase_${kind}_${phase}_failed`)?.metric.kind, "counter");
});
