// How far learning is from the source: the mean KL of the newest steps, and whether it has been too high for too long.
//
// Owns: the window, and the rule "high for `forMs`". Does not own: the KL of a step (models/learning/guardrails.ts), the alert (alert-rules.ts).
//
// K1. One high step is no news, however high: high is what stayed above the limit for `forMs`, with no step at or under it in between.
// K2. Silence proves nothing: after `forMs` without a step the count begins anew.
import type { LearningSettings } from "../../models/settings.js";

/** Steps in the mean. */
export const klWindow = 100;

export class KlWatch {
  readonly #settings: LearningSettings["klAlert"];
  readonly #window: number[] = [];
  #highSinceMs: number | undefined;
  #lastMs = 0;
  #isHigh = false;

  constructor(settings: LearningSettings["klAlert"]) {
    this.#settings = settings;
  }

  /** Of the newest 100 steps, nats; null before the first. */
  get mean(): number | null {
    const { length } = this.#window;
    return length === 0 ? null : this.#window.reduce((sum, kl) => sum + kl, 0) / length;
  }

  /** Takes the KL of one step; says when it has become high, and when that is over. */
  take(kl: number, nowMs: number): "high" | "normal" | undefined {
    this.#window.push(kl);
    if (this.#window.length > klWindow) this.#window.shift();
    const { above, forMs } = this.#settings;
    const wasSilent = nowMs - this.#lastMs > forMs;
    this.#lastMs = nowMs;
    if (!(kl > above)) {
      this.#highSinceMs = undefined;
      if (!this.#isHigh) return undefined;
      this.#isHigh = false;
      return "normal";
    }
    if (this.#highSinceMs === undefined || wasSilent) this.#highSinceMs = nowMs;
    if (this.#isHigh || nowMs - this.#highSinceMs < forMs) return undefined;
    this.#isHigh = true;
    return "high";
  }
}
