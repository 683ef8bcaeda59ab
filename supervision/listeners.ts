// Those who want to hear of something.
//
// Owns: a set of listeners of one kind of fact. A listener that throws harms neither the teller nor the others.

import { asError } from "./exit-reason.js";

export class Listeners<T> {
  readonly #listeners = new Set<(fact: T) => void>();
  readonly #broken: (error: Error) => void;

  constructor(broken: (error: Error) => void) {
    this.#broken = broken;
  }

  /** The returned function removes it. */
  add(listener: (fact: T) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  tell(fact: T): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(fact);
      } catch (thrown) {
        this.#broken(asError(thrown));
      }
    }
  }
}
