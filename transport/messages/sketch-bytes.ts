// A distribution on the wire: the buckets of one logarithmic histogram, compactly.
//
// Owns: the bytes in both directions, and what foreign bytes must keep to. Does not own: what a bucket means
// (operations/metrics/percentile-sketch.ts), the message around it (events.ts).
//
//   version 1 | sum f64 | max f64 | zeros varint | buckets varint | first key zigzag varint | counts
//
// Little-endian. Counts are varints from the first key up; a 0 is followed by how many more buckets are empty. Neither end is empty.
//
// W1. Reading allocates `bucketsMax` counts at most, whatever the bytes claim, and never throws.
// W2. What is read could have been written: counts are whole and countable, sum and maximum are finite and fit each other.

/** Keys lie within these: of values from 1e-9 to 1e12 with 1 % between them. */
export const keyMin = -1_036;
export const keyMax = 1_382;
const bucketsMax = keyMax - keyMin + 1;
/** The largest sketch: every bucket with a count of eight bytes. */
export const sketchBytesMax = 17 + 8 + 2 + 2 + 8 * bucketsMax;
const version = 1;

export interface SketchParts {
  /** Values too small for a bucket. */
  readonly zeros: number;
  /** Key of the first bucket; of no meaning without buckets. */
  readonly firstKey: number;
  /** Whole numbers; the first and the last are above 0. */
  readonly counts: Float64Array;
  readonly sum: number;
  readonly max: number;
}

/** Writes into `room`, which must hold `sketchBytesMax`; returns a copy of what was written. */
export function writeSketch({ zeros, firstKey, counts, sum, max }: SketchParts, room: Uint8Array): Uint8Array {
  const view = new DataView(room.buffer, room.byteOffset, room.byteLength);
  view.setUint8(0, version);
  view.setFloat64(1, sum, true);
  view.setFloat64(9, max, true);
  let at = writeVarint(room, 17, zeros);
  at = writeVarint(room, at, counts.length);
  if (counts.length > 0) at = writeVarint(room, at, firstKey < 0 ? -2 * firstKey - 1 : 2 * firstKey);
  for (let i = 0; i < counts.length; i += 1) {
    const count = counts[i] ?? 0;
    at = writeVarint(room, at, count);
    if (count !== 0) continue;
    let more = 0;
    while (counts[i + 1 + more] === 0) more += 1;
    at = writeVarint(room, at, more);
    i += more;
  }
  return room.slice(0, at);
}

/** Undefined for bytes that are no sketch. */
export function readSketch(bytes: Uint8Array): SketchParts | undefined {
  if (bytes.byteLength < 19 || bytes.byteLength > sketchBytesMax || bytes[0] !== version) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [sum, max] = [view.getFloat64(1, true), view.getFloat64(9, true)];
  const reader: Reader = { bytes, at: 17, broken: false };
  const zeros = readVarint(reader);
  const buckets = readVarint(reader);
  if (reader.broken || buckets > bucketsMax) return undefined;
  const key = buckets === 0 ? 0 : readVarint(reader);
  const firstKey = key % 2 === 1 ? -(key + 1) / 2 : key / 2;
  if (buckets > 0 && (firstKey < keyMin || firstKey + buckets - 1 > keyMax)) return undefined;
  const counts = readCounts(reader, buckets);
  if (counts === undefined || reader.broken || reader.at !== bytes.byteLength) return undefined;
  const parts = { zeros, firstKey, counts, sum, max };
  return isSound(parts) ? parts : undefined;
}

function readCounts(reader: Reader, buckets: number): Float64Array | undefined {
  const counts = new Float64Array(buckets);
  for (let i = 0; i < buckets && !reader.broken; i += 1) {
    const count = readVarint(reader);
    counts[i] = count;
    if (count === 0) i += readVarint(reader);
    // An empty stretch may not reach the end.
    if (count === 0 && i >= buckets - 1) return undefined;
  }
  return counts[0] === 0 ? undefined : counts;
}

/** W2. A sum of many roundings may be off in its last digits. */
function isSound({ zeros, counts, sum, max }: SketchParts): boolean {
  const count = counts.reduce((total, each) => total + each, zeros);
  const areFinite = Number.isFinite(sum) && Number.isFinite(max);
  return Number.isSafeInteger(count) && areFinite && sum >= 0 && max >= 0 && sum <= count * max * (1 + 1e-6);
}

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
  broken: boolean;
}

/** Seven bits a byte, the lowest first; at most eight bytes, which is more than a whole number may have. */
function writeVarint(room: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    room[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  room[at++] = rest;
  return at;
}

function readVarint(reader: Reader): number {
  let value = 0;
  let weight = 1;
  for (let length = 0; length < 8; length += 1) {
    const byte = reader.bytes[reader.at++];
    if (byte === undefined) break;
    value += (byte & 0x7f) * weight;
    if (byte < 0x80) {
      if (!Number.isSafeInteger(value)) break;
      return value;
    }
    weight *= 0x80;
  }
  reader.broken = true;
  return 0;
}
