// The anchors next to an embedding, and k: how close it is to what is known, outside the serving graph.
//
// Owns: the same figure as the graph's output "density" (adaptable-layer.ts), and the labels of the anchors behind it.
import type { Calibration } from "../calibration.js";
import { at } from "../numbers/softmax.js";

/** A clean example whose label is known since the model was registered. */
export interface Anchor {
  /** Its number in the calibration. */
  readonly anchor: number;
  readonly label: number;
  /** Cosine, -1..1. */
  readonly similarity: number;
}

/** Anchors that an embedding is compared with, here and in the graph. */
export const anchorsCompared = 5;

/** The 5 nearest anchors of `embedding` [width], nearest first, the lower number of equals; none for one without a direction. */
export function nearestAnchors(embedding: Float32Array, calibration: Calibration): readonly Anchor[] {
  const { anchors, anchorCount, anchorLabels, width } = calibration;
  let square = 0;
  for (const value of embedding) square += value * value;
  const length = Math.sqrt(square);
  if (!(length > 0 && Number.isFinite(length))) return [];
  const best: Anchor[] = [];
  for (let anchor = 0; anchor < anchorCount; anchor++) {
    let product = 0;
    for (let j = 0; j < width; j++) product += at(embedding, j) * at(anchors, anchor * width + j);
    const similarity = product / length;
    if (best.length === anchorsCompared && similarity <= (best.at(-1)?.similarity ?? 0)) continue;
    const place = best.findIndex((each) => each.similarity < similarity);
    best.splice(place < 0 ? best.length : place, 0, { anchor, label: at(anchorLabels, anchor), similarity });
    if (best.length > anchorsCompared) best.pop();
  }
  return best;
}

/** k: mean cosine to the nearest anchors; 0 without any. */
export function densityOf(anchors: readonly Anchor[]): number {
  return anchors.length === 0 ? 0 : anchors.reduce((sum, { similarity }) => sum + similarity, 0) / anchors.length;
}
