// An actor's message to itself after a while: the way an actor waits without holding a turn.

import type { Life } from "./behaviour.js";

/** Tells `message` after `afterMs`, unless the incarnation has ended by then. A full mailbox loses it: send only what comes again. */
export function tellLater<M>(life: Life<M>, afterMs: number, message: M): void {
  void life.clock.delay(afterMs, life.signal).then(() => {
    if (!life.signal.aborted) life.self.tell(message);
  });
}
