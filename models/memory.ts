// The memory of a model: its nearest past experiences, kept in a worker thread.
//
// Owns: the interface, the conversation with the thread, what is still waiting for an answer.
// Does not own: contents and search (memory-store.ts), what a neighbour is worth (vote.ts).
//
// M1. `add` and `label` are folded in the order they were called; a search does not wait for them.
// M2. When the thread dies, every waiting call rejects and `died` resolves: the owner's incarnation ends.
import { Worker } from "node:worker_threads";
import { type ExperienceBatch, type Position, rowsOf } from "./experience.js";

export interface Memory {
  /** Takes the rows of one record in, later. Their buffers stay the caller's. */
  add(rows: MemoryRows): void;
  /** A true label for an experience; ignored when it is no longer here. */
  label(position: Position, label: number): void;
  /** embeddings [rows, width]; copied, the caller keeps them. */
  search(embeddings: Float32Array, rows: number, k: number): Promise<Neighbours>;
  stats(): Promise<MemoryStats>;
  /** What `stats` said last; for a look inside that cannot wait. */
  readonly lastStats: MemoryStats | null;
  /** Resolves when everything added so far is part of the contents: the back-pressure of whoever replays the log. */
  settled(): Promise<void>;
  close(): Promise<void>;
  readonly died: Promise<Error>;
}

/** The rows of one log record that the memory remembers. */
export interface MemoryRows {
  readonly seq: number;
  readonly atMs: number;
  readonly rows: number;
  /** [rows, width] */
  readonly embeddings: Float32Array;
  readonly answers: Uint16Array;
  readonly confidences: Float32Array;
  readonly priorities: Float32Array;
}

export interface MemoryOptions {
  readonly width: number;
  /** Items held at most. */
  readonly capacity: number;
  /** Newest items that stay in exact search beside the graph; default in memory-index.ts. */
  readonly tail?: number;
}

/** Columns over `rows` queries times `k` places; the first `found[row]` places of a row are filled, nearest first. */
export interface Neighbours {
  readonly rows: number;
  readonly k: number;
  /** [rows] */
  readonly found: Uint8Array;
  /** [rows, k] position in the log. */
  readonly seqs: Float64Array;
  readonly indexes: Uint16Array;
  /** [rows, k] cosine. */
  readonly similarities: Float32Array;
  readonly answers: Uint16Array;
  readonly confidences: Float32Array;
  /** [rows, k] when it was answered, epoch milliseconds. */
  readonly atMs: Float64Array;
  /** [rows, k] 1 = a true label is known, and `answers` is it. */
  readonly verified: Uint8Array;
}

export interface MemoryStats {
  readonly size: number;
  readonly capacity: number;
  /** Queries asked, one per row. */
  readonly searches: number;
  /** Queries that could not be answered: their embedding was not finite. */
  readonly failures: number;
  /** Experiences refused for the same reason. */
  readonly refused: number;
  readonly evicted: number;
  readonly verified: number;
  readonly priorityMin: number;
  /** Items in exact search, in the graph, and whether a new graph is under construction. */
  readonly tail: number;
  readonly graph: number;
  readonly building: boolean;
}

export type MemoryRequest =
  | { readonly kind: "add"; readonly rows: MemoryRows }
  | { readonly kind: "label"; readonly position: Position; readonly label: number }
  | {
      readonly kind: "search";
      readonly id: number;
      readonly embeddings: Float32Array;
      readonly rows: number;
      readonly k: number;
    }
  | { readonly kind: "stats"; readonly id: number }
  | { readonly kind: "settle"; readonly id: number };

export type MemoryReply =
  | { readonly kind: "found"; readonly id: number; readonly neighbours: Neighbours }
  | { readonly kind: "stats"; readonly id: number; readonly stats: MemoryStats }
  | { readonly kind: "settled"; readonly id: number };

interface Waiting {
  resolve(reply: MemoryReply): void;
  reject(error: Error): void;
}

export function memoryRows(seq: number, batch: ExperienceBatch): MemoryRows {
  const { atMs, embeddings, answers, confidences, priorities } = batch;
  return { seq, atMs, rows: rowsOf(batch), embeddings, answers, confidences, priorities };
}

export async function startMemory(options: MemoryOptions): Promise<Memory> {
  const memory = new ThreadMemory(new Worker(new URL("./memory-worker.js", import.meta.url), { workerData: options }));
  await memory.settled();
  return memory;
}

class ThreadMemory implements Memory {
  readonly died: Promise<Error>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #lastStats: MemoryStats | null = null;
  #ended: Error | null = null;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (reply: MemoryReply) => {
      this.#waiting.get(reply.id)?.resolve(reply);
      this.#waiting.delete(reply.id);
    });
    this.died = new Promise((resolve) => {
      const end = (error: Error): void => {
        // A thread that was closed on purpose did not die; nobody is told.
        if (this.#end(error)) resolve(error);
      };
      worker.on("error", (cause) => end(new Error(`the memory's thread died: ${messageOf(cause)}`, { cause })));
      worker.on("exit", (code) => end(new Error(`the memory's thread ended with code ${code}`)));
    });
  }

  get lastStats(): MemoryStats | null {
    return this.#lastStats;
  }

  add(rows: MemoryRows): void {
    this.#send({ kind: "add", rows });
  }

  label(position: Position, label: number): void {
    this.#send({ kind: "label", position, label });
  }

  async search(embeddings: Float32Array, rows: number, k: number): Promise<Neighbours> {
    // 256 bytes a row, and the caller still has to write them to the log: the copy, not the original, is handed over.
    const copy = new Float32Array(embeddings);
    const reply = await this.#ask((id) => ({ kind: "search", id, embeddings: copy, rows, k }), [copy.buffer]);
    if (reply.kind !== "found") throw new Error(`a search was answered with ${reply.kind}`);
    return reply.neighbours;
  }

  async stats(): Promise<MemoryStats> {
    const reply = await this.#ask((id) => ({ kind: "stats", id }));
    if (reply.kind !== "stats") throw new Error(`a question for stats was answered with ${reply.kind}`);
    this.#lastStats = reply.stats;
    return reply.stats;
  }

  async settled(): Promise<void> {
    await this.#ask((id) => ({ kind: "settle", id }));
  }

  async close(): Promise<void> {
    this.#end(new Error("the memory is closed"));
    await this.#worker.terminate();
  }

  #send(request: MemoryRequest, transfer: ArrayBuffer[] = []): void {
    if (this.#ended !== null) throw this.#ended;
    this.#worker.postMessage(request, transfer);
  }

  #ask(make: (id: number) => MemoryRequest, transfer: ArrayBuffer[] = []): Promise<MemoryReply> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#send(make(id), transfer);
      this.#waiting.set(id, { resolve, reject });
    });
  }

  /** Rejects whoever waits; false when it had ended before. */
  #end(error: Error): boolean {
    if (this.#ended !== null) return false;
    this.#ended = error;
    for (const call of this.#waiting.values()) call.reject(error);
    this.#waiting.clear();
    return true;
  }
}

/** What crosses the border of a thread need not be an Error of this one. */
function messageOf(cause: unknown): string {
  const told = typeof cause === "object" && cause !== null && "message" in cause;
  return String(told ? cause.message : cause);
}
