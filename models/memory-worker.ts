// The memory's thread: searches at once, everything else in small slices between them.
//
// Owns: the order of work. Does not own: the memory (memory-store.ts).
//
// W1. A search waits for at most one slice: one record of rows, or `movesPerSlice` inserts into the graph (~1 ms).
import { parentPort, workerData } from "node:worker_threads";
import type { MemoryOptions, MemoryReply, MemoryRequest, Neighbours } from "./memory.js";
import { MemoryStore } from "./memory-store.js";

type Change = Extract<MemoryRequest, { kind: "add" | "label" | "settle" }>;

const movesPerSlice = 8;

const port = parentPort;
if (port === null) throw new Error("memory-worker.ts runs in a worker thread only");

const options: MemoryOptions = workerData;
const store = new MemoryStore(options);
/** Bounded by its only writer: whoever replays a log awaits `settled` between portions. */
const changes: Change[] = [];
let head = 0;
let scheduled = false;

/** The columns' buffers pass to the asker. */
function found(id: number, neighbours: Neighbours): void {
  const { found, seqs, indexes, similarities, answers, confidences, atMs, verified } = neighbours;
  const columns = [found, seqs, indexes, similarities, answers, confidences, atMs, verified];
  const buffers = columns.map((column) => column.buffer).filter((buffer) => buffer instanceof ArrayBuffer);
  port?.postMessage({ kind: "found", id, neighbours } satisfies MemoryReply, buffers);
}

function receive(request: MemoryRequest): void {
  switch (request.kind) {
    case "search":
      found(request.id, store.search(request.embeddings, request.rows, request.k));
      break;
    case "stats":
      port?.postMessage({ kind: "stats", id: request.id, stats: store.stats() } satisfies MemoryReply);
      break;
    case "add":
    case "label":
    case "settle":
      changes.push(request);
      schedule();
      break;
    default:
      request satisfies never;
  }
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  // setImmediate, not a microtask: the port's messages are read between two slices.
  setImmediate(slice);
}

function slice(): void {
  scheduled = false;
  const change = changes[head];
  if (change === undefined) {
    if (store.advance(movesPerSlice)) schedule();
    return;
  }
  apply(change);
  head += 1;
  if (head === changes.length) {
    changes.length = 0;
    head = 0;
  }
  schedule();
}

function apply(change: Change): void {
  switch (change.kind) {
    case "add":
      store.add(change.rows);
      break;
    case "label":
      store.label(change.position, change.label);
      break;
    case "settle":
      port?.postMessage({ kind: "settled", id: change.id } satisfies MemoryReply);
      break;
    default:
      change satisfies never;
  }
}

port.on("message", receive);
