// The loss of one step and its gradient, in plain arithmetic.
//
//   L = -mean pi(vote) + klWeight * mean KL(base || pi)
//
// The first term is the exact expected reward of 1[a = vote] under the policy: no sampling, no variance. The base is the
// source head, not the policy of the request: a KL to that has no gradient at the first step.
//
// Owns: the shape of a batch, the reference that every backend is held to. Does not own: backends (tensorflow.ts).
import { at, headLogits, logSoftmax } from "../numbers/softmax.js";

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
  const slopes = new Float64Array(classes);
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
      slopes[c] = (-chance * ((c === vote ? 1 : 0) - p) + klWeight * (p - q)) / rows;
    }
    addOuter(sums, embeddings, row, slopes, width);
  }
  return { gradient: Float32Array.from(sums), reward, penalty: klWeight * kl };
}

/** Adds the row's embedding times `slopes` [classes] to W, and `slopes` to b. Accesses are inline: this is most of a gradient. */
function addOuter(
  sums: Float64Array,
  embeddings: Float32Array,
  row: number,
  slopes: Float64Array,
  width: number,
): void {
  const classes = slopes.length;
  for (let j = 0; j <= width; j++) {
    const x = j === width ? 1 : at(embeddings, row * width + j);
    const start = j * classes;
    for (let c = 0; c < classes; c++) {
      sums[start + c] = (sums[start + c] ?? Number.NaN) + (slopes[c] ?? Number.NaN) * x;
    }
  }
}
