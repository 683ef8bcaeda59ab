// Looks at a stranger's classifier, on paper and in a run: what it takes and gives, what of it can adapt, and why not the rest.
//
// Owns: every reason for which a file is refused or a part of it left as it is. Does not own: the patterns that are
// looked for (models/adoption/survey.ts), the graphs that are written (models/adoption/rewrite.ts), measures (models/adoption/calibrate.ts).
//
// I1. Whatever a file holds, the answer is a value: an inspection, or a refusal that says what to do.
// I2. Shapes are believed when a run has shown them, not when the file says so.

import { sizeOf } from "../manifest.js";
import { at } from "../numbers/softmax.js";
import { type OnnxGraph, readOnnx } from "../onnx-file.js";
import { type AnySession, openAnySession } from "../serving/onnx-session.js";
import type { SourceModel } from "./calibrate.js";
import { type AdaptableNorm, excerpt, inputNameFor, type Plan } from "./rewrite.js";
import { type End, endsOf, type Norm, normsBefore, withFreeBatch } from "./survey.js";

/** Labelled examples at the model's scale. */
export interface CleanRows {
  /** Without batch. */
  readonly shape: readonly number[];
  /** [n, ...shape], finite */
  readonly values: Float32Array;
  /** [n] */
  readonly labels: Uint8Array;
}

export interface Refused {
  readonly kind: "refused";
  readonly message: string;
  readonly next: string;
}

export interface Inspected {
  readonly kind: "ok";
  /** With a free batch dimension. */
  readonly graph: OnnxGraph;
  readonly plan: Plan;
  readonly end: End;
  /** Rows that the file takes at once, if it says so. */
  readonly fixedBatch: number | null;
  readonly source: SourceModel;
  readonly stages: { readonly moments: boolean; readonly head: boolean };
  /** What does not adapt, and why: a sentence each. */
  readonly remarks: readonly string[];
}

const opsetMin = 9;
/** A record of the log holds two halves for every channel of every request: with so many, 16 KiB. */
const channelsMax = 4096;
const rowsOfLook = 32;
const rowsPerRun = 100;
/** Of what ONNX Runtime says. */
const wordsMax = 300;
/** Of values about 1, beyond what another order of summation explains. */
const tolerance = 1e-3;

export async function inspect(bytes: Uint8Array, rows: CleanRows, classes: number): Promise<Inspected | Refused> {
  const read = readOnnx(bytes);
  if (read.kind === "refused") return read;
  const input = inputOf(read.graph, rows.shape);
  if (input.kind === "refused") return input;
  const { inputName, shape, fixedBatch } = input;
  const graph = withFreeBatch(read.graph);
  const end = await classifierEnd(graph, { inputName, shape }, rows, classes);
  if (end.kind === "refused") return end;
  const mixed = await mixingOf(graph, { inputName, shape }, end.end, rows, fixedBatch);
  if (mixed !== null) return mixed;
  const { plan, remarks } = await planOf(graph, { inputName, shape, classes }, end.end, rows);
  const source = await sourceOf(graph, plan, end.end, rows);
  if ("kind" in source) return source;
  const stages = { moments: plan.layers.length > 0 || end.end.head !== null, head: end.end.head !== null };
  return { kind: "ok", graph, plan, end: end.end, fixedBatch, source, stages, remarks };
}

/** Rows of clean data, `count` from `start` on. */
export function rowsFrom(rows: CleanRows, start: number, count: number): Float32Array {
  const size = sizeOf(rows.shape);
  return rows.values.slice(start * size, (start + count) * size);
}

type Input = Pick<Plan, "inputName" | "shape">;

function inputOf(
  graph: OnnxGraph,
  given: readonly number[],
): Refused | ({ readonly kind: "ok"; readonly fixedBatch: number | null } & Input) {
  const [input, ...others] = graph.inputs;
  if (graph.opset < opsetMin)
    return refused(
      `it is written for opset ${graph.opset}`,
      `convert it: onnx.version_converter.convert_version(model, 13); ${opsetMin} is the least`,
    );
  if (input === undefined || others.length > 0)
    return refused(
      `it takes ${graph.inputs.length} inputs: ${graph.inputs.map(({ name }) => name).join(", ") || "none"}`,
      "export it with exactly one input",
    );
  if (!input.isFloat32)
    return refused(
      `its input "${input.name}" is ${input.elementType}`,
      "export it in float32; what turns other things into numbers belongs in front of the model",
    );
  const shape = shapeFor(input.dims, given);
  if (shape === null)
    return refused(
      `its input "${input.name}" is [${(input.dims ?? []).join(", ")}], x is [rows, ${given.join(", ")}]`,
      "give x the model's shape, with one row for each example",
    );
  const batch = input.dims?.[0];
  const fixedBatch = typeof batch === "number" ? batch : null;
  return { kind: "ok", fixedBatch, inputName: inputNameFor(input.name), shape };
}

/** The data's shape where it fits what the file says; leading ones may be left out of the data. */
function shapeFor(dims: readonly (number | string)[] | null, given: readonly number[]): readonly number[] | null {
  if (dims === null) return given;
  const wanted = dims.slice(1);
  const fixed = wanted.filter((dim) => typeof dim === "number");
  const bare = (shape: readonly number[]) => shape.slice(shape.findIndex((dim) => dim !== 1)).join();
  if (fixed.length === wanted.length && fixed.length > 0 && bare(fixed) === bare(given)) return fixed;
  return wanted.length === given.length && wanted.every((dim, i) => typeof dim === "string" || dim === given[i])
    ? given
    : null;
}

/** The output that gives one value for each class; one behind a linear head is taken before others. */
async function classifierEnd(
  graph: OnnxGraph,
  input: Input,
  rows: CleanRows,
  classes: number,
): Promise<Refused | { readonly kind: "ok"; readonly end: End }> {
  const ends = endsOf(graph, classes);
  if (ends.length === 0)
    return refused(
      `it has no float32 output (${graph.outputs.map(({ name, elementType }) => `${name}: ${elementType}`).join(", ")})`,
      "export the scores as a float32 tensor (scikit-learn: to_onnx(..., options={'zipmap': False}))",
    );
  const seen: string[] = [];
  for (const end of [...ends.filter(({ head }) => head !== null), ...ends.filter(({ head }) => head === null)]) {
    const looked = await look(graph, input, [end.logits], rows, 1);
    if (looked.kind === "refused") return looked;
    const [, ...dims] = looked.outputs[0]?.dims ?? [];
    if (dims.length === 1 && dims[0] === classes) return { kind: "ok", end };
    seen.push(`${end.output}: [rows${dims.map((dim) => `, ${dim}`).join("")}]`);
  }
  return refused(
    `it has no output of ${classes} values for each row, as many as there are labels (${seen.join("; ")})`,
    "name one label for each value of the model's output with --labels, in their order",
  );
}

interface Looked {
  readonly kind: "ok";
  readonly outputs: Awaited<ReturnType<AnySession["run"]>>;
}

/** One run of the first rows, up to some tensors. */
async function look(
  graph: OnnxGraph,
  input: Input,
  tensors: readonly string[],
  rows: CleanRows,
  count: number,
): Promise<Looked | Refused> {
  const names = tensors.map((_, i) => `look${i}`);
  const named = Object.fromEntries(tensors.map((tensor, i) => [tensor, names[i] ?? ""]));
  return running(excerpt(graph, input, named), count, async (session) => ({
    kind: "ok",
    outputs: await session.run(rowsFrom(rows, 0, count), [count, ...input.shape], names),
  }));
}

/** Runs a part of the file; what ONNX Runtime does not like about that is a refusal. */
async function running<T>(
  part: Uint8Array,
  count: number,
  run: (session: AnySession) => Promise<T>,
): Promise<T | Refused> {
  try {
    const session = await openAnySession(part);
    try {
      return await run(session);
    } finally {
      await session.close();
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const [first = ""] = error.message.split("\n");
    return refused(
      `ONNX Runtime cannot run it with ${count} rows: ${first.slice(0, wordsMax)}`,
      "see that it runs in ONNX Runtime by itself, with inputs of the shape of x",
    );
  }
}

/** Why the model cannot be served in micro-batches; null when a row's answer does not depend on those beside it. */
async function mixingOf(
  graph: OnnxGraph,
  input: Input,
  { logits }: End,
  rows: CleanRows,
  fixedBatch: number | null,
): Promise<Refused | null> {
  const two = await look(graph, input, [logits], rows, 2);
  const one = await look(graph, input, [logits], rows, 1);
  const fixed = fixedBatch === null ? "" : ` (the file fixes it to ${fixedBatch})`;
  const next = "export it in evaluation mode, with a free first dimension (dynamic_axes, or a batch size of None)";
  if (two.kind === "refused") return refused(`its batch dimension cannot be made free${fixed}: ${two.message}`, next);
  if (one.kind === "refused") return one;
  const together = two.outputs[0]?.data ?? new Float32Array();
  const alone = one.outputs[0]?.data ?? new Float32Array();
  if (![...together, ...alone].every(Number.isFinite))
    return refused("its output on the clean data is not finite", "check the scale of x, and --accept");
  const same = alone.every((value, i) => Math.abs(value - at(together, i)) <= tolerance * Math.max(1, Math.abs(value)));
  if (same && together.length === 2 * alone.length) return null;
  return refused(`its answer to a row depends on the rows beside it${fixed}`, next);
}

async function planOf(
  graph: OnnxGraph,
  { inputName, shape, classes }: Input & { readonly classes: number },
  end: End,
  rows: CleanRows,
): Promise<{ plan: Plan; remarks: readonly string[] }> {
  const remarks: string[] = [];
  const embedding = end.head?.embedding ?? end.logits;
  if (end.head === null)
    remarks.push(
      "the head does not adapt: the logits are not a Gemm, MatMul or MatMul and Add of constant float32 weights",
    );
  const norms = normsBefore(graph, embedding);
  const layers = await layersOf(graph, { inputName, shape }, norms, rows, remarks);
  if (layers.length === 0)
    remarks.push(
      end.head === null
        ? "nothing is normalised that could adapt: the model is served as it is"
        : "no BatchNormalization is left in the graph that could adapt (exporters fold it into the weights unless told not to): scale and shift act on the embedding instead",
    );
  const width = end.head?.width ?? classes;
  return { plan: { inputName, shape, classes, width, embedding, logits: end.logits, layers }, remarks };
}

/** Those whose input has the shape [rows, channels, ...], from the model's input on, as many as there is room for. */
async function layersOf(
  graph: OnnxGraph,
  input: Input,
  norms: readonly Norm[],
  rows: CleanRows,
  remarks: string[],
): Promise<readonly AdaptableNorm[]> {
  if (norms.length === 0) return [];
  const count = Math.min(rowsOfLook, rows.labels.length);
  const tensors = [...new Set(norms.map(({ x }) => x))];
  const looked = await look(graph, input, tensors, rows, count);
  if (looked.kind === "refused") {
    remarks.push(`no normalisation adapts: ${looked.message}`);
    return [];
  }
  const layers: AdaptableNorm[] = [];
  let channels = 0;
  for (const norm of norms) {
    const { dims } = looked.outputs[tensors.indexOf(norm.x)] ?? { dims: [] };
    const own = norm.gamma.length;
    if (dims.length < 2 || dims[0] !== count || dims[1] !== own)
      remarks.push(`${norm.name} does not adapt: it normalises [${dims.join(", ")}], not [rows, ${own}, ...]`);
    else if (channels + own > channelsMax)
      remarks.push(`${norm.name} does not adapt: with it there would be more than ${channelsMax} channels`);
    else {
      layers.push({ norm, rank: dims.length });
      channels += own;
    }
  }
  return layers;
}

/** Statistics of all layers behind one another. One eps serves all: what a layer had beyond it is part of its variance. */
async function sourceOf(graph: OnnxGraph, plan: Plan, { head }: End, rows: CleanRows) {
  const { classes, width, layers } = plan;
  const weights = head?.weights ?? identityHead(classes);
  if (layers.length === 0) {
    const measured = await embeddingStatistics(graph, plan, rows);
    if ("kind" in measured) return measured;
    return { channels: width, firstLayerChannels: width, classes, width, ...measured, head: weights };
  }
  const norms = layers.map(({ norm }) => norm);
  const eps = Math.max(Math.min(...norms.map((norm) => norm.eps)), Number.MIN_VALUE);
  const joined = (part: "mean" | "gamma" | "beta") => Float32Array.from(norms.flatMap((norm) => [...norm[part]]));
  return {
    channels: norms.reduce((sum, norm) => sum + norm.gamma.length, 0),
    firstLayerChannels: norms[0]?.gamma.length ?? 0,
    classes,
    width,
    mean: joined("mean"),
    variance: Float32Array.from(
      norms.flatMap((norm) => Array.from(norm.variance, (value) => Math.max(0, value + norm.eps - eps))),
    ),
    gamma: joined("gamma"),
    beta: joined("beta"),
    eps,
    head: weights,
  };
}

/**
 * The embedding as a layer to be normalised: mean and variance over the clean rows, and the gamma and beta that undo
 * them, so that it changes nothing at the source. eps is a hundredth of the mean variance at least: a channel that is
 * silent on clean data must not outweigh all others when it wakes.
 */
async function embeddingStatistics(graph: OnnxGraph, plan: Plan, rows: CleanRows) {
  const { width, shape, embedding } = plan;
  const sums = new Float64Array(width);
  const squares = new Float64Array(width);
  const count = rows.labels.length;
  const measured = await running(excerpt(graph, plan, { [embedding]: "embedding" }), rowsPerRun, async (session) => {
    for (let start = 0; start < count; start += rowsPerRun) {
      const n = Math.min(rowsPerRun, count - start);
      const [output] = await session.run(rowsFrom(rows, start, n), [n, ...shape], ["embedding"]);
      output?.data.forEach((value, i) => {
        sums[i % width] = at(sums, i % width) + value;
        squares[i % width] = at(squares, i % width) + value * value;
      });
    }
  });
  if (measured !== undefined) return measured;
  const mean = Float32Array.from(sums, (sum) => sum / count);
  const variance = Float32Array.from(squares, (square, c) => Math.max(0, square / count - at(mean, c) ** 2));
  const eps = Math.max(1e-5, variance.reduce((sum, value) => sum + value, 0) / width / 100);
  return { mean, variance, gamma: variance.map((value) => Math.sqrt(value + eps)), beta: mean.slice(), eps };
}

function identityHead(classes: number): Float32Array {
  const head = new Float32Array(classes * classes + classes);
  for (let k = 0; k < classes; k++) head[k * classes + k] = 1;
  return head;
}

function refused(message: string, next: string): Refused {
  return { kind: "refused", message, next };
}
