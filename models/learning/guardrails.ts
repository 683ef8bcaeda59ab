// The guardrails: what a step may not do, and what it is bent back to. Pure.
//
// Owns: KL to the base, the norm's clip, restoring, smoothing, anchor accuracy, the judgement over them.
// Does not own: the step itself (guarded-step.ts).
//
// What they are worth, measured on clean bursts of one class (accuracy): all 0.996; without KL 0.979; without KL and
// restore 0.827; without any 0.703. The anchor to the base is what prevents collapse; the others are cheap insurance.

import { at, headLogits, logSoftmax } from "../numbers/softmax.js";
import type { LearningSettings } from "../settings.js";

/** Why a task did not become a version. */
export type Refusal = "kl" | "anchors" | "nan" | "cold" | "no_material" | "disabled" | "poison";

/** What a step would lead to. */
export interface Prospect {
  readonly finite: boolean;
  /** Mean KL(base || policy) over the step's batch, nats. */
  readonly kl: number;
  /** Accuracy on the anchors, minus that of the source head. */
  readonly anchorGain: number;
}

/** The first guard that objects, or null. */
export function judgeStep(
  prospect: Prospect,
  { klLimit, anchorLossMax }: Pick<LearningSettings, "klLimit" | "anchorLossMax">,
): Extract<Refusal, "kl" | "anchors" | "nan"> | null {
  if (!prospect.finite || !Number.isFinite(prospect.kl)) return "nan";
  if (prospect.kl > klLimit) return "kl";
  // A little over the limit is not over it: accuracies are ratios of small integers, and their difference is rounded.
  if (prospect.anchorGain < -anchorLossMax - 1e-9) return "anchors";
  return null;
}

/** Mean over rows of sum base (log base - log policy), nats. Both [rows, classes] as log probabilities. */
export function meanKl(baseLog: Float32Array | Float64Array, policyLog: Float64Array, classes: number): number {
  const rows = baseLog.length / classes;
  let sum = 0;
  for (let i = 0; i < baseLog.length; i++) {
    const base = at(baseLog, i);
    sum += Math.exp(base) * (base - at(policyLog, i));
  }
  return sum / rows;
}

/** Log probabilities [rows, classes] of a head on embeddings [rows, width]. */
export function headLogProbabilities(embeddings: Float32Array, head: Float32Array, width: number): Float64Array {
  const classes = head.length / (width + 1);
  const logits = headLogits(embeddings, head, width);
  for (let start = 0; start < logits.length; start += classes) {
    logits.set(logSoftmax(logits.subarray(start, start + classes)), start);
  }
  return logits;
}

/** Scales `gradient` in place so that its Euclidean norm is at most `max`; says what the norm was and is. */
export function clipByNorm(
  gradient: Float32Array,
  max: number,
): { norm: number; clippedNorm: number; clipped: boolean } {
  let square = 0;
  for (const value of gradient) square += value * value;
  const norm = Math.sqrt(square);
  if (!(norm > max)) return { norm, clippedNorm: norm, clipped: false };
  const factor = max / norm;
  for (let i = 0; i < gradient.length; i++) gradient[i] = at(gradient, i) * factor;
  return { norm, clippedNorm: max, clipped: true };
}

/** `fraction` of the way from `live` back to `base`. */
export function restoredToward(live: Float32Array, base: Float32Array, fraction: number): Float32Array {
  const restored = new Float32Array(live.length);
  for (let i = 0; i < restored.length; i++) restored[i] = at(live, i) + fraction * (at(base, i) - at(live, i));
  return restored;
}

/** ema * served + (1 - ema) * live. */
export function smoothed(served: Float32Array, live: Float32Array, ema: number): Float32Array {
  const average = new Float32Array(served.length);
  for (let i = 0; i < average.length; i++) average[i] = ema * at(served, i) + (1 - ema) * at(live, i);
  return average;
}

/** Share of rows of logits [n, classes] whose largest is their label's. */
export function shareRight(logits: Float64Array, labels: Uint8Array): number {
  const classes = logits.length / labels.length;
  let right = 0;
  for (let row = 0; row < labels.length; row++) {
    let best = row * classes;
    for (let i = best + 1; i < (row + 1) * classes; i++) if (at(logits, i) > at(logits, best)) best = i;
    if (best - row * classes === labels[row]) right += 1;
  }
  return right / labels.length;
}

export function allFinite(values: Float32Array): boolean {
  // Nought times anything finite is nought, and NaN otherwise: one sum instead of a branch per value.
  return allFiniteAt(values, 0, values.length);
}

/** The same of `length` values from `start` on. */
export function allFiniteAt(values: Float32Array, start: number, length: number): boolean {
  let sum = 0;
  for (let i = start; i < start + length; i++) sum += 0 * (values[i] ?? Number.NaN);
  return sum === 0;
}
