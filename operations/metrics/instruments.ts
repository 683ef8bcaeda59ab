// The instruments of one process: distributions by name, and pools of slots.
//
// Owns: what is measured since the process began, and how a beat reads it. Does not own: the names (catalogue.ts), counters (telemetry.ts),
// when something is measured (infer-meter.ts, update-meter.ts, the actors).
//
// I1. To measure is one addition or two: nothing is allocated and nobody waits. What was never measured takes no room.
// I2. Distributions are cumulative: the newest that was heard says everything, and a lost beat loses nothing.
// I3. Instruments that are off measure nothing: that is for comparing (bench/telemetry-cost.ts). They are switched while nothing is under way.

import { PercentileSketch } from "./percentile-sketch.js";

interface Switch {
  isOn: boolean;
}

export class DistributionMeter {
  readonly #sketch = new PercentileSketch();
  readonly #switch: Switch;
  /** As of so many values. */
  #encoded: { readonly count: number; readonly bytes: Uint8Array } | undefined;

  constructor(shared: Switch = { isOn: true }) {
    this.#switch = shared;
  }

  get count(): number {
    return this.#sketch.count;
  }

  /** A clock that was set back makes a duration negative: it counts as 0. What is not a number says nothing. */
  record(value: number, times = 1): void {
    if (this.#switch.isOn && Number.isFinite(value) && times > 0) this.#sketch.add(value > 0 ? value : 0, times);
  }

  encode(): Uint8Array {
    const { count } = this.#sketch;
    if (this.#encoded?.count !== count) this.#encoded = { count, bytes: this.#sketch.encode() };
    return this.#encoded.bytes;
  }
}

/** What a beat says of a pool. */
export interface PoolReading {
  readonly slots: number;
  /** Mean since the last beat. */
  readonly active: number;
  /** The most at once, and when, epoch milliseconds; undefined before the first. */
  readonly peak: number;
  readonly peakAtMs: number | undefined;
  readonly waiting: number;
}

/** Slots that jobs take, one each, and the jobs that wait for one. */
export class PoolMeter {
  #slots = 0;
  #active = 0;
  #waiting = 0;
  #peak = 0;
  #peakAtMs: number | undefined;
  /** Slots times milliseconds since the last beat. */
  #worked = 0;
  #beganMs: number | undefined;
  #lastMs = 0;

  get slots(): number {
    return this.#slots;
  }

  get active(): number {
    return this.#active;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** A worker comes with its slots, or leaves with them. */
  resize(by: number): void {
    this.#slots = Math.max(0, this.#slots + by);
  }

  queue(jobs: number): void {
    this.#waiting = Math.max(0, this.#waiting + jobs);
  }

  /** `nowMs` is monotonic, `atMs` the epoch. */
  take(jobs: number, nowMs: number, atMs: number): void {
    this.#pass(nowMs);
    this.#active += jobs;
    if (this.#active <= this.#peak) return;
    this.#peak = this.#active;
    this.#peakAtMs = atMs;
  }

  free(jobs: number, nowMs: number): void {
    this.#pass(nowMs);
    this.#active = Math.max(0, this.#active - jobs);
  }

  resetPeak(): void {
    this.#peak = this.#active;
    this.#peakAtMs = undefined;
  }

  /** Ends the beat. */
  beat(nowMs: number): PoolReading {
    this.#pass(nowMs);
    const tookMs = nowMs - (this.#beganMs ?? nowMs);
    const active = tookMs > 0 ? this.#worked / tookMs : this.#active;
    this.#worked = 0;
    this.#beganMs = nowMs;
    return { slots: this.#slots, active, peak: this.#peak, peakAtMs: this.#peakAtMs, waiting: this.#waiting };
  }

  #pass(nowMs: number): void {
    this.#beganMs ??= nowMs;
    this.#worked += this.#active * Math.max(0, nowMs - Math.max(this.#lastMs, this.#beganMs));
    this.#lastMs = nowMs;
  }
}

export class Instruments {
  readonly #switch: Switch;
  readonly #distributions = new Map<string, DistributionMeter>();
  readonly #pools = new Map<string, PoolMeter>();
  readonly #observed = new Map<string, () => number | undefined>();

  constructor(isOn = true) {
    this.#switch = { isOn };
  }

  get isOn(): boolean {
    return this.#switch.isOn;
  }

  turn(isOn: boolean): void {
    this.#switch.isOn = isOn;
  }

  /** The same for the same name. */
  distribution(name: string): DistributionMeter {
    const known = this.#distributions.get(name);
    if (known !== undefined) return known;
    const made = new DistributionMeter(this.#switch);
    this.#distributions.set(name, made);
    return made;
  }

  pool(name: string): PoolMeter {
    const known = this.#pools.get(name);
    if (known !== undefined) return known;
    const made = new PoolMeter();
    this.#pools.set(name, made);
    return made;
  }

  /** A gauge that is looked at when a beat asks: the newest `read` of a name counts, and ends when the returned function is called. */
  observe(name: string, read: () => number | undefined): () => void {
    this.#observed.set(name, read);
    return () => {
      if (this.#observed.get(name) === read) this.#observed.delete(name);
    };
  }

  /** What observed gauges say now, and pools that have or had a slot. `nowMs` is monotonic; ends the beat, so only the beacon asks. */
  gauges(nowMs: number): Readonly<Record<string, number>> {
    const gauges: Record<string, number> = {};
    for (const [name, pool] of this.#pools) {
      const { slots, active, peak, peakAtMs, waiting } = pool.beat(nowMs);
      if (slots === 0 && peak === 0) continue;
      gauges[`pool_${name}_slots`] = slots;
      gauges[`pool_${name}_active`] = active;
      gauges[`pool_${name}_peak`] = peak;
      gauges[`pool_${name}_waiting`] = waiting;
      if (peakAtMs !== undefined) gauges[`pool_${name}_peak_at_ms`] = peakAtMs;
    }
    for (const [name, read] of this.#observed) {
      const value = read();
      if (value !== undefined) gauges[name] = value;
    }
    return gauges;
  }

  /** Every distribution that has a value, encoded. One that has not changed is not encoded again. */
  sketches(): Readonly<Record<string, Uint8Array>> {
    const sketches: Record<string, Uint8Array> = {};
    for (const [name, distribution] of this.#distributions)
      if (distribution.count > 0) sketches[name] = distribution.encode();
    return sketches;
  }
}
