// Which operations an adaptable layer, the head and the density become in a serving graph.
//
// Owns: these operations and their spelling in opsets 9 and up. Does not own: where they stand (models/adoption/rewrite.ts).
//
// Y1. Weights of convolutions and linear layers are constants: only then does ONNX Runtime keep its blocked layout
//     (NCHWc). So parameters act behind a pool where they may: a z + b with a > 0 does not change which element is the
//     maximum, and a quarter of the elements is left. Moments are global average pools of the pooled values, in that layout.
//     Against the source graph, for 1 / 8 / 64 digits (one thread, AVX-512 Xeon): moments before the pool 2.1 / 1.7 / 1.9, behind it
//     1.8 / 1.4 / 1.4, with a domain for each row as here 2.3 / 1.6 / 1.4 (bench/RESULTS.md).

import { anchorsCompared } from "../adaptation/density.js";
import type { SignatureBasis } from "../calibration.js";
import type { GraphWriter } from "../onnx-file.js";

/** A tensor in parts of the given sizes along an axis. */
function parts(graph: GraphWriter, x: string, sizes: readonly number[], axis: number): readonly string[] {
  if (graph.opset < 13) return graph.add("Split", [x], { axis, split: sizes }, sizes.length);
  return graph.add("Split", [x, graph.integers(`${x}Sizes`, sizes)], { axis }, sizes.length);
}

/** Scale and shift of one layer, both [N, channels]: each row has its own. */
export interface LayerParameters {
  readonly scale: string;
  readonly shift: string;
}

/**
 * Finds each row's domain by its signature (models/adaptation/signature.ts, models/adaptation/domains.ts) and gives it that domain's scale and shift. With w the
 * signature, |w - s|^2 is least where w s - |s|^2 / 2 is greatest; that no domain is near is one more candidate, at (|w|^2 - limit) / 2.
 * Costs 12 % of a source graph's run of 64 rows. Rejected: a run of the first layer before the run, which costs that layer twice.
 */
export function domainParameters(
  graph: GraphWriter,
  first: { readonly first: string; readonly second: string },
  { size, mean, whitener, limit }: SignatureBasis,
  widths: readonly number[],
): { readonly layers: readonly LayerParameters[]; readonly domain: string } {
  const length = mean.length;
  const seen = graph.one("Concat", [first.first, graph.one("Sqrt", [first.second])], { axis: 1 });
  const away = graph.one("Sub", [seen, graph.floats("cleanFirst", mean, [1, length])]);
  const signature = graph.one("MatMul", [away, graph.floats("whitener", whitener, [length, size])]);
  const halves = graph.floats("halves", new Float32Array(size).fill(0.5), [size, 1]);
  const square = graph.one("MatMul", [graph.one("Mul", [signature, signature]), halves]);
  const none = graph.one("Sub", [square, graph.floats("limit", Float32Array.of(limit / 2), [1])]);
  const near = graph.one("Add", [graph.one("MatMul", [signature, "signatures"]), "limits"]);
  const row = graph.one("ArgMax", [graph.one("Concat", [none, near], { axis: 1 })], { axis: 1, keepdims: 0 });
  const own = graph.one("Gather", ["table", row], { axis: 0 });
  const both = parts(graph, own, [...widths, ...widths], 1);
  const layers = widths.map((_, i) => ({ scale: both[i] ?? "", shift: both[widths.length + i] ?? "" }));
  return { layers, domain: graph.one("Cast", [row], { to: 1 }) };
}

/** First and second moments [N, channels] of z [N, channels, ...]; `rank` is that of z, 2 and up. */
export function momentsOf(graph: GraphWriter, z: string, rank: number): { first: string; second: string } {
  const square = graph.one("Mul", [z, z]);
  if (rank === 2) return { first: z, second: square };
  return { first: spatialMean(graph, z), second: spatialMean(graph, square) };
}

/** scale x + shift per row and channel; `rank` is that of x, 2 and up. */
export function affine(
  graph: GraphWriter,
  x: string,
  { scale, shift }: LayerParameters,
  rank: number,
  y: string,
): void {
  const spread = (values: string): string =>
    rank === 2
      ? values
      : graph.one("Reshape", [values, graph.integers(`spread/${values}`, [0, 0, ...Array(rank - 2).fill(1)])]);
  graph.add("Add", [graph.one("Mul", [x, spread(scale)]), spread(shift)], {}, [y]);
}

/** logits [N, classes] of the input "head": W row-major [width, classes], then b. */
export function logitsOf(graph: GraphWriter, embedding: string, width: number, classes: number): string {
  const [weight = "", bias = ""] = parts(graph, "head", [width * classes, classes], 0);
  const matrix = graph.one("Reshape", [weight, graph.integers("headShape", [width, classes])]);
  return graph.one("Gemm", [embedding, matrix, bias]);
}

/** Mean cosine of each embedding to its nearest anchors. anchors [n >= 5, width], of unit length. */
export function densityOf(graph: GraphWriter, embedding: string, anchors: Float32Array, width: number): string {
  const count = anchors.length / width;
  const columns = new Float32Array(anchors.length);
  for (let i = 0; i < anchors.length; i++) columns[(i % width) * count + Math.floor(i / width)] = anchors[i] ?? 0;
  const unit = graph.one("LpNormalization", [embedding], { axis: 1, p: 2 });
  const cosines = graph.one("MatMul", [unit, graph.floats("anchors", columns, [width, count])]);
  const nearest = nearestOf(graph, cosines);
  if (graph.opset < 18) return graph.one("ReduceMean", [nearest], { axes: [1], keepdims: 0 });
  return graph.one("ReduceMean", [nearest, graph.integers("densityAxes", [1])], { keepdims: 0 });
}

function nearestOf(graph: GraphWriter, cosines: string): string {
  const attributes = { axis: 1, ...(graph.opset < 11 ? {} : { sorted: 0 }) };
  if (graph.opset < 10) return graph.add("TopK", [cosines], { ...attributes, k: anchorsCompared }, 2)[0] ?? "";
  return graph.add("TopK", [cosines, graph.integers("neighbours", [anchorsCompared])], attributes, 2)[0] ?? "";
}

function spatialMean(graph: GraphWriter, x: string): string {
  return graph.one("Flatten", [graph.one("GlobalAveragePool", [x])]);
}
