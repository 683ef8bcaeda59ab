// The porter: answers requests with `not_ready` while no serving node is up, so that a client meets a name and not silence.
//
// Owns: when it stands at the door. Does not own: requests that a serving node takes (actors/serving/intake.ts).
//
// P1. It stands in the queue group of the serving nodes only while none of them is ready. Between a node's first subscription and the root
//     hearing of it, a request may still meet the porter, and is told to try again.

import type { Bus, Subscribed } from "../../transport/bus/bus.js";
import { encodeRefusal } from "../../transport/messages/wire.js";
import type { Subjects } from "../../transport/subjects.js";

const retryAfterMs = 200;

export class Porter {
  readonly #bus: Bus;
  readonly #subjects: Subjects;
  readonly #up = new Set<string>();
  #standing: readonly Subscribed[] = [];

  constructor(bus: Bus, subjects: Subjects) {
    this.#bus = bus;
    this.#subjects = subjects;
    this.#stand();
  }

  /** A serving node is ready. */
  arrived(node: string): void {
    this.#up.add(node);
    this.leave();
  }

  /** A serving node is gone, or on its way out. */
  left(node: string): void {
    if (this.#up.delete(node) && this.#up.size === 0) this.#stand();
  }

  leave(): void {
    for (const subscription of this.#standing) subscription.unsubscribe();
    this.#standing = [];
  }

  #stand(): void {
    const { all, servingGroup } = this.#subjects;
    const { bytes, headers } = encodeRefusal({
      code: "not_ready",
      message: "no serving node is ready yet",
      retryAfterMs,
    });
    this.#standing = [all.infer, all.feedback].map((subject) =>
      this.#bus.subscribe(subject, { queue: servingGroup }, (message) => {
        message.respond(bytes, headers);
      }),
    );
  }
}
