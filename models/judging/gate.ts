// The gate: which answers become units of learning.
//
// Owns: cold or warm, learn or leave. Does not own: how fast (rate.ts), from what (replay.ts).
//
// G1. While cold nothing is learned, however unsure the model is.
import type { LearningSettings } from "../settings.js";

export type GateDecision =
  /** Below the gate: one update task. */
  | "learn"
  /** At or above the gate: nothing to learn. */
  | "confident"
  | "cold";

/** The memory holds too little: the source model answers alone. `experiences` counts what is in the log already. */
export function isCold(experiences: number, { coldStart }: Pick<LearningSettings, "coldStart">): boolean {
  return experiences < coldStart;
}

export function gate(confidence: number, cold: boolean, settings: Pick<LearningSettings, "gate">): GateDecision {
  if (cold) return "cold";
  return confidence >= settings.gate ? "confident" : "learn";
}
