// One tensor on its way in chunks: asking, taking, asking again, giving up.
//
// Owns: the patience with a sender, what is said of each way to fail. Does not own: the order of the bytes (chunks.ts), the connection
// and the memory (receiver.ts).
//
// P1. It ends once: complete, or refused by name. What comes afterwards is nobody's.
// P2. While nothing comes it asks again, each time after twice as long, and gives up after the timeout `chunks`.

import type { Clock } from "../../models/clock.js";
import type { Timeouts } from "../timeouts.js";
import { Assembly, type BrokenBy, type Pull } from "./chunks.js";
import type { TensorRef } from "./tensor-ref.js";

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
  /** Called once; undefined when all bytes are there and are the announced ones. */
  readonly onEnd: (refused: RefusedFetch | undefined) => void;
}

export class Pulling {
  readonly #ref: TensorRef;
  readonly #deps: PullingDeps;
  readonly #assembly: Assembly;
  #heardAtMs: number;
  #waitMs: number;
  #cancelTry: () => void = () => undefined;
  #isOver = false;

  constructor(ref: TensorRef, into: Uint8Array, deps: PullingDeps) {
    this.#ref = ref;
    this.#deps = deps;
    this.#assembly = new Assembly(into, ref.crc);
    this.#heardAtMs = deps.clock.monotonicMs();
    this.#waitMs = deps.timeouts.chunkTry;
  }

  begin(): void {
    if (this.#ref.bytes === 0) this.#end(this.#ref.crc === 0 ? undefined : brokenBy("checksum"));
    else {
      this.#deps.ask(this.#assembly.again());
      this.#rest();
    }
  }

  /** `offset` is NaN for a message that names none. */
  take(offset: number, chunk: Uint8Array): void {
    if (this.#isOver) return;
    if (chunk.byteLength === 0) {
      this.#end(gone);
      return;
    }
    const taken = this.#assembly.take(offset, chunk);
    switch (taken.kind) {
      case "complete":
        this.#end(undefined);
        break;
      case "broken":
        this.#end(brokenBy(taken.by));
        break;
      case "duplicate":
        this.#deps.count("tensor_chunks_duplicate");
        break;
      case "ahead":
        this.#deps.count("tensor_chunks_ahead");
        this.#ask(taken.pull);
        break;
      case "taken":
        this.#rest();
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

  /** Something came: patience begins anew. */
  #rest(): void {
    const { clock, timeouts } = this.#deps;
    this.#heardAtMs = clock.monotonicMs();
    this.#waitMs = timeouts.chunkTry;
    this.#cancelTry();
    this.#cancelTry = clock.after(this.#waitMs, () => this.#tryAgain());
  }

  #tryAgain(): void {
    const { clock, timeouts, count } = this.#deps;
    const giveUpInMs = this.#heardAtMs + timeouts.chunks - clock.monotonicMs();
    if (giveUpInMs <= 0) {
      this.#end(this.#stalled());
      return;
    }
    count("tensor_pulls_repeated");
    this.#ask(this.#assembly.again());
    this.#waitMs *= 2;
    this.#cancelTry = clock.after(Math.min(this.#waitMs, giveUpInMs), () => this.#tryAgain());
  }

  #end(refused: RefusedFetch | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTry();
    this.#deps.onEnd(refused);
  }

  #stalled(): RefusedFetch {
    const { received } = this.#assembly;
    const message = `its sender sent nothing for ${this.#deps.timeouts.chunks} ms, with ${received} of ${this.#ref.bytes} bytes here`;
    return { kind: "refused", code: "bad_tensor", field: "ref.ask", message };
  }
}

function brokenBy(by: BrokenBy): RefusedFetch {
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

const broken: Readonly<Record<BrokenBy, { readonly field: "ref" | "ref.n" | "ref.crc"; readonly message: string }>> = {
  oversized: { field: "ref", message: "a chunk has 1 MiB at most" },
  beyond: { field: "ref.n", message: "a chunk lies behind the end of the tensor, or names no offset" },
  uncredited: { field: "ref", message: "its sender sent more than was asked for" },
  checksum: { field: "ref.crc", message: "all bytes came, and their CRC-32 is another one" },
};
