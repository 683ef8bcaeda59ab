// The load on a cluster of several hosts: one client per host, each with the server of its host as the first, and the time of every answer.
//
// Owns: the clients, the timeline. Does not own: what one load sends (sim/soak/ledger.ts), what must hold (sim/soak/invariants.ts).

import type { Asked } from "../../sim/soak/evidence.js";
import { SteadyLoad } from "../../sim/soak/ledger.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { DriftmendClient } from "../../transport/client.js";
import { driftingDigits } from "../cluster/pictures.js";

export interface LoadPlan {
  readonly cluster: string;
  readonly model: string;
  /** Begins every request id. */
  readonly run: string;
  /** Requests per second of all clients together. */
  readonly rate: number;
  /** Of a request, over all its tries. */
  readonly deadlineMs: number;
  /** One address list per client. */
  readonly urls: readonly string[];
}

interface Ended {
  readonly client: number;
  readonly atMs: number;
  readonly tookMs: number;
  readonly answered: boolean;
}

/** What callers saw between two moments. */
export interface Seen {
  readonly answered: number;
  readonly refused: number;
  /** The longest time in which nobody had an answer: from the last before to the first after. */
  readonly outageMs: number;
  /** The same for the client that was worst off. */
  readonly worstClientMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

export class Loads {
  readonly #loads: readonly SteadyLoad[];
  readonly #clients: readonly DriftmendClient[];
  readonly #ended: Ended[];

  private constructor(clients: readonly DriftmendClient[], loads: readonly SteadyLoad[], ended: Ended[]) {
    this.#clients = clients;
    this.#loads = loads;
    this.#ended = ended;
  }

  static async start({ cluster, model, run, rate, deadlineMs, urls }: LoadPlan): Promise<Loads> {
    const clients = await Promise.all(
      urls.map((url, index) => DriftmendClient.connect({ cluster, url, clock, name: `${run}-${index}` })),
    );
    const ended: Ended[] = [];
    const loads = clients.map((client, index) => {
      const onEnd = ({ what, tookMs, end }: Asked, atMs: number): void => {
        if (what === "request") ended.push({ client: index, atMs, tookMs, answered: end.kind === "answered" });
      };
      const options = { model, run: `${run}-${index}`, rate: rate / urls.length, deadlineMs, labelEvery: 25, onEnd };
      return new SteadyLoad(options, client, driftingDigits(5 + index), clock);
    });
    return new Loads(clients, loads, ended);
  }

  /** Requests that have no end yet. */
  get open(): number {
    return this.#loads.reduce((sum, { open }) => sum + open, 0);
  }

  /** Answers that came to each client since a moment: who waits for "all is well" waits for all of them. */
  answersSince(atMs: number): readonly number[] {
    return this.#clients.map(
      (_, index) => this.#ended.filter((end) => end.answered && end.client === index && end.atMs >= atMs).length,
    );
  }

  asked(): readonly Asked[] {
    return this.#loads.flatMap(({ asked }) => asked);
  }

  seen(fromMs: number, toMs: number): Seen {
    const within = this.#ended.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    const took = within.map(({ tookMs }) => tookMs).sort((one, other) => one - other);
    const gapOf = (ends: readonly Ended[]): number => longestGap(ends, fromMs, toMs);
    const share = (part: number): number => took[Math.min(took.length - 1, Math.floor(part * took.length))] ?? 0;
    return {
      answered: within.filter(({ answered }) => answered).length,
      refused: within.filter(({ answered }) => !answered).length,
      outageMs: gapOf(this.#ended),
      worstClientMs: Math.max(
        ...this.#clients.map((_, index) => gapOf(this.#ended.filter(({ client }) => client === index))),
      ),
      p50Ms: share(0.5),
      p99Ms: share(0.99),
      longestMs: took.at(-1) ?? 0,
    };
  }

  /** Sends no more; resolves when everything sent has its end. */
  async stop(): Promise<void> {
    await Promise.all(this.#loads.map((load) => load.stop()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}

/** From the last answer before, or in, a span of time to the next. One that has not come by the end of it counts up to there. */
function longestGap(ends: readonly Ended[], fromMs: number, toMs: number): number {
  let [longest, before] = [0, fromMs];
  for (const { atMs, answered } of ends) {
    if (!answered || atMs < fromMs) continue;
    if (atMs > toMs) break;
    longest = Math.max(longest, atMs - before);
    before = atMs;
  }
  return Math.max(longest, toMs - before);
}
