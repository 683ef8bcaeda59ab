// Which models somebody serves now: asked of the serving nodes themselves, by the NATS service protocol.
//
// Owns: the question, reading the answers, how long an answer is good for. Does not own: which models there should be.
//
// S1. A node tells of its endpoints once it is ready and until it leaves, so what is found here can be asked.

import type { Clock } from "../../../models/clock.js";
import type { DriftmendClient } from "../../../transport/client.js";
import { discovery } from "../../../transport/subjects.js";
import { endpointsIn } from "../../discovery.js";

/** Probes come every few seconds from several places. */
const goodForMs = 1_000;
const nobody: ReadonlySet<string> = new Set();

export class ServedModels {
  readonly #client: () => Promise<DriftmendClient | undefined>;
  readonly #clock: Clock;
  #last: { readonly answer: Promise<ReadonlySet<string>>; readonly atMs: number } | undefined;

  constructor(client: () => Promise<DriftmendClient | undefined>, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Names of models with at least one node that serves them; none while nobody can be asked. */
  names(): Promise<ReadonlySet<string>> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#last === undefined || nowMs - this.#last.atMs >= goodForMs)
      this.#last = { answer: this.#ask(), atMs: nowMs };
    return this.#last.answer;
  }

  async #ask(): Promise<ReadonlySet<string>> {
    const client = await this.#client();
    if (client === undefined || !client.bus.connected) return nobody;
    const { discover, discoverStall } = client.bus.timeouts;
    const waits = { waitMs: discover, stallMs: discoverStall };
    const replies = await client.bus.requestMany(discovery.info, new Uint8Array(0), waits);
    return new Set(replies.flatMap(({ data }) => endpointsIn(data, client.subjects.cluster)));
  }
}
