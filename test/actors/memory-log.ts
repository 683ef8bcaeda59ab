// A log in memory that keeps the promises of the real one: sequence numbers from 1, one record for each message id, following in order.

import type { AppendOutcome } from "../../transport/log/log.js";

export class MemoryLog<T> {
  readonly #entries: T[] = [];
  readonly #seqs = new Map<string, number>();
  readonly #waiting = new Set<() => void>();

  get lastSeq(): number {
    return this.#entries.length;
  }

  get entries(): readonly T[] {
    return this.#entries;
  }

  /** Message ids, in the order of the entries. */
  get ids(): readonly string[] {
    return [...this.#seqs.keys()];
  }

  append(id: string, entry: T): Extract<AppendOutcome, { kind: "appended" }> {
    const earlier = this.#seqs.get(id);
    if (earlier !== undefined) return { kind: "appended", seq: earlier, duplicate: true };
    this.#entries.push(entry);
    this.#seqs.set(id, this.#entries.length);
    for (const wake of [...this.#waiting]) wake();
    return { kind: "appended", seq: this.#entries.length, duplicate: false };
  }

  /** Every entry from `fromSeq` on, then each new one, until the signal aborts. */
  async *follow(fromSeq: number, signal: AbortSignal): AsyncGenerator<{ readonly seq: number; readonly entry: T }> {
    for (let seq = fromSeq; ; seq += 1) {
      while (this.#entries.length < seq && !signal.aborted) await this.#change(signal);
      if (signal.aborted) return;
      for (const entry of this.#entries.slice(seq - 1, seq)) yield { seq, entry };
    }
  }

  /** Resolves once there are `length` entries. */
  async reached(length: number): Promise<void> {
    const never = new AbortController();
    while (this.#entries.length < length) await this.#change(never.signal);
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}
