// The connection over which inferences that came by HTTP are asked for: one of a client, with a client's rights and no more.
//
// Owns: when it is made, and made anew. Does not own: with which credentials (node.ts), what is asked (ask-rows.ts).
//
// C1. It is made when it is first needed: the interface serves everything else while there is no broker, or no rights.
// C2. It ends with the incarnation that asked for it.

import type { Clock } from "../../../models/clock.js";
import { asError } from "../../../supervision/exit-reason.js";
import type { Logger } from "../../../supervision/logger.js";
import type { DriftmendClient } from "../../../transport/client.js";

/** After a failure it is tried again no sooner. */
const restMs = 1_000;

export interface ClientDoorDeps {
  readonly connect: () => Promise<DriftmendClient>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class ClientDoor {
  readonly #deps: ClientDoorDeps;
  #client: Promise<DriftmendClient | undefined> | undefined;
  #notBeforeMs = 0;

  constructor(deps: ClientDoorDeps) {
    this.#deps = deps;
    deps.signal.addEventListener("abort", () => this.#end(), { once: true });
  }

  /** Undefined while there is none. */
  async client(): Promise<DriftmendClient | undefined> {
    const { clock, signal } = this.#deps;
    if (signal.aborted) return undefined;
    if (this.#client === undefined && clock.monotonicMs() < this.#notBeforeMs) return undefined;
    this.#client ??= this.#open();
    return this.#client;
  }

  async #open(): Promise<DriftmendClient | undefined> {
    const { connect, clock, log, signal } = this.#deps;
    try {
      const client = await connect();
      if (signal.aborted) {
        await client.close();
        return undefined;
      }
      void client.bus.closed.then(() => this.#forget());
      return client;
    } catch (error) {
      log.warn("inferences over HTTP cannot be asked for", { error: asError(error) });
      this.#notBeforeMs = clock.monotonicMs() + restMs;
      this.#forget();
      return undefined;
    }
  }

  #forget(): void {
    this.#client = undefined;
  }

  #end(): void {
    this.#client
      ?.then((client) => client?.close())
      .catch((error) => this.#deps.log.warn("a client's connection did not close", { error: asError(error) }));
  }
}
