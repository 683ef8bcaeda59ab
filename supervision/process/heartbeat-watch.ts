// Finds processes that hang: alive for the operating system, silent for everybody else.
//
// Owns: the looks, the threshold, the difference between a silent process and a listener that was away itself.
// Does not own: phi (accrual-detector.ts), the beat (parent-watch.ts), what follows from a death (process-slot.ts).
//
// H1. A process that never beat is never suspected: one that is not ours knows nothing of the beat.
// H2. The time in which the listener itself did not run (stopped, starved, suspended with its machine) is held against nobody: a look that
//     comes late by `sleptMs` excuses every silence up to then.
// H3. Time in which a process waited for a processor is not silence: a learning node runs at a low priority (law 7), and on a machine that
//     is busy with better things it may not run for seconds. That is excused up to `starvedMaxMs`, since who never runs is of no use either.

import type { Clock } from "../../models/clock.js";
import { type AccrualDetector, type AccrualSettings, accrualDefaults } from "./accrual-detector.js";
import { beatMs } from "./parent-watch.js";

/** A beat that is late because the thread computes is no death: a longer pause is accepted than between machines. */
export const heartbeat: AccrualSettings = {
  ...accrualDefaults,
  expectedIntervalMs: beatMs,
  acceptablePauseMs: 3_000,
};

/** A steady beat is given up after 4.6 s of silence. */
export const watchSettings = { lookMs: 250, sleptMs: 750, threshold: 8, starvedMaxMs: 30_000 } as const;

export interface Beating {
  readonly pulse: AccrualDetector;
  /** How long it has waited for a processor since its last heartbeat. */
  starvedMs(): number;
  declareDead(why: string, silentMs: number): void;
}

export class HeartbeatWatch {
  readonly #clock: Clock;
  readonly #beating: () => Iterable<Beating>;
  readonly #stop = new AbortController();
  #lookedAtMs: number;

  constructor(clock: Clock, beating: () => Iterable<Beating>) {
    this.#clock = clock;
    this.#beating = beating;
    this.#lookedAtMs = clock.monotonicMs();
  }

  async run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.look();
      await this.#clock.delay(watchSettings.lookMs, this.#stop.signal);
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  look(): void {
    const nowMs = this.#clock.monotonicMs();
    const lateMs = nowMs - this.#lookedAtMs - watchSettings.lookMs;
    this.#lookedAtMs = nowMs;
    for (const process of this.#beating()) {
      const { pulse } = process;
      if (lateMs >= watchSettings.sleptMs) pulse.excuse(nowMs);
      if (pulse.suspicion(nowMs) < watchSettings.threshold) continue;
      const suspicion = pulse.suspicion(nowMs - Math.min(watchSettings.starvedMaxMs, process.starvedMs()));
      if (suspicion < watchSettings.threshold) continue;
      const silentMs = Math.round(pulse.silenceMs(nowMs));
      process.declareDead(`no heartbeat for ${silentMs} ms (phi ${suspicion.toFixed(1)})`, silentMs);
    }
  }
}
