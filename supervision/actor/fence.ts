// The fence around one incarnation: its refs carry nothing once it is over.
//
// Owns: whether what an incarnation tells is still taken. Does not own: the turn's outbox, which ends with the incarnation itself
// (turn-scope.ts T1), writes to the log (the chain refuses those).
//
// F1. It closes when the incarnation's `stop` is over, or out of time: before the next `init`. Until then `stop` may hand on what it holds.
// F2. A ref that was got elsewhere is not fenced: the outside of a tree is no incarnation.

import type { Ref, Refs } from "./ref.js";

export class Fence {
  #isClosed = false;

  /** For good. */
  close(): void {
    this.#isClosed = true;
  }

  around<M>(ref: Ref<M>): Ref<M> {
    return { path: ref.path, tell: (message) => (this.#isClosed ? "dead" : ref.tell(message)) };
  }

  aroundAll(refs: Refs): Refs {
    return { ref: <M>(path: string) => this.around(refs.ref<M>(path)) };
  }
}
