// The priority of an experience: what the memory spares, and what a person is asked to label first.
//
// Owns: the formula. Does not own: fading with age and eviction (memory-contents.ts).

import type { LearningSettings } from "../settings.js";
import type { Reward } from "./reward.js";

/**
 * 0.4 (1 - confidence) + 0.4 novelty + 0.2 (1 - task): doubt, the unknown, disagreement with the vote. 0..1.
 * A cold experience has at least `coldStartPriority`: the first ones are all there is.
 */
export function priority(
  confidence: number,
  { novelty, task }: Pick<Reward, "novelty" | "task">,
  cold: boolean,
  { coldStartPriority }: Pick<LearningSettings, "coldStartPriority">,
): number {
  const own = 0.4 * (1 - confidence) + 0.4 * novelty + 0.2 * (1 - task);
  return cold ? Math.max(coldStartPriority, own) : own;
}
