// What may wait some milliseconds for company: telemetry of every micro-batch.
//
// Owns: what waits, and for how long at most. Does not own: the connection (bus.ts), what may wait (operations/metrics/telemetry.ts).
//
// A write to the socket, and the broker's waking to it, cost more than the message.
//
// U1. It leaves with the next publication that does not wait, behind it, or after `waitMs`; never in another order among themselves.
// U2. At most `waitingMax` wait.

import type { Clock } from "../../models/clock.js";

const waitMs = 5;
const waitingMax = 64;

export class Unhurried {
  readonly #clock: Clock;
  readonly #publish: (subject: string, data: Uint8Array) => void;
  #waiting: { readonly subject: string; readonly data: Uint8Array }[] = [];
  #isDue = false;

  constructor(clock: Clock, publish: (subject: string, data: Uint8Array) => void) {
    this.#clock = clock;
    this.#publish = publish;
  }

  /** True: it will be sent, while the connection is up. */
  add(subject: string, data: Uint8Array): true {
    this.#waiting.push({ subject, data });
    if (this.#waiting.length >= waitingMax) this.send();
    if (this.#isDue) return true;
    this.#isDue = true;
    // Left running when a message takes these along: setting one for each costs more than a look in vain.
    this.#clock.after(waitMs, () => {
      this.#isDue = false;
      this.send();
    });
    return true;
  }

  send(): void {
    if (this.#waiting.length === 0) return;
    const sending = this.#waiting;
    this.#waiting = [];
    for (const { subject, data } of sending) this.#publish(subject, data);
  }
}
