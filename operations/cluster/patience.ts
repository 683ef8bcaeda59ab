// How long an orderly end is waited for: until the grace time is over, or somebody insists.
//
// Owns: the moment at which waiting ends. Does not own: what is waited for, or what force does then.

import type { Clock } from "../../models/clock.js";

/** `drained`: everything was finished first. `forced`: it was cut short. */
export type Ending = "drained" | "forced";

/** The exit code of a process that was ended by force, its own or another's: what a shell says of a SIGKILL. */
export const forcedExitCode = 137;

export interface Patience {
  /** Aborted once it is over. */
  readonly over: AbortSignal;
  /** What was waited for is done. */
  done(): void;
}

export function patience(clock: Clock, graceMs: number, insisted: AbortSignal | undefined): Patience {
  const over = new AbortController();
  const stop = (): void => over.abort();
  const cancel = clock.after(graceMs, stop);
  if (insisted?.aborted) stop();
  insisted?.addEventListener("abort", stop, { once: true });
  return {
    over: over.signal,
    done: () => {
      cancel();
      insisted?.removeEventListener("abort", stop);
    },
  };
}

/** Waits for `drain` as long as there is patience. Of one that is cut short the end, good or bad, is nobody's business any more. */
export async function drainWithin(drain: Promise<void>, { over, done }: Patience): Promise<Ending> {
  const forced = new Promise<Ending>((resolve) => {
    if (over.aborted) resolve("forced");
    over.addEventListener("abort", () => resolve("forced"), { once: true });
  });
  const ending = await Promise.race([drain.then((): Ending => "drained"), forced]);
  done();
  return ending;
}
