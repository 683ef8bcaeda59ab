// The memory's thread: searches at once, everything else in small slices between them.
//
// Owns: the order of work, and the thread's end. Does not own: the memory (memory-store.ts).
//
// W1. A search waits for at most one slice: one record of rows and `movesPerSlice` inserts into the graph (0.3 ms), when
//     the graph is behind `movesWhenBehind` (1 ms).
// W2. Told to close, the thread ends by itself between two slices (why: thread-end.ts); what is still queued is left.
import { parentPort, workerData } from "node:worker_threads";
import type { MemoryOptions, MemoryReply, MemoryRequest, Neighbours } from "./memory.js";
import { behindMax, MemoryStore } from "./memory-store.js";

type Change = Extract<MemoryRequest, { kind: "add" | "label" | "judge" | "find" | "settle" }>;

const movesPerSlice = 8;
const movesWhenBehind = 32;

const port = parentPort;
if (port === null) throw new Error("memory-worker.ts runs in a worker thread only");

const options: MemoryOptions = workerData;
const store = new MemoryStore(options);
/** Bounded by its only writer: whoever replays a log awaits `settled` between portions. */
const changes: Change[] = [];
let head = 0;
let scheduled = false;
let closed = false;

/** The columns' buffer passes to the asker. */
function found(id: number, neighbours: Neighbours): void {
  const { buffer } = neighbours.seqs;
  port?.postMessage(
    { kind: "found", id, neighbours } satisfies MemoryReply,
    buffer instanceof ArrayBuffer ? [buffer] : [],
  );
}

function receive(request: MemoryRequest): void {
  switch (request.kind) {
    case "search":
      found(request.id, store.search(request.embeddings, request.rows, request.k, request.labelled));
      break;
    case "stats":
      port?.postMessage({ kind: "stats", id: request.id, stats: store.stats() } satisfies MemoryReply);
      break;
    case "add":
    case "label":
    case "judge":
    case "find":
    case "settle":
      changes.push(request);
      schedule();
      break;
    case "close":
      closed = true;
      // With its port closed and no slice scheduled, nothing keeps the thread.
      port?.close();
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
  if (closed) return;
  const change = changes[head];
  if (change !== undefined) {
    apply(change);
    head += 1;
    if (head === changes.length) {
      changes.length = 0;
      head = 0;
    }
  }
  // Also while changes wait: were the graph built in idle time only, a busy thread would search an ever longer tail.
  const more = store.advance(store.behind > behindMax ? movesWhenBehind : movesPerSlice);
  if (more || head < changes.length) schedule();
}

function apply(change: Change): void {
  switch (change.kind) {
    case "add":
      store.add(change.rows);
      break;
    case "label":
      store.label(change.position, change.label);
      break;
    case "judge":
      store.judge(change.position, change.reward);
      break;
    case "find": {
      const item = store.find(change.position);
      port?.postMessage({ kind: "item", id: change.id, item } satisfies MemoryReply);
      break;
    }
    case "settle":
      port?.postMessage({ kind: "settled", id: change.id } satisfies MemoryReply);
      break;
    default:
      change satisfies never;
  }
}

port.on("message", (requests: readonly MemoryRequest[]) => {
  for (const request of requests) receive(request);
});
