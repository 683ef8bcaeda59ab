// One tensor on its way in chunks: asking, taking, asking again, giving up.
//
// Owns: the patience with a sender, what is said of each way to fail. Does not own: the order of the bytes (chunks.ts), the connection
// and the memory (receiver.ts).
//
// P1. It ends once: complete, or refused by name. What comes afterwards is nobody's.
// P2. While nothing comes it asks again, each time after twice as long, and gives up after the timeout `chunks`.
// P3. While others wait for its place, less than `paceBytes` in that time is as good as nothing.

import type { Clock } from "../../models/clock.js";
import type { TensorRef } from "../messages/tensor-ref.js";
import type { Timeouts } from "../timeouts.js";
import { chunkBytesMax, paceBytes } from "./bounds.js";
import type { ChunkHead } from "./chunk-messages.js";
import { Assembly, type BrokenBy, type Pull } from "./chunks.js";

export interface RefusedFetch {
  readonly kind: "refused";
  readonly code: "too_large" | "bad_tensor" | "deadline" | "overloaded";
  /** Of the tensor map. */
  readonly field?: "ref" | "ref.id" | "ref.n" | "ref.crc" | "ref.ask";
  readonly message: string;
  readonly retryAfterMs?: number;
}

export interface PullingDeps {
  readonly clock: Clock;
  readonly timeouts: Pick<Timeouts, "chunkTry" | "chunks">;
  readonly ask: (pull: Pull) => void;
  readonly count: (what: "tensor_chunks_duplicate" | "tensor_chunks_ahead" | "tensor_pulls_repeated") => void;
  /** Others wait for the turn or the memory that this one has. */
  readonly isWaitedFor?: () => boolean;
  /** Called once; undefined when all bytes are there and are the announced ones. */
  readonly onEnd: (refused: RefusedFetch | undefined) => void;
}

export class Pulling {
  readonly #ref: TensorRef;
  readonly #deps: PullingDeps;
  readonly #assembly: Assembly;
  #heardAtMs: number;
  #cancelTry: () => void = () => undefined;
  #waitMs = 0;
  /** From when, and from how many bytes on, its pace is looked at. */
  #mark = { atMs: 0, bytes: 0 };
  /** Where the next piece of the chunk lies that began last; NaN where it named no place. */
  #at = Number.NaN;
  /** Of one chunk that comes in vain, one is counted, not each of its pieces. */
  #isCounted = false;
  #isOver = false;

  constructor(ref: TensorRef, into: Uint8Array, deps: PullingDeps) {
    this.#ref = ref;
    this.#deps = deps;
    this.#assembly = new Assembly(into, ref.crc);
    this.#heardAtMs = deps.clock.monotonicMs();
    this.#mark = { atMs: this.#heardAtMs, bytes: 0 };
  }

  begin(): void {
    if (this.#ref.bytes === 0) this.#end((this.#ref.crc ?? 0) === 0 ? undefined : brokenBy("checksum"));
    else {
      this.#deps.ask(this.#assembly.again());
      this.#patience(this.#deps.timeouts.chunkTry);
    }
  }

  /** A chunk of so many bytes. */
  begins({ offset, crc }: ChunkHead, bytes: number): void {
    this.#at = offset;
    this.#assembly.name(crc);
    this.#isCounted = false;
    if (bytes === 0) this.#end(gone);
    else if (bytes > chunkBytesMax) this.#end(brokenBy("oversized"));
  }

  /** The next bytes of it. */
  piece(bytes: Uint8Array): void {
    if (this.#isOver) return;
    const taken = this.#assembly.take(this.#at, bytes);
    this.#at += bytes.byteLength;
    switch (taken.kind) {
      case "complete":
        this.#end(undefined);
        break;
      case "broken":
        this.#end(brokenBy(taken.by));
        break;
      case "duplicate":
        this.#inVain("tensor_chunks_duplicate");
        break;
      case "ahead":
        this.#inVain("tensor_chunks_ahead");
        this.#ask(taken.pull);
        break;
      case "taken":
        this.#heard();
        this.#ask(taken.pull);
        break;
      default:
        taken satisfies never;
    }
  }

  /** Nobody waits for it any more. */
  late(): void {
    this.#end(late(this.#ref, this.#assembly.received));
  }

  #ask(pull: Pull | undefined): void {
    if (pull !== undefined) this.#deps.ask(pull);
  }

  #inVain(what: "tensor_chunks_duplicate" | "tensor_chunks_ahead"): void {
    if (!this.#isCounted) this.#deps.count(what);
    this.#isCounted = true;
  }

  #heard(): void {
    this.#heardAtMs = this.#deps.clock.monotonicMs();
    if (this.#waitMs <= this.#deps.timeouts.chunkTry) return;
    this.#cancelTry();
    this.#patience(this.#deps.timeouts.chunkTry);
  }

  /** Asks again after `waitMs` of silence. A timer for each piece would cost more than the piece: this one looks when it is over. */
  #patience(waitMs: number): void {
    this.#waitMs = waitMs;
    const { clock, timeouts, count } = this.#deps;
    const { chunkTry, chunks } = timeouts;
    const beganAtMs = clock.monotonicMs();
    this.#cancelTry = clock.after(waitMs, () => {
      const silentMs = clock.monotonicMs() - this.#heardAtMs;
      if (this.#isTooSlow()) this.#end(this.#stalled());
      // Something came since: patience begins anew, from then on.
      else if (this.#heardAtMs > beganAtMs && silentMs < chunkTry) this.#patience(chunkTry - silentMs);
      else if (silentMs >= chunks) this.#end(this.#stalled());
      else {
        count("tensor_pulls_repeated");
        this.#ask(this.#assembly.again());
        this.#patience(Math.min(2 * Math.max(waitMs, chunkTry), chunks - silentMs));
      }
    });
  }

  #isTooSlow(): boolean {
    const { clock, timeouts, isWaitedFor } = this.#deps;
    const { received } = this.#assembly;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#mark.atMs < timeouts.chunks) return false;
    const grown = received - this.#mark.bytes;
    this.#mark = { atMs: nowMs, bytes: received };
    return grown < Math.min(paceBytes, this.#ref.bytes - received) && isWaitedFor?.() === true;
  }

  #end(refused: RefusedFetch | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTry();
    this.#deps.onEnd(refused);
  }

  #stalled(): RefusedFetch {
    const { received } = this.#assembly;
    const next =
      this.#deps.clock.monotonicMs() - this.#heardAtMs < this.#deps.timeouts.chunks ? "next to nothing" : "nothing";
    const message = `its sender sent ${next} for ${this.#deps.timeouts.chunks} ms, with ${received} of ${this.#ref.bytes} bytes here`;
    return { kind: "refused", code: "bad_tensor", field: "ref.ask", message };
  }
}

function brokenBy(by: BrokenBy | "oversized"): RefusedFetch {
  return { kind: "refused", code: "bad_tensor", ...broken[by] };
}

export function late({ bytes }: TensorRef, received: number): RefusedFetch {
  const message = `the deadline passed with ${received} of ${bytes} bytes of the tensor here`;
  return { kind: "refused", code: "deadline", message };
}

const gone: RefusedFetch = {
  kind: "refused",
  code: "bad_tensor",
  field: "ref.id",
  message: "its sender has let go of this tensor",
};

const broken: Readonly<
  Record<BrokenBy | "oversized", { readonly field: "ref" | "ref.n" | "ref.crc"; readonly message: string }>
> = {
  oversized: { field: "ref", message: `a chunk has ${chunkBytesMax} bytes at most` },
  beyond: { field: "ref.n", message: "a chunk lies behind the end of the tensor, or names no offset" },
  uncredited: { field: "ref", message: "its sender sent more than was asked for" },
  unnamed: {
    field: "ref.crc",
    message: "all bytes came, and neither the reference nor the last chunk names their CRC-32",
  },
  checksum: { field: "ref.crc", message: "all bytes came, and their CRC-32 is another one" },
};
