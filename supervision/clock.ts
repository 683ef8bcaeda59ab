// The real clock: the only file that reads time and sets timers.

import type { Clock } from "../models/clock.js";

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  delay(ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const timer = setTimeout(settle, ms);
      signal?.addEventListener("abort", settle, { once: true });
      function settle(): void {
        clearTimeout(timer);
        signal?.removeEventListener("abort", settle);
        resolve();
      }
    });
  },
};

/** Calls `run` every `ms` until the returned function is called. Keeps no process alive. */
export function pulse(ms: number, run: () => void): () => void {
  const timer = setInterval(run, ms).unref();
  return () => clearInterval(timer);
}
