// The bytes of plain values: what msgpackr makes of them, in one walk and without a copy.
//
// Owns: the writing of maps, lists, text, numbers, true, false and nil; the memory that messages are written to, one behind the other.
// Does not own: tensors, reading (codec.ts).
//
// msgpackr needs to be told beforehand that there is nothing in a value that it writes wrongly or runs code for (codec.ts C1), and wants undefined
// fields taken out: a walk, and often a copy, before its own. Half of what a request costs in telemetry and replies was that.
//
// P1. The bytes are those of msgpackr with plain maps of variable size, for every plain value.
// P2. Anything else throws, and names where it was.
// P3. What was returned is not written over.

/** What is written: codec.ts says what of it is plain. */
type Writable = Readonly<Record<string, unknown>>;

/** Of the memory that messages share. What one of them keeps alive is no more than this beside itself. */
const chunkBytes = 16 * 1024;
/** Strings from here on are left to the runtime: a call costs more than so many characters. */
const longText = 0x40;

let chunk = Buffer.allocUnsafeSlow(chunkBytes);
let view = new DataView(chunk.buffer);
/** Where the message that is written begins, and where its next byte goes. */
let start = 0;
let at = 0;

/** One map. Undefined fields are left out. */
export function plainBytes(map: Writable): Buffer {
  begin(map);
  start = at;
  return chunk.subarray(start - written, at);
}

/** Its entries alone, without the map's head, and how many they are. Good until the next message is written. */
export function plainEntries(map: Writable): { readonly entries: number; readonly body: Uint8Array } {
  const entries = entriesOf(map);
  begin(map);
  const body = chunk.subarray(at - written + headBytes(entries), at);
  at = start;
  return { entries, body };
}

/** Bytes of the message that was written last. */
let written = 0;

function begin(map: Writable): void {
  at = start;
  try {
    writeMap(map, "");
  } catch (error) {
    at = start;
    throw error;
  }
  written = at - start;
}

/** Makes room for `bytes` more. What was written of this message moves along. */
function room(bytes: number): void {
  if (at + bytes <= chunk.length) return;
  const soFar = at - start;
  const next = Buffer.allocUnsafeSlow(Math.max(chunkBytes, 2 * (soFar + bytes)));
  next.set(chunk.subarray(start, at));
  chunk = next;
  view = new DataView(chunk.buffer);
  start = 0;
  at = soFar;
}

function write(value: unknown, path: string, key: string | number): void {
  if (typeof value === "string") writeText(value);
  else if (typeof value === "number") writeNumber(value);
  else if (value === null || typeof value === "boolean") {
    room(1);
    chunk[at++] = value === null ? 0xc0 : value ? 0xc3 : 0xc2;
  } else if (Array.isArray(value)) writeList(value, within(path, key));
  else if (isMap(value)) writeMap(value, within(path, key));
  else
    throw new Error(
      `${within(path, key)}: a ${Object.prototype.toString.call(value)} cannot go over the wire as a plain field`,
    );
}

function within(path: string, key: string | number): string {
  return typeof key === "number" ? `${path}[${key}]` : `${path}.${key}`;
}

function writeList(items: readonly unknown[], path: string): void {
  const { length } = items;
  room(5);
  if (length < 0x10) chunk[at++] = 0x90 | length;
  else writeLength(0xdc, length);
  for (let index = 0; index < length; index++) write(items[index], path, index);
}

function entriesOf(map: Readonly<Record<string, unknown>>): number {
  let entries = 0;
  for (const key in map) if (map[key] !== undefined) entries += 1;
  return entries;
}

function headBytes(entries: number): number {
  return entries < 0x10 ? 1 : entries < 0x10000 ? 3 : 5;
}

function writeMap(map: Readonly<Record<string, unknown>>, path: string): void {
  const entries = entriesOf(map);
  room(5);
  if (entries < 0x10) chunk[at++] = 0x80 | entries;
  else writeLength(0xde, entries);
  for (const key in map) {
    const value = map[key];
    if (value === undefined) continue;
    writeText(key);
    write(value, path, key);
  }
}

/** Of 16 bits after `lead`, of 32 after the next. */
function writeLength(lead: number, length: number): void {
  if (length < 0x10000) {
    chunk[at] = lead;
    view.setUint16(at + 1, length);
    at += 3;
  } else {
    chunk[at] = lead + 1;
    view.setUint32(at + 1, length);
    at += 5;
  }
}

function writeText(text: string): void {
  const { length } = text;
  room(5 + 3 * length);
  if (length >= longText) {
    writeLongText(text);
    return;
  }
  const head = length < 0x20 ? 1 : 2;
  let to = at + head;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) {
      writeLongText(text);
      return;
    }
    chunk[to++] = unit;
  }
  if (head === 1) chunk[at] = 0xa0 | length;
  else {
    chunk[at] = 0xd9;
    chunk[at + 1] = length;
  }
  at = to;
}

function writeLongText(text: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes < 0x20) chunk[at++] = 0xa0 | bytes;
  else if (bytes < 0x100) {
    chunk[at] = 0xd9;
    chunk[at + 1] = bytes;
    at += 2;
  } else writeLength(0xda, bytes);
  at += chunk.write(text, at);
}

function writeNumber(value: number): void {
  room(9);
  if (value >>> 0 === value) writeWhole(value);
  else if (value >> 0 === value) writeNegative(value);
  else {
    chunk[at] = 0xcb;
    view.setFloat64(at + 1, value);
    at += 9;
  }
}

function writeWhole(value: number): void {
  if (value < 0x80) chunk[at++] = value;
  else if (value < 0x100) {
    chunk[at] = 0xcc;
    chunk[at + 1] = value;
    at += 2;
  } else writeLength(0xcd, value);
}

function writeNegative(value: number): void {
  if (value >= -0x20) chunk[at++] = 0x100 + value;
  else if (value >= -0x80) {
    chunk[at] = 0xd0;
    chunk[at + 1] = value + 0x100;
    at += 2;
  } else if (value >= -0x8000) {
    chunk[at] = 0xd1;
    view.setInt16(at + 1, value);
    at += 3;
  } else {
    chunk[at] = 0xd2;
    view.setInt32(at + 1, value);
    at += 5;
  }
}

function isMap(value: unknown): value is Writable {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
