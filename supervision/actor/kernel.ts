// The only importer of nact.
//
// Takes from nact what it does well: names, the tree, and one turn of an actor at a time in the event loop's order.
// Owns: nact actors that carry no messages, only turn tokens; turns that need not wait for the event loop.
// Does not own: mailboxes, state, failure, how many turns need not wait (pace.ts). See ARCHITECTURE.md for what nact does on failure and
// why none of it is used.
//
// K1. nact's fault path never runs: a turn that throws is caught here and reported to its owner.
// K2. `reset`, `resume`, `query` and nact timeouts are never used; a restart is stop and spawn under a new name.
// K3. A name is never used twice under one parent (it carries the generation), because nact finds actors by path and a
//     token of an old incarnation would reach the new one.
// K4. A turn that is asked for `soon` runs when the code that runs now has ended, before the event loop goes on; where it may not, nact
//     gives it. Whoever asks for turns asks for one at a time: here nact does not see that one is under way.

import { dispatch, type Ref as NactRef, spawn, start, stop } from "nact";
import type { Clock } from "../../models/clock.js";
import { Pace } from "./pace.js";

/** Must not throw; if it does all the same, `escaped` hears of it. */
export interface Work {
  turn(): void | Promise<void>;
  /** Whether a turn that was asked for `soon` had better wait for the event loop after all, which may bring it more to do. */
  hasCompany?(): boolean;
  escaped(error: unknown): void;
}

/** A place in nact's tree. */
export interface Spot {
  /** Asks for one turn of this spot's work. Asking a stopped spot does nothing. */
  schedule(): void;
  /** The same, before the event loop goes on if that costs nobody else's turn. */
  soon(): void;
  spawn(name: string, work: Work): Spot;
  /** Stops this spot alone: nact leaves children running, so their owners stop them first. A turn under way runs on. */
  stop(): void;
}

/** Starts an own nact system; `stop` forgets it. Its name is nact's choice: nobody looks systems up by name. */
export function startKernel(clock: Clock): Spot {
  return new NactSpot(start(), undefined, new Pace(clock));
}

const now = Promise.resolve();
const TOKEN = "turn";
type Token = typeof TOKEN;

class NactSpot implements Spot {
  readonly #ref: NactRef<Token>;
  readonly #work: Work | undefined;
  readonly #pace: Pace;
  #isStopped = false;

  constructor(ref: NactRef<Token>, work: Work | undefined, pace: Pace) {
    this.#ref = ref;
    this.#work = work;
    this.#pace = pace;
  }

  schedule(): void {
    dispatch(this.#ref, TOKEN);
  }

  soon(): void {
    // Node's queueMicrotask makes an object for async hooks each time.
    void now.then(this.#begin);
  }

  spawn(name: string, work: Work): Spot {
    return new NactSpot(
      spawn(this.#ref, () => guarded(work), name),
      work,
      this.#pace,
    );
  }

  stop(): void {
    this.#isStopped = true;
    stop(this.#ref);
  }

  readonly #begin = (): void => {
    // Its work may belong to a later incarnation by now.
    if (this.#isStopped || this.#work === undefined) return;
    const mayBegin = this.#work.hasCompany?.() !== true;
    if (!mayBegin || !this.#pace.run(this.#turn)) this.schedule();
  };

  readonly #turn = (): void => {
    if (this.#work !== undefined) void guarded(this.#work);
  };
}

function guarded(work: Work): void | Promise<void> {
  try {
    return work.turn()?.catch(work.escaped);
  } catch (error) {
    work.escaped(error);
  }
}
