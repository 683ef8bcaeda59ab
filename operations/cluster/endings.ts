// What was started, and how each of it ends: in reverse order, as a stack.
//
// Owns: that one that fails to end keeps no other from ending. Does not own: what is ended, or how long that is waited for (patience.ts).

import { asError } from "../../supervision/exit-reason.js";

/** Ends one thing; by force once the signal is aborted. */
export type End = (over: AbortSignal) => Promise<void>;

export class Endings {
  readonly #ends: End[] = [];

  push(...ends: readonly End[]): void {
    this.#ends.push(...ends);
  }

  /** Ends the last one first, each once. Rejects with the first failure, when all have been tried. */
  async endAll(over: AbortSignal): Promise<void> {
    const failures: Error[] = [];
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop())
      await end(over).catch((error: unknown) => failures.push(asError(error)));
    const [first] = failures;
    if (first !== undefined) throw first;
  }
}
