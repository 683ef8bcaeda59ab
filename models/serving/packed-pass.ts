// What the engine's thread hands over of a micro-batch, in one piece of memory.
//
// A column that crosses the border of a thread alone costs its maker and its taker an allocation each, and the garbage collector two objects
// with memory outside the heap: thirteen of them cost a batch of one more than its vote.
//
// Owns: the copy. Does not own: the columns (pass.ts).

import type { Embedded } from "../adaptation/pass.js";
import { ColumnLayout } from "../numbers/columns.js";

/** The same numbers, all columns in the one buffer beside them. Where no row was looked at twice, `plain` is `logits`. */
export function packed(embedded: Embedded): { readonly embedded: Embedded; readonly buffer: ArrayBuffer } {
  const { rows, logits, plain, embeddings, moments, density, domains, bySource, looks } = embedded;
  const floats = [logits, embeddings, moments, density, looks.densities, looks.answers, looks.weights];
  const isPlain = plain === logits;
  const length = floats.reduce((sum, column) => sum + column.length, isPlain ? 0 : plain.length);
  const buffer = new ArrayBuffer(
    4 * length + 2 * looks.rows.length + looks.kinds.length + domains.length + bySource.length,
  );
  const layout = new ColumnLayout(buffer);
  const float32 = (column: Float32Array): Float32Array => {
    const into = layout.float32(column.length);
    into.set(column);
    return into;
  };
  const ofAnswer = float32(logits);
  const columns = {
    rows,
    logits: ofAnswer,
    plain: isPlain ? ofAnswer : float32(plain),
    embeddings: float32(embeddings),
    moments: float32(moments),
    density: float32(density),
  };
  const seen = {
    densities: float32(looks.densities),
    answers: float32(looks.answers),
    weights: float32(looks.weights),
  };
  const lookRows = layout.uint16(looks.rows.length);
  lookRows.set(looks.rows);
  const kinds = layout.uint8(looks.kinds.length);
  kinds.set(looks.kinds);
  const ofRows = layout.uint8(domains.length);
  ofRows.set(domains);
  const ofSource = layout.uint8(bySource.length);
  ofSource.set(bySource);
  const looked = { ...seen, rows: lookRows, kinds };
  return { embedded: { ...columns, domains: ofRows, bySource: ofSource, looks: looked }, buffer };
}
