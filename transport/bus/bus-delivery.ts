// A message as a subscriber sees it.
//
// Owns: reading it piece by piece: most messages are never asked for their headers, many not for their subject; where an answer may go.
// Does not own: the subscription (bus.ts), what the pieces mean.
//
// D1. Where users have rights of their own, an answer goes to an inbox and nowhere else. The server does not check the reply subject of a
//     request against the rights of whoever asks: a client could otherwise have a node, which may publish anything, write its answer into
//     the log, a lease or an order.

import { isInbox } from "../subjects.js";
import { type Headers, type HeaderView, type RawMessage, viewOf } from "./bus-outcome.js";

type Publish = (subject: string, data: Uint8Array, headers: Headers | undefined) => boolean;

export class Delivery {
  readonly headers: HeaderView;
  readonly #message: RawMessage;
  readonly #publish: Publish;
  readonly #inboxesOnly: boolean;

  constructor(message: RawMessage, publish: Publish, inboxesOnly: boolean) {
    this.headers = viewOf(message);
    this.#message = message;
    this.#publish = publish;
    this.#inboxesOnly = inboxesOnly;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get data(): Uint8Array {
    return this.#message.data;
  }

  get replyTo(): string | undefined {
    return this.#message.reply;
  }

  respond(data: Uint8Array, headers?: Headers): boolean {
    const { replyTo } = this;
    if (replyTo === undefined || replyTo === "" || (this.#inboxesOnly && !isInbox(replyTo))) return false;
    return this.#publish(replyTo, data, headers);
  }
}
