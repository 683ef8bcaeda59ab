// A stream that somebody reads: is it still the one that was read, and does it have what was read from it?
//
// Owns: that judgement, and where the stream ended when it was last looked at. Does not own: the reading (follow.ts).
//
// D1. Of several servers each knows when it made its own copy, and says that after it was started again: another date alone is no other
//     stream. What was read last decides: it is still there, as old as it was.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import { jetStreamApi } from "../subjects.js";
import { ask, isMissingStream } from "./jetstream.js";

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
/** Between a time in nanoseconds and the same in milliseconds. */
const roundingMs = 1;

export class ReadStream {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #stream: string;
  /** When the stream was made, as it was at the first look. */
  #created: string | undefined;
  #missedSinceMs: number | undefined;
  #endSeq = 0;
  /** The message that was read last; none yet: 0. */
  #readSeq = 0;
  #readAtMs = 0;
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

  /** A message was read; `atMs`: when it was stored, by the server's clock. */
  read(seq: number, atMs: number): void {
    this.#readSeq = seq;
    this.#readAtMs = atMs;
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
    const kept = created === this.#created ? "yes" : await this.#hasWhatWasRead(nextSeq);
    if (kept === "unknown") return false;
    if (kept === "yes") this.#created = created;
    if (kept === "no") this.#wipe(`it was made anew at ${created}`);
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

  async #hasWhatWasRead(nextSeq: number): Promise<"yes" | "no" | "unknown"> {
    // Who has read nothing and skips nothing has nothing to lose.
    if (this.#readSeq === 0) return nextSeq === 1 ? "yes" : "no";
    const stored = await ask(this.#bus, jetStreamApi.messageGet(this.#stream), { seq: this.#readSeq });
    if (stored.kind === "unavailable" || isMissingStream(stored)) return "unknown";
    if (stored.kind === "refused") return "no";
    const { time } = stored.body.message as { readonly time: string };
    return Math.abs(Date.parse(time) - this.#readAtMs) <= roundingMs ? "yes" : "no";
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
