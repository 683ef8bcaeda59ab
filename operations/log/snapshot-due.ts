// When a writer stores its next snapshot: as soon as a recovery would have as much to fold again as the model's settings allow.
//
// Owns: what is folded again, in steps. Does not own: the bound (models/settings.ts, `snapshotEvery`), the snapshot (model-writer.ts).
//
// Updates alone do not tell: where inputs seldom leave anything to learn, hundreds of records stand between two of them, and their fold is
// most of a recovery.

/** Of one row each, from bytes to the policy: .13 ms a record, where a step takes 1.5 to 2. */
const recordsPerStep = 16;

export interface Unsaved {
  /** Updates and experience records folded since the newest snapshot. */
  readonly updates: number;
  readonly records: number;
}

/** `every`: steps between two snapshots at most. */
export function isSnapshotDue({ updates, records }: Unsaved, every: number): boolean {
  return updates + records / recordsPerStep >= every;
}
