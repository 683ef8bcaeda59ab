// The course of one fault, from the strike to the repair: what was noticed of it, and when.
//
// Owns: the moments, measured from its making. Does not own: which events tell of them (chaos.ts, process-chaos.ts).

import type { Clock } from "../../models/clock.js";

export class Course {
  /** Resolves when the target works again, or will not. */
  readonly settled: Promise<void>;
  leasesCleaned = 0;
  detectMs: number | null = null;
  repairMs: number | null = null;
  cause: string | null = null;
  readonly #clock: Clock;
  readonly #beganAtMs: number;
  #settle: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#beganAtMs = clock.monotonicMs();
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** The target ended; the first end is the fault's. */
  detected(cause: string): void {
    this.detectMs ??= this.#elapsedMs();
    this.cause ??= cause;
  }

  repaired(): void {
    this.repairMs ??= this.#elapsedMs();
    this.#settle();
  }

  /** It will not work again. */
  lost(): void {
    this.#settle();
  }

  /** The fault ended by itself. If the target had ended before, its restart is the repair. */
  leaseEnded(): void {
    if (this.detectMs === null) this.repaired();
  }

  #elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#beganAtMs;
  }
}
