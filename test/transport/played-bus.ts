// A bus without a server, for tests that play what a server says: what they do not play is as on a connection that stands.

import type { Bus, Incoming } from "../../transport/bus/bus.js";
import { timeoutDefaults } from "../../transport/timeouts.js";

export const noHeaders: Incoming["headers"] = { get: () => undefined, status: 0, description: "" };

/** A server's answer to a request, in JSON. */
export function answered(body: unknown) {
  return { kind: "reply", data: Buffer.from(JSON.stringify(body)), headers: noHeaders } as const;
}

export interface PlayedBus extends Bus {
  /** Who listens, by subject, in the order of their coming. */
  readonly handlers: ReadonlyMap<string, (message: Incoming) => void | Promise<void>>;
}

export function playedBus(played: Pick<Bus, "request"> & Partial<Bus>): PlayedBus {
  const handlers = new Map<string, (message: Incoming) => void | Promise<void>>();
  let inboxes = 0;
  return {
    ...{ connected: true, serverVersion: "2.9.10", payloadMaxBytes: 1024 * 1024, timeouts: timeoutDefaults, handlers },
    closed: new Promise(() => undefined),
    publish: () => true,
    requestMany: async () => [],
    subscribe: (subject, _, handler) => {
      handlers.set(subject, handler);
      const unsubscribe = (): void => void handlers.delete(subject);
      return { unsubscribe, drain: async () => unsubscribe() };
    },
    inbox: () => `_INBOX.node.${++inboxes}`,
    onEvent: () => () => undefined,
    ...{ flush: async () => true, drain: async () => undefined, close: async () => undefined, rttMs: async () => 0 },
    ...played,
  };
}
