// A message as a subscriber sees it.
//
// Owns: reading it piece by piece: most messages are never asked for their headers, many not for their subject.
// Does not own: the subscription (bus.ts), what the pieces mean.

import { type Headers, type HeaderView, type RawMessage, viewOf } from "./bus-outcome.js";

type Publish = (subject: string, data: Uint8Array, headers: Headers | undefined) => boolean;

export class Delivery {
  readonly headers: HeaderView;
  readonly #message: RawMessage;
  readonly #publish: Publish;

  constructor(message: RawMessage, publish: Publish) {
    this.headers = viewOf(message);
    this.#message = message;
    this.#publish = publish;
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
    return replyTo !== undefined && replyTo !== "" && this.#publish(replyTo, data, headers);
  }
}
