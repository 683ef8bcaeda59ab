// Work over many bytes in small portions, so that the thread that talks to NATS never stands still for long (law 10).
//
// Owns: the portions, the pause between them. Does not own: what is done with a portion.

import { setImmediate as eventLoopTurn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { sliceBytes } from "./bounds.js";

/** Calls `work` for one portion after the other; between two, everything else that is ready runs. Ends early when the signal aborts. */
export async function inSlices(
  length: number,
  portion: number,
  work: (from: number, to: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  for (let from = 0; from < length && signal?.aborted !== true; from += portion) {
    if (from > 0) await eventLoopTurn();
    work(from, Math.min(length, from + portion));
  }
}

/** CRC-32 of all bytes. */
export async function checksumOf(bytes: Uint8Array): Promise<number> {
  let sum = 0;
  await inSlices(bytes.byteLength, sliceBytes, (from, to) => {
    sum = crc32(bytes.subarray(from, to), sum);
  });
  return sum;
}
