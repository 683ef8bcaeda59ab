// Requests and their replies over one subscription. The client library's own builds errors, races and promises for every request.
//
// Owns: the asks that wait, their reply subjects, how each of them ends.
// Does not own: the connection, what becomes of a request while it is down (bus.ts).
//
// Q1. An ask ends once: by its reply, by the server's word that nobody listens, by a denial, by its timeout, or with the connection.
// Q2. What comes for an ask that has ended is dropped.
// Q3. An ask that may be sent again goes out once more over each new connection, under its own reply subject: the first word counts.

import type { Clock } from "../../models/clock.js";
import type { Headers, HeaderView, RequestOutcome } from "./bus-outcome.js";

/** What asking needs of the connection. Both may throw what the client library throws. */
export interface Wire {
  /** Everything that comes for one subject or wildcard, until `refused` says that the server does not let us listen. */
  listen(
    subject: string,
    take: (subject: string, data: Uint8Array, headers: HeaderView) => void,
    refused: (error: Error) => void,
  ): void;
  send(subject: string, data: Uint8Array, replyTo: string, headers: Headers | undefined): void;
}

interface Ask {
  readonly subject: string;
  readonly settle: (outcome: RequestOutcome) => void;
  readonly cancelTimeout: () => void;
  readonly again: { readonly data: Uint8Array; readonly headers: Headers } | undefined;
}

const noRespondersStatus = 503;

export class Requests {
  readonly #wire: Wire;
  readonly #clock: Clock;
  /** `<inbox>.`; an ask's token follows. */
  readonly #prefix: string;
  readonly #waiting = new Map<string, Ask>();
  #listening = false;
  #asked = 0;

  constructor(wire: Wire, clock: Clock, inbox: string) {
    this.#wire = wire;
    this.#clock = clock;
    this.#prefix = `${inbox}.`;
  }

  /** Rejects with what the client library throws when it does not take the request. `again`: its headers when it is sent again (Q3). */
  ask(
    subject: string,
    data: Uint8Array,
    timeoutMs: number,
    headers: Headers | undefined,
    again?: Headers,
  ): Promise<RequestOutcome> {
    return new Promise((settle) => {
      this.#listen();
      this.#asked += 1;
      const token = this.#asked.toString(36);
      this.#wire.send(subject, data, this.#prefix + token, headers);
      const cancelTimeout = this.#clock.after(timeoutMs, () => this.#end(token, { kind: "timeout" }));
      const kept = again === undefined ? undefined : { data, headers: again };
      this.#waiting.set(token, { subject, settle, cancelTimeout, again: kept });
    });
  }

  /** Another connection took the place of the one that was lost. In the order of the asks. */
  askAgain(): void {
    for (const [token, { subject, again }] of this.#waiting)
      if (again !== undefined) this.#wire.send(subject, again.data, this.#prefix + token, again.headers);
  }

  /** The server does not say which publication it denied, only its subject: the oldest ask of that subject is the one. */
  denied(subject: string, message: string): void {
    for (const [token, ask] of this.#waiting) {
      if (ask.subject !== subject) continue;
      this.#end(token, { kind: "denied", message });
      return;
    }
  }

  /** The connection will not come back. */
  close(): void {
    this.#endAll({ kind: "closed" });
  }

  #listen(): void {
    if (this.#listening) return;
    this.#wire.listen(
      `${this.#prefix}*`,
      (subject, data, headers) => {
        const nobody = data.length === 0 && headers.status === noRespondersStatus;
        this.#end(
          subject.slice(this.#prefix.length),
          nobody ? { kind: "no_responders" } : { kind: "reply", data, headers },
        );
      },
      (error) => {
        this.#listening = false;
        this.#endAll({ kind: "denied", message: error.message });
      },
    );
    this.#listening = true;
  }

  #end(token: string, outcome: RequestOutcome): void {
    const ask = this.#waiting.get(token);
    if (ask === undefined) return;
    this.#waiting.delete(token);
    ask.cancelTimeout();
    ask.settle(outcome);
  }

  #endAll(outcome: RequestOutcome): void {
    for (const token of this.#waiting.keys()) this.#end(token, outcome);
  }
}
