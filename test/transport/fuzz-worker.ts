// One thread of fuzzing: batch after batch, each told when it is done, so that whoever watches sees a batch that never is.
//
// `target` is what is fuzzed: the parsers, or one of the controls, each of which the fuzzer must find fault with.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { Packr } from "msgpackr";
import { type Parser, parsersOf } from "./fuzz-messages.js";
import { Fuzzer } from "./fuzz-round.js";

export const targets = ["parsers", "unscanned", "hanging", "hoarding"] as const;
export type Target = (typeof targets)[number];

export interface WorkerTask {
  readonly target: Target;
  readonly seed: number;
  readonly payloads: number;
  readonly batch: number;
}

const kept: Uint8Array[] = [];
const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: "number" });

/** The codec's decoder without its walk before it. */
function unscanned(bytes: Uint8Array): unknown {
  try {
    return { kind: "message", fields: packr.unpack(bytes) };
  } catch (error) {
    return { kind: "refused", code: "bad_request", message: `not msgpack: ${String(error).slice(0, 80)}` };
  }
}

const controls: Readonly<Record<Exclude<Target, "parsers">, Parser>> = {
  unscanned,
  hanging: (bytes) => {
    while (bytes.length > 40) kept.length = 0;
    return { kind: "refused", code: "bad_request", message: "short" };
  },
  hoarding: (bytes) => {
    kept.push(new Uint8Array(16 * 1024).fill(bytes.length));
    return { kind: "refused", code: "bad_request", message: "kept" };
  },
};

/** Bytes on the heap and outside of it, garbage collected. */
function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function work({ target, seed, payloads, batch }: WorkerTask): Promise<void> {
  const parsers = target === "parsers" ? await parsersOf() : { decodeMessage: controls[target] };
  const fuzzer = new Fuzzer(parsers);
  for (let done = 0; done < payloads; done += batch) {
    const found = fuzzer.run({ seed: seed + done, payloads: Math.min(batch, payloads - done) });
    parentPort?.postMessage({ ...found, heldBytes: heldBytes() });
    if (found.findings.length > 0) return;
  }
}

if (parentPort !== null) await work(workerData as WorkerTask);
