// Substrate: the command line as a process, small ONNX files and archives in a temporary directory.
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { loadModel } from "../../models/manifest.js";
import { npzOf } from "../../models/numbers/npz.js";
import type { Outcome } from "../../operations/cluster/outcome.js";
import { coloursFor } from "../../operations/terminal/colours.js";
import type { Terminal } from "../../operations/terminal/terminal.js";
import { type ModelInitOptions, modelInit } from "../../operations/verbs/model-init.js";
import { systemClock } from "../../supervision/clock.js";
import { typedIn } from "../cluster/program.js";
import { digitsFolder, firstDigits } from "../models/digits-model.js";
import { clusteredRows, pictureClassifier } from "../models/small-classifiers.js";

let directory = "";

test.before(async () => {
  directory = await mkdtemp(join(tmpdir(), "driftmend-init-"));
  const bytes = pictureClassifier();
  const { values, labels } = await clusteredRows(bytes, [1, 8, 8]);
  const x = { shape: [150, 1, 8, 8], values };
  await writeFile(join(directory, "My Shapes.onnx"), bytes);
  await writeFile(join(directory, "clean.npz"), npzOf({ x, y: { shape: [150], values: labels } }));
  await writeFile(join(directory, "only-x.npz"), npzOf({ x }));
  const digits = await firstDigits(500);
  const numbers = { shape: [500, 28, 28], values: digits.input };
  const y = { shape: [500], values: Uint8Array.from(digits.labels) };
  await writeFile(join(directory, "digits.npz"), npzOf({ x: numbers, y }));
  await writeFile(join(directory, "digits.txt"), [..."0123456789"].join("\r\n"));
  await writeFile(join(directory, "labels.txt"), "round\nsquare \nflat\n");
});

test.after.always(() => rm(directory, { recursive: true, force: true }));

const init = (...words: readonly string[]) => typedIn(directory, "model", "init", ...words).ended;
const rightly = ["My Shapes.onnx", "--labels", "labels.txt", "--data", "clean.npz"];

const terminal: Terminal = {
  print: () => undefined,
  note: () => undefined,
  readInput: async () => new Uint8Array(),
  json: false,
  width: 120,
  self: "driftmend",
  colours: coloursFor(false),
  clock: systemClock,
  interrupted: new AbortController().signal,
};

test("an ONNX file and clean data become a model folder, and the words say what adapts and that nothing changed", async (t) => {
  const { code, stdout, stderr } = await init(
    ...[join(digitsFolder, "source.onnx"), "--labels", "digits.txt", "--data", "digits.npz", "--out", "numbers"],
    ...["--name", "numbers"],
  );
  t.is(code, 0, stderr);
  t.regex(stdout, /model +numbers: input \[rows, 1, 28, 28\] -> 10 labels/);
  t.regex(stdout, /adapts +head 64 x 10/);
  t.regex(stdout, /but +no BatchNormalization is left/);
  t.regex(
    stdout,
    /but +normalisation does not follow the input: rehearsed, that costs up to 0\.0 % .* brings nothing on damaged ones/,
  );
  t.regex(stdout, /equal +values within \d\.\de-\d+ of the original's, 100\.00 % of the answers the same/);
  t.regex(stdout, /try +.* up --model numbers/);
  t.regex(stderr, /numbers: calibrating/);
  const { manifest } = await loadModel(join(directory, "numbers"));
  t.deepEqual(manifest.labels, [..."0123456789"]);
  t.deepEqual(manifest.input.range, [-10, 11], "ten times the extent of the clean data is let in on either side");
});

test("--json is one document; name, types and range stand in the manifest", async (t) => {
  const { code, stdout, stderr } = await init(
    ...[...rightly, "--out", "forms", "--name", "forms", "--accept", "<f4:1", "--accept", "|u1:1/255", "--range=-9:9"],
    "--json",
  );
  t.is(code, 0, stderr);
  const said = JSON.parse(stdout);
  t.like(said, {
    v: 1,
    name: "forms",
    labels: 3,
    embeddingWidth: 6,
    tail: "none",
    stages: { moments: true, head: true },
  });
  t.true(said.rehearsal.gainUnderDamage > 0);
  t.like(said.proof, { rows: 150, agreement: 1 });
  t.is(said.rehearsal.rows, 150);
  const { manifest } = await loadModel(join(directory, "forms"));
  t.is(manifest.name, "forms");
  t.deepEqual(manifest.input.range, [-9, 9]);
  t.deepEqual(manifest.input.accepts, [
    { dt: "<f4", scale: 1 },
    { dt: "|u1", scale: 1 / 255 },
  ]);
});

test("wrong usage is refused before anything is read, with exit code 2", async (t) => {
  const { code, stderr } = await init(...rightly, "--out", "nothing", "--accept", "u8:1");
  t.is(code, 2);
  t.regex(stderr, /as in '\|u1:1\/255'/);
});

const options = { labels: "a,b,c", data: "clean.npz", out: "nothing" };

/** The verb itself, in this process. */
async function verb(file: string, changes: Partial<ModelInitOptions> = {}): Promise<Outcome> {
  const given = { ...options, ...changes };
  const place = (name: string) => join(directory, name);
  const labels = given.labels.includes(",") ? given.labels : place(given.labels);
  return modelInit(place(file), { ...given, labels, data: place(given.data), out: place(given.out) }, terminal);
}

test("a folder that holds a model is not written over unless that is said", async (t) => {
  t.is((await verb("My Shapes.onnx", { out: "kept" })).kind, "done");
  const again = await verb("My Shapes.onnx", { out: "kept", name: "other" });
  t.like(again, { kind: "failed", next: "give another --out, or --force to write over it" });
  t.is((await loadModel(join(directory, "kept"))).manifest.name, "my-shapes");
  t.is((await verb("My Shapes.onnx", { out: "kept", name: "other", force: true })).kind, "done");
  t.is((await loadModel(join(directory, "kept"))).manifest.name, "other");
});

const wrong: readonly (readonly [string, string, Partial<ModelInitOptions>, Outcome["kind"], RegExp])[] = [
  ["no ONNX", "labels.txt", {}, "failed", /labels\.txt: it is not an ONNX model/],
  ["no such file", "gone.onnx", {}, "failed", /gone\.onnx: there is no such file/],
  ["no such data", "My Shapes.onnx", { data: "gone.npz" }, "failed", /gone\.npz: there is no such file/],
  ["an array missing", "My Shapes.onnx", { data: "only-x.npz" }, "failed", /no array "y"/],
  ["data that are no archive", "My Shapes.onnx", { data: "labels.txt" }, "failed", /not an \.npz archive/],
  ["too few labels", "My Shapes.onnx", { labels: "a,b" }, "failed", /y is 2 in row 2, and there are 2 labels/],
  ["too many labels", "My Shapes.onnx", { labels: "a,b,c,d" }, "failed", /no output of 4 values/],
  ["a label twice", "My Shapes.onnx", { labels: "a,b,a" }, "failed", /"a" comes twice/],
  ["an empty label", "My Shapes.onnx", { labels: "a,,c" }, "failed", /one of them empty/],
  ["a name that is none", "My Shapes.onnx", { name: "My Shapes" }, "usage", /"My Shapes" cannot be a model's name/],
];

test("what is wrong is said in a line, with what to type next, and nothing is written", async (t) => {
  for (const [what, file, changes, kind, message] of wrong) {
    const outcome = await verb(file, changes);
    t.is(outcome.kind, kind, what);
    if (!("message" in outcome)) return t.fail(what);
    t.regex(outcome.message, message, what);
    t.notRegex(outcome.message, /\n/, what);
    t.not(outcome.next, "", what);
  }
  t.false((await readdir(directory)).includes("nothing"));
});
