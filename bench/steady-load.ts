// Drifting digits at a steady rate, and when each was answered.
//
// Owns: the pace, the moments of the answers. Does not own: the stream (sim/stream.ts), the retries (transport/client.ts).

import type { Clock } from "../models/clock.js";
import { loadDigitPool } from "../sim/digits.js";
import { driftingStream, type Sample } from "../sim/stream.js";
import type { DriftmendClient } from "../transport/client.js";

const deadlineMs = 10_000;
const inFlightMax = 64;

export class SteadyLoad {
  /** Monotonic, ascending. */
  readonly answeredAtMs: number[] = [];
  /** Of each answer, when it was asked for; in the same order. */
  readonly askedAtMs: number[] = [];
  refused = 0;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  readonly #waiting = new Set<() => void>();

  private constructor(client: DriftmendClient, samples: Iterator<Sample, never>, perSecond: number, clock: Clock) {
    this.#done = this.#run(client, samples, perSecond, clock);
  }

  /** Every request has another drift, so that there is always something to learn. */
  static async start(client: DriftmendClient, seed: number, perSecond: number, clock: Clock): Promise<SteadyLoad> {
    const samples = driftingStream({ pool: await loadDigitPool(), seed, variant: "mixed" });
    return new SteadyLoad(client, samples, perSecond, clock);
  }

  /** Resolves at the first answer from now on that `enough` takes. */
  answered(enough: (atMs: number, askedAtMs: number) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!enough(this.answeredAtMs.at(-1) ?? 0, this.askedAtMs.at(-1) ?? 0)) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(client: DriftmendClient, samples: Iterator<Sample, never>, perSecond: number, clock: Clock) {
    const open = new Set<Promise<void>>();
    const beganAtMs = clock.monotonicMs();
    for (let sent = 0; !this.#stop.signal.aborted; sent += 1) {
      const waitMs = beganAtMs + (sent / perSecond) * 1000 - clock.monotonicMs();
      if (waitMs > 0) await clock.delay(waitMs, this.#stop.signal);
      if (open.size >= inFlightMax) await Promise.race(open);
      const { picture } = samples.next().value;
      const asked = this.#ask(client, picture, clock).finally(() => open.delete(asked));
      open.add(asked);
    }
    await Promise.all(open);
  }

  async #ask(client: DriftmendClient, picture: Float32Array, clock: Clock): Promise<void> {
    const askedAtMs = clock.monotonicMs();
    const outcome = await client.infer("digits", { dt: "<f4", sh: [1, 28, 28], data: picture }, { deadlineMs });
    if (outcome.kind !== "reply") {
      this.refused += 1;
      return;
    }
    this.answeredAtMs.push(clock.monotonicMs());
    this.askedAtMs.push(askedAtMs);
    for (const look of this.#waiting) look();
  }
}
