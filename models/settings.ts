// How a model learns, remembers and votes: one literal of defaults; a manifest overrides single fields.
//
// The figures come from the prequential measurements described in docs/learning.md.

export type VoteStrategy = "majority" | "weighted" | "confidence" | "ensemble";

export interface LearningSettings {
  /** Experiences in memory before the memory may vote and the model may learn; until then the source model answers alone. */
  readonly coldStart: number;
  /** Priority, at least, of every cold experience. */
  readonly coldStartPriority: number;
  /** Confidence from which there is nothing to learn: below it, an answer becomes an update task. */
  readonly gate: number;
  /** Confidence from which an experience is material for a step. */
  readonly trust: number;
  /** Neighbours asked for each request. */
  readonly neighbours: number;
  /** Experiences the memory holds at most. */
  readonly capacity: number;
  /** Rows of one log record that enter the memory at most, those of the highest priority; cold rows always do. */
  readonly rememberedPerRecord: number;
  readonly strategy: VoteStrategy;
  /** How true labels vote in the ensemble (models/memory/vote.ts): how many of the nearest, how strongly, and how fast that falls with distance. */
  readonly labelled: { readonly neighbours: number; readonly weight: number; readonly sharpness: number };
  /** Half-life-like scale of recency in votes: weight exp(-age / recencyMs). */
  readonly recencyMs: number;
  /** Switches of the stages of adaptation. */
  readonly stages: {
    /** A: normalisation follows each domain's moments. */
    readonly moments: boolean;
    /** B: more looks where one is not enough; only for models with views. */
    readonly views: boolean;
    /** C: guarded steps of the head. */
    readonly head: boolean;
    /** D: the source model answers where it does better. */
    readonly floor: boolean;
  };
  /** Experiences drawn from the replay for one step. */
  readonly stepBatch: number;
  readonly replayPerClass: number;
  /** Learning rate: clip(max * (1 - confidence), min, max). */
  readonly learningRate: { readonly min: number; readonly max: number };
  /** Weight of KL(base || policy) in the loss. */
  readonly klWeight: number;
  /** A step whose mean KL(base || policy) exceeds this is refused. Nats. */
  readonly klLimit: number;
  /** Steps whose KL stays above `above` (nats) for `forMs` are an alert. */
  readonly klAlert: { readonly above: number; readonly forMs: number };
  /** Global gradient norm at most. */
  readonly clipNorm: number;
  /** Fraction of the way back to the base after each step. */
  readonly restore: number;
  /** served = ema * served + (1 - ema) * live. */
  readonly ema: number;
  /** A step that costs more anchor accuracy than this, against the source head, is refused. */
  readonly anchorLossMax: number;
  /**
   * Steps between two snapshots: what a recovery has to fold again at most. Tasks count, applied or refused, and records of experience by
   * what they cost beside a step (operations/log/snapshot-due.ts). Of the digits, a snapshot (0.4 MB) costs about as much as two steps, so
   * this many make it an eighth of the work, and leave a recovery eight steps to fold on average.
   */
  readonly snapshotEvery: number;
}

export const defaults: LearningSettings = {
  coldStart: 100,
  coldStartPriority: 0.8,
  gate: 0.7,
  trust: 0.7,
  neighbours: 5,
  capacity: 10_000,
  rememberedPerRecord: 4,
  strategy: "ensemble",
  labelled: { neighbours: 5, weight: 2, sharpness: 20 },
  recencyMs: 24 * 60 * 60 * 1000,
  stages: { moments: true, views: true, head: true, floor: true },
  stepBatch: 32,
  replayPerClass: 12,
  learningRate: { min: 1e-4, max: 3e-3 },
  klWeight: 1,
  klLimit: 0.5,
  klAlert: { above: 0.2, forMs: 30_000 },
  clipNorm: 1,
  restore: 0.01,
  ema: 0.9,
  anchorLossMax: 0.005,
  snapshotEvery: 16,
};
