// A connection between a sender and a receiver in one process, over which every message can be lost, doubled, changed or held back.

import type { Bus, Incoming, Subscribed } from "../../../transport/bus/bus.js";
import type { Headers } from "../../../transport/bus/bus-outcome.js";
import { timeoutDefaults } from "../../../transport/timeouts.js";

export interface Message {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: Headers;
}

/** What becomes of a message: the messages that arrive in its place, in their order. */
export type Weather = (message: Message) => readonly Message[];
export const fair: Weather = (message) => [message];

export class Link implements Bus {
  connected = true;
  weather: Weather = fair;
  readonly serverVersion = "2.9.10";
  payloadMaxBytes = 8 * 1024 * 1024;
  readonly timeouts = timeoutDefaults;
  readonly closed = new Promise<Error | undefined>(() => undefined);
  /** All that was published, lost or not. */
  readonly published: Message[] = [];
  readonly #handlers = new Map<string, (message: Incoming) => void | Promise<void>>();
  #inboxes = 0;

  publish(subject: string, data: Uint8Array, { headers = {} }: { readonly headers?: Headers } = {}): boolean {
    if (!this.connected) return false;
    // As a connection does: what is published is what it was at that moment.
    const message = { subject, data: data.slice(), headers };
    this.published.push(message);
    for (const each of this.weather(message)) setImmediate(() => this.#deliver(each));
    return true;
  }

  subscribe(subject: string, _options: object, handler: (message: Incoming) => void | Promise<void>): Subscribed {
    this.#handlers.set(subject, handler);
    const unsubscribe = (): void => void this.#handlers.delete(subject);
    return { unsubscribe, drain: async () => unsubscribe() };
  }

  inbox(): string {
    this.#inboxes += 1;
    return `_INBOX.client.${this.#inboxes}`;
  }

  #deliver({ subject, data, headers }: Message): void {
    for (const [pattern, handler] of this.#handlers) {
      if (pattern !== subject && !(pattern.endsWith(".*") && subject.startsWith(pattern.slice(0, -1)))) continue;
      const view = { get: (name: string) => headers[name], status: 0, description: "" };
      void handler({ subject, data, headers: view, replyTo: undefined, respond: () => false });
    }
  }

  request = (): Promise<never> => Promise.reject(new Error("nobody is there"));
  requestMany = async (): Promise<[]> => [];
  onEvent = () => () => undefined;
  flush = async (): Promise<boolean> => true;
  drain = async (): Promise<void> => undefined;
  close = async (): Promise<void> => undefined;
  rttMs = async (): Promise<number> => 0;
}
