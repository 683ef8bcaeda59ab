// The other process of the tensor benchmark: reads each segment it is told of into a buffer that it uses again, and says so.
//
//   fork(tensor-peer.js, [cluster])

import { systemClock } from "../supervision/clock.js";
import { sharedMemoryDir } from "../transport/tensors/segment-place.js";
import { openSegments, type SegmentRef } from "../transport/tensors/segments.js";
import { timeoutDefaults } from "../transport/timeouts.js";

export interface PeerOrder {
  readonly id: number;
  readonly ref: SegmentRef;
}

export interface PeerReport {
  readonly id: number;
  /** Undefined: the bytes were read, and their checksum was right. */
  readonly refused?: string;
  /** Of the read alone. */
  readonly tookMs: number;
  readonly rssBytes: number;
  readonly buffers: number;
}

const [, , cluster = ""] = process.argv;
const opened = await openSegments({
  ...{ cluster, dir: sharedMemoryDir, clock: systemClock, timeouts: timeoutDefaults },
  owner: "bench-peer",
});
if (opened.kind !== "open") throw new Error(opened.why);

const spare: Uint8Array[] = [];
let buffers = 0;

function bufferOf(bytes: number): Uint8Array {
  const at = spare.findIndex(({ byteLength }) => byteLength === bytes);
  const [found] = at < 0 ? [] : spare.splice(at, 1);
  if (found !== undefined) return found;
  buffers += 1;
  return new Uint8Array(new SharedArrayBuffer(bytes));
}

async function read({ id, ref }: PeerOrder): Promise<PeerReport> {
  const into = bufferOf(ref.bytes);
  const beganAtMs = systemClock.monotonicMs();
  const outcome = opened.kind === "open" ? await opened.read(ref, into) : undefined;
  const tookMs = systemClock.monotonicMs() - beganAtMs;
  spare.push(into);
  const refused = outcome?.kind === "refused" ? { refused: outcome.why } : {};
  return { id, ...refused, tookMs, rssBytes: process.memoryUsage().rss, buffers };
}

process.on("message", (order: PeerOrder) => {
  void read(order).then((report) => process.send?.(report));
});
process.once("disconnect", () => {
  void opened.close().then(() => process.exit(0));
});
process.send?.("ready");
