// The rows of a record as the adaptation folds them.
//
// Owns: cutting columns into rows. Does not own: the columns (experience.ts), what a row does (adaptation.ts).

import type { ExperienceBatch, LooksSeen } from "../experience.js";
import { at } from "../numbers/softmax.js";
import type { AdaptationRow } from "./adaptation.js";
import type { LookRow } from "./standing.js";

/** `index` of a record of `rows` rows. */
export function adaptationRow(batch: ExperienceBatch, index: number): AdaptationRow {
  const rows = batch.ids.length;
  const width = batch.moments.length / rows;
  return {
    bySource: at(batch.cold, index) === 1 || at(batch.bySource, index) === 1,
    moments: batch.moments.subarray(index * width, (index + 1) * width),
    slot: at(batch.slots, index),
    density: at(batch.densities, index),
    looks: lookRows(batch.looks, index),
  };
}

/** Those at row `index`, which lie side by side. */
export function lookRows(looks: LooksSeen, index: number): readonly LookRow[] {
  const first = looks.rows.indexOf(index);
  if (first < 0) return [];
  const classes = looks.answers.length / looks.rows.length;
  const own: LookRow[] = [];
  for (let i = first; looks.rows[i] === index; i++)
    own.push({
      kind: at(looks.kinds, i),
      density: at(looks.densities, i),
      answer: looks.answers.subarray(i * classes, (i + 1) * classes),
    });
  return own;
}
