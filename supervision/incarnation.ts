// One life of an actor, from init to stop.
//
// Owns: its abort signal, its spot in nact, what init returned.
// Does not own: the mailbox (it outlives incarnations), turns (turn-loop.ts), the decision to end (cell.ts).

import type { BatchBehaviour, Behaviour, Life } from "./behaviour.js";
import { asError, type ExitReason } from "./exit-reason.js";
import type { Spot } from "./kernel.js";

export type AnyBehaviour = Behaviour<unknown, unknown> | BatchBehaviour<unknown, unknown>;

export interface Initialised {
  readonly behaviour: AnyBehaviour;
  readonly state: unknown;
}

export class Incarnation {
  readonly life: Life<unknown>;
  readonly spot: Spot;
  readonly #abort: AbortController;
  #init: Promise<Initialised> | undefined;

  constructor(life: Life<unknown>, abort: AbortController, spot: Spot) {
    this.life = life;
    this.spot = spot;
    this.#abort = abort;
  }

  /** Once. Rejects when `create` or init throws; undefined when the incarnation ended before init returned. */
  initialise(create: () => AnyBehaviour): Promise<Initialised | undefined> {
    const signal = this.life.signal;
    const ended = new Promise<undefined>((resolve) => {
      signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    this.#init = this.#begin(create);
    return Promise.race([this.#init, ended]);
  }

  /** Makes everything it still does void: no further turn, its signal aborted. */
  void(): void {
    this.spot.stop();
    this.#abort.abort();
  }

  /** Runs `stop` if init ever returns; rejects if `stop` throws. The caller bounds it. */
  async release(reason: ExitReason): Promise<void> {
    const initialised = await this.#init?.catch(() => undefined);
    await initialised?.behaviour.stop?.(initialised.state, reason);
  }

  async #begin(create: () => AnyBehaviour): Promise<Initialised> {
    try {
      const behaviour = create();
      return { behaviour, state: await behaviour.init(this.life) };
    } catch (thrown) {
      throw asError(thrown);
    }
  }
}
