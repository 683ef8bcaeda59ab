// How many bytes of bodies are held at once, over all connections: pure counting.
//
// Owns: the sum. Does not own: the bound of one body (route.ts), when a body is gone (server.ts).

export class BodyBudget {
  readonly #maxBytes: number;
  #heldBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Gives them back when it is called for the first time; undefined where there is no room. */
  take(bytes: number): (() => void) | undefined {
    if (this.#heldBytes + bytes > this.#maxBytes) return undefined;
    this.#heldBytes += bytes;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#heldBytes -= bytes;
    };
  }
}
