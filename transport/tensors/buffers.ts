// The memory of one node for large tensors: a bound on what is held, an order in which others wait, buffers that are used again.
//
// Owns: the buffers, who waits for room. Does not own: what is put into them (receiver.ts), who holds them for how long.
//
// M1. At most `heldMax` bytes are held, and spare buffers give way to them; whoever comes then waits in the order of coming, also behind
//     one that wants more than is free.
// M2. At most so many wait; the next one is refused at once.
// M3. A buffer goes back when its last holder lets go, once each; it is used again before a new one is made, and dropped when nobody
//     needed it for a while.
//
// Buffers are shared memory between threads: the model's thread reads them without a copy on this side.

import type { Clock } from "../../models/clock.js";
import { heldBytesMax, spareBytesMax, spareMs, waitingMax } from "./bounds.js";

export interface Held {
  /** As many bytes as were asked for; what they were before is still in them. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** One more holder. Throws when the last one has let go already. */
  retain(): void;
  release(): void;
  /** Called when the last holder lets go. */
  onFree(run: () => void): void;
}

export type Room =
  | { readonly kind: "room"; readonly held: Held }
  | { readonly kind: "full" }
  /** The signal aborted before there was room. */
  | { readonly kind: "given_up" };

export interface BufferBounds {
  readonly heldMax: number;
  readonly waitingMax: number;
  readonly spareMax: number;
  readonly spareMs: number;
}

const defaults: BufferBounds = { heldMax: heldBytesMax, waitingMax, spareMax: spareBytesMax, spareMs };

export interface BufferFigures {
  readonly heldBytes: number;
  readonly spareBytes: number;
  readonly waiting: number;
  /** Buffers made since the beginning: stands still under a steady load. */
  readonly made: number;
}

interface Waiting {
  readonly bytes: number;
  readonly enter: () => void;
}

/** A spare buffer may be larger than what goes into it by this factor: a small tensor does not keep a large buffer. */
const slack = 1.25;

export class TensorBuffers {
  readonly #clock: Clock;
  readonly #bounds: BufferBounds;
  readonly #waiting = new Set<Waiting>();
  #spare: SharedArrayBuffer[] = [];
  #heldBytes = 0;
  #made = 0;
  #cancelDrop: (() => void) | undefined;
  #isClosed = false;

  constructor(clock: Clock, bounds: Partial<BufferBounds> = {}) {
    this.#clock = clock;
    this.#bounds = { ...defaults, ...bounds };
  }

  get figures(): BufferFigures {
    const spareBytes = this.#spare.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    return { heldBytes: this.#heldBytes, spareBytes, waiting: this.#waiting.size, made: this.#made };
  }

  /** Whether so many bytes can ever be held here. */
  fits(bytes: number): boolean {
    return bytes <= this.#bounds.heldMax;
  }

  async take(bytes: number, signal: AbortSignal): Promise<Room> {
    if (!this.fits(bytes)) return { kind: "full" };
    if (signal.aborted) return { kind: "given_up" };
    if (this.#waiting.size > 0 || !this.#isFree(bytes)) {
      if (this.#waiting.size >= this.#bounds.waitingMax) return { kind: "full" };
      if (!(await this.#turnOf(bytes, signal))) return { kind: "given_up" };
    } else this.#heldBytes += bytes;
    const buffer = this.#bufferFor(bytes);
    if (buffer !== undefined) return { kind: "room", held: this.#hold(buffer, bytes) };
    this.#heldBytes -= bytes;
    this.#letIn();
    return { kind: "full" };
  }

  /** Drops what nobody holds, now and later. */
  close(): void {
    this.#isClosed = true;
    this.#cancelDrop?.();
    this.#spare = [];
  }

  #isFree(bytes: number): boolean {
    return this.#heldBytes + bytes <= this.#bounds.heldMax;
  }

  /** True once the bytes are counted as held; false when the signal aborted first. */
  #turnOf(bytes: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const leave = (): void => {
        this.#waiting.delete(waiting);
        resolve(false);
        this.#letIn();
      };
      const enter = (): void => {
        signal.removeEventListener("abort", leave);
        this.#waiting.delete(waiting);
        this.#heldBytes += bytes;
        resolve(true);
      };
      const waiting = { bytes, enter };
      this.#waiting.add(waiting);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  #letIn(): void {
    for (const waiting of this.#waiting) {
      if (!this.#isFree(waiting.bytes)) return;
      waiting.enter();
    }
  }

  #hold(buffer: SharedArrayBuffer, bytes: number): Held {
    const told: (() => void)[] = [];
    let holders = 1;
    return {
      bytes: new Uint8Array(buffer, 0, bytes),
      retain: () => {
        if (holders === 0) throw new Error("a buffer was taken up again after its last holder let go");
        holders += 1;
      },
      release: () => {
        if (holders === 0) throw new Error("a buffer was let go twice");
        holders -= 1;
        if (holders > 0) return;
        for (const run of told) run();
        this.#putBack(buffer, bytes);
      },
      onFree: (run) => void told.push(run),
    };
  }

  /** Undefined when the system has no memory for it. */
  #bufferFor(bytes: number): SharedArrayBuffer | undefined {
    const index = this.#spare.findIndex(({ byteLength }) => byteLength >= bytes && byteLength <= slack * bytes);
    const [found] = index < 0 ? [] : this.#spare.splice(index, 1);
    if (found !== undefined) return found;
    this.#dropUntil(this.#bounds.heldMax - this.#heldBytes);
    try {
      const made = new SharedArrayBuffer(bytes);
      this.#made += 1;
      return made;
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  #putBack(buffer: SharedArrayBuffer, bytes: number): void {
    this.#heldBytes -= bytes;
    if (!this.#isClosed) this.#keep(buffer);
    this.#letIn();
  }

  #keep(buffer: SharedArrayBuffer): void {
    this.#spare.unshift(buffer);
    this.#dropUntil(this.#bounds.spareMax);
    this.#cancelDrop?.();
    this.#cancelDrop = this.#clock.after(this.#bounds.spareMs, () => {
      this.#spare = [];
    });
  }

  /** The ones that were used longest ago go first. */
  #dropUntil(spareMax: number): void {
    while (this.#spare.length > 0 && this.figures.spareBytes > spareMax) this.#spare.pop();
  }
}
