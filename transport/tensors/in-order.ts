// A few at a time, the rest in the order of coming.
//
// Owns: the turns. Does not own: what is done in one, how many may wait (their own bounds hold).

export class InOrder {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Resolves with what ends the turn, once each; undefined when the signal aborted before it began. */
  take(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(() => this.#next());
    }
    return new Promise((resolve) => {
      const leave = (): void => {
        this.#waiting.delete(begin);
        resolve(undefined);
      };
      const begin = (): void => {
        signal.removeEventListener("abort", leave);
        resolve(() => this.#next());
      };
      this.#waiting.add(begin);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  #next(): void {
    for (const begin of this.#waiting) {
      this.#waiting.delete(begin);
      begin();
      return;
    }
    this.#free += 1;
  }
}
