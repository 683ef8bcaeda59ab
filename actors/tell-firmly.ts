// A message to oneself that must arrive: a mailbox that is full is waited for.
//
// Owns: the wait between two tries. Does not own: what is told, what becomes of a message to somebody else (supervision/actor/ref.ts).

import type { Life } from "../supervision/actor/behaviour.js";

const againMs = 5;

type Telling<M> = Pick<Life<M>, "self" | "clock" | "signal">;

/** Resolves once `message` is in the mailbox, or the incarnation has ended. */
export async function tellWhenRoom<M>({ self, clock, signal }: Telling<M>, message: M): Promise<void> {
  while (!signal.aborted && self.tell(message) === "full") await clock.delay(againMs, signal);
}

/** The same, for who does not wait for it. */
export function tellFirmly<M>(life: Telling<M>, message: M): void {
  void tellWhenRoom(life, message);
}
