// Bytes into a segment and out of it, with their checksum.
//
// Owns: the slices, their checksum, when the event loop gets its turn. Does not own: files (segment-pool.ts, segment-place.ts), what a wrong
// checksum means.
//
// C1. One thread does both: a slice is copied and its checksum made while it is still in the processor's cache. Measured on Node 20 with
//     100 MiB: checksum of bytes that are not in the cache 2.2 GB/s, of a slice just copied 5.5 GB/s; copy and checksum together 2.6 GB/s with
//     slices of 64 to 256 KiB, 2.1 GB/s with 1 MiB. Copying in libuv's threads and checking on this one came to 2.1 GB/s on two cores of
//     their own, to less on busy ones: the bytes are then in another core's cache. Writes to one file exclude each other in the kernel.
// C2. Between two turns of the event loop lie `turnBytes`, a fraction of a millisecond; these files are in memory, so no slice waits.

import { readSync, writeSync } from "node:fs";
import { setImmediate as eventLoopTurn } from "node:timers/promises";
import { crc32 } from "node:zlib";

const sliceBytes = 128 * 1024;
const turnBytes = 512 * 1024;

export type Copied =
  | { readonly kind: "copied"; readonly crc: number }
  /** Nobody wanted it any more. */
  | { readonly kind: "given_up" }
  /** The file ended first. */
  | { readonly kind: "short" };

/** Bytes from one place to another within the tensor; `crc` is of those before. */
export interface Stretch {
  readonly from: number;
  readonly until: number;
  readonly crc: number;
}

type Move = (fd: number, bytes: Uint8Array, offset: number, length: number, position: number) => number;

/** Writes all bytes to the beginning of the file; says after each turn how many stand there. Throws what the system says: ENOSPC where memory is full. */
export function copyInto(
  fd: number,
  bytes: Uint8Array,
  isGivenUp: () => boolean,
  onWritten: (written: number) => void,
): Promise<Copied> {
  return inSlices(writeSync, fd, bytes, { from: 0, until: bytes.byteLength, crc: 0 }, isGivenUp, onWritten);
}

/** Fills a stretch of `bytes` from the same place of the file. */
export function copyFrom(fd: number, bytes: Uint8Array, stretch: Stretch, isGivenUp: () => boolean): Promise<Copied> {
  return inSlices(readSync, fd, bytes, stretch, isGivenUp, () => undefined);
}

async function inSlices(
  move: Move,
  fd: number,
  bytes: Uint8Array,
  { from, until, crc: before }: Stretch,
  isGivenUp: () => boolean,
  onTurn: (done: number) => void,
): Promise<Copied> {
  let [done, crc] = [from, before];
  while (done < until) {
    if (done > from) await eventLoopTurn();
    if (isGivenUp()) return { kind: "given_up" };
    const turnEnd = Math.min(until, done + turnBytes);
    while (done < turnEnd) {
      const moved = move(fd, bytes, done, Math.min(sliceBytes, until - done), done);
      if (moved === 0) return { kind: "short" };
      crc = crc32(bytes.subarray(done, done + moved), crc);
      done += moved;
    }
    onTurn(done);
  }
  return { kind: "copied", crc };
}
