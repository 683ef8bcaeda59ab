// A message to oneself that must arrive: a mailbox that is full is waited for.

import type { Life } from "../supervision/actor/behaviour.js";

const againMs = 5;

/** Tells `message` as soon as there is room, unless the incarnation has ended by then. */
export function tellFirmly<M>({ self, clock, signal }: Pick<Life<M>, "self" | "clock" | "signal">, message: M): void {
  if (signal.aborted || self.tell(message) !== "full") return;
  void clock.delay(againMs, signal).then(() => tellFirmly({ self, clock, signal }, message));
}
