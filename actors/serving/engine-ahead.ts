// An engine that is opened before its actor comes to it: a session takes as long as the fold of a log, and neither needs the other.
//
// Owns: the opening that nobody has taken yet. Does not own: the engine (models/serving/engine.ts), when it begins and ends (the supervisor of
// the model's actors, supervision/tree/child-spec.ts).
//
// E1. Who takes it owns it, and hears how the opening ended. Where none is under way, one begins then: a restart of the actor alone is as before.
// E2. One that nobody took ends with the supervisor.

import type { Clock } from "../../models/clock.js";
import type { Engine } from "../../models/serving/engine.js";
import { within } from "../../supervision/deadline.js";
import type { Ahead } from "../../supervision/tree/child-spec.js";

export class EngineAhead implements Ahead {
  readonly #open: () => Promise<Engine>;
  readonly #clock: Clock;
  readonly #endMs: number;
  #opening: Promise<Engine> | undefined;

  /** `endMs`: how long the end waits for an opening; one that takes longer is closed as soon as it is there. */
  constructor(open: () => Promise<Engine>, clock: Clock, endMs: number) {
    this.#open = open;
    this.#clock = clock;
    this.#endMs = endMs;
  }

  begin(): void {
    if (this.#opening !== undefined) return;
    this.#opening = this.#open();
    // Who takes it hears of a failure; until then it must not be the process's.
    this.#opening.catch(() => undefined);
  }

  take(): Promise<Engine> {
    const opening = this.#opening ?? this.#open();
    this.#opening = undefined;
    return opening;
  }

  async end(): Promise<void> {
    const opening = this.#opening;
    this.#opening = undefined;
    if (opening === undefined) return;
    const closed = opening.then(
      (engine) => engine.close(),
      () => undefined,
    );
    await within(this.#clock, this.#endMs, closed);
  }
}
