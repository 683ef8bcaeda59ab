// A stream that somebody reads: is it still the one that was read, and does it have what was read from it?
//
// Owns: that judgement, and where the stream ended when it was last looked at. Does not own: the reading (follow.ts).

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import { jetStreamApi } from "../subjects.js";
import { ask } from "./jetstream.js";

/** The stream lost what was read from it. Whoever folded it must begin again. */
export class LogWipedError extends Error {
  override readonly name = "LogWipedError";
  readonly stream: string;
  constructor(stream: string, why: string) {
    super(`${stream} was wiped: ${why}`);
    this.stream = stream;
  }
}

/** A stream that was there is missed for so long, or shorter than it was, before it counts as gone. */
const goneAfterMs = 3_000;

export class ReadStream {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #stream: string;
  /** When the stream was made, as it was at the first look. */
  #created: string | undefined;
  #missedSinceMs: number | undefined;
  #endSeq = 0;
  #wiped: LogWipedError | undefined;

  constructor(bus: Bus, clock: Clock, stream: string) {
    this.#bus = bus;
    this.#clock = clock;
    this.#stream = stream;
  }

  /** As the last look showed it. */
  get endSeq(): number {
    return this.#endSeq;
  }

  /** Set once, and for good. */
  get wiped(): LogWipedError | undefined {
    return this.#wiped;
  }

  /** Looks: true when the stream has everything before `nextSeq`. False too while that cannot be asked. */
  async isSame(nextSeq: number): Promise<boolean> {
    const { jetstream: withinMs } = this.#bus.timeouts;
    const outcome = await ask(this.#bus, jetStreamApi.streamInfo(this.#stream), undefined, withinMs);
    if (outcome.kind !== "ok") return false;
    const { created, state } = outcome.body as {
      readonly created: string;
      readonly state: { readonly last_seq: number };
    };
    this.#created ??= created;
    this.#endSeq = state.last_seq;
    const isShorter = state.last_seq < nextSeq - 1;
    if (created !== this.#created) this.#wipe(`it was made anew at ${created}`);
    else if (isShorter && this.#isMissed())
      this.#wipe(`it ends at ${state.last_seq}, and ${nextSeq - 1} was read from it`);
    if (isShorter || this.#wiped !== undefined) return false;
    this.#missedSinceMs = undefined;
    return true;
  }

  /** Of a stream that the server says is not there; true once that is believed. */
  isGone(): boolean {
    if (this.#isMissed()) this.#wipe("it is not there any more");
    return this.#wiped !== undefined;
  }

  /** A stream that was never seen may still be made. */
  #isMissed(): boolean {
    if (this.#created === undefined) return false;
    this.#missedSinceMs ??= this.#clock.monotonicMs();
    return this.#clock.monotonicMs() - this.#missedSinceMs >= goneAfterMs;
  }

  #wipe(why: string): void {
    this.#wiped ??= new LogWipedError(this.#stream, why);
  }
}
