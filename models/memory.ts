// The memory of a model: its nearest past experiences, kept in a worker thread.
//
// Owns: the interface, the conversation with the thread, what is held back and what is still waiting for an answer.
// Does not own: contents and search (memory-store.ts), which rows of a record enter (memory-rows.ts), what a neighbour is worth (vote.ts).
//
// M1. `add` and `label` are folded in the order they were called; a search does not wait for them.
// M2. When the thread dies, every waiting call rejects and `died` resolves: the owner's incarnation ends.
// M3. A change is held back for `holdMs` at most, so that it travels with the next search: at one request in flight, one message
//     a request instead of three.
import { Worker } from "node:worker_threads";
import type { Clock } from "./clock.js";
import type { Position } from "./experience.js";
import type { FoundItem } from "./memory-contents.js";
import type { MemoryRows } from "./memory-rows.js";
import { ended, exitOf } from "./thread-end.js";
import { Silence, type ThreadBounds, unhurried } from "./thread-silence.js";

export interface Memory {
  /** Takes the rows of one record in, later. Their buffers pass to the memory and must not be used again. */
  add(rows: MemoryRows): void;
  /** A true label for an experience; ignored when it is no longer here. */
  label(position: Position, label: number): void;
  /** What somebody thought of an answer, -1..1; ignored when it is no longer here. */
  judge(position: Position, reward: number): void;
  /** What is kept of an experience, after every change that was asked for before; undefined when it is not (or no longer) here. */
  find(position: Position): Promise<FoundItem | undefined>;
  /** embeddings [rows, width]; copied, the caller keeps them. `labelled`: verified ones to be found beside the `k` nearest. */
  search(embeddings: Float32Array, rows: number, k: number, labelled?: number): Promise<Neighbours>;
  stats(): Promise<MemoryStats>;
  /** At most `statsEveryMs` behind whatever was asked or added last; for a look inside that cannot wait. */
  readonly lastStats: MemoryStats | null;
  /** Resolves when everything added so far is part of the contents: the back-pressure of whoever replays the log. */
  settled(): Promise<void>;
  /** Waiting calls reject at once; resolves when the thread has ended, which is after the slice it is in. */
  close(): Promise<void>;
  readonly died: Promise<Error>;
}

export interface MemoryOptions {
  readonly width: number;
  /** Items held at most. */
  readonly capacity: number;
  /** Newest items that stay in exact search beside the graph; default in memory-index.ts. */
  readonly tail?: number;
}

/** Columns over `rows` queries times `k` places (those for verified ones included); the first `found[row]` places of a row are filled, nearest first. */
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
  /** Queries whose nearest experience was at least `hitSimilarity` near, as a share of all; null before the first. */
  readonly hitRatio: number | null;
  /** `behind`: more waits for the graph than costs nothing; searches stay right and take longer. */
  readonly health: "ok" | "behind";
}

/** What the thread is asked, in this order; a message is a list of them. */
export type MemoryRequest =
  | { readonly kind: "add"; readonly rows: MemoryRows }
  | { readonly kind: "label"; readonly position: Position; readonly label: number }
  | { readonly kind: "judge"; readonly position: Position; readonly reward: number }
  | { readonly kind: "find"; readonly id: number; readonly position: Position }
  | {
      readonly kind: "search";
      readonly id: number;
      readonly embeddings: Float32Array;
      readonly rows: number;
      readonly k: number;
      readonly labelled: number;
    }
  | { readonly kind: "stats"; readonly id: number }
  | { readonly kind: "settle"; readonly id: number }
  | { readonly kind: "close" };

export type MemoryReply =
  | { readonly kind: "found"; readonly id: number; readonly neighbours: Neighbours }
  | { readonly kind: "stats"; readonly id: number; readonly stats: MemoryStats }
  | { readonly kind: "item"; readonly id: number; readonly item: FoundItem | undefined }
  | { readonly kind: "settled"; readonly id: number };

interface Waiting {
  resolve(reply: MemoryReply): void;
  reject(error: Error): void;
}

const holdMs = 5;
/** Changes held back at most. */
const heldMax = 64;
const statsEveryMs = 500;

export async function startMemory(
  options: MemoryOptions,
  clock: Clock,
  bounds: ThreadBounds = unhurried(),
): Promise<Memory> {
  const worker = new Worker(new URL("./memory-worker.js", import.meta.url), { workerData: options });
  const memory = new ThreadMemory(worker, clock, bounds);
  await memory.settled();
  return memory;
}

class ThreadMemory implements Memory {
  readonly died: Promise<Error>;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  readonly #bounds: ThreadBounds;
  readonly #silence: Silence;
  #isHung = false;
  #held: MemoryRequest[] = [];
  /** Cancel their timers. */
  #sendingLater: (() => void) | undefined;
  #lookingLater: (() => void) | undefined;
  #nextId = 0;
  #lastStats: MemoryStats | null = null;
  #ended: Error | null = null;

  constructor(worker: Worker, clock: Clock, bounds: ThreadBounds) {
    this.#worker = worker;
    this.#clock = clock;
    this.#exited = exitOf(worker);
    this.#bounds = bounds;
    let giveUp: () => void = () => undefined;
    this.#silence = new Silence(clock, bounds.answerMs, () => {
      this.#isHung = true;
      giveUp();
    });
    worker.on("message", (reply: MemoryReply) => {
      if (reply.kind === "stats") this.#lastStats = reply.stats;
      this.#waiting.get(reply.id)?.resolve(reply);
      this.#waiting.delete(reply.id);
      this.#silence.heard(this.#waiting.size > 0);
    });
    this.died = new Promise((resolve) => {
      const end = (error: Error): void => {
        // A thread that was closed on purpose did not die; nobody is told.
        if (this.#end(error)) resolve(error);
      };
      worker.on("error", (cause) => end(new Error(`the memory's thread died: ${messageOf(cause)}`, { cause })));
      worker.on("exit", (code) => end(new Error(`the memory's thread ended with code ${code}`)));
      giveUp = () => end(new Error("the memory's thread says nothing and counts as hung"));
    });
  }

  get lastStats(): MemoryStats | null {
    return this.#lastStats;
  }

  add(rows: MemoryRows): void {
    this.#change({ kind: "add", rows });
  }

  label(position: Position, label: number): void {
    this.#change({ kind: "label", position, label });
  }

  judge(position: Position, reward: number): void {
    this.#change({ kind: "judge", position, reward });
  }

  async find(position: Position): Promise<FoundItem | undefined> {
    const reply = await this.#ask((id) => ({ kind: "find", id, position }));
    if (reply.kind !== "item") throw new Error(`a look at an item was answered with ${reply.kind}`);
    return reply.item;
  }

  async search(embeddings: Float32Array, rows: number, k: number, labelled = 0): Promise<Neighbours> {
    // 256 bytes a row, and the caller still has to write them to the log: the copy, not the original, is handed over.
    const copy = new Float32Array(embeddings);
    this.#lookLater();
    const reply = await this.#ask((id) => ({ kind: "search", id, embeddings: copy, rows, k, labelled }));
    if (reply.kind !== "found") throw new Error(`a search was answered with ${reply.kind}`);
    return reply.neighbours;
  }

  async stats(): Promise<MemoryStats> {
    const reply = await this.#ask((id) => ({ kind: "stats", id }));
    if (reply.kind !== "stats") throw new Error(`a question for stats was answered with ${reply.kind}`);
    return reply.stats;
  }

  async settled(): Promise<void> {
    await this.#ask((id) => ({ kind: "settle", id }));
  }

  async close(): Promise<void> {
    this.#end(new Error("the memory is closed"));
    this.#worker.postMessage([{ kind: "close" } satisfies MemoryRequest]);
    if (this.#isHung) return this.#bounds.stuck.leave(this.#worker, this.#exited);
    await ended(this.#worker, this.#exited, this.#clock, this.#bounds.endMs);
  }

  #change(change: MemoryRequest): void {
    if (this.#ended !== null) throw this.#ended;
    this.#held.push(change);
    this.#lookLater();
    if (this.#held.length >= heldMax) this.#send();
    else this.#sendingLater ??= this.#clock.after(holdMs, () => this.#sendHeld());
  }

  /** The timer is left running when a search takes the changes along: setting one for each costs more than a wake-up in vain. */
  #sendHeld(): void {
    this.#sendingLater = undefined;
    if (this.#held.length > 0) this.#send();
  }

  /** One message with all that is held back. */
  #send(): void {
    const requests = this.#held;
    this.#held = [];
    this.#worker.postMessage(requests, requests.flatMap(buffersOf));
  }

  /** Asks for stats once in a while, and once more after the last activity. */
  #lookLater(): void {
    this.#lookingLater ??= this.#clock.after(statsEveryMs, () => {
      this.#lookingLater = undefined;
      this.#held.push({ kind: "stats", id: this.#nextId++ });
      this.#send();
    });
  }

  #ask(make: (id: number) => MemoryRequest): Promise<MemoryReply> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) throw this.#ended;
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#silence.asked();
      this.#held.push(make(id));
      this.#send();
    });
  }

  /** Rejects whoever waits; false when it had ended before. */
  #end(error: Error): boolean {
    if (this.#ended !== null) return false;
    this.#ended = error;
    this.#silence.end();
    this.#sendingLater?.();
    this.#lookingLater?.();
    for (const call of this.#waiting.values()) call.reject(error);
    this.#waiting.clear();
    return true;
  }
}

/** What passes to the thread without a copy. */
function buffersOf(request: MemoryRequest): ArrayBuffer[] {
  const column = request.kind === "add" ? request.rows : request.kind === "search" ? request : undefined;
  return column?.embeddings.buffer instanceof ArrayBuffer ? [column.embeddings.buffer] : [];
}

/** What crosses the border of a thread need not be an Error of this one. */
function messageOf(cause: unknown): string {
  const told = typeof cause === "object" && cause !== null && "message" in cause;
  return String(told ? cause.message : cause);
}
