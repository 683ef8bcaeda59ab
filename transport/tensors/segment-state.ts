// What stands in a segment behind its bytes: whose they are, how many of them are written by now, and their checksum once all are.
//
//     0                     n        next multiple of 64                                          + 64
//     |  the tensor's bytes  |  gap  |  magic 8 | id 16 | n 8 | written 8 | crc 4 | ending 4 | 0 16  |     little-endian
//
// Owns: this record, its reading and writing. Does not own: who writes when (segment-writing.ts), what follows from it (segments.ts).
//
// G1. It says `failed` before another tensor comes to stand in the file: whoever still reads the one before finds that out in the end.
// G2. It lies in one line of the processor's cache, and no number in it crosses eight bytes: it is read as it was written, or as it was before.
// G3. `written` bytes stand in the file when it says so; what is wrong with them all the same is found by the checksum.

import { Buffer } from "node:buffer";
import { readSync, writeSync } from "node:fs";

/** Behind how many bytes the record stands. */
const lineBytes = 64;
/** Other layouts have another number in the end. */
const magic = Buffer.from("DMSEG\0\0\x02", "latin1");
const endings = ["", "complete", "failed"] as const;

export interface SegmentState {
  /** The name of the segment's file: another one for each lease. */
  readonly id: string;
  /** Of the tensor. */
  readonly bytes: number;
  readonly written: number;
  /** "": it is being written; `failed`: it will not be. */
  readonly ending: (typeof endings)[number];
  /** CRC-32 of all bytes once they are complete, 0 before. */
  readonly crc: number;
}

export function writeState(fd: number, { id, bytes, written, ending, crc }: SegmentState): void {
  const line = Buffer.alloc(lineBytes);
  magic.copy(line);
  line.write(id, 8, "hex");
  line.writeBigUInt64LE(BigInt(bytes), 24);
  line.writeBigUInt64LE(BigInt(written), 32);
  line.writeUInt32LE(crc, 40);
  line.writeUInt32LE(endings.indexOf(ending), 44);
  writeSync(fd, line, 0, lineBytes, stateAt(bytes));
}

/** Undefined where no such record stands behind so many bytes: another layout, another length by far, a file that is short. */
export function readState(fd: number, bytes: number): SegmentState | undefined {
  const line = Buffer.alloc(lineBytes);
  if (readSync(fd, line, 0, lineBytes, stateAt(bytes)) < lineBytes || !line.subarray(0, 8).equals(magic))
    return undefined;
  const written = Number(line.readBigUInt64LE(32));
  const ending = endings[line.readUInt32LE(44)];
  if (ending === undefined) return undefined;
  const of = Number(line.readBigUInt64LE(24));
  return { id: line.toString("hex", 8, 24), bytes: of, written, ending, crc: line.readUInt32LE(40) };
}

function stateAt(bytes: number): number {
  return Math.ceil(bytes / lineBytes) * lineBytes;
}
