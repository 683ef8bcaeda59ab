// One life of an actor, from init to stop.
//
// Owns: its abort signal, its fence, its spot in nact, what init returned.
// Does not own: the mailbox (it outlives incarnations), turns (turn-loop.ts), the decision to end (cell.ts).

import type { Cancellation } from "../cancellation.js";
import { asError, type ExitReason } from "../exit-reason.js";
import type { BatchBehaviour, Behaviour, Life } from "./behaviour.js";
import type { Fence } from "./fence.js";
import type { Spot } from "./kernel.js";

export type AnyBehaviour = Behaviour<unknown, unknown> | BatchBehaviour<unknown, unknown>;

export interface Initialised {
  readonly behaviour: AnyBehaviour;
  readonly state: unknown;
}

export class Incarnation {
  readonly life: Life<unknown>;
  readonly spot: Spot;
  readonly fence: Fence;
  readonly #cancellation: Cancellation;
  #init: Promise<Initialised> | undefined;

  constructor(life: Life<unknown>, cancellation: Cancellation, fence: Fence, spot: Spot) {
    this.life = life;
    this.spot = spot;
    this.fence = fence;
    this.#cancellation = cancellation;
  }

  /** Once. Rejects when `create` or init throws; undefined when the incarnation ended before init returned. */
  initialise(create: (fence: Fence) => AnyBehaviour): Promise<Initialised | undefined> {
    try {
      const behaviour = create(this.fence);
      const state = behaviour.init(this.life);
      this.#init = initialised(behaviour, state);
      // Nothing can end it before an init that has returned already, so there is nothing to race against.
      return state instanceof Promise ? Promise.race([this.#init, this.#ended()]) : this.#init;
    } catch (thrown) {
      return Promise.reject(asError(thrown));
    }
  }

  /** Makes everything it still does void: no further turn, its signal aborted. */
  void(): void {
    this.spot.stop();
    this.#cancellation.cancel();
  }

  /** Runs `stop` if init ever returns; rejects if `stop` throws. The caller bounds it. */
  async release(reason: ExitReason): Promise<void> {
    const initialised = await this.#init?.catch(() => undefined);
    await initialised?.behaviour.stop?.(initialised.state, reason);
  }

  #ended(): Promise<undefined> {
    return new Promise((resolve) => {
      this.life.signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
  }
}

async function initialised(behaviour: AnyBehaviour, init: unknown): Promise<Initialised> {
  try {
    return { behaviour, state: await init };
  } catch (thrown) {
    throw asError(thrown);
  }
}
