// The only importer of nact.
//
// Takes from nact what it does well: names, the tree, and one turn of an actor at a time in the event loop's order.
// Owns: nact actors that carry no messages, only turn tokens.
// Does not own: mailboxes, state, failure. See ARCHITECTURE.md for what nact does on failure and why none of it is used.
//
// K1. nact's fault path never runs: a turn that throws is caught here and reported to its owner.
// K2. `reset`, `resume`, `query` and nact timeouts are never used; a restart is stop and spawn under a new name.
// K3. A name is never used twice under one parent (it carries the generation), because nact finds actors by path and a
//     token of an old incarnation would reach the new one.

import { dispatch, type Ref as NactRef, spawn, start, stop } from "nact";

/** Must not throw; if it does all the same, `escaped` hears of it. */
export interface Work {
  turn(): void | Promise<void>;
  escaped(error: unknown): void;
}

/** A place in nact's tree. */
export interface Spot {
  /** Asks for one turn of this spot's work. Asking a stopped spot does nothing. */
  schedule(): void;
  spawn(name: string, work: Work): Spot;
  /** Stops this spot alone: nact leaves children running, so their owners stop them first. A turn under way runs on. */
  stop(): void;
}

/** Starts an own nact system; `stop` forgets it. Its name is nact's choice: nobody looks systems up by name. */
export function startKernel(): Spot {
  return spotOf(start());
}

const TOKEN = "turn";
type Token = typeof TOKEN;

function spotOf(ref: NactRef<Token>): Spot {
  return {
    schedule: () => dispatch(ref, TOKEN),
    spawn: (name, work) => spotOf(spawn(ref, () => guarded(work), name)),
    stop: () => stop(ref),
  };
}

function guarded(work: Work): void | Promise<void> {
  try {
    return work.turn()?.catch(work.escaped);
  } catch (error) {
    work.escaped(error);
  }
}
