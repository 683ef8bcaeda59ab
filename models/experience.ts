// What the log holds, as numbers: experiences, late labels and rewards, update tasks.
//
// Owns: the shapes. Does not own: their bytes (transport/log/records.ts), their order (the log gives it),
// what follows from them (models/policy/policy.ts).

/** Where an experience stands in the log: the record's stream sequence and the row inside its micro-batch. */
export interface Position {
  readonly seq: number;
  readonly index: number;
}

/** One micro-batch of answered requests: columns over `n` rows, one log record. */
export interface ExperienceBatch {
  readonly kind: "answers";
  readonly model: string;
  readonly node: string;
  readonly incarnation: number;
  readonly atMs: number;
  /** The model version that answered. */
  readonly version: number;
  /** [n] request ids; a repeated request finds its first answer by this. */
  readonly ids: readonly string[];
  /** [n] W3C trace ids, 32 hex digits. */
  readonly traceIds: readonly string[];
  /** [n] 1 = answered by the source model alone, before the memory was warm. */
  readonly cold: Uint8Array;
  /** [n] 1 = the source alone looked at it, for its domain is floored: its deeper layers' moments are those behind the source's normalisation. */
  readonly bySource: Uint8Array;
  /** [n] 1 = an update task follows. */
  readonly learn: Uint8Array;
  /** [n] index of the answer in the manifest's labels. */
  readonly answers: Uint16Array;
  /** [n] 0..1. */
  readonly confidences: Float32Array;
  /** [n] 0..1, what eviction spares. */
  readonly priorities: Float32Array;
  /** [n] class whose moments this row moves (models/adaptation/domains.ts). */
  readonly slots: Uint8Array;
  /** [n] of the plain look; numbers that a half holds. */
  readonly densities: Float32Array;
  /** What was seen of rows that got more than one look. */
  readonly looks: LooksSeen;
  /** [n, width] of the look that counts most, as the head sees them. */
  readonly embeddings: Float32Array;
  /** [n, classes] what the model answers, all looks together. */
  readonly logits: Float32Array;
  /** [n, 2 * channels] of the plain look: first moments, then second moments, before normalisation; numbers that a half holds (models/numbers/half.ts). */
  readonly moments: Float32Array;
}

/** Columns over m looks, in the order of their rows. Numbers that a half holds. */
export interface LooksSeen {
  /** [m] */
  readonly rows: Uint16Array;
  /** [m] which look it was (models/adaptation/standing.ts). */
  readonly kinds: Uint8Array;
  /** [m] */
  readonly densities: Float32Array;
  /** [m, classes] each sums to 1. */
  readonly answers: Float32Array;
}

export const noLooks: LooksSeen = {
  rows: new Uint16Array(),
  kinds: new Uint8Array(),
  densities: new Float32Array(),
  answers: new Float32Array(),
};

/** A true label that arrived after the answer. */
export interface LateLabel {
  readonly kind: "label";
  readonly model: string;
  readonly node: string;
  readonly atMs: number;
  /** The request it labels. */
  readonly id: string;
  readonly label: number;
  readonly of: Position;
}

/** What somebody thought of an answer, without knowing the right one. */
export interface LateReward {
  readonly kind: "reward";
  readonly model: string;
  readonly node: string;
  readonly atMs: number;
  readonly id: string;
  /** -1 (bad) to 1; 1 itself is written as a label. */
  readonly reward: number;
  readonly of: Position;
}

/** What may arrive after an answer. */
export type LateWord = LateLabel | LateReward;

export type ExperienceRecord = ExperienceBatch | LateWord;

/** One unit of learning: exactly one guarded step. */
export interface UpdateTask {
  readonly model: string;
  readonly traceId: string;
  readonly experience: Position;
  readonly confidence: number;
  readonly atMs: number;
  readonly node: string;
  /** The trace context in which the request was answered. It goes beside the task, as a header: the log's bytes do not have it. */
  readonly traceparent?: string;
}

/** Lets the fold take experiences in without learning, so that the log can be truncated while nothing needs to be learned. */
export interface Mark {
  readonly model: string;
  readonly node: string;
  readonly atMs: number;
  /** The experience log is folded up to here. */
  readonly experienceSeq: number;
}

/** Goes back to the parameters of an earlier position, as a new version. Carries all it needs, so that every fold gives the same bits. */
export interface Restore {
  readonly model: string;
  readonly node: string;
  readonly atMs: number;
  /** Whence: the position and the version that the parameters had there, and the snapshot if one was named. For people. */
  readonly from: { readonly updateSeq: number; readonly version: number; readonly snapshot?: number | undefined };
  /** All [width * classes + classes], as in learning/guarded-step.ts. */
  readonly head: Float32Array;
  readonly served: Float32Array;
  readonly firstMoment: Float32Array;
  readonly secondMoment: Float32Array;
  readonly steps: number;
}

/** One message of the update stream. */
export type UpdateEntry =
  | { readonly kind: "task"; readonly task: UpdateTask }
  | { readonly kind: "mark"; readonly mark: Mark }
  | { readonly kind: "restore"; readonly restore: Restore };

export function rowsOf(batch: ExperienceBatch): number {
  return batch.ids.length;
}
