// Named typed arrays behind a JSON header, as one run of bytes: calibration files, snapshots of policies.
//
// Owns: the layout and its checks. Does not own: what header and arrays mean, or integrity against bit rot
// (whoever stores the bytes keeps a sha256 beside them).
//
//   "DMBK" | u32 format | u32 length of the head | head, UTF-8 JSON {header, blocks: [{name, type, length}]}
//   | zeros to the next multiple of 8 | block | zeros to the next multiple of 8 | block ...      (little-endian)
//
// K1. No length is trusted: it is checked against the bytes that are there before anything is allocated.
// K2. Equal header and arrays (in the same order) give equal bytes, and reading gives back equal bits.
// K3. What is read is a copy; the bytes handed in may be reused.

export type BlockArray = Float32Array | Float64Array | Uint8Array | Uint16Array | Uint32Array | Int32Array;

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface Blocks {
  /** Parsed JSON, not yet validated: its owner does that. */
  readonly header: unknown;
  readonly arrays: Readonly<Record<string, BlockArray>>;
}

/** The bytes are not what their owner wrote. Somebody must bring other bytes; reading again does not help. */
export class BlocksError extends Error {
  override readonly name = "BlocksError";
}

const magic = 0x4b424d44; // "DMBK", read as a little-endian u32
const format = 1;
const prefixBytes = 12;
const headMax = 16 * 1024 * 1024;

const makers = {
  f4: (buffer: ArrayBuffer) => new Float32Array(buffer),
  f8: (buffer: ArrayBuffer) => new Float64Array(buffer),
  u1: (buffer: ArrayBuffer) => new Uint8Array(buffer),
  u2: (buffer: ArrayBuffer) => new Uint16Array(buffer),
  u4: (buffer: ArrayBuffer) => new Uint32Array(buffer),
  i4: (buffer: ArrayBuffer) => new Int32Array(buffer),
} as const;

type BlockType = keyof typeof makers;

const itemBytes: Readonly<Record<BlockType, number>> = { f4: 4, f8: 8, u1: 1, u2: 2, u4: 4, i4: 4 };

interface BlockHead {
  readonly name: string;
  readonly type: BlockType;
  readonly length: number;
}

if (new Uint8Array(new Uint32Array([magic]).buffer)[0] !== 0x44) {
  throw new Error("blocks are little-endian; this machine is not");
}

/** Names are identifiers: letters, digits, dots, underscores, beginning with a letter. */
export function writeBlocks(header: Json, arrays: Readonly<Record<string, BlockArray>>): Uint8Array {
  const entries = Object.entries(arrays);
  const blocks = entries.map(([name, array]) => {
    if (!isName(name)) throw new BlocksError(`"${name}" is not a block name`);
    return { name, type: typeOf(array), length: array.length };
  });
  const head = new TextEncoder().encode(JSON.stringify({ header, blocks }));
  if (head.length > headMax) throw new BlocksError(`the head has ${head.length} bytes, at most ${headMax}`);
  const payload = entries.reduce((sum, [, array]) => sum + padded(array.byteLength), 0);
  const bytes = new Uint8Array(padded(prefixBytes + head.length) + payload);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint32(4, format, true);
  view.setUint32(8, head.length, true);
  bytes.set(head, prefixBytes);
  let offset = padded(prefixBytes + head.length);
  for (const [, array] of entries) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), offset);
    offset += padded(array.byteLength);
  }
  return bytes;
}

/** Throws BlocksError for bytes that are short, long, or not blocks. */
export function readBlocks(bytes: Uint8Array): Blocks {
  const { head, headBytes } = readHead(bytes);
  const { header, blocks } = parseHead(head);
  const arrays: Record<string, BlockArray> = Object.create(null);
  let offset = padded(prefixBytes + headBytes);
  for (const { name, type, length } of blocks) {
    const size = length * itemBytes[type];
    if (offset + padded(size) > bytes.length) throw new BlocksError(`block "${name}" ends after the bytes do`);
    if (name in arrays) throw new BlocksError(`block "${name}" comes twice`);
    arrays[name] = makers[type](copyOf(bytes, offset, size));
    offset += padded(size);
  }
  if (offset !== bytes.length) throw new BlocksError(`${bytes.length} bytes, but the blocks end at ${offset}`);
  return { header, arrays };
}

/** The block `name` as float32 of exactly `length` finite values; throws BlocksError otherwise. */
export function float32Block(blocks: Blocks, name: string, length: number): Float32Array {
  const array = blocks.arrays[name];
  if (!(array instanceof Float32Array)) throw new BlocksError(`block "${name}" is missing or not float32`);
  if (array.length !== length) throw new BlocksError(`block "${name}" has ${array.length} values, not ${length}`);
  if (!array.every(Number.isFinite)) throw new BlocksError(`block "${name}" holds a value that is not finite`);
  return array;
}

/** The block `name` as bytes of exactly `length`; throws BlocksError otherwise. */
export function uint8Block(blocks: Blocks, name: string, length: number): Uint8Array {
  const array = blocks.arrays[name];
  if (!(array instanceof Uint8Array)) throw new BlocksError(`block "${name}" is missing or not u1`);
  if (array.length !== length) throw new BlocksError(`block "${name}" has ${array.length} values, not ${length}`);
  return array;
}

function readHead(bytes: Uint8Array): { head: unknown; headBytes: number } {
  if (bytes.length < prefixBytes) throw new BlocksError(`${bytes.length} bytes are too few for blocks`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic) throw new BlocksError("these bytes are not blocks");
  const found = view.getUint32(4, true);
  if (found !== format) throw new BlocksError(`blocks of format ${found}; this version reads format ${format}`);
  const headBytes = view.getUint32(8, true);
  if (headBytes > headMax || prefixBytes + headBytes > bytes.length) throw new BlocksError("the head is cut off");
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(prefixBytes, prefixBytes + headBytes));
    return { head: JSON.parse(text), headBytes };
  } catch (error) {
    throw new BlocksError("the head is not JSON", { cause: error });
  }
}

function parseHead(head: unknown): { header: unknown; blocks: readonly BlockHead[] } {
  if (!isRecord(head) || !("header" in head) || !Array.isArray(head.blocks)) {
    throw new BlocksError("the head names no header and blocks");
  }
  return { header: head.header, blocks: head.blocks.map(parseBlockHead) };
}

function parseBlockHead(block: unknown): BlockHead {
  if (!isRecord(block)) throw new BlocksError("a block has no description");
  const { name, type, length } = block;
  if (typeof name !== "string" || !isName(name)) throw new BlocksError("a block has no proper name");
  if (typeof type !== "string" || !isBlockType(type)) throw new BlocksError(`block "${name}" has an unknown type`);
  if (typeof length !== "number" || !Number.isSafeInteger(length) || length < 0) {
    throw new BlocksError(`block "${name}" has no proper length`);
  }
  return { name, type, length };
}

function typeOf(array: BlockArray): BlockType {
  if (array instanceof Float32Array) return "f4";
  if (array instanceof Float64Array) return "f8";
  if (array instanceof Uint8Array) return "u1";
  if (array instanceof Uint16Array) return "u2";
  if (array instanceof Uint32Array) return "u4";
  return "i4";
}

function isBlockType(type: string): type is BlockType {
  return Object.hasOwn(makers, type);
}

function isName(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9._]{0,63}$/.test(name);
}

function isRecord(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function padded(size: number): number {
  return Math.ceil(size / 8) * 8;
}

function copyOf(bytes: Uint8Array, offset: number, size: number): ArrayBuffer {
  const copy = new ArrayBuffer(size);
  new Uint8Array(copy).set(bytes.subarray(offset, offset + size));
  return copy;
}
