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

/** The same of the values [start, start + length) of a column, counted from `start`. */
export function argmaxAt(values: Numbers, start: number, length: number): number {
  let best = 0;
  for (let i = 1; i < length; i++) if (at(values, start + i) > at(values, start + best)) best = i;
  return best;
}

/** exp(l) / sum exp(l) of one row [classes], computed against its maximum. */
export function softmax(logits: Float32Array | Float64Array): Float64Array {
  return softmaxInto(logits, 0, new Float64Array(logits.length));
}

/**
 * The same of the row that begins at `start` of a column, as long as `shares`, which is returned. For whoever looks at one row after the other:
 * memory for ten numbers costs more than their softmax.
 */
export function softmaxInto(logits: Float32Array | Float64Array, start: number, shares: Float64Array): Float64Array {
  const { length } = shares;
  const top = at(logits, start + argmaxAt(logits, start, length));
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const power = Math.exp(at(logits, start + i) - top);
    shares[i] = power;
    sum += power;
  }
  for (let i = 0; i < length; i++) shares[i] = at(shares, i) / sum;
  return shares;
}

/** l - log sum exp(l) of one row [classes]. */
export function logSoftmax(logits: Float32Array | Float64Array): Float64Array {
  const logs = new Float64Array(logits.length);
  const top = at(logits, argmax(logits));
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  const offset = top + Math.log(sum);
  for (let i = 0; i < logs.length; i++) logs[i] = at(logits, i) - offset;
  return logs;
}

/** Rows without their noughts: half of what a ReLU lets through. Row r holds the places starts[r] up to starts[r + 1]. */
export interface SparseRows {
  readonly rows: number;
  readonly width: number;
  readonly starts: Uint32Array;
  readonly columns: Uint32Array;
  readonly values: Float64Array;
}

/** embeddings [rows, width]; rows that are asked again and again are worth keeping like this. */
export function sparseRows(embeddings: Float32Array, width: number): SparseRows {
  const rows = embeddings.length / width;
  if (!Number.isInteger(rows)) throw new RangeError(`${embeddings.length} values are no rows of ${width}`);
  const starts = new Uint32Array(rows + 1);
  const columns = new Uint32Array(embeddings.length);
  const values = new Float64Array(embeddings.length);
  let count = 0;
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < width; j++) {
      const x = embeddings[row * width + j] ?? Number.NaN;
      if (x === 0) continue;
      columns[count] = j;
      values[count++] = x;
    }
    starts[row + 1] = count;
  }
  return { rows, width, starts, columns: columns.slice(0, count), values: values.slice(0, count) };
}

/**
 * Logits of a linear head: embeddings [rows, width] times W [width, classes] plus b [classes].
 * head holds W row-major, then b; classes follow from its length: head.length = (width + 1) * classes.
 */
export function headLogits(embeddings: Float32Array, head: Float32Array, width: number): Float64Array {
  return sparseLogits(sparseRows(embeddings, width), head);
}

/** Classes that are summed side by side: a sum has to wait for the one before it, five need not wait for one another. */
const together = 5;

/** As `headLogits`. Every logit is b plus its products in index order, whatever its neighbours are. */
export function sparseLogits(sparse: SparseRows, head: Float32Array): Float64Array {
  const { rows, width } = sparse;
  const classes = head.length / (width + 1);
  if (!Number.isInteger(classes)) throw new RangeError(`a head of ${head.length} does not fit width ${width}`);
  // In float64 once, not at every product.
  const weights = Float64Array.from(head);
  const logits = new Float64Array(rows * classes);
  for (let row = 0; row < rows; row++) {
    let c = 0;
    for (; c + together <= classes; c += together) fiveLogits(sparse, row, weights, classes, c, logits);
    for (; c < classes; c++) oneLogit(sparse, row, weights, classes, c, logits);
  }
  return logits;
}

/** Accesses are inline: this loop is where a step spends its time. */
function fiveLogits(
  { width, starts, columns, values }: SparseRows,
  row: number,
  weights: Float64Array,
  classes: number,
  c: number,
  into: Float64Array,
): void {
  const bias = width * classes + c;
  let s0 = weights[bias] ?? Number.NaN;
  let s1 = weights[bias + 1] ?? Number.NaN;
  let s2 = weights[bias + 2] ?? Number.NaN;
  let s3 = weights[bias + 3] ?? Number.NaN;
  let s4 = weights[bias + 4] ?? Number.NaN;
  const end = starts[row + 1] ?? 0;
  for (let i = starts[row] ?? 0; i < end; i++) {
    const x = values[i] ?? Number.NaN;
    const w = (columns[i] ?? 0) * classes + c;
    s0 += x * (weights[w] ?? Number.NaN);
    s1 += x * (weights[w + 1] ?? Number.NaN);
    s2 += x * (weights[w + 2] ?? Number.NaN);
    s3 += x * (weights[w + 3] ?? Number.NaN);
    s4 += x * (weights[w + 4] ?? Number.NaN);
  }
  const out = row * classes + c;
  into[out] = s0;
  into[out + 1] = s1;
  into[out + 2] = s2;
  into[out + 3] = s3;
  into[out + 4] = s4;
}

function oneLogit(
  { width, starts, columns, values }: SparseRows,
  row: number,
  weights: Float64Array,
  classes: number,
  c: number,
  into: Float64Array,
): void {
  let sum = at(weights, width * classes + c);
  const end = at(starts, row + 1);
  for (let i = at(starts, row); i < end; i++) sum += at(values, i) * at(weights, at(columns, i) * classes + c);
  into[row * classes + c] = sum;
}
