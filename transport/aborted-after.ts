// Work that is broken off when its time is over, for what takes a signal: the clock's time (law 11), where AbortSignal.timeout would be the system's.
//
// Owns: the signal and its timer. Does not own: what the work makes of it; fetch rejects with the signal's reason, a TimeoutError.

import type { Clock } from "../models/clock.js";

export async function abortedAfter<T>(
  clock: Pick<Clock, "after">,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const cancel = clock.after(ms, () => late.abort(new DOMException("no answer in time", "TimeoutError")));
  try {
    return await work(late.signal);
  } finally {
    cancel();
  }
}
