// The end of the HTTP server: what is being answered is answered, for as long as whoever ends it has patience; then everything is cut.
//
// Owns: which requests are under way, what the end waits for. Does not own: the server (server.ts), how much patience there is (actors/operations/web.ts).
//
// N1. From the first moment of the end no connection is taken, and what comes over one that is open is refused by name (server.ts).
// N2. The end waits for answers, never for connections: one that stands idle, or is a live reader's, keeps nobody.

import type { Server, ServerResponse } from "node:http";

export class Ending {
  readonly #underWay = new Set<ServerResponse>();
  #answered = (): void => undefined;
  #patience: Promise<unknown> | undefined;

  get isEnding(): boolean {
    return this.#patience !== undefined;
  }

  /** A request has come. */
  begin(response: ServerResponse): void {
    this.#underWay.add(response);
    response.once("close", () => {
      this.#underWay.delete(response);
      if (this.#underWay.size === 0) this.#answered();
    });
  }

  /** What is still open is cut once `patience` resolves. What a later call says does not count. */
  start(patience: Promise<unknown>): void {
    this.#patience ??= patience;
  }

  /**
   * Calls `done` when everything is answered, or patience is over; in this turn where there is nothing to wait for, so that a server that is
   * about to listen still says whether it did.
   */
  wait(server: Server, done: () => void): void {
    if (server.listening) server.close();
    if (this.#underWay.size === 0) {
      done();
      return;
    }
    const all = new Promise<void>((resolve) => {
      this.#answered = resolve;
    });
    void Promise.race([all, this.#patience]).then(() => done());
  }
}
