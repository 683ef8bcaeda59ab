// Whether somebody who should speak again and again still does.

import type { Clock } from "../../models/clock.js";

/** One timer, however often somebody is heard: it finds out itself how long ago that was. */
export class SilenceWatch {
  readonly #clock: Clock;
  readonly #afterMs: number;
  readonly #onSilence: () => void;
  #cancel: (() => void) | undefined;
  #heardAtMs = 0;

  constructor(clock: Clock, afterMs: number, onSilence: () => void) {
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#onSilence = onSilence;
  }

  /** From now on, or still, somebody should speak. */
  heard(): void {
    this.#heardAtMs = this.#clock.monotonicMs();
    if (this.#cancel === undefined) this.#wakeIn(this.#afterMs);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #wakeIn(inMs: number): void {
    this.#cancel = this.#clock.after(inMs, () => {
      const leftMs = this.#heardAtMs + this.#afterMs - this.#clock.monotonicMs();
      if (leftMs > 0) this.#wakeIn(leftMs);
      else this.#onSilence();
    });
  }
}
