// The receiver's half of a large tensor: room for it, its bytes by the nearest way, and a name for whatever goes wrong.
//
// Owns: the choice between a segment and chunks, how many are pulled at once.
// Does not own: the memory (buffers.ts), one transfer in chunks (pulling.ts), segments (segments.ts), what is done with the bytes.
//
// R1. Bytes are handed on only when their number and their checksum are the announced ones (T2).
// R2. Nothing is asked for before there is room for it. From the beginning of a fetch until its bytes are let go of the sender hears, every
//     now and then, that they are wanted: silence means that this node is gone.
// R3. A fetch ends when its signal aborts; earlier when its sender says that the tensor is gone, sends nothing for too long, or next to nothing
//     while others wait for its place.
// R4. What does not belong to a fetch is dropped and counted; a sender that breaks the rules ends its own fetch only.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import type { TensorRef } from "../messages/tensor-ref.js";
import { chunkIdOf, type Subjects } from "../subjects.js";
import { pullsMax, tensorBytesMax } from "./bounds.js";
import type { BufferFigures, Held, TensorBuffers } from "./buffers.js";
import { encodeSenderOrder, type SenderOrder } from "./chunk-messages.js";
import { type ChunkSource, chunksOver } from "./chunk-source.js";
import { InOrder } from "./in-order.js";
import { late, Pulling, type RefusedFetch } from "./pulling.js";
import type { Segments } from "./segments.js";

export interface ReceiverDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly node: string;
  readonly clock: Clock;
  readonly buffers: TensorBuffers;
  /** Where chunks come from; `bus` when left out. */
  readonly chunks?: ChunkSource;
  /** Chunks only when left out. */
  readonly segments?: Segments;
  /** What became of tensors and chunks. */
  readonly count?: (what: TensorCount, by?: number) => void;
}

export type TensorCount =
  | `tensors_by_${Way}`
  | `tensor_bytes_by_${Way}`
  | "tensor_segments_refused"
  | `tensor_chunks_${"duplicate" | "ahead" | "foreign"}`
  | "tensor_pulls_repeated"
  | "tensors_refused";

export type Way = "segment" | "chunks";

/** Room for a tensor that is going to be made larger in place: `bytes` in all, the tensor's own from `offset` on. */
export interface Place {
  readonly bytes: number;
  readonly offset: number;
}

/** Who gets a buffer lets go of it. */
export type Fetched = { readonly kind: "fetched"; readonly held: Held; readonly by: Way } | RefusedFetch;

const retryAfterMs = 250;

export class TensorReceiver {
  readonly #deps: ReceiverDeps;
  /** By the id of the tensor. */
  readonly #fetching = new Set<string>();
  readonly #pulls = new Map<string, Pulling>();
  readonly #turns = new InOrder(pullsMax);
  /** What ends each row of signs of life. */
  readonly #telling = new Set<() => void>();
  #stopListening: (() => void) | undefined;

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
  }

  /** Before the first tensor is asked for, so that a cluster of servers knows where chunks go. */
  listen(): void {
    const { bus, chunks = chunksOver(bus), subjects, node } = this.#deps;
    let pulling: Pulling | undefined;
    this.#stopListening ??= chunks.listen(subjects.all.chunksOf(node), {
      begins: (subject, head, bytes) => {
        pulling = this.#pulls.get(chunkIdOf(subject));
        pulling?.begins(head, bytes);
        // A sender's word that it let go may come when nobody needs it.
        if (pulling === undefined && bytes > 0) this.#count("tensor_chunks_foreign");
      },
      piece: (bytes) => pulling?.piece(bytes),
    });
  }

  close(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
    for (const pulling of [...this.#pulls.values()]) pulling.late();
    for (const stop of this.#telling) stop();
    this.#deps.buffers.close();
  }

  /** `fetching` are tensors on their way here, those that wait included. */
  get figures(): BufferFigures & { readonly fetching: number; readonly pulling: number } {
    return { ...this.#deps.buffers.figures, fetching: this.#fetching.size, pulling: this.#pulls.size };
  }

  /** Why this tensor will not be fetched, as far as its reference tells; undefined when nothing speaks against it. */
  objection({ id, bytes }: TensorRef, place: Place): RefusedFetch | undefined {
    if (bytes > tensorBytesMax || !this.#deps.buffers.fits(place.bytes)) {
      const message = `${bytes} bytes; a tensor has ${tensorBytesMax} at most`;
      return { kind: "refused", code: "too_large", field: "ref.n", message };
    }
    if (!this.#fetching.has(id)) return undefined;
    const message = "this tensor is on its way already, for another request: each request offers its own";
    return { kind: "refused", code: "bad_tensor", field: "ref.id", message };
  }

  /** Never rejects for what a sender does. An aborted signal is a deadline that passed. */
  async fetch(ref: TensorRef, place: Place, signal: AbortSignal): Promise<Fetched> {
    const objection = this.objection(ref, place);
    if (objection !== undefined) return this.#refused(objection);
    this.#fetching.add(ref.id);
    const stopTelling = this.#tellWanted(ref);
    try {
      const room = await this.#deps.buffers.take(place.bytes, signal);
      if (room.kind !== "room") {
        stopTelling();
        return this.#gaveUp(ref, room.kind === "full" ? overloaded : late(ref, 0));
      }
      const into = room.held.bytes.subarray(place.offset, place.offset + ref.bytes);
      room.held.onFree(stopTelling);
      let by: Way | RefusedFetch | undefined;
      try {
        by = await this.#fill(ref, into, signal);
      } finally {
        if (typeof by !== "string") room.held.release();
      }
      return typeof by === "string" ? { kind: "fetched", held: room.held, by } : by;
    } finally {
      this.#fetching.delete(ref.id);
    }
  }

  async #fill(ref: TensorRef, into: Uint8Array, signal: AbortSignal): Promise<Way | RefusedFetch> {
    const by = (await this.#readSegment(ref, into, signal)) ? "segment" : "chunks";
    if (by === "chunks") {
      const endTurn = await this.#turns.take(signal);
      if (endTurn === undefined) return this.#gaveUp(ref, late(ref, 0));
      const refused = await this.#pull(ref, into, signal).finally(endTurn);
      if (refused !== undefined) return this.#gaveUp(ref, refused);
    }
    this.#tell(ref, { kind: "confirm", id: ref.id });
    this.#count(`tensors_by_${by}`);
    this.#count(`tensor_bytes_by_${by}`, ref.bytes);
    return by;
  }

  /** A segment that cannot be read is no failure: the same bytes come in chunks. */
  async #readSegment({ host, file, bytes, crc }: TensorRef, into: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const { segments } = this.#deps;
    if (segments === undefined || host !== segments.host || file === undefined) return false;
    const read = await segments.read({ file, bytes, crc, host }, into, signal);
    if (read.kind === "read") {
      if (read.bytes.buffer !== into.buffer) into.set(read.bytes);
      return true;
    }
    if (read.why !== "given_up") this.#count("tensor_segments_refused");
    return false;
  }

  async #pull(ref: TensorRef, into: Uint8Array, signal: AbortSignal): Promise<RefusedFetch | undefined> {
    const { clock, bus, subjects, node } = this.#deps;
    const to = subjects.chunk(node, ref.id);
    let isLate: () => void = () => undefined;
    const ended = new Promise<RefusedFetch | undefined>((onEnd) => {
      const pulling = new Pulling(ref, into, {
        clock,
        timeouts: bus.timeouts,
        ask: (pull) => this.#tell(ref, { kind: "pull", id: ref.id, to, ...pull }),
        count: (what) => this.#count(what),
        isWaitedFor: () => this.#turns.waiting > 0 || this.#deps.buffers.figures.waiting > 0,
        onEnd,
      });
      isLate = () => pulling.late();
      this.#pulls.set(ref.id, pulling);
      pulling.begin();
    });
    signal.addEventListener("abort", isLate, { once: true });
    if (signal.aborted) isLate();
    const refused = await ended;
    signal.removeEventListener("abort", isLate);
    this.#pulls.delete(ref.id);
    return refused;
  }

  /** A sign of life now, and again and again until the returned function is called. */
  #tellWanted(ref: TensorRef): () => void {
    const { clock, bus, subjects, node } = this.#deps;
    const to = subjects.chunk(node, ref.id);
    let cancel: () => void = () => undefined;
    const say = (): void => {
      this.#tell(ref, { kind: "pull", id: ref.id, to, from: 0, credit: 0 });
      cancel = clock.after(bus.timeouts.chunkTry, say);
    };
    const stop = (): void => {
      cancel();
      this.#telling.delete(stop);
    };
    this.#telling.add(stop);
    say();
    return stop;
  }

  #tell({ ask }: TensorRef, order: SenderOrder): void {
    this.#deps.bus.publish(ask, encodeSenderOrder(order));
  }

  #gaveUp(ref: TensorRef, refused: RefusedFetch): RefusedFetch {
    this.#tell(ref, { kind: "abandon", id: ref.id, why: refused.message.slice(0, 256) });
    return this.#refused(refused);
  }

  #refused(refused: RefusedFetch): RefusedFetch {
    this.#count("tensors_refused");
    return refused;
  }

  #count(what: TensorCount, by?: number): void {
    this.#deps.count?.(what, by);
  }
}

const overloaded: RefusedFetch = {
  kind: "refused",
  code: "overloaded",
  message: "as many large tensors wait here already as may; try again, or add a serving node",
  retryAfterMs,
};
