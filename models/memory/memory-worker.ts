// The memory's thread: searches at once, everything else in small slices between them.
//
// Owns: the order of work, and the thread's end. Does not own: the memory (memory-store.ts), where what stands in a message (packed-memory.ts).
//
// W1. A search waits for at most one slice: one record of rows and `movesPerSlice` inserts into the graph (0.3 ms), when
//     the graph is behind `movesWhenBehind` (1 ms).
// W2. Told to close, the thread ends by itself between two slices (why: thread-end.ts); what is still queued is left.
// W3. While a log is replayed no graph is built: of a long log most is evicted again, and would have been put into it for nobody. It is over
//     when somebody asks for more than `settle`; what is searched before the graph is whole is searched exactly.
import { parentPort, workerData } from "node:worker_threads";
import { nameSources } from "../source-positions.js";
import type { MemoryOptions, MemoryQuestion, MemoryReply } from "./memory.js";
import { behindMax, MemoryStore } from "./memory-store.js";
import { type MemoryChange, PackedChanges, searchIn } from "./packed-memory.js";

const movesPerSlice = 8;
const movesWhenBehind = 32;

nameSources();
const port = parentPort;
if (port === null) throw new Error("memory-worker.ts runs in a worker thread only");

const options: MemoryOptions = workerData;
const store = new MemoryStore(options);
/** Changes, and questions that wait for those before them. Bounded by its only writer: whoever replays a log awaits `settled` between portions. */
const waiting: (PackedChanges | MemoryQuestion)[] = [];
let head = 0;
let scheduled = false;
let replaying = true;
let closed = false;

function tell(reply: MemoryReply): void {
  port?.postMessage(reply, reply instanceof ArrayBuffer ? [reply] : []);
}

/** A piece with a search, with changes, or with both. */
function open(piece: ArrayBuffer): void {
  const asking = searchIn(piece, options.width);
  const changes = new PackedChanges(piece, options.width, asking !== undefined);
  if (!changes.isEmpty) waiting.push(changes);
  if (asking === undefined) return;
  replaying = false;
  const { embeddings, rows, k, labelled } = asking.search;
  store.search(embeddings, rows, k, labelled, asking.into);
  tell(piece);
}

function receive(question: MemoryQuestion): void {
  switch (question.kind) {
    case "stats":
      replaying &&= question.by === "watch";
      tell({ kind: "stats", id: question.id, stats: store.stats() });
      break;
    case "find":
      replaying = false;
      waiting.push(question);
      break;
    case "settle":
      waiting.push(question);
      break;
    case "close":
      closed = true;
      // With its port closed and no slice scheduled, nothing keeps the thread.
      port?.close();
      break;
    default:
      question satisfies never;
  }
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  // setImmediate, not a microtask: the port's messages are read between two slices.
  setImmediate(() => {
    scheduled = false;
    slice();
  });
}

function slice(): void {
  if (closed) return;
  takeNext();
  const isIdle = head === waiting.length;
  // Also while changes wait: were the graph built in idle time only, a busy thread would search an ever longer tail.
  const more = !replaying && store.advance(store.behind > behindMax ? movesWhenBehind : movesPerSlice);
  if (more || !isIdle) schedule();
}

/** One change, or the answer to one question. */
function takeNext(): void {
  const next = waiting[head];
  if (next === undefined) return;
  if (next instanceof PackedChanges) {
    const change = next.next();
    if (change !== undefined) apply(change);
    if (!next.isEmpty) return;
  } else answer(next);
  head += 1;
  if (head < waiting.length) return;
  waiting.length = 0;
  head = 0;
}

function apply(change: MemoryChange): void {
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
    default:
      change satisfies never;
  }
}

function answer(question: MemoryQuestion): void {
  if (question.kind === "find") tell({ kind: "item", id: question.id, item: store.find(question.position) });
  if (question.kind === "settle") tell({ kind: "settled", id: question.id });
}

port.on("message", (message: ArrayBuffer | MemoryQuestion) => {
  if (message instanceof ArrayBuffer) open(message);
  else receive(message);
  // The answer is on its way: no turn of the loop is needed before the first slice.
  if (!scheduled) slice();
});
