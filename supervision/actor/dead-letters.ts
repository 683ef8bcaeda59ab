// Messages that were accepted and will not be handled.
//
// Owns: their shape and the listeners. Does not own: a store; a listener may keep what it is given.
//
// Refused tells are no dead letters: the teller got "full" or "dead" and still holds the message.

import type { DeadLetterReason } from "../events.js";
import type { ActorPath } from "../path.js";

export interface DeadLetter {
  readonly to: ActorPath;
  readonly message: unknown;
  readonly reason: DeadLetterReason;
  /** One line; the crash's own message where there was one. */
  readonly cause: string;
  /** Deliveries that crashed. */
  readonly deliveries: number;
  readonly atMs: number;
}

export type DeadLetterListener = (letter: DeadLetter) => void;
