// What every view is given: what is known, whom to ask, what time it is.
//
// Owns: this shape. Does not own: any of its parts.

import type { Clock } from "../../models/clock.js";
import type { Ask } from "./ask.js";
import type { Live } from "./live.js";

export interface Scene {
  readonly live: Live;
  readonly ask: Ask;
  readonly clock: Clock;
  /** The cluster's time, to the second. */
  readonly nowMs: number;
  /** Whether there is a token with which orders may be given; whether it is the right one the server says. */
  readonly canOrder: boolean;
  /** Says it to whoever listens instead of looks. */
  say(words: string): void;
}
