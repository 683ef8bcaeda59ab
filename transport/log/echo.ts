// What a stream brings back to whoever wrote it: when a follower of its own writing need not be sent it.
//
// Owns: the decision to rest and to read again. Does not own: the consumer (follow.ts), what the reader knows (its own fold).
//
// E1. A follower rests once `restAfter` messages in a row were its reader's own; while it rests, it looks where the stream ends.
// E2. It reads again as soon as its reader is behind where the stream ended a look ago (somebody else wrote, or something of its own got
//     lost on the way), and as soon as nothing more of its own comes: who is idle is told at once what others write.

export interface Echo {
  /** Whether the reader wrote the message with this id. */
  isOwn(messageId: string): boolean;
  /** The reader has everything up to this sequence, by whatever way. */
  known(): number;
}

const restAfter = 32;

export class EchoWatch {
  #own = 0;
  #endSeq = 0;
  #knownSeq = 0;

  /** Of a message that came; true: it is time to rest. */
  heard(isOwn: boolean): boolean {
    this.#own = isOwn ? this.#own + 1 : 0;
    return this.#own >= restAfter;
  }

  rest(endSeq: number, knownSeq: number): void {
    this.#own = 0;
    this.#endSeq = endSeq;
    this.#knownSeq = knownSeq;
  }

  /** A look at a follower that rests; true: it is to read again. */
  isOver(endSeq: number, knownSeq: number): boolean {
    const isBehind = knownSeq < this.#endSeq;
    const isIdle = knownSeq === this.#knownSeq;
    this.#endSeq = endSeq;
    this.#knownSeq = knownSeq;
    return isBehind || isIdle;
  }
}
