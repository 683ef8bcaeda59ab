// Rows of logits: softmax, its logarithm, the largest entry.
//
// Owns: these kernels and bounded access to typed arrays. Does not own: what a row means.
//
// Sums are kept in float64 and in index order, so that equal rows give equal bits on every node.

export type Numbers = Float32Array | Float64Array | Uint8Array | Uint16Array | Uint32Array;

/** Element of a typed array whose index the caller has bounded; NaN outside, so that a slip is seen, not hidden as zero. */
export function at(values: Numbers, index: number): number {
  return values[index] ?? Number.NaN;
}

/** Index of the largest value, the lowest of equals. */
export function argmax(values: Numbers): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (at(values, i) > at(values, best)) best = i;
  return best;
}

/** exp(l) / sum exp(l) of one row [classes], computed against its maximum. */
export function softmax(logits: Float32Array | Float64Array): Float64Array {
  const top = at(logits, argmax(logits));
  const shares = new Float64Array(logits.length);
  let sum = 0;
  for (let i = 0; i < shares.length; i++) {
    const power = Math.exp(at(logits, i) - top);
    shares[i] = power;
    sum += power;
  }
  for (let i = 0; i < shares.length; i++) shares[i] = at(shares, i) / sum;
  return shares;
}

/** l - log sum exp(l) of one row [classes]. */
export function logSoftmax(logits: Float32Array | Float64Array): Float64Array {
  const top = at(logits, argmax(logits));
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  const offset = top + Math.log(sum);
  return Float64Array.from(logits, (logit) => logit - offset);
}

/**
 * Logits of a linear head: embeddings [rows, width] times W [width, classes] plus b [classes].
 * head holds W row-major, then b; classes follow from its length: head.length = (width + 1) * classes.
 */
export function headLogits(embeddings: Float32Array, head: Float32Array, width: number): Float64Array {
  const classes = head.length / (width + 1);
  const rows = embeddings.length / width;
  if (!Number.isInteger(classes) || !Number.isInteger(rows)) {
    throw new RangeError(`a head of ${head.length} and embeddings of ${embeddings.length} do not fit width ${width}`);
  }
  const logits = new Float64Array(rows * classes);
  const bias = head.subarray(width * classes);
  for (let row = 0; row < rows; row++) {
    const out = logits.subarray(row * classes, (row + 1) * classes);
    out.set(bias);
    const embedding = embeddings.subarray(row * width, (row + 1) * width);
    for (let j = 0; j < width; j++) {
      const x = embedding[j] ?? Number.NaN;
      // Half of what a ReLU lets through is nought.
      if (x !== 0) addScaled(out, head, j * classes, x);
    }
  }
  return logits;
}

/** out += x * weights[start, start + out.length). Accesses are inline: this loop is where a step spends its time. */
function addScaled(out: Float64Array, weights: Float32Array, start: number, x: number): void {
  for (let c = 0; c < out.length; c++) out[c] = (out[c] ?? Number.NaN) + x * (weights[start + c] ?? Number.NaN);
}
