// How a worker thread with native code in it ends: by itself.
//
// `Worker.terminate()` forbids a thread to run JavaScript wherever it is just then. A Node-API addon that is about to take or
// return a value is refused it, and has nowhere to throw: hnswlib-node (`napi_throw` inside addPoint or searchKnn) and
// onnxruntime-node (an uncaught `Napi::Error`) then abort the whole process. Under load nearly every termination met that moment.
//
// Owns: the wait for a thread that was asked to end, and its bound. Does not own: the asking; each thread has messages of its own.
//
// T1. A thread that answers to its messages is never terminated. Only one that does not end within `patienceMs` is.
import type { Worker } from "node:worker_threads";
import type { Clock } from "../clock.js";

/** A hundred times what the longest slice takes. */
const patienceMs = 2_000;

/** Resolves when the thread has ended; to be taken when it starts. */
export function exitOf(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    worker.once("exit", () => resolve());
  });
}

/** Waits for a thread that was asked to end. */
export async function ended(
  worker: Worker,
  exited: Promise<void>,
  clock: Clock,
  withinMs: number = patienceMs,
): Promise<void> {
  const cancel = clock.after(withinMs, () => void worker.terminate());
  await exited;
  cancel();
}
