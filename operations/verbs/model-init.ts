// `driftmend model init`: an ONNX classifier and clean data become a model folder that the cluster serves and adapts.
//
// Owns: what is read and written, and what is said. Does not own: how a classifier is taken in (models/adoption/adopt.ts), what
// x and y must be (clean-data.ts).
import { access, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Adopted, adopt, writeModelFolder } from "../../models/adoption/adopt.js";
import { labelCharactersMax } from "../../models/manifest.js";
import { isToken } from "../../transport/subjects.js";
import { done, type Outcome } from "../cluster/outcome.js";
import type { Terminal } from "../terminal/terminal.js";
import { printable, typed, whyUnread } from "../text.js";
import { type Accepted, plainFloats, readCleanData } from "./clean-data.js";

export interface ModelInitOptions {
  readonly labels: string;
  readonly data: string;
  readonly out: string;
  readonly name?: string;
  readonly accept?: readonly Accepted[];
  readonly range?: readonly [number, number];
  readonly force?: boolean;
  readonly json?: boolean;
}

const fileBytesMax = 1024 * 1024 * 1024;
const labelsMax = 256;
/** How many times their own extent the clean data may be exceeded on either side: drift comes in, another scale does not. */
const rangeStretch = 10;

export async function modelInit(file: string, options: ModelInitOptions, terminal: Terminal): Promise<Outcome> {
  const name = options.name ?? nameFrom(file);
  if (!/^[a-z][a-z0-9-]{0,31}$/.test(name) || !isToken(name))
    return usage(
      `"${printable(name)}" cannot be a model's name`,
      "give --name: lower-case letters, digits, dashes, 32 at most",
    );
  if (options.force !== true && (await exists(join(options.out, "manifest.json"))))
    return failed(`${options.out} holds a model already`, "give another --out, or --force to write over it");
  const labels = await labelsFrom(options.labels);
  if ("kind" in labels) return labels;
  const [model, data] = [await readWhole(file), await readWhole(options.data)];
  if ("kind" in model) return model;
  if ("kind" in data) return data;
  const accepts = options.accept ?? plainFloats;
  const clean = readCleanData(data, labels, accepts);
  if (clean.kind === "refused") return failed(`${options.data}: ${clean.message}`, clean.next);
  const [low, high] = clean.extent;
  const stretch = rangeStretch * Math.max(high - low, Number.EPSILON);
  const range = options.range ?? [low - stretch, high + stretch];
  const adopted = await adopt(
    model,
    clean.rows,
    { name, labels, accepts, range },
    (text) => terminal.note(`${name}: ${text}`),
    terminal.interrupted,
  );
  if (adopted.kind === "interrupted") return adopted;
  if (adopted.kind === "refused") return failed(`${file}: ${printable(adopted.message)}`, printable(adopted.next));
  await writeModelFolder(options.out, adopted.files);
  terminal.print(
    terminal.json
      ? JSON.stringify(documentOf(name, options.out, range, adopted))
      : summary(name, options.out, adopted, terminal),
  );
  return done;
}

function summary(name: string, out: string, adopted: Adopted, { self }: Terminal): string {
  const { inspected, stages, proof, accuracy, remarks, calibration } = adopted;
  const { plan, end } = inspected;
  const layers = plan.layers.map(({ norm }) => `${printable(norm.name)} (${norm.gamma.length})`);
  const what = [
    ...(stages.moments
      ? [
          layers.length > 0
            ? `${layers.length} normalisation layers: ${layers.slice(0, 6).join(", ")}${layers.length > 6 ? ", ..." : ""}`
            : `scale and shift of the embedding (${plan.width})`,
        ]
      : []),
    ...(stages.head ? [`head ${plan.width} x ${plan.classes}`] : []),
  ];
  const lines = [
    [
      "model",
      `${name}: ${plan.inputName} [rows, ${plan.shape.join(", ")}] -> ${plan.classes} labels${end.tail === "none" ? "" : `, the ${end.tail} left off`}`,
    ],
    ["adapts", what.join("; ") || "nothing: served as it is"],
    ...remarks.map((remark) => ["but", printable(remark)]),
    ["clean", `${proof.rows} rows, ${(100 * accuracy).toFixed(1)} % right; ${calibration.anchorCount} anchors`],
    [
      "equal",
      `values within ${proof.serving.toExponential(1)} of the original's, ${(100 * proof.agreement).toFixed(2)} % of the answers the same`,
    ],
    [
      "wrote",
      Object.entries(adopted.files)
        .map(([file, bytes]) => `${file} ${(bytes.length / 1024).toFixed(0)} KiB`)
        .join(", "),
    ],
    ["try", `${self} up --model ${typed(out)}`],
  ];
  return lines.map(([word = "", text = ""]) => `  ${word.padEnd(7)} ${text}`).join("\n");
}

function documentOf(name: string, out: string, range: readonly [number, number], adopted: Adopted) {
  const { inspected, stages, proof, rehearsal, accuracy, remarks, calibration, files } = adopted;
  const { plan, end } = inspected;
  return {
    v: 1,
    name,
    out,
    input: { name: plan.inputName, shape: plan.shape, range },
    labels: plan.classes,
    tail: end.tail,
    layers: plan.layers.map(({ norm }) => ({ name: norm.name, channels: norm.gamma.length })),
    embeddingWidth: plan.width,
    stages,
    remarks,
    accuracy,
    anchors: calibration.anchorCount,
    proof,
    rehearsal,
    files: Object.fromEntries(Object.entries(files).map(([file, bytes]) => [file, bytes.length])),
  };
}

/** One name in a list, or a file with one label a line. */
async function labelsFrom(given: string): Promise<readonly string[] | Outcome> {
  const text = given.includes(",") ? given.replaceAll(",", "\n") : await readWhole(given);
  if (typeof text === "object" && "kind" in text) return text;
  const lines = (typeof text === "string" ? text : new TextDecoder().decode(text)).trim().split(/\r?\n/);
  const labels = lines.map((line) => line.trim());
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  const long = labels.find((label) => label.length > labelCharactersMax);
  if (labels.length < 2 || labels.length > labelsMax || labels.includes(""))
    return failed(
      `--labels: ${labels.length} labels${labels.includes("") ? ", one of them empty" : ""}`,
      `name 2 to ${labelsMax} labels in the order of the model's output: a,b,c or a file with one a line`,
    );
  if (long !== undefined)
    return failed(
      `--labels: "${printable(long.slice(0, 40))}..." has ${long.length} characters`,
      `give each class a name of ${labelCharactersMax} at most`,
    );
  return twice === undefined
    ? labels
    : failed(`--labels: "${printable(twice)}" comes twice`, "give each class its own name");
}

async function readWhole(path: string): Promise<Uint8Array | Outcome> {
  try {
    const { size } = await stat(path);
    if (size > fileBytesMax)
      return failed(`${path} has ${size} bytes, at most ${fileBytesMax} are read`, "give a smaller file");
    return await readFile(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return failed(`${path}: ${whyUnread(error)}`, "check the path");
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function nameFrom(file: string): string {
  return basename(file)
    .replace(/\.onnx$/i, "")
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^[^a-z]+|-+$/g, "")
    .slice(0, 32);
}

function failed(message: string, next: string): Outcome {
  return { kind: "failed", message, next };
}

function usage(message: string, next: string): Outcome {
  return { kind: "usage", message, next };
}
