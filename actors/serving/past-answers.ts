// The answers of the newest requests, by request id: what a request that comes again is answered with.
//
// Owns: the bound and the columns behind it. An object for each answer would outlive two collections of the young generation, be moved
// to the old one, and die there a second later; numbers in columns cost no collection anything.
// Does not own: which answers count (buffer.ts).
//
// P1. At most `capacity`; the one that came first goes first.

import type { PastAnswer } from "./messages.js";

export class PastAnswers {
  readonly #places = new Map<string, number>();
  readonly #capacity: number;
  /** By place. */
  readonly #ids: string[] = [];
  readonly #traceIds: string[] = [];
  readonly #seqs: Float64Array;
  readonly #indexes: Uint16Array;
  readonly #answers: Uint16Array;
  /** As records hold them. */
  readonly #confidences: Float32Array;
  readonly #cold: Uint8Array;
  readonly #versions: Float64Array;
  #next = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#seqs = new Float64Array(capacity);
    this.#indexes = new Uint16Array(capacity);
    this.#answers = new Uint16Array(capacity);
    this.#confidences = new Float32Array(capacity);
    this.#cold = new Uint8Array(capacity);
    this.#versions = new Float64Array(capacity);
  }

  get size(): number {
    return this.#places.size;
  }

  has(id: string): boolean {
    return this.#places.has(id);
  }

  get(id: string): PastAnswer | undefined {
    const place = this.#places.get(id);
    if (place === undefined) return undefined;
    return {
      at: { seq: this.#seqs[place] ?? 0, index: this.#indexes[place] ?? 0 },
      answer: this.#answers[place] ?? 0,
      confidence: this.#confidences[place] ?? 0,
      cold: this.#cold[place] === 1,
      version: this.#versions[place] ?? 0,
      traceId: this.#traceIds[place] ?? "",
    };
  }

  /** Of an id that is known the newer answer counts. */
  set(id: string, seq: number, index: number, { answer, confidence, cold, version, traceId }: Answered): void {
    const place = this.#next;
    this.#next = (place + 1) % this.#capacity;
    const before = this.#ids[place];
    if (before !== undefined && this.#places.get(before) === place) this.#places.delete(before);
    this.#places.set(id, place);
    this.#ids[place] = id;
    this.#traceIds[place] = traceId;
    this.#seqs[place] = seq;
    this.#indexes[place] = index;
    this.#answers[place] = answer;
    this.#confidences[place] = confidence;
    this.#cold[place] = cold ? 1 : 0;
    this.#versions[place] = version;
  }
}

type Answered = Omit<PastAnswer, "at">;
