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
import type { Clock } from "../clock.js";
import type { Position } from "../experience.js";
import { ended, exitOf } from "../threads/thread-end.js";
import { Silence, type ThreadBounds, unhurried } from "../threads/thread-silence.js";
import type { FoundItem } from "./memory-contents.js";
import { checkLengths, type MemoryRows } from "./memory-rows.js";
import { answerIn, emptyNeighbours, type MemoryChange, type MemorySearch, packMemory } from "./packed-memory.js";

export interface Memory {
  /** Takes the rows of one record in, later: their columns are read when the next message leaves, and must stay as they are. */
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

/** What the thread is asked beside searches and changes, which travel packed (packed-memory.ts). `find` and `settle` wait for the changes before them. */
export type MemoryQuestion =
  | { readonly kind: "find"; readonly id: number; readonly position: Position }
  | { readonly kind: "stats"; readonly id: number; readonly by: "caller" | "watch" }
  | { readonly kind: "settle"; readonly id: number }
  | { readonly kind: "close" };

/** A piece of memory is the answer to a search. */
export type MemoryReply =
  | ArrayBuffer
  | { readonly kind: "stats"; readonly id: number; readonly stats: MemoryStats }
  | { readonly kind: "item"; readonly id: number; readonly item: FoundItem | undefined }
  | { readonly kind: "settled"; readonly id: number };

/** As a caller waits for it. */
type Answer = { readonly kind: "found"; readonly neighbours: Neighbours } | Exclude<MemoryReply, ArrayBuffer>;

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const holdMs = 5;
/** Changes held back at most. */
const heldMax = 64;
const statsEveryMs = 500;

/** Its thread is still starting: what is asked of it waits, and whoever awaits `settled` knows that it runs, or why not. */
export function openMemory(options: MemoryOptions, clock: Clock, bounds: ThreadBounds = unhurried()): Memory {
  const worker = new Worker(new URL("./memory-worker.js", import.meta.url), { workerData: options });
  return new ThreadMemory(worker, options.width, clock, bounds);
}

export async function startMemory(
  options: MemoryOptions,
  clock: Clock,
  bounds: ThreadBounds = unhurried(),
): Promise<Memory> {
  const memory = openMemory(options, clock, bounds);
  try {
    await memory.settled();
  } catch (error) {
    // One that hangs is left behind and counted, like any other.
    await memory.close();
    throw error;
  }
  return memory;
}

class ThreadMemory implements Memory {
  readonly died: Promise<Error>;
  readonly #worker: Worker;
  readonly #width: number;
  readonly #exited: Promise<void>;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  readonly #bounds: ThreadBounds;
  readonly #silence: Silence;
  #isHung = false;
  #held: MemoryChange[] = [];
  /** Cancel their timers. */
  #sendingLater: (() => void) | undefined;
  #lookingLater: (() => void) | undefined;
  #nextId = 0;
  #lastStats: MemoryStats | null = null;
  #ended: Error | null = null;

  constructor(worker: Worker, width: number, clock: Clock, bounds: ThreadBounds) {
    this.#worker = worker;
    this.#width = width;
    this.#clock = clock;
    this.#exited = exitOf(worker);
    this.#bounds = bounds;
    let giveUp: () => void = () => undefined;
    this.#silence = new Silence(clock, bounds.answerMs, () => {
      this.#isHung = true;
      giveUp();
    });
    worker.on("message", (reply: MemoryReply) => this.#hear(reply));
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
    checkLengths(rows, this.#width);
    this.#change({ kind: "add", rows });
  }

  label(position: Position, label: number): void {
    this.#change({ kind: "label", position, label });
  }

  judge(position: Position, reward: number): void {
    this.#change({ kind: "judge", position, reward });
  }

  async find(position: Position): Promise<FoundItem | undefined> {
    const answer = await this.#ask((id) => ({ kind: "find", id, position }));
    if (answer.kind !== "item") throw new Error(`a look at an item was answered with ${answer.kind}`);
    return answer.item;
  }

  async search(embeddings: Float32Array, rows: number, k: number, labelled = 0): Promise<Neighbours> {
    if (embeddings.length !== rows * this.#width) throw new RangeError(`${embeddings.length} values for ${rows} rows`);
    if (rows === 0) return emptyNeighbours(0, k + labelled);
    this.#lookLater();
    const answer = await this.#awaited((id) => this.#send({ id, embeddings, rows, k, labelled }));
    if (answer.kind !== "found") throw new Error(`a search was answered with ${answer.kind}`);
    return answer.neighbours;
  }

  async stats(): Promise<MemoryStats> {
    const answer = await this.#ask((id) => ({ kind: "stats", id, by: "caller" }));
    if (answer.kind !== "stats") throw new Error(`a question for stats was answered with ${answer.kind}`);
    return answer.stats;
  }

  async settled(): Promise<void> {
    await this.#ask((id) => ({ kind: "settle", id }));
  }

  async close(): Promise<void> {
    this.#end(new Error("the memory is closed"));
    this.#worker.postMessage({ kind: "close" } satisfies MemoryQuestion);
    if (this.#isHung) return this.#bounds.stuck.leave(this.#worker, this.#exited);
    await ended(this.#worker, this.#exited, this.#clock, this.#bounds.endMs);
  }

  #hear(reply: MemoryReply): void {
    if (reply instanceof ArrayBuffer) {
      const { id, neighbours } = answerIn(reply);
      this.#settle(id, { kind: "found", neighbours });
      return;
    }
    if (reply.kind === "stats") this.#lastStats = reply.stats;
    this.#settle(reply.id, reply);
  }

  #settle(id: number, answer: Answer): void {
    this.#waiting.get(id)?.resolve(answer);
    this.#waiting.delete(id);
    this.#silence.heard(this.#waiting.size > 0);
  }

  #change(change: MemoryChange): void {
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

  /** All that is held back, and a search with it. */
  #send(search?: MemorySearch): void {
    const piece = packMemory(this.#held, search, this.#width);
    this.#held = [];
    this.#worker.postMessage(piece, [piece]);
  }

  /** Asks for stats once in a while, and once more after the last activity. */
  #lookLater(): void {
    this.#lookingLater ??= this.#clock.after(statsEveryMs, () => {
      this.#lookingLater = undefined;
      this.#put({ kind: "stats", id: this.#nextId++, by: "watch" });
    });
  }

  #put(question: MemoryQuestion): void {
    if (this.#held.length > 0) this.#send();
    this.#worker.postMessage(question);
  }

  #ask(make: (id: number) => MemoryQuestion): Promise<Answer> {
    return this.#awaited((id) => this.#put(make(id)));
  }

  #awaited(send: (id: number) => void): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) throw this.#ended;
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#silence.asked();
      send(id);
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

/** What crosses the border of a thread need not be an Error of this one. */
function messageOf(cause: unknown): string {
  const told = typeof cause === "object" && cause !== null && "message" in cause;
  return String(told ? cause.message : cause);
}
