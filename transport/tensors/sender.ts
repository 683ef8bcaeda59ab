// The sender's half of a large tensor: it keeps the bytes, and hands them out as often as somebody it offered them to asks.
//
// Owns: the offers of one connection, the subject they are asked for on, the choice to put the bytes into shared memory as well.
// Does not own: segments (segments.ts), what is asked for (receiver.ts), when an offer ends (client.ts).
//
// N1. The bytes are kept until the offer is released, confirmed or not: a receiver that dies after it confirmed is followed by another.
// N2. Nothing is remembered of what was sent: a range that is asked for is sent. Whoever asks for a tensor that is gone is told so.
// N3. Chunks go to a chunk subject of this cluster for this tensor, and nowhere else, whoever asks.
// N5. The checksum of all bytes is made once, when they are offered; where the reference left without it, it goes with the last chunk.
// N4. At most a window of one tensor is sent for one asking, and a few askings wait.

import { setImmediate as eventLoopTurn } from "node:timers/promises";
import type { Clock } from "../../models/clock.js";
import type { Bus, Subscribed } from "../bus/bus.js";
import type { RequestOutcome } from "../bus/bus-outcome.js";
import type { TensorRef } from "../messages/tensor-ref.js";
import { isChunkSubject, type Subjects } from "../subjects.js";
import { chunkBytesMax, chunkRoomBytes, rangesMax, windowBytes } from "./bounds.js";
import type { ChunkLine } from "./chunk-line.js";
import { type ChunkHead, chunkHeaders, parseSenderOrder, type SenderOrder } from "./chunk-messages.js";
import type { SegmentLease, Segments } from "./segments.js";
import { checksumOf } from "./slices.js";

export interface SenderDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly clock: Clock;
  /** 32 hexadecimal characters that nobody can guess. */
  readonly newId: () => string;
  /** Opened with the first chunk that somebody asks for; chunks leave on `bus` while it has no connection, and when left out. */
  readonly line?: () => ChunkLine;
  /** Chunks only when left out. */
  readonly segments?: Segments;
}

export interface OfferOptions {
  /** Monotonic: nobody asks for the tensor afterwards. */
  readonly expiresAtMs: number;
  /** What it is for, for people. */
  readonly about: string;
}

/** A tensor that somebody may fetch, until it is released. */
export interface Offer {
  readonly ref: TensorRef;
  /** Its message is about to leave: from now on a receiver may be heard of. */
  handOver(): void;
  /** `work`, or a timeout when nobody was heard of for so long since the last `handOver`. */
  unlessSilent(work: Promise<RequestOutcome>, silentMs: number): Promise<RequestOutcome>;
  release(): void;
}

/** For the connection of its own that the first chunk opens; without it chunks leave on the one that is there. */
const lineWithinMs = 250;

type Way = (to: string, chunk: Uint8Array, head: ChunkHead) => boolean;

interface Range {
  readonly to: string;
  readonly from: number;
  readonly until: number;
}

interface Kept {
  readonly bytes: Uint8Array;
  /** CRC-32 of all of them, once it is known. */
  crc: number | undefined;
  readonly lease: SegmentLease | undefined;
  readonly ranges: Range[];
  heardAtMs: number;
  /** Who asked last and did not say that he is done. */
  receiver: string | undefined;
  isSending: boolean;
}

export class TensorSender {
  readonly #deps: SenderDeps;
  readonly #ask: string;
  readonly #offers = new Map<string, Kept>();
  readonly #subscription: Subscribed;
  #line: ChunkLine | undefined;

  constructor(deps: SenderDeps) {
    this.#deps = deps;
    this.#ask = deps.bus.inbox();
    this.#subscription = deps.bus.subscribe(this.#ask, {}, ({ data }) => {
      const order = parseSenderOrder(data);
      if (order.kind === "ok") this.#obey(order.value);
    });
  }

  /** Offers that were not released. */
  get open(): number {
    return this.#offers.size;
  }

  /** The bytes must not change until the offer is released. */
  async offer(bytes: Uint8Array, options: OfferOptions): Promise<Offer> {
    const { segments, newId, clock } = this.#deps;
    const leased = await segments?.lease(bytes, options);
    const lease = leased?.kind === "leased" ? leased.lease : undefined;
    const id = newId();
    // Whoever reads the segment begins while it is written; the checksum is there when the last byte is (N5).
    const sum = lease === undefined ? { crc: await checksumOf(bytes) } : {};
    const place = lease === undefined || segments === undefined ? {} : { host: segments.host, file: lease.ref.file };
    const ref: TensorRef = { id, bytes: bytes.byteLength, ...sum, ...place, ask: this.#ask };
    const kept: Kept = {
      bytes,
      crc: sum.crc,
      lease,
      ranges: [],
      heardAtMs: clock.monotonicMs(),
      receiver: undefined,
      isSending: false,
    };
    this.#offers.set(id, kept);
    return {
      ref,
      handOver: () => {
        kept.heardAtMs = clock.monotonicMs();
        lease?.handOver();
      },
      unlessSilent: (work, silentMs) => this.#unlessSilent(kept, work, silentMs),
      release: () => this.#release(id, kept),
    };
  }

  close(): void {
    for (const [id, kept] of this.#offers) this.#release(id, kept);
    this.#subscription.unsubscribe();
    this.#line?.close();
  }

  #obey(order: SenderOrder): void {
    const kept = this.#offers.get(order.id);
    if (kept === undefined) {
      if (order.kind === "pull") this.#sayGone(order.id, order.to);
      return;
    }
    kept.heardAtMs = this.#deps.clock.monotonicMs();
    switch (order.kind) {
      case "pull":
        this.#pulled(kept, order);
        break;
      case "confirm":
        kept.receiver = undefined;
        kept.lease?.confirm();
        break;
      case "abandon":
        kept.receiver = undefined;
        kept.ranges.length = 0;
        break;
      default:
        order satisfies never;
    }
  }

  #pulled(kept: Kept, { id, to, from, credit }: SenderOrder & { readonly kind: "pull" }): void {
    if (!isChunkSubject(this.#deps.subjects.cluster, to, id)) return;
    kept.receiver = to;
    const until = Math.min(kept.bytes.byteLength, from + Math.min(credit, windowBytes));
    if (until <= from || kept.ranges.length >= rangesMax) return;
    kept.ranges.push({ to, from, until });
    if (!kept.isSending) void this.#send(id, kept);
  }

  /** Range after range; a chunk at a time, so that other tensors and everything else get their turn. */
  async #send(id: string, kept: Kept): Promise<void> {
    kept.isSending = true;
    this.#line ??= this.#deps.line?.();
    if (this.#line !== undefined) await Promise.race([this.#line.tried, this.#deps.clock.delay(lineWithinMs)]);
    for (let range = kept.ranges.shift(); range !== undefined; range = kept.ranges.shift()) {
      const { to, from, until } = range;
      // One way for all of a range: on two, what leaves first may come last.
      const way = this.#line?.payloadMaxBytes === undefined ? this.#byBus : this.#byLine(this.#line);
      for (let at = from; at < until; ) {
        if (this.#offers.get(id) !== kept) return;
        const end = Math.min(until, at + this.#chunkBytes());
        const crc = end < kept.bytes.byteLength ? undefined : await checksumNow(kept);
        // While the connection is down nothing is sent: the receiver asks again.
        if (!way(to, kept.bytes.subarray(at, end), { offset: at, crc })) break;
        at = end;
        await this.#line?.room();
        await eventLoopTurn();
      }
    }
    kept.isSending = false;
  }

  readonly #byBus: Way = (to, chunk, head) => this.#deps.bus.publish(to, chunk, { headers: chunkHeaders(head) });

  readonly #byLine =
    (line: ChunkLine): Way =>
    (to, chunk, head) =>
      line.send(to, chunk, head);

  #chunkBytes(): number {
    const payloadMaxBytes = Math.min(this.#deps.bus.payloadMaxBytes, this.#line?.payloadMaxBytes ?? Infinity);
    return Math.max(1, Math.min(chunkBytesMax, payloadMaxBytes - chunkRoomBytes));
  }

  #sayGone(id: string, to: string): void {
    const { bus, subjects } = this.#deps;
    if (isChunkSubject(subjects.cluster, to, id)) bus.publish(to, new Uint8Array());
  }

  #release(id: string, kept: Kept): void {
    if (!this.#offers.delete(id)) return;
    kept.ranges.length = 0;
    if (kept.receiver !== undefined) this.#sayGone(id, kept.receiver);
    kept.lease?.release();
  }

  async #unlessSilent(kept: Kept, work: Promise<RequestOutcome>, silentMs: number): Promise<RequestOutcome> {
    const { clock } = this.#deps;
    const over = new AbortController();
    const silence = async (): Promise<RequestOutcome> => {
      for (;;) {
        const leftMs = kept.heardAtMs + silentMs - clock.monotonicMs();
        if (leftMs <= 0 || over.signal.aborted) return { kind: "timeout" };
        await clock.delay(leftMs, over.signal);
      }
    };
    try {
      return await Promise.race([work, silence()]);
    } finally {
      over.abort();
    }
  }
}

/** Made on the way into the segment, where all of them went there. */
async function checksumNow(kept: Kept): Promise<number> {
  const written = await kept.lease?.written;
  kept.crc ??= written?.kind === "written" ? written.crc : await checksumOf(kept.bytes);
  return kept.crc;
}
