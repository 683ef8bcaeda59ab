// The stable address of an actor.
//
// Owns: the type an actor is told things through.
// Does not own: delivery; that is cell.ts.
//
// R1. A ref outlives incarnations: it exists before the first init and is the same object after every restart.
// R2. A ref accepts exactly what its actor receives. `tell` is a property, not a method, so that the compiler compares
//     its parameter strictly: Ref<A> is no Ref<B>. (A ref to A | B may be used as a ref to A, which is sound.)

import type { ActorPath } from "../path.js";

/** "full": the mailbox is at its bound. "dead": the actor ended for good, or the teller's own incarnation is over (fence.ts). In both cases nothing was taken. */
export type TellOutcome = "ok" | "full" | "dead";

export interface Ref<in M> {
  readonly path: ActorPath;
  readonly tell: (message: M) => TellOutcome;
}

/** Finds refs by path, e.g. inside a behaviour factory. Throws UnknownActorError for a path the tree does not have. */
export interface Refs {
  ref<M>(path: string): Ref<M>;
}

/** A path was asked for that is not in the tree: the caller has to correct the path. */
export class UnknownActorError extends Error {
  readonly path: string;

  constructor(path: string, known: Iterable<string>) {
    super(`no actor "${path}"; known: ${[...known].join(", ")}`);
    this.name = "UnknownActorError";
    this.path = path;
  }
}
