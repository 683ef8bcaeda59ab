// Makes a stranger's classifier a model of the cluster: two graphs, a calibration, a manifest, and the proof that nothing changed.
//
// Owns: the order of the work, what adapts in the end, the folder's files. Does not own: what can adapt (models/adoption/inspect.ts),
// the graphs (models/adoption/rewrite.ts), the measures (models/adoption/calibrate.ts), the proof (models/adoption/proof.ts), the rehearsal
// (models/adoption/rehearsal.ts).
//
// A1. Nothing is written unless the serving graph, at the source's parameters, gives the original's output on the clean
//     rows: the file as it was given, run as it was given, is what both graphs are held against.
// A2. What would cost accuracy on the clean rows is switched off, not shipped: moments are rehearsed before they count.
// A3. Deterministic: equal file and rows give equal bytes.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { graphOf } from "../adaptation/pass.js";
import { type Calibration, writeCalibration } from "../calibration.js";
import { makeFolder } from "../make-folder.js";
import { type FileRef, parseManifest, type Subject, sha256, sizeOf } from "../manifest.js";
import { at } from "../numbers/softmax.js";
import { openAdaptableSession } from "../serving/onnx-session.js";
import { type Calibrated, calibrate, type Embed, embedWith } from "./calibrate.js";
import { type CleanRows, type Inspected, inspect, type Refused } from "./inspect.js";
import { differenceOf, type Proof, percent, prove } from "./proof.js";
import { type Rehearsal, rehearse } from "./rehearsal.js";
import { servingGraph, sourceGraph } from "./rewrite.js";

export interface Adoption {
  readonly name: string;
  readonly labels: readonly string[];
  readonly accepts: readonly { readonly dt: string; readonly scale: number }[];
  readonly range: readonly [number, number];
}

export interface Adopted {
  readonly kind: "adopted";
  readonly inspected: Inspected;
  readonly calibration: Calibration;
  readonly stages: Inspected["stages"];
  readonly accuracy: number;
  readonly proof: Proof;
  /** null where nothing would adapt anyway. */
  readonly rehearsal: Rehearsal | null;
  readonly remarks: readonly string[];
  /** By file name, in the order in which they are written: the manifest last. */
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/** Rows of a label that take part; more only cost time. */
const perClassMax = 1000;
const rowsMin = 10;
/** Below so many rows a label's moments and anchors say little. */
const perClassMin = 20;
/** Of the clean rows' answers, adapting may cost so many at most. */
const lossMax = 0.01;

/**
 * `step` is told what is being done. Expected failures are returned, `interrupted` when the signal was seen between two steps;
 * throws for bugs only.
 */
export async function adopt(
  bytes: Uint8Array,
  given: CleanRows,
  adoption: Adoption,
  step: (text: string) => void,
  signal?: AbortSignal,
): Promise<Adopted | Refused | { readonly kind: "interrupted" }> {
  const classes = adoption.labels.length;
  if (given.labels.length < rowsMin)
    return {
      kind: "refused",
      message: `${given.labels.length} rows of clean data prove nothing`,
      next: `give ${rowsMin} rows at least, and ${perClassMin} for each label to let the model adapt`,
    };
  const rows = firstOfEach(given, classes);
  step(`looking at the graph, with ${rows.labels.length} rows`);
  const inspected = await inspect(bytes, rows, classes);
  if (inspected.kind === "refused") return inspected;
  if (signal?.aborted) return { kind: "interrupted" };
  step("calibrating");
  const embed = embedOf(inspected, rows);
  const calibrated = await calibrate(inspected.source, rows.labels, embed);
  if (signal?.aborted) return { kind: "interrupted" };
  step("comparing with the original");
  const { graph, plan } = inspected;
  const source = sourceGraph(graph, plan);
  const logits = await allLogits(embed, calibrated.calibration, rows.labels.length);
  const proof = await prove({ original: bytes, source, logits }, inspected, rows);
  const difference = differenceOf(proof);
  if (difference !== null) return difference;
  if (signal?.aborted) return { kind: "interrupted" };
  const graphs = {
    "model.onnx": servingGraph(graph, plan, calibrated.calibration),
    "source.onnx": source,
    "calibration.bin": writeCalibration(calibrated.calibration),
  };
  const manifestFor = (stages: Inspected["stages"]) => manifestText(adoption, inspected, calibrated, stages, graphs);
  const doubted = doubts(inspected, calibrated, adoption.labels);
  if (doubted.stages.moments) step("rehearsing: rows one by one, adapting, clean and damaged");
  const subject = { manifest: parseManifest(manifestFor(doubted.stages)), calibration: calibrated.calibration };
  const decided = await decide(graphs["model.onnx"], subject, doubted, rows);
  const files = { ...graphs, "manifest.json": new TextEncoder().encode(manifestFor(decided.stages)) };
  return { kind: "adopted", inspected, ...calibrated, proof, ...decided, files };
}

export async function writeModelFolder(folder: string, files: Adopted["files"]): Promise<void> {
  await makeFolder(folder);
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(folder, file), bytes);
}

export function refOf(file: string, bytes: Uint8Array): FileRef {
  return { file, sha256: sha256(bytes), bytes: bytes.length };
}

function firstOfEach(rows: CleanRows, classes: number): CleanRows {
  const counts = new Uint32Array(classes);
  const kept: number[] = [];
  rows.labels.forEach((label, row) => {
    counts[label] = at(counts, label) + 1;
    if (at(counts, label) <= perClassMax) kept.push(row);
  });
  if (kept.length === rows.labels.length) return rows;
  const size = sizeOf(rows.shape);
  const values = new Float32Array(kept.length * size);
  kept.forEach((row, i) => void values.set(rows.values.subarray(row * size, (row + 1) * size), i * size));
  return { shape: rows.shape, values, labels: Uint8Array.from(kept, (row) => rows.labels[row] ?? 0) };
}

/** What the data themselves speak against: too few rows of a label, or answers that are hardly better than chance. */
function doubts(inspected: Inspected, { rowsOfClass, rightOfClass, accuracy }: Calibrated, labels: readonly string[]) {
  const remarks = [...inspected.remarks];
  let { stages } = inspected;
  const few = labels.filter((_, label) => (rowsOfClass[label] ?? 0) < perClassMin);
  if (few.length > 0 && (stages.moments || stages.head)) {
    stages = { moments: false, head: false };
    remarks.push(
      `nothing adapts: there are fewer than ${perClassMin} rows of ${few.length === 1 ? "label" : "labels"} ${few.slice(0, 5).join(", ")}${few.length > 5 ? ", ..." : ""}`,
    );
  }
  const never = labels.filter((_, label) => (rowsOfClass[label] ?? 0) >= perClassMin && rightOfClass[label] === 0);
  if (never.length > 0) remarks.push(`no row of ${never.slice(0, 5).join(", ")} is answered rightly`);
  if (accuracy < 1.5 / labels.length)
    remarks.push(
      `only ${percent(accuracy)} of the rows are answered rightly: are --labels in the order of the output, and x at the model's scale?`,
    );
  return { stages, remarks };
}

function embedOf({ graph, plan, source }: Inspected, rows: CleanRows): Embed {
  const inputSize = sizeOf(plan.shape);
  return embedWith(
    source,
    { inputName: plan.inputName, shape: plan.shape, inputSize },
    (levels) => servingGraph(graph, plan, levels),
    (row, into) => into.set(rows.values.subarray(row * inputSize, (row + 1) * inputSize)),
  );
}

/** [rows, classes] at the source's parameters. */
async function allLogits(embed: Embed, calibration: Calibration, rows: number): Promise<Float32Array> {
  const all = new Float32Array(rows * calibration.classes);
  let offset = 0;
  for await (const { logits } of embed(
    Uint32Array.from({ length: rows }, (_, row) => row),
    calibration,
  )) {
    all.set(logits, offset);
    offset += logits.length;
  }
  return all;
}

type Decided = Pick<Adopted, "stages" | "rehearsal" | "remarks">;

/** What is to adapt in the end: what can, unless data or rehearsal speak against it. */
async function decide(
  serving: Uint8Array,
  subject: Subject,
  { stages, remarks }: Pick<Decided, "stages" | "remarks">,
  rows: CleanRows,
): Promise<Decided> {
  if (!stages.moments) return { stages, rehearsal: null, remarks };
  const session = await openAdaptableSession(serving, graphOf(subject));
  try {
    const rehearsal = await rehearse(session, subject, rows);
    const harm = harmOf(rehearsal);
    if (harm === null) return { stages, rehearsal, remarks };
    return { stages: { ...stages, moments: false }, rehearsal, remarks: [...remarks, harm] };
  } finally {
    await session.close();
  }
}

/**
 * Why moments are not followed: it costs accuracy where nothing drifts, or brings none where something does; null when it may be. Bringing
 * nothing is not enough: what stays at the source under every damage was not rehearsed at all.
 */
function harmOf({ lossOnClean, gainUnderDamage }: Rehearsal): string | null {
  if (lossOnClean <= lossMax && gainUnderDamage > 0) return null;
  const gain =
    gainUnderDamage === 0
      ? "brings nothing"
      : `${gainUnderDamage < 0 ? "loses" : "gains"} ${percent(Math.abs(gainUnderDamage))}`;
  return `normalisation does not follow the input: rehearsed, that costs up to ${percent(lossOnClean)} of the answers on clean rows (at most ${percent(lossMax)}) and ${gain} on damaged ones`;
}

function manifestText(
  { name, labels, accepts, range }: Adoption,
  { plan, source }: Inspected,
  { accuracy }: Calibrated,
  stages: Inspected["stages"],
  graphs: Readonly<Record<"model.onnx" | "source.onnx" | "calibration.bin", Uint8Array>>,
): string {
  const layers = plan.layers.map(({ norm }) => ({ name: norm.name, channels: norm.gamma.length }));
  const ref = (file: keyof typeof graphs) => refOf(file, graphs[file]);
  const manifest = {
    v: 1,
    name,
    labels,
    input: { name: plan.inputName, shape: plan.shape, accepts, range },
    embeddingWidth: plan.width,
    layers: layers.length > 0 ? layers : [{ name: "embedding", channels: source.channels }],
    files: { model: ref("model.onnx"), source: ref("source.onnx"), calibration: ref("calibration.bin") },
    sourceAccuracy: accuracy,
    ...(stages.moments && stages.head ? {} : { learning: { stages } }),
  };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  parseManifest(text);
  return text;
}
