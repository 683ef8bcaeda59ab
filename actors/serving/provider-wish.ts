// The execution provider that this process was told to use, and whether it was said that a model runs elsewhere.
//
// Owns: that it is said once. Does not own: the choice (models/serving/execution-provider.ts).
//
// Q1. One warning a model for as long as the process lives: the actor's restarts, and a model's second coming, find what is known.

import type { ExecutionProvider, RunsOn } from "../../models/serving/execution-provider.js";
import type { Logger } from "../../supervision/logger.js";

export class ProviderWish {
  readonly #told = new Set<string>();

  constructor(readonly wanted: ExecutionProvider) {}

  tell(model: string, { provider, fellBack: why }: RunsOn, log: Logger): void {
    if (why === undefined || this.#told.has(model)) return;
    this.#told.add(model);
    log.warn(`${this.wanted} is not available: the model runs on ${provider}`, { model, provider, why });
  }
}
