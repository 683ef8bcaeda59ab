// A model on disk: a folder with manifest.json and the three files it names and vouches for.
//
// Owns: the manifest's shape, loading with checksums, and the check of one input tensor against it.
// Does not own: running the model (models/serving/engine.ts), the tensor's bytes (transport/messages/codec.ts).
//
//   manifest.json     labels, input, layers, checksums, learning settings that differ from the defaults
//   model.onnx        the serving graph; normalisation and head are inputs (models/adoption/graph.ts)
//   source.onnx       the same model with its constants folded: the floor everything is measured against
//   calibration.bin   what clean data looked like (models/calibration.ts)
//
// F1. Nothing of a model is used before its sha256 agrees with the manifest.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { type Calibration, readCalibration } from "./calibration.js";
import { BlocksError } from "./numbers/blocks.js";
import { defaults, type LearningSettings } from "./settings.js";
import type { View } from "./views.js";

export interface FileRef {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface Manifest {
  readonly v: 1;
  readonly name: string;
  readonly labels: readonly string[];
  readonly input: {
    readonly name: string;
    /** Without the batch dimension. */
    readonly shape: readonly number[];
    /** Wire types taken, and the factor that brings each to the model's scale. */
    readonly accepts: readonly { readonly dt: string; readonly scale: number }[];
    /** Inclusive, after scaling. */
    readonly range: readonly [number, number];
  };
  readonly embeddingWidth: number;
  /** Adaptable normalisation layers, in the order of their channels in `scale` and `shift`. */
  readonly layers: readonly { readonly name: string; readonly channels: number }[];
  /** Other forms of an input that may answer better under drift; none for inputs that are not pictures. */
  readonly views: readonly View[];
  readonly files: { readonly model: FileRef; readonly source: FileRef; readonly calibration: FileRef };
  /** Accuracy of the source model on clean data it was not trained on, 0..1. */
  readonly sourceAccuracy: number;
  readonly learning: LearningSettings;
}

export interface Model {
  readonly manifest: Manifest;
  readonly folder: string;
  readonly calibration: Calibration;
  readonly modelBytes: Uint8Array;
  readonly sourceBytes: Uint8Array;
}

/** What of a model adaptation and the fold need. */
export type Subject = Pick<Model, "manifest" | "calibration">;

/** A model's folder cannot be used. Whoever installed the model must act: `file` names what to look at, `action` what to do. */
export class ModelError extends Error {
  override readonly name = "ModelError";
  constructor(
    readonly file: string,
    readonly problem: string,
    readonly action: string,
    options?: ErrorOptions,
  ) {
    super(`${file}: ${problem}; ${action}`, options);
  }
}

const manifestMaxBytes = 1024 * 1024;

const fileRef = z.strictObject({
  file: z.string().refine((file) => file.length > 0 && basename(file) === file, "must be a file name without a path"),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.number().int().positive(),
});

const fraction = z.number().min(0).max(1);
const count = z.number().int().nonnegative();

const learningSchema = z.strictObject({
  coldStart: count.default(defaults.coldStart),
  coldStartPriority: fraction.default(defaults.coldStartPriority),
  gate: fraction.default(defaults.gate),
  trust: fraction.default(defaults.trust),
  neighbours: count.max(120).default(defaults.neighbours),
  capacity: count.min(1).max(1_000_000).default(defaults.capacity),
  rememberedPerRecord: count.min(1).max(65_536).default(defaults.rememberedPerRecord),
  strategy: z.enum(["majority", "weighted", "confidence", "ensemble"]).default(defaults.strategy),
  labelled: z
    .strictObject({
      neighbours: count.max(120).default(defaults.labelled.neighbours),
      weight: z.number().nonnegative().default(defaults.labelled.weight),
      sharpness: z.number().nonnegative().default(defaults.labelled.sharpness),
    })
    .default(defaults.labelled),
  recencyMs: z.number().positive().default(defaults.recencyMs),
  stages: z
    .strictObject({
      moments: z.boolean().default(defaults.stages.moments),
      views: z.boolean().default(defaults.stages.views),
      head: z.boolean().default(defaults.stages.head),
      floor: z.boolean().default(defaults.stages.floor),
    })
    .default(defaults.stages),
  stepBatch: count.min(1).max(4096).default(defaults.stepBatch),
  replayPerClass: count.min(1).max(4096).default(defaults.replayPerClass),
  learningRate: z
    .strictObject({ min: z.number().positive(), max: z.number().positive() })
    .refine(({ min, max }) => min <= max, "min must not be above max")
    .default(defaults.learningRate),
  klWeight: z.number().nonnegative().default(defaults.klWeight),
  klLimit: z.number().positive().default(defaults.klLimit),
  klAlert: z
    .strictObject({
      above: z.number().nonnegative().default(defaults.klAlert.above),
      forMs: z.number().nonnegative().default(defaults.klAlert.forMs),
    })
    .default(defaults.klAlert),
  clipNorm: z.number().positive().default(defaults.clipNorm),
  restore: fraction.default(defaults.restore),
  ema: fraction.default(defaults.ema),
  anchorLossMax: fraction.default(defaults.anchorLossMax),
  snapshotEvery: count.min(1).default(defaults.snapshotEvery),
});

const viewsMax = 64;
/** As much as a reply brings (transport/messages/wire.ts). */
export const labelCharactersMax = 64;
/** Elements of one input: 256 MiB as float32, which is as much as a request may carry (transport/tensors/bounds.ts). */
const inputElementsMax = 2 ** 26;

const viewSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/),
  matrix: z.tuple([z.number(), z.number(), z.number(), z.number()]),
  centred: z.boolean().default(false),
  inverted: z.boolean().default(false),
});

const manifestSchema = z.strictObject({
  v: z.literal(1),
  name: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, "must be a lower-case name: letters, digits, dashes, 32 at most"),
  labels: z.array(z.string().min(1).max(labelCharactersMax)).min(2).max(256),
  input: z.strictObject({
    name: z.string().min(1),
    shape: z
      .array(z.number().int().positive())
      .min(1)
      .max(8)
      .refine((shape) => sizeOf(shape) <= inputElementsMax, `must have ${inputElementsMax} elements at most`),
    accepts: z.array(z.strictObject({ dt: z.string().min(3), scale: z.number().positive() })).min(1),
    range: z.tuple([z.number(), z.number()]).refine(([low, high]) => low < high, "must rise"),
  }),
  embeddingWidth: z.number().int().positive(),
  layers: z.array(z.strictObject({ name: z.string().min(1), channels: z.number().int().positive() })).min(1),
  views: z.array(viewSchema).max(viewsMax).default([]),
  files: z.strictObject({ model: fileRef, source: fileRef, calibration: fileRef }),
  sourceAccuracy: fraction,
  learning: learningSchema.default(() => learningSchema.parse({})),
});

/** Settings that were put together, checked as a manifest's are. */
export function learningOf(
  value: unknown,
):
  | { readonly kind: "ok"; readonly settings: LearningSettings }
  | { readonly kind: "refused"; readonly message: string } {
  const parsed = learningSchema.safeParse(value);
  if (!parsed.success)
    return { kind: "refused", message: parsed.error.issues.map(({ message }) => message).join("; ") };
  return { kind: "ok", settings: parsed.data };
}

/** `text` is manifest.json. Throws ModelError naming the field that does not fit. */
export function parseManifest(text: string, file = "manifest.json"): Manifest {
  const action = "correct it or install the model again";
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ModelError(file, "is not JSON", action, { cause: error });
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) throw new ModelError(file, z.prettifyError(parsed.error), action);
  return parsed.data;
}

/** Reads and checks a whole model folder. Throws ModelError for anything missing, changed or inconsistent. */
export async function loadModel(folder: string): Promise<Model> {
  const manifestFile = join(folder, "manifest.json");
  const manifestBytes = await readOrExplain(manifestFile);
  if (manifestBytes.length > manifestMaxBytes) {
    throw new ModelError(manifestFile, `has ${manifestBytes.length} bytes`, `keep it under ${manifestMaxBytes}`);
  }
  const manifest = parseManifest(new TextDecoder().decode(manifestBytes), manifestFile);
  const [modelBytes, sourceBytes, calibrationBytes] = await Promise.all([
    readVouched(folder, manifest.files.model),
    readVouched(folder, manifest.files.source),
    readVouched(folder, manifest.files.calibration),
  ]);
  const calibration = readCalibrationOf(manifest, join(folder, manifest.files.calibration.file), calibrationBytes);
  return { manifest, folder, calibration, modelBytes, sourceBytes };
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** What a tensor says of itself, before its elements are looked at. */
export interface InputHead {
  readonly dt: string;
  readonly sh: readonly number[];
}

/** One tensor as it came off the wire. */
export interface InputTensor extends InputHead {
  /** Elements in C order. */
  readonly data: ArrayLike<number | bigint>;
}

export interface InputRefused {
  readonly kind: "refused";
  readonly field: "input.dt" | "input.sh" | "input.d";
  readonly message: string;
}

export type InputCheck = { readonly kind: "ok"; readonly values: Float32Array } | InputRefused;

/**
 * Whether the model takes inputs of this type and shape, and how they come to its scale. Leading dimensions of 1 that belong to the shape
 * may be left out; a batch dimension may not be added.
 */
export function acceptInput(
  manifest: Manifest,
  tensor: InputHead,
): { readonly kind: "ok"; readonly scale: number } | InputRefused {
  const { shape, accepts } = manifest.input;
  const accepted = accepts.find(({ dt }) => dt === tensor.dt);
  if (accepted === undefined) {
    const list = accepts.map(({ dt }) => dt).join(" or ");
    return { kind: "refused", field: "input.dt", message: `${manifest.name} takes ${list}, not ${tensor.dt}` };
  }
  if (!shapeFits(shape, tensor.sh)) {
    const message = `${manifest.name} takes one input of shape ${shapeList(shape)}, not [${tensor.sh.join(", ")}]`;
    return { kind: "refused", field: "input.sh", message };
  }
  return { kind: "ok", scale: accepted.scale };
}

/** Checks one input and brings it to the model's scale, as float32 of the manifest's shape (without batch). */
export function prepareInput(manifest: Manifest, tensor: InputTensor): InputCheck {
  const accepted = acceptInput(manifest, tensor);
  if (accepted.kind === "refused") return accepted;
  const size = sizeOf(manifest.input.shape);
  if (tensor.data.length !== size) {
    return { kind: "refused", field: "input.d", message: `${tensor.data.length} elements instead of ${size}` };
  }
  const values = scaled(tensor.data, accepted.scale);
  const [low, high] = manifest.input.range;
  const outside = firstOutside(values, low, high);
  return outside < 0 ? { kind: "ok", values } : outOfRange(manifest, outside, values[outside]);
}

export function outOfRange({ name, input: { range } }: Manifest, element: number, value?: number): InputRefused {
  const message = `element ${element} is ${value}; ${name} takes ${range[0]} to ${range[1]}`;
  return { kind: "refused", field: "input.d", message };
}

/** Never a part of the payload it came in, which is the connection's: what has memory of its own is a copy already. */
function scaled(data: InputTensor["data"], scale: number): Float32Array {
  if (data instanceof Float32Array && scale === 1)
    return data.byteLength === data.buffer.byteLength ? data : data.slice();
  const values = new Float32Array(data.length);
  for (let i = 0; i < values.length; i++) values[i] = Number(data[i]) * scale;
  return values;
}

/** Index of the first value that is not within [low, high], NaN included; -1 when all are. */
export function firstOutside(values: Float32Array, low: number, high: number): number {
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? Number.NaN;
    if (!(value >= low && value <= high)) return i;
  }
  return -1;
}

/** Elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}

/** The shape itself, and what remains of it when leading ones are dropped one after the other. */
function acceptedShapes(shape: readonly number[]): readonly (readonly number[])[] {
  const shapes = [shape];
  for (let rest = shape; rest[0] === 1 && rest.length > 1; ) {
    rest = rest.slice(1);
    shapes.push(rest);
  }
  return shapes;
}

/** Leading ones of the shape may be missing in what is given. */
export function shapeFits(shape: readonly number[], given: readonly number[]): boolean {
  const missing = shape.length - given.length;
  if (missing < 0 || (missing > 0 && given.length === 0)) return false;
  for (let axis = 0; axis < shape.length; axis++)
    if (shape[axis] !== (axis < missing ? 1 : given[axis - missing])) return false;
  return true;
}

function shapeList(shape: readonly number[]): string {
  return acceptedShapes(shape)
    .map((accepted) => `[${accepted.join(", ")}]`)
    .join(" or ");
}

async function readOrExplain(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new ModelError(file, "cannot be read", "give the folder of a model, with all its files", { cause: error });
  }
}

async function readVouched(folder: string, ref: FileRef): Promise<Uint8Array> {
  const file = join(folder, ref.file);
  const bytes = await readOrExplain(file);
  const found = sha256(bytes);
  if (bytes.length !== ref.bytes || found !== ref.sha256) {
    const problem = `sha256 ${found} (${bytes.length} bytes) is not the manifest's ${ref.sha256} (${ref.bytes} bytes)`;
    throw new ModelError(file, problem, "restore the file or install the model again");
  }
  return bytes;
}

function readCalibrationOf(manifest: Manifest, file: string, bytes: Uint8Array): Calibration {
  const action = "calibrate the model again";
  let calibration: Calibration;
  try {
    calibration = readCalibration(bytes);
  } catch (error) {
    if (!(error instanceof BlocksError)) throw error;
    throw new ModelError(file, error.message, action, { cause: error });
  }
  const expected = {
    channels: manifest.layers.reduce((sum, layer) => sum + layer.channels, 0),
    firstLayerChannels: manifest.layers[0]?.channels,
    classes: manifest.labels.length,
    width: manifest.embeddingWidth,
  };
  for (const [field, value] of Object.entries(expected)) {
    const found = Object.entries(calibration).find(([key]) => key === field)?.[1];
    if (found !== value) throw new ModelError(file, `${field} is ${found}, the manifest says ${value}`, action);
  }
  return calibration;
}
