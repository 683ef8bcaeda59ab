// What a writer spent its time on, phase after phase.
//
// Owns: closing one phase when the next begins, or when all of it fails. Does not own: what the phases are (log/model-writer.ts), what is made
// of them: the meter (metrics/update-meter.ts) and the recorder of spans (actors/learning/update-spans.ts) read the same laps.

/** Times are those of the clock that the laps were given. */
export interface Lap {
  readonly phase: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly failed?: boolean;
}

export class UpdateLaps {
  readonly #nowMs: () => number;
  readonly #done: Lap[] = [];
  #open: { readonly phase: string; readonly fromMs: number } | undefined;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** In order; each closed. */
  get laps(): readonly Lap[] {
    return this.#done;
  }

  begin(phase: string): void {
    this.end();
    this.#open = { phase, fromMs: this.#nowMs() };
  }

  end(): void {
    this.#close(false);
  }

  /** Whatever is under way ends here, as an error. */
  fail(): void {
    this.#close(true);
  }

  #close(failed: boolean): void {
    if (this.#open === undefined) return;
    this.#done.push({ ...this.#open, toMs: this.#nowMs(), failed });
    this.#open = undefined;
  }
}
