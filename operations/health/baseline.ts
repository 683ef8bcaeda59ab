// What is usual for a figure: the rolling median of its newest readings, and a reference that was frozen once and does not follow.
//
// Owns: both, for one figure. Does not own: what is compared with it (conditions.ts), where a reference is kept over a restart (health.ts).
//
// B1. The baseline is the lower of the two. A rolling median alone follows slow drift and never sees it; a frozen reference alone does not
//     see that something which had become better is bad again.
// B2. Nothing is usual before `afterMs` of readings: until then there is no baseline.

import { median } from "../../models/numbers/median.js";

export interface BaselineSettings {
  /** Readings this old or younger are in the rolling median. */
  readonly overMs: number;
  /** The reference is frozen once the readings span this time. */
  readonly afterMs: number;
}

export const baselineDefaults: BaselineSettings = { overMs: 3_600_000, afterMs: 600_000 };

const pointsMax = 360;

export class Baseline {
  readonly #settings: BaselineSettings;
  #points: { readonly atMs: number; readonly value: number }[] = [];
  #rolling: number | null = null;
  #frozen: number | null;

  /** `frozen`: a reference that was found before a restart. */
  constructor(settings: BaselineSettings, frozen: number | null = null) {
    this.#settings = settings;
    this.#frozen = frozen;
  }

  get frozen(): number | null {
    return this.#frozen;
  }

  /** What is usual; null as long as too little was seen. */
  get value(): number | null {
    if (this.#frozen === null) return null;
    return this.#rolling === null ? this.#frozen : Math.min(this.#rolling, this.#frozen);
  }

  /** Thinned to `pointsMax` readings within `overMs`; readings before a step back in time are forgotten. */
  take(value: number, atMs: number): void {
    const { overMs, afterMs } = this.#settings;
    const last = this.#points.at(-1);
    if (last !== undefined && atMs < last.atMs) this.#points = [];
    else if (last !== undefined && atMs - last.atMs < overMs / pointsMax) return;
    this.#points.push({ atMs, value });
    this.#points = this.#points.filter((point) => atMs - point.atMs <= overMs);
    const [first] = this.#points;
    if (first === undefined || atMs - first.atMs < afterMs) return;
    this.#rolling = median(this.#points.map((point) => point.value));
    this.#frozen ??= this.#rolling;
  }
}
