// The model's thread of the batched bare responder: runs go in, logits come out, both as transferred memory.
import { parentPort, workerData } from "node:worker_threads";
import { openSession } from "../models/serving/onnx-session.js";

export interface BareRun {
  readonly input: Float32Array;
  readonly rows: number;
}
export interface BareReply {
  readonly logits: Float32Array;
}

const port = parentPort;
if (port === null) throw new Error("bare-thread.ts runs in a worker thread only");

const session = await openSession(workerData);
await session.run(new Float32Array(28 * 28), 1);
port.on("message", ({ input, rows }: BareRun) => {
  session.run(input, rows).then(
    (logits) => {
      const { buffer } = logits;
      port.postMessage({ logits } satisfies BareReply, buffer instanceof ArrayBuffer ? [buffer] : []);
    },
    (error: unknown) => {
      throw error;
    },
  );
});
port.postMessage({ logits: new Float32Array(0) } satisfies BareReply);
