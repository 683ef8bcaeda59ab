// The proof that a rewritten classifier answers as the file did that somebody brought.
//
// Owns: what is compared, how far apart is too far. Does not own: the graphs (models/adoption/rewrite.ts), what follows from a refusal.
//
// P1. The file is run as it was given: its own output, in its own batches where it fixes them, and in others than the serving
//     graph's where it does not: so that answers that depend on the rows beside them are seen.

import { sizeOf } from "../manifest.js";
import { argmax, at, logSoftmax, softmax } from "../numbers/softmax.js";
import { openAnySession, openSession } from "../serving/onnx-session.js";
import { type CleanRows, type Inspected, type Refused, rowsFrom } from "./inspect.js";
import type { Tail } from "./survey.js";

/** How the graphs that were written compare with the file that was given. */
export interface Proof {
  readonly rows: number;
  /** Largest |difference| / max(1, |original|) of any output value, of the serving graph and of source.onnx. */
  readonly serving: number;
  readonly source: number;
  /** Share of rows whose answer is the original's, 0..1. */
  readonly agreement: number;
}

/** Of values about 1, beyond what another order of summation explains. */
const tolerance = 1e-3;
/** Not that of the serving graph's runs (P1). */
const rowsPerRun = 64;

/** logits [rows, classes] of the serving graph, source.onnx, and the file as it was given. */
export async function prove(
  {
    original,
    source,
    logits,
  }: { readonly original: Uint8Array; readonly source: Uint8Array; readonly logits: Float32Array },
  { end, fixedBatch, plan }: Inspected,
  rows: CleanRows,
): Promise<Proof> {
  const { classes } = plan;
  const count = rows.labels.length;
  const size = sizeOf(plan.shape);
  const [first, second] = [await openAnySession(original), await openSession(source)];
  const proof = { serving: 0, source: 0, agreeing: 0 };
  try {
    const step = fixedBatch ?? rowsPerRun;
    for (let start = 0; start < count; start += step) {
      const n = Math.min(step, count - start);
      // A file of a fixed batch gets whole ones, filled up with zeros.
      const input = new Float32Array((fixedBatch ?? n) * size);
      input.set(rowsFrom(rows, start, n));
      const [given] = await first.run(input, [fixedBatch ?? n, ...plan.shape], [end.output]);
      const reduced = await second.run(rowsFrom(rows, start, n), n);
      for (let row = 0; row < n; row++) {
        const expected = rowOf(given?.data ?? new Float32Array(), row, classes);
        const served = rowOf(logits, start + row, classes);
        proof.serving = Math.max(proof.serving, difference(expected, withTail(served, end.tail)));
        proof.source = Math.max(proof.source, difference(expected, withTail(rowOf(reduced, row, classes), end.tail)));
        if (argmax(expected) === argmax(served)) proof.agreeing += 1;
      }
    }
  } finally {
    await Promise.all([first.close(), second.close()]);
  }
  return { rows: count, serving: proof.serving, source: proof.source, agreement: proof.agreeing / count };
}

function withTail(logits: Float32Array, tail: Tail): Float32Array | Float64Array {
  switch (tail) {
    case "none":
      return logits;
    case "softmax":
      return softmax(logits);
    case "log-softmax":
      return logSoftmax(logits);
    default:
      return tail satisfies never;
  }
}

/** NaN where a value is missing or not finite, which no tolerance takes. */
function difference(expected: Float32Array, found: Float32Array | Float64Array): number {
  let worst = 0;
  for (let k = 0; k < expected.length; k++) {
    const relative = Math.abs(at(expected, k) - at(found, k)) / Math.max(1, Math.abs(at(expected, k)));
    if (!(relative <= worst)) worst = relative;
    if (Number.isNaN(worst)) return worst;
  }
  return worst;
}

/** The refusal of a graph that answers otherwise; null when both are equal. */
export function differenceOf({ serving, source, agreement }: Proof): Refused | null {
  const worst = Math.max(serving, source);
  if (worst <= tolerance) return null;
  return {
    kind: "refused",
    message: `rewritten, it does not answer as before: values differ by up to ${worst.toPrecision(3)} (at most ${tolerance}), ${percent(agreement)} of the answers agree`,
    next: "nothing was written; export it in evaluation mode, so that no row depends on others; if it is, report it with the file",
  };
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function rowOf(values: Float32Array, row: number, length: number): Float32Array {
  return values.subarray(row * length, (row + 1) * length);
}
