// The schedules of faults that run now, each a lease that its program renews.
//
// Owns: who still runs, and who was told to end. Does not own: the schedule itself (fault-schedule.ts), its faults.
//
// S1. A schedule whose program is gone is gone with its lease; each word of another one sweeps, so that they do not pile up where nobody looks.
// S2. A halted schedule stays halted: its program is refused at its next word. The newest ones are remembered, which is more than can run.

import type { Clock } from "../../models/clock.js";
import type { ActiveSchedule } from "../../transport/messages/chaos-orders.js";

const rememberedMax = 256;

export class RunningSchedules {
  readonly #clock: Clock;
  readonly #running = new Map<string, { readonly schedule: ActiveSchedule; untilMs: number }>();
  readonly #halted = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get active(): readonly ActiveSchedule[] {
    this.#sweep();
    return [...this.#running.values()].map(({ schedule }) => schedule);
  }

  /** It begins, or goes on for `leaseMs`. False when it was halted. */
  keep(id: string, leaseMs: number, by: string | undefined): boolean {
    this.#sweep();
    if (this.#halted.has(id)) return false;
    const untilMs = this.#clock.monotonicMs() + leaseMs;
    const running = this.#running.get(id);
    if (running !== undefined) running.untilMs = untilMs;
    else {
      const schedule = { id, beganAtMs: this.#clock.nowMs(), ...(by === undefined ? {} : { by }) };
      this.#running.set(id, { schedule, untilMs });
    }
    return true;
  }

  release(id: string): void {
    this.#running.delete(id);
  }

  /** Ends all; how many there were. */
  halt(): number {
    this.#sweep();
    const ids = [...this.#running.keys()];
    this.#running.clear();
    for (const id of ids) this.#halted.add(id);
    for (const id of this.#halted) {
      if (this.#halted.size <= rememberedMax) break;
      this.#halted.delete(id);
    }
    return ids.length;
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { untilMs }] of this.#running) if (untilMs <= nowMs) this.#running.delete(id);
  }
}
