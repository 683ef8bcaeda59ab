// The loss of one step and its gradient, in plain arithmetic.
//
//   L = -mean pi(vote) + klWeight * mean KL(base || pi)
//
// The first term is the exact expected reward of 1[a = vote] under the policy: no sampling, no variance. The base is the
// source head, not the policy of the request: a KL to that has no gradient at the first step.
//
// Owns: the shape of a batch, the reference that every backend is held to. Does not own: backends (tensorflow.ts).
import { at, headLogits, logSoftmax } from "./softmax.js";

export interface HeadBatch {
  readonly rows: number;
  readonly width: number;
  readonly classes: number;
  /** [rows, width] */
  readonly embeddings: Float32Array;
  /** [rows] */
  readonly votes: Uint16Array;
  /** [rows, classes] log probabilities of the base policy. */
  readonly baseLog: Float32Array;
  readonly klWeight: number;
}

export interface HeadGradient {
  /** As the head: [width, classes] row-major, then [classes]. */
  readonly gradient: Float32Array;
  /** mean pi(vote), 0..1. */
  readonly reward: number;
  /** klWeight * mean KL(base || pi), nats. */
  readonly penalty: number;
}

/**
 * dL/dlogit_c = [ -p_y (1[c = y] - p_c) + klWeight (p_c - q_c) ] / rows, with y the vote, p the policy, q the base;
 * dL/dW = x^T dL/dlogits, dL/db its sum over rows.
 */
export function plainHeadGradient(head: Float32Array, batch: HeadBatch): HeadGradient {
  const { rows, width, classes, embeddings, votes, baseLog, klWeight } = batch;
  const logits = headLogits(embeddings, head, width);
  const sums = new Float64Array(head.length);
  let reward = 0;
  let kl = 0;
  for (let row = 0; row < rows; row++) {
    const own = row * classes;
    const policyLog = logSoftmax(logits.subarray(own, own + classes));
    const vote = at(votes, row);
    const chance = Math.exp(at(policyLog, vote));
    reward += chance / rows;
    for (let c = 0; c < classes; c++) {
      const p = Math.exp(at(policyLog, c));
      const q = Math.exp(at(baseLog, own + c));
      kl += (q * (at(baseLog, own + c) - at(policyLog, c))) / rows;
      const slope = (-chance * ((c === vote ? 1 : 0) - p) + klWeight * (p - q)) / rows;
      addOuter(sums, embeddings, row, c, slope, width, classes);
    }
  }
  return { gradient: Float32Array.from(sums), reward, penalty: klWeight * kl };
}

/** Adds `slope` times the row's embedding to column `c` of W, and to b. */
function addOuter(
  sums: Float64Array,
  embeddings: Float32Array,
  row: number,
  c: number,
  slope: number,
  width: number,
  classes: number,
): void {
  for (let j = 0; j < width; j++) {
    const cell = j * classes + c;
    sums[cell] = at(sums, cell) + slope * at(embeddings, row * width + j);
  }
  const cell = width * classes + c;
  sums[cell] = at(sums, cell) + slope;
}
