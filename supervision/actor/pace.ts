// How much may be done at once, before the event loop has its say.
//
// An actor that is told one message while it is idle need not wait for the event loop to come round: its turn can begin as soon as the
// thread is free. A chain of actors that tell each other would then never end, and no socket be read again: so of one round of the loop
// such turns get a share, and what is above it waits for the next round.
//
// Owns: the share. Does not own: who takes of it (kernel.ts).
//
// P1. Between two looks of the event loop at its sockets at most `soonMax` turns begin at once, and none after they took `soonMs`
//     together: with the one that began last this bounds how long they keep I/O waiting.
// P2. The share is new once the loop has looked. It is not held against the loop: it sleeps over its sockets as if nothing waited, and nothing here
//     keeps a process alive.

import type { Clock } from "../../models/clock.js";

/** A request's way through a node takes five. */
export const soonMax = 16;
/** As long as a turn takes messages (turn-loop.ts). */
export const soonMs = 2;

export class Pace {
  readonly #clock: Clock;
  /** Calls back once the loop has looked at its sockets. */
  readonly #afterLook: (begin: () => void) => void;
  #left = soonMax;
  #tookMs = 0;

  constructor(clock: Clock, afterLook: (begin: () => void) => void = onceLooked) {
    this.#clock = clock;
    this.#afterLook = afterLook;
  }

  /** Begins the turn; false when this round's share is used up. */
  run(turn: () => void): boolean {
    if (this.#left === 0 || this.#tookMs >= soonMs) return false;
    if (this.#left === soonMax) this.#afterLook(this.#anew);
    this.#left -= 1;
    const beganAtMs = this.#clock.monotonicMs();
    turn();
    this.#tookMs += this.#clock.monotonicMs() - beganAtMs;
    return true;
  }

  readonly #anew = (): void => {
    this.#left = soonMax;
    this.#tookMs = 0;
  };
}

function onceLooked(begin: () => void): void {
  setImmediate(begin).unref();
}
