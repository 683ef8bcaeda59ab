// Every wait has a bound (law 9).

import type { Clock } from "../models/clock.js";

export type Bounded<T> = { readonly kind: "done"; readonly value: T } | { readonly kind: "late" };

/** Waits for `work` at most `ms`. A rejection passes through; work that comes late is not waited for, nor unhandled. */
export function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<Bounded<T>> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => resolve({ kind: "late" }));
    work.then(
      (value) => {
        cancel();
        resolve({ kind: "done", value });
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}
