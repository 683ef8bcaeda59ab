// A first connection that waits for a broker on its way back: a node that starts while the broker restarts is no crash of that node.
//
// Owns: the tries, and how long they go on. Does not own: one connection (bus.ts), who may wait (a person's verb does not).

import { timeoutDefaults } from "../timeouts.js";
import { type Bus, type BusOptions, ConnectError, connectBus } from "./bus.js";

const pauseMs = 50;

/** Tries for the timeout `comeback`; throws the last ConnectError after that, and at once when credentials or certificates are the reason. */
export async function connectPatiently(options: BusOptions): Promise<Bus> {
  const { clock, timeouts = timeoutDefaults } = options;
  const untilMs = clock.monotonicMs() + timeouts.comeback;
  for (;;) {
    try {
      return await connectBus(options);
    } catch (error) {
      if (!(error instanceof ConnectError) || error.why !== "unreachable" || clock.monotonicMs() >= untilMs)
        throw error;
    }
    await clock.delay(pauseMs);
  }
}
