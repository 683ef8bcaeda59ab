// One walk over foreign msgpack bytes before anything is allocated for them.
//
// Owns: the bounds of a message's structure. Does not own: its meaning.
//
// M1. Every length lies inside the bytes, so a decoder that follows allocates at most what really arrived.
// M2. No extension types (msgpackr runs code for some), no maps with other keys than distinct strings.
// M3. Depth and the number of values are bounded; the recursion below is therefore bounded too.

const depthMax = 16;
const valuesMax = 65_536;
const mapEntriesMax = 1_024;
/** Keys of maps up to this size are held against each other where they lie, which makes no strings. */
const fewEntries = 16;
/** Of UTF-8. */
const keyBytesMax = 255;
const proto = "__proto__";

interface Walk {
  readonly bytes: Buffer;
  at: number;
  values: number;
}

/** Ends a walk; never leaves this file. No Error: a stack for each refusal costs more than the walk, and anybody can have one refused. */
class Broken {
  constructor(readonly message: string) {}
}

/** What is wrong with the bytes, or undefined when they are exactly one well-formed map. */
export function scan(bytes: Uint8Array): string | undefined {
  const walk: Walk = {
    bytes: bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    at: 0,
    values: 0,
  };
  try {
    if (!isMap(bytes[0])) return "must be one msgpack map";
    value(walk, 0);
    return walk.at === bytes.byteLength ? undefined : "bytes after the end of the map";
  } catch (error) {
    if (error instanceof Broken) return error.message;
    throw error;
  }
}

function isMap(lead: number | undefined): boolean {
  return lead !== undefined && ((lead >= 0x80 && lead <= 0x8f) || lead === 0xde || lead === 0xdf);
}

function value(walk: Walk, depth: number): void {
  if (depth > depthMax) throw new Broken(`nested deeper than ${depthMax}`);
  walk.values += 1;
  if (walk.values > valuesMax) throw new Broken(`more than ${valuesMax} values`);
  const lead = number(walk, 1);
  if (lead < 0x80 || lead >= 0xe0) return;
  if (lead < 0x90) map(walk, lead & 0x0f, depth);
  else if (lead < 0xa0) array(walk, lead & 0x0f, depth);
  else if (lead < 0xc0) skip(walk, lead & 0x1f);
  else long(walk, lead, depth);
}

/** Values whose lead byte is 0xc0 to 0xdf. */
function long(walk: Walk, lead: number, depth: number): void {
  if (lead === 0xc0 || lead === 0xc2 || lead === 0xc3) return;
  if (lead >= 0xc4 && lead <= 0xc6) skip(walk, number(walk, 1 << (lead - 0xc4)));
  else if (lead === 0xca) skip(walk, 4);
  else if (lead === 0xcb) skip(walk, 8);
  else if (lead >= 0xcc && lead <= 0xcf) skip(walk, 1 << (lead - 0xcc));
  else if (lead >= 0xd0 && lead <= 0xd3) skip(walk, 1 << (lead - 0xd0));
  else if (lead >= 0xd9 && lead <= 0xdb) skip(walk, number(walk, 1 << (lead - 0xd9)));
  else if (lead === 0xdc || lead === 0xdd) array(walk, number(walk, lead === 0xdc ? 2 : 4), depth);
  else if (lead === 0xde || lead === 0xdf) map(walk, number(walk, lead === 0xde ? 2 : 4), depth);
  else throw new Broken("extension types are not taken");
}

function array(walk: Walk, length: number, depth: number): void {
  if (length > walk.bytes.byteLength - walk.at) throw new Broken("an array claims more items than there are bytes");
  for (let index = 0; index < length; index += 1) value(walk, depth + 1);
}

function map(walk: Walk, entries: number, depth: number): void {
  if (entries > mapEntriesMax) throw new Broken(`a map has more than ${mapEntriesMax} entries`);
  const names = entries > fewEntries ? new Set<string>() : undefined;
  const spans: number[] = [];
  for (let index = 0; index < entries; index += 1) {
    const start = key(walk);
    const known = names === undefined ? isAmong(walk.bytes, spans, start, walk.at) : names.has(nameOf(walk, start));
    if (known) throw new Broken("a map has the same key twice");
    if (walk.at - start === proto.length && nameOf(walk, start) === proto)
      throw new Broken(`a map has the key ${proto}`);
    if (names === undefined) spans.push(start, walk.at);
    else names.add(nameOf(walk, start));
    value(walk, depth + 1);
  }
}

/** Moves behind a key and returns where its text starts. */
function key(walk: Walk): number {
  const lead = number(walk, 1);
  let length: number;
  if (lead >= 0xa0 && lead < 0xc0) length = lead & 0x1f;
  else if (lead >= 0xd9 && lead <= 0xdb) length = number(walk, 1 << (lead - 0xd9));
  else length = Number.POSITIVE_INFINITY;
  if (length > keyBytesMax) throw new Broken(`a map key must be a string of at most ${keyBytesMax} bytes`);
  const start = walk.at;
  skip(walk, length);
  return start;
}

/** The key that ends here, as latin-1: only compared, never shown. */
function nameOf(walk: Walk, start: number): string {
  return walk.bytes.toString("latin1", start, walk.at);
}

/** Whether the bytes from `start` to `end` equal those of one of the spans, which are pairs of start and end. */
function isAmong(bytes: Buffer, spans: readonly number[], start: number, end: number): boolean {
  const length = end - start;
  for (let pair = 0; pair < spans.length; pair += 2) {
    const other = spans[pair] ?? 0;
    if ((spans[pair + 1] ?? 0) - other !== length) continue;
    if (length > 0 && bytes[other] !== bytes[start]) continue;
    if (bytes.compare(bytes, start, end, other, spans[pair + 1]) === 0) return true;
  }
  return false;
}

function skip(walk: Walk, length: number): void {
  if (length > walk.bytes.byteLength - walk.at) throw new Broken("ends before its end");
  walk.at += length;
}

function number(walk: Walk, size: number): number {
  const start = walk.at;
  skip(walk, size);
  if (size === 1) return walk.bytes[start] ?? 0;
  return size === 2 ? walk.bytes.readUInt16BE(start) : walk.bytes.readUInt32BE(start);
}
