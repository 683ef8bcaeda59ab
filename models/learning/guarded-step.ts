// One guarded step of the head: gradient, clip, Adam, a little back to the base, then the judgement of the guards.
//
// Owns: the order of these, the optimiser's state. Does not own: the gradient (learner.ts), the guards' arithmetic
// (guardrails.ts), the material (replay.ts).
//
// S1. A refused step changes nothing: the next state exists only when every guard agreed.
// S2. All arithmetic beside the gradient is float64 rounded to float32 once per value, in index order: equal inputs, equal bits.
import type { Calibration } from "../calibration.js";
import { at, type SparseRows, sparseLogits, sparseRows } from "../numbers/softmax.js";
import type { LearningSettings } from "../settings.js";
import {
  allFinite,
  clipByNorm,
  headLogProbabilities,
  judgeStep,
  meanKl,
  type Refusal,
  restoredToward,
  shareRight,
  smoothed,
} from "./guardrails.js";
import type { HeadBatch } from "./head-gradient.js";
import type { Learner } from "./learner.js";
import type { Material } from "./replay.js";

/** All [width * classes + classes]. */
export interface HeadState {
  /** What the optimiser moves. */
  readonly head: Float32Array;
  /** The running average of it: what requests are answered with. */
  readonly served: Float32Array;
  /** Adam's running means of the gradient and of its square. */
  readonly firstMoment: Float32Array;
  readonly secondMoment: Float32Array;
  /** Steps taken, for Adam's bias correction. */
  readonly steps: number;
}

/** What a step did or would have done; telemetry shows it. */
export interface StepReport {
  readonly learningRate: number;
  /** penalty - reward, before the step. */
  readonly loss: number;
  readonly reward: number;
  readonly penalty: number;
  /** Mean KL(base || policy) over the batch, after the step, nats. */
  readonly kl: number;
  readonly gradNorm: number;
  /** After the clip: at most clipNorm. */
  readonly clippedNorm: number;
  readonly clipped: boolean;
  /** Anchor accuracy after the step, minus that of the source head. */
  readonly anchorGain: number;
}

export type Proposal =
  | { readonly kind: "accepted"; readonly next: HeadState; readonly report: StepReport }
  | { readonly kind: "refused"; readonly guard: Refusal; readonly report: StepReport };

/** All of a learner that a step needs. */
export type StepLearner = Pick<Learner, "headGradient">;

/** Adam, Kingma & Ba 2015, algorithm 1, with its proposed constants. */
const beta1 = 0.9;
const beta2 = 0.999;
const epsilon = 1e-8;

/** Anchors and source head never change, so neither do the anchors without their noughts and the source's accuracy on them. */
const sourceAnchors = new WeakMap<Calibration, { readonly rows: SparseRows; readonly accuracy: number }>();

export function sourceHeadState(calibration: Calibration): HeadState {
  return {
    head: calibration.head.slice(),
    served: calibration.head.slice(),
    firstMoment: new Float32Array(calibration.head.length),
    secondMoment: new Float32Array(calibration.head.length),
    steps: 0,
  };
}

export async function guardedStep(
  state: HeadState,
  material: Material,
  learningRate: number,
  learner: StepLearner,
  calibration: Calibration,
  settings: LearningSettings,
): Promise<Proposal> {
  const { width, classes } = calibration;
  const baseLog = Float32Array.from(headLogProbabilities(material.embeddings, calibration.head, width));
  const batch: HeadBatch = { ...material, width, classes, baseLog, klWeight: settings.klWeight };
  const { gradient, reward, penalty } = await learner.headGradient(state.head, batch);
  const clip = clipByNorm(gradient, settings.clipNorm);
  const moved = adam(state, gradient, learningRate);
  const head = restoredToward(moved.head, calibration.head, settings.restore);
  const prospect = {
    finite: allFinite(head) && Number.isFinite(clip.norm),
    kl: meanKl(baseLog, headLogProbabilities(material.embeddings, head, width), classes),
    anchorGain: anchorGain(head, calibration),
  };
  const report: StepReport = {
    learningRate,
    loss: penalty - reward,
    reward,
    penalty,
    kl: prospect.kl,
    gradNorm: clip.norm,
    clippedNorm: clip.clippedNorm,
    clipped: clip.clipped,
    anchorGain: prospect.anchorGain,
  };
  const guard = judgeStep(prospect, settings);
  if (guard !== null) return { kind: "refused", guard, report };
  const next = { ...moved, head, served: smoothed(state.served, head, settings.ema) };
  return { kind: "accepted", next, report };
}

/** The state after one Adam step along `gradient`; `served` is left to the caller. */
function adam(state: HeadState, gradient: Float32Array, learningRate: number): HeadState {
  const steps = state.steps + 1;
  const firstScale = 1 / (1 - beta1 ** steps);
  const secondScale = 1 / (1 - beta2 ** steps);
  const firstMoment = new Float32Array(gradient.length);
  const secondMoment = new Float32Array(gradient.length);
  const head = new Float32Array(gradient.length);
  for (let i = 0; i < head.length; i++) {
    firstMoment[i] = beta1 * at(state.firstMoment, i) + (1 - beta1) * at(gradient, i);
    secondMoment[i] = beta2 * at(state.secondMoment, i) + (1 - beta2) * at(gradient, i) ** 2;
    const size = Math.sqrt(at(secondMoment, i) * secondScale) + epsilon;
    head[i] = at(state.head, i) - (learningRate * at(firstMoment, i) * firstScale) / size;
  }
  return { head, served: state.served, firstMoment, secondMoment, steps };
}

function anchorGain(head: Float32Array, calibration: Calibration): number {
  let known = sourceAnchors.get(calibration);
  if (known === undefined) {
    const rows = sparseRows(calibration.anchorEmbeddings, calibration.width);
    known = { rows, accuracy: shareRight(sparseLogits(rows, calibration.head), calibration.anchorLabels) };
    sourceAnchors.set(calibration, known);
  }
  return shareRight(sparseLogits(known.rows, head), calibration.anchorLabels) - known.accuracy;
}
