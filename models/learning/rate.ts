// The learning rate of one step: the less sure the answer, the larger the step.
//
// Owns: the law. Does not own: what the step does (guarded-step.ts).
import type { LearningSettings } from "../settings.js";

/** clip(max * (1 - confidence), min, max), with confidence taken within 0..1. */
export function learningRate(confidence: number, { min, max }: LearningSettings["learningRate"]): number {
  if (Number.isNaN(confidence)) throw new RangeError("a confidence that is not a number");
  return Math.min(max, Math.max(min, max * (1 - confidence)));
}
