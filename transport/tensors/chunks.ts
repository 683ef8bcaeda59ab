// One tensor put together from chunks: what may come, what is asked for next. Pure: neither time nor a connection.
//
//        0            next                 asked                    n
//        |  received   |  on its way, <= w   |   not asked for yet    |
//
// A pull names a range; the sender sends that range once and remembers nothing. So a receiver that misses something asks again from there.
//
// Owns: the order of the bytes, the window, the checksum. Does not own: messages (chunk-messages.ts), patience (receiver.ts).
//
// A1. Bytes are taken in order only, so the checksum is made as they come and is known with the last one.
// A2. Never more is asked for than the window beyond what was received; whoever sends what was not asked for is refused.
// A3. A gap is asked for again once; what came after it is dropped and comes again.

import { crc32 } from "node:zlib";
import { chunkBytesMax, windowBytes } from "./bounds.js";

/** "Send these bytes": `credit` of them from `from` on. */
export interface Pull {
  readonly from: number;
  readonly credit: number;
}

export type BrokenBy =
  /** Bytes behind the end of the tensor, or not whole offsets. */
  | "beyond"
  /** Bytes that were not asked for. */
  | "uncredited"
  /** All bytes came, and are others than were announced. */
  | "checksum"
  /** All bytes came, and nobody said what their checksum is. */
  | "unnamed";

export type Taken =
  | { readonly kind: "taken"; readonly pull: Pull | undefined }
  | { readonly kind: "complete" }
  /** Was here already. */
  | { readonly kind: "duplicate" }
  /** Something in front of it is missing: `pull` asks for it, where it has not been asked for again yet. */
  | { readonly kind: "ahead"; readonly pull: Pull | undefined }
  | { readonly kind: "broken"; readonly by: BrokenBy };

/** Asking for less than this is not worth a message. */
const topUpBytes = chunkBytesMax;

export class Assembly {
  readonly #into: Uint8Array;
  #crc: number | undefined;
  #next = 0;
  #asked = 0;
  #sum = 0;
  /** The place of the gap that was asked for again last. */
  #gapAt = -1;

  /** `into` is as long as the tensor. `crc` where its reference names it: then that one counts. */
  constructor(into: Uint8Array, crc: number | undefined) {
    this.#into = into;
    this.#crc = crc;
  }

  /** Bytes received in order. */
  get received(): number {
    return this.#next;
  }

  /** What to ask for at first, and whenever nothing came for too long: a whole window from the first missing byte on. */
  again(): Pull {
    const until = Math.min(this.#into.byteLength, this.#next + windowBytes);
    this.#asked = Math.max(this.#asked, until);
    return { from: this.#next, credit: until - this.#next };
  }

  /** A chunk, or the next piece of one. */
  take(offset: number, chunk: Uint8Array): Taken {
    const end = offset + chunk.byteLength;
    if (!Number.isSafeInteger(offset) || offset < 0 || end > this.#into.byteLength) return broken("beyond");
    if (end > this.#asked) return broken("uncredited");
    if (offset > this.#next) return this.#ahead();
    if (end <= this.#next && chunk.byteLength > 0) return { kind: "duplicate" };
    // Cut elsewhere than before, the first part of it may be here already.
    const fresh = chunk.subarray(this.#next - offset);
    this.#into.set(fresh, this.#next);
    this.#sum = crc32(fresh, this.#sum);
    this.#next = end;
    if (this.#next < this.#into.byteLength) return { kind: "taken", pull: this.#topUp() };
    if (this.#crc === undefined) return broken("unnamed");
    return this.#sum === this.#crc ? { kind: "complete" } : broken("checksum");
  }

  /** The checksum came with a chunk. The first word counts, and that of the reference before any other. */
  name(crc: number | undefined): void {
    this.#crc ??= crc;
  }

  #ahead(): Taken {
    const isKnown = this.#gapAt === this.#next;
    this.#gapAt = this.#next;
    return { kind: "ahead", pull: isKnown ? undefined : this.again() };
  }

  #topUp(): Pull | undefined {
    const until = Math.min(this.#into.byteLength, this.#next + windowBytes);
    const from = this.#asked;
    if (until <= from || (until - from < topUpBytes && until < this.#into.byteLength)) return undefined;
    this.#asked = until;
    return { from, credit: until - from };
  }
}

function broken(by: BrokenBy): Taken {
  return { kind: "broken", by };
}
