// What nobody tells of is asked for again and again, for a bounded time.

import { systemClock } from "../supervision/clock.js";

const againMs = 50;

/** The first answer that is neither undefined nor false; after `withinMs` an error that names `what`. */
export async function until<T>(
  what: string,
  withinMs: number,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const giveUpAtMs = systemClock.monotonicMs() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (systemClock.monotonicMs() >= giveUpAtMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await systemClock.delay(againMs);
  }
}
