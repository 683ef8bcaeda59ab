// What of one log record enters the memory.
//
// At thousands of requests a second a memory of 10,000 that takes every row in is replaced within seconds: it remembers nothing,
// and building its graph takes most of its thread's time. So of one micro-batch only the rows of the highest priority enter:
// what was doubtful, new or contradicted. Micro-batches grow with the load, so a quiet node still remembers everything.
// Rejected: sampling by time or by what the memory holds already, for then nodes would remember different things.
//
// Owns: the choice and the copy of the chosen rows. Does not own: eviction (memory-contents.ts).
//
// R1. The choice follows from the record and from the ids before it in the log, so that every node's memory stays the same.
// R2. Cold rows always enter: the first experiences are all there is.
// R3. A row keeps its index in the record; late labels find it by that. The label of a row that was left out is ignored, as that of an
//     evicted one.

import { type ExperienceBatch, rowsOf } from "../experience.js";
import { ColumnLayout } from "../numbers/columns.js";
import { at } from "../numbers/softmax.js";
import type { LearningSettings } from "../settings.js";

/** The rows of one log record that the memory remembers. */
export interface MemoryRows {
  readonly seq: number;
  readonly atMs: number;
  readonly rows: number;
  /** [rows] place in the record, rising. */
  readonly indexes: Uint16Array;
  /** [rows, width] */
  readonly embeddings: Float32Array;
  readonly answers: Uint16Array;
  readonly confidences: Float32Array;
  readonly priorities: Float32Array;
}

/**
 * `isRepeat`: an earlier record answered that row's request, so no fold takes it in. Copies: the columns of a decoded record are views into
 * the whole payload, which would travel with them.
 */
export function memoryRows(
  seq: number,
  batch: ExperienceBatch,
  { rememberedPerRecord }: Pick<LearningSettings, "rememberedPerRecord">,
  isRepeat: (index: number) => boolean = () => false,
): MemoryRows {
  const chosen = chosenRows(batch, rememberedPerRecord, isRepeat);
  const rows = chosen.length;
  const width = rowsOf(batch) === 0 ? 0 : batch.embeddings.length / rowsOf(batch);
  const layout = new ColumnLayout(new ArrayBuffer(rows * (4 * width + 4 + 4 + 2 + 2)));
  const embeddings = layout.float32(rows * width);
  const confidences = layout.float32(rows);
  const priorities = layout.float32(rows);
  const answers = layout.uint16(rows);
  const indexes = layout.uint16(rows);
  for (const [row, index] of chosen.entries()) {
    embeddings.set(batch.embeddings.subarray(index * width, (index + 1) * width), row * width);
    confidences[row] = at(batch.confidences, index);
    priorities[row] = at(batch.priorities, index);
    answers[row] = at(batch.answers, index);
    indexes[row] = index;
  }
  return { seq, atMs: batch.atMs, rows, indexes, embeddings, answers, confidences, priorities };
}

/** Indexes, rising: every cold row, and of the others the `most` of the highest priority, the lower index of equals. No repeats. */
function chosenRows(batch: ExperienceBatch, most: number, isRepeat: (index: number) => boolean): readonly number[] {
  const all = Array.from(batch.ids.keys()).filter((index) => !isRepeat(index));
  if (all.length <= most) return all;
  const { cold, priorities } = batch;
  const byPriority = all
    .filter((index) => cold[index] !== 1)
    .sort((a, b) => at(priorities, b) - at(priorities, a) || a - b);
  return [...all.filter((index) => cold[index] === 1), ...byPriority.slice(0, most)].sort((a, b) => a - b);
}

/** Throws when the columns are not all as long as `rows` says. */
export function checkLengths(rows: MemoryRows, width: number): void {
  const whole =
    rows.embeddings.length === rows.rows * width &&
    rows.indexes.length === rows.rows &&
    rows.answers.length === rows.rows &&
    rows.confidences.length === rows.rows &&
    rows.priorities.length === rows.rows;
  if (!whole) throw new RangeError(`the columns of record ${rows.seq} do not all have ${rows.rows} rows`);
}
