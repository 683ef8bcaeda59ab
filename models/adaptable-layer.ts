// Which operations an adaptable layer, the head and the density become in a serving graph.
//
// Owns: these operations and their spelling in opsets 9 and up. Does not own: where they stand (models/rewrite.ts).
//
// Y1. Weights of convolutions and linear layers are constants: only then does ONNX Runtime keep its blocked layout
//     (NCHWc). So parameters act behind a pool where they may: a z + b with a > 0 does not change which element is the
//     maximum, and a quarter of the elements is left. Moments are global average pools, which stay in that layout.
//     Against affine before the pool and ReduceMean, for the digits: 0.078 instead of 0.093 ms for 1 row, 2.94 instead
//     of 5.16 ms for 64; the source graph takes 0.039 and 1.81 (one thread, AVX-512 Xeon).
import type { GraphWriter } from "./onnx-file.js";

/** Anchors that an embedding is compared with. */
export const nearestAnchors = 5;

/** A vector that is an input of the graph, in parts of the given sizes, one for each layer. */
export function parts(graph: GraphWriter, input: string, sizes: readonly number[]): readonly string[] {
  if (sizes.length === 1) return [input];
  if (graph.opset < 13) return graph.add("Split", [input], { axis: 0, split: sizes }, sizes.length);
  return graph.add("Split", [input, graph.integers(`${input}Sizes`, sizes)], {}, sizes.length);
}

/** First and second moments [N, channels] of z [N, channels, ...]; `rank` is that of z, 2 and up. */
export function momentsOf(graph: GraphWriter, z: string, rank: number): { first: string; second: string } {
  const square = graph.one("Mul", [z, z]);
  if (rank === 2) return { first: z, second: square };
  return { first: spatialMean(graph, z), second: spatialMean(graph, square) };
}

/** scale x + shift per channel. A BatchNormalization of mean 0 and variance 1 is one kernel; Mul and Add are two. */
export function affine(
  graph: GraphWriter,
  x: string,
  { scale, shift, channels }: { readonly scale: string; readonly shift: string; readonly channels: number },
  y: string,
): void {
  const zeros = graph.floats(`zeros/${y}`, new Float32Array(channels), [channels]);
  const ones = graph.floats(`ones/${y}`, new Float32Array(channels).fill(1), [channels]);
  graph.add("BatchNormalization", [x, scale, shift, zeros, ones], { epsilon: { float: 0 } }, [y]);
}

/** logits [N, classes] of the input "head": W row-major [width, classes], then b. */
export function logitsOf(graph: GraphWriter, embedding: string, width: number, classes: number): string {
  const [weight = "", bias = ""] = parts(graph, "head", [width * classes, classes]);
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
  if (graph.opset < 10) return graph.add("TopK", [cosines], { ...attributes, k: nearestAnchors }, 2)[0] ?? "";
  return graph.add("TopK", [cosines, graph.integers("neighbours", [nearestAnchors])], attributes, 2)[0] ?? "";
}

function spatialMean(graph: GraphWriter, x: string): string {
  return graph.one("Flatten", [graph.one("GlobalAveragePool", [x])]);
}
