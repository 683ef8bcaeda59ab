// The wire codec: msgpack maps whose tensors are raw little-endian bytes. The only importer of msgpackr.
//
// Owns: the byte layout of a message and of the tensor map {v: 1, dt, sh, p?, d}, or with {ref} for bytes that are elsewhere.
// Does not own: which fields a message has (wire.ts, records.ts), how bytes by reference come (tensors/).
//
// C1. msgpackr never sees a typed array: `pack(Float32Array)` of 2.1.3 emits a wrong length and uninitialised memory.
// C2. In what we encode, `d` of every tensor starts on a 64-byte boundary of the payload.
// C3. Decoding never throws on foreign bytes and allocates nothing that a length only claims: msgpack-scan.ts has walked them first.

import { Packr } from "msgpackr";
import { isInbox } from "../subjects.js";
import { scan } from "./msgpack-scan.js";
import type { TensorRef } from "./tensor-ref.js";

/** Element types, in numpy's spelling; `<f2` is handed on as raw bits. */
export interface ArrayOf {
  readonly "<f4": Float32Array;
  readonly "<f8": Float64Array;
  readonly "<f2": Uint16Array;
  readonly "|i1": Int8Array;
  readonly "<i2": Int16Array;
  readonly "<i4": Int32Array;
  readonly "<i8": BigInt64Array;
  readonly "|u1": Uint8Array;
  readonly "<u2": Uint16Array;
  readonly "<u4": Uint32Array;
  readonly "<u8": BigUint64Array;
  readonly "|b1": Uint8Array;
}
export type Dtype = keyof ArrayOf;

/** `data` holds product(sh) elements in C order; `sh` is [] for a scalar and may contain zeros. */
export interface TensorOf<D extends Dtype> {
  readonly dt: D;
  readonly sh: readonly number[];
  readonly data: ArrayOf[D];
}
export type Tensor = { [D in Dtype]: TensorOf<D> }[Dtype];

/** A tensor whose bytes are elsewhere: they are checked against type and shape when they are here. */
export interface RemoteTensor {
  readonly dt: Dtype;
  readonly sh: readonly number[];
  readonly ref: TensorRef;
}

/** Why foreign bytes were not taken. `field` names the culprit, dotted. */
export interface Malformed {
  readonly kind: "refused";
  readonly code: "bad_request" | "bad_tensor";
  readonly field?: string;
  readonly message: string;
}

/** Values msgpack knows without extensions. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain | undefined };
export type PlainMap = { readonly [key: string]: Plain | undefined };
/** A decoded map whose contents nobody has looked at yet. */
export type Fields = { readonly [key: string]: unknown };

const alignment = 64;
const rankMax = 8;
/** Numbers of 2^53 and more lose digits here and are refused by whoever wants an integer. */
const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: "number" });

type View = (buffer: ArrayBufferLike, byteOffset: number, length: number) => Tensor["data"];
const views: { readonly [D in Dtype]: { readonly itemBytes: number; readonly view: View } } = {
  "<f4": { itemBytes: 4, view: (b, o, n) => new Float32Array(b, o, n) },
  "<f8": { itemBytes: 8, view: (b, o, n) => new Float64Array(b, o, n) },
  "<f2": { itemBytes: 2, view: (b, o, n) => new Uint16Array(b, o, n) },
  "|i1": { itemBytes: 1, view: (b, o, n) => new Int8Array(b, o, n) },
  "<i2": { itemBytes: 2, view: (b, o, n) => new Int16Array(b, o, n) },
  "<i4": { itemBytes: 4, view: (b, o, n) => new Int32Array(b, o, n) },
  "<i8": { itemBytes: 8, view: (b, o, n) => new BigInt64Array(b, o, n) },
  "|u1": { itemBytes: 1, view: (b, o, n) => new Uint8Array(b, o, n) },
  "<u2": { itemBytes: 2, view: (b, o, n) => new Uint16Array(b, o, n) },
  "<u4": { itemBytes: 4, view: (b, o, n) => new Uint32Array(b, o, n) },
  "<u8": { itemBytes: 8, view: (b, o, n) => new BigUint64Array(b, o, n) },
  "|b1": { itemBytes: 1, view: (b, o, n) => new Uint8Array(b, o, n) },
};
export const dtypes = Object.keys(views).filter(isDtype);

if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1)
  throw new Error("tensors are little-endian; this host is not");

export function itemBytes(dt: Dtype): number {
  return views[dt].itemBytes;
}

export function elementsOf(sh: readonly number[]): number {
  let elements = 1;
  for (let axis = 0; axis < sh.length; axis++) elements *= sh[axis] ?? 0;
  return elements;
}

/**
 * One map: `head` first, then the tensors in the given order. Undefined fields are left out. `into` is memory of the caller's own to be written
 * over, taken where it is large enough: new memory for a large tensor costs more than to move its bytes.
 */
export function encodeMessage(
  head: PlainMap,
  tensors: Readonly<Record<string, Tensor>> = {},
  into?: Buffer,
): Uint8Array {
  const plain = plainOf(head, "") as Readonly<Record<string, Plain>>;
  const packed = packr.pack(plain);
  const named = Object.entries(tensors);
  if (named.length === 0) return packed;
  const entries = Object.keys(plain).length;
  const body = packed.subarray(entries < 16 ? 1 : 3);
  let room = 3 + body.length;
  for (const [name, tensor] of named) room += roomFor(name, tensor);
  const out = into !== undefined && into.length >= room ? into : Buffer.allocUnsafe(room);
  let at = writeMapHeader(out, 0, entries + named.length);
  out.set(body, at);
  at += body.length;
  for (const [name, tensor] of named) at = writeTensor(out, at, name, tensor);
  return out.subarray(0, at);
}

/** What a tensor's entry takes at most: its stem, its sizes, the padding, two names, two lengths, the data. */
function roomFor(name: string, { dt, sh, data }: Tensor): number {
  return tensorStem(name, dt).length + 1 + 5 * sh.length + alignment + 2 * (2 + 5) + data.byteLength;
}

/** Writes `name: {v, dt, sh, p, d}` at `at` of the payload and returns where it ends. `p` pads, so that C2 holds. */
function writeTensor(out: Buffer, start: number, name: string, tensor: Tensor): number {
  const { dt, sh, data } = tensor;
  if (data.length !== elementsOf(sh)) {
    throw new Error(`tensor ${name}: ${data.length} elements do not fill the shape [${sh.join(", ")}]`);
  }
  const stem = tensorStem(name, dt);
  out.set(stem, start);
  let at = start + stem.length;
  out[at++] = 0x90 | sh.length;
  for (const size of sh) at = writeSize(out, at, size);
  const dataHeader = data.byteLength < 0x100 ? 2 : data.byteLength < 0x10000 ? 3 : 5;
  const unpadded = at + 2 + 2 + 2 + dataHeader;
  const padding = (alignment - (unpadded % alignment)) % alignment;
  at = writeBinHeader(out, at, "p", padding);
  // For a few bytes a call into the runtime costs more than the bytes.
  for (const end = at + padding; at < end; at++) out[at] = 0;
  at = writeBinHeader(out, at, "d", data.byteLength);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length > fewBytes) out.set(bytes, at);
  else for (let i = 0; i < bytes.length; i++) out[at + i] = bytes[i] ?? 0;
  return at + bytes.length;
}

const fewBytes = 32;

/**
 * What every tensor of a type and name begins with, up to its shape. There are as many as our sources have names for. One map in the other:
 * a key put together for each look would be hashed at each look.
 */
const stems = new Map<Dtype, Map<string, Uint8Array>>();

export function tensorStem(name: string, dt: Dtype): Uint8Array {
  const ofType = stems.get(dt) ?? new Map<string, Uint8Array>();
  const known = ofType.get(name);
  if (known !== undefined) return known;
  const start = packr.pack({ v: 1, dt }).subarray(1);
  const stem = Uint8Array.from([...packr.pack(name), 0x85, ...start, ...packr.pack("sh")]);
  stems.set(dt, ofType.set(name, stem));
  return stem;
}

/** Text as it stands in a message, be it a key or a value. */
export function packedText(text: string): Uint8Array {
  return Uint8Array.from(packr.pack(text));
}

/** The top map of foreign bytes, its fields unchecked. Duplicate keys, extensions, deep nesting and lying lengths are refused. */
export function decodeMessage(bytes: Uint8Array): { readonly kind: "message"; readonly fields: Fields } | Malformed {
  const wrong = scan(bytes);
  if (wrong !== undefined) return { kind: "refused", code: "bad_request", message: wrong };
  try {
    return { kind: "message", fields: packr.unpack(bytes) as Fields };
  } catch (error) {
    return { kind: "refused", code: "bad_request", message: `not msgpack: ${String(error).slice(0, 80)}` };
  }
}

export type ReadTensor = { readonly kind: "tensor"; readonly tensor: Tensor } | Malformed;

/** A tensor map as a tensor; a view of the payload when its alignment allows, else a copy. */
export function readTensor(value: unknown, field: string): ReadTensor {
  const read = readTensorOrRef(value, field);
  if (read.kind !== "remote") return read;
  return badTensor(field, "ref", "tensors by reference are not taken here; send the bytes in d");
}

/** The same, where the bytes may also be elsewhere. */
export function readTensorOrRef(
  value: unknown,
  field: string,
): ReadTensor | { readonly kind: "remote"; readonly remote: RemoteTensor } {
  const read = readSentOrRef(value, field);
  if (read.kind !== "sent") return read;
  const { dt, sh, bytes } = read.sent;
  return { kind: "tensor", tensor: tensorOver(dt, sh, bytes) };
}

/** A tensor whose bytes nobody has laid out as numbers yet: a part of the message. They are as many as type and shape need. */
export interface SentTensor {
  readonly dt: Dtype;
  readonly sh: readonly number[];
  readonly bytes: Uint8Array;
}

/** The same, the bytes as they came. */
export function readSentOrRef(
  value: unknown,
  field: string,
):
  | { readonly kind: "sent"; readonly sent: SentTensor }
  | { readonly kind: "remote"; readonly remote: RemoteTensor }
  | Malformed {
  if (!isMapOfFields(value)) return badTensor(field, "", "must be a tensor map {v: 1, dt, sh, d}");
  const { v, dt, sh, d, ref } = value;
  if (v !== 1) return badTensor(field, "v", "must be 1");
  if (typeof dt !== "string" || !isDtype(dt)) return badTensor(field, "dt", `must be one of ${dtypes.join(" ")}`);
  if (!isShape(sh)) return badTensor(field, "sh", `must be at most ${rankMax} sizes, whole numbers of 0 and more`);
  const wanted = elementsOf(sh) * itemBytes(dt);
  if (ref !== undefined) return readRef(ref, field, d === undefined, { dt, sh }, wanted);
  if (!(d instanceof Uint8Array)) return badTensor(field, "d", "must be raw bytes (msgpack bin)");
  if (d.byteLength !== wanted)
    return badTensor(field, "d", `must hold ${wanted} bytes for ${dt} [${sh.join(", ")}], holds ${d.byteLength}`);
  return { kind: "sent", sent: { dt, sh, bytes: d } };
}

function badTensor(field: string, part: string, message: string): Malformed {
  return { kind: "refused", code: "bad_tensor", field: part === "" ? field : `${field}.${part}`, message };
}

const idPattern = /^[0-9a-f]{32}$/;
/** Nothing in it leads out of the directory of shared memory. */
const filePattern = /^[0-9]{1,10}-[0-9]{1,20}\/[A-Za-z0-9_-]{1,64}$/;
const hostPattern = /^[\x21-\x7e]{1,128}$/;
/** A plain subject: whoever pulls publishes there. */
const askPattern = /^(?!.*[*>])[\x21-\x7e]{1,256}$/;

function readRef(
  value: unknown,
  field: string,
  isAlone: boolean,
  of: Omit<RemoteTensor, "ref">,
  wanted: number,
): Malformed | { readonly kind: "remote"; readonly remote: RemoteTensor } {
  const bad = (part: string, message: string): Malformed =>
    badTensor(field, part === "" ? "ref" : `ref.${part}`, message);
  if (!isMapOfFields(value)) return bad("", "must be a map {id, n, crc?, host?, file?, ask}");
  if (!isAlone) return bad("", "stands in the place of d: send one of the two");
  const { id, n, crc, host, file, ask } = value;
  if (typeof id !== "string" || !idPattern.test(id)) return bad("id", "must be 32 hexadecimal characters");
  if (n !== wanted) return bad("n", `must be ${wanted} bytes for ${of.dt} [${of.sh.join(", ")}]`);
  if (crc !== undefined && (typeof crc !== "number" || !Number.isInteger(crc) || crc < 0 || crc >= 2 ** 32))
    return bad("crc", "must be the CRC-32 of all bytes, a whole number of 32 bits");
  if (typeof ask !== "string" || !askPattern.test(ask) || !isInbox(ask))
    return bad("ask", "must be a subject under the sender's inbox");
  if (host !== undefined && (typeof host !== "string" || !hostPattern.test(host)))
    return bad("host", "must be text of 1 to 128 characters");
  if (file !== undefined && (typeof file !== "string" || !filePattern.test(file)))
    return bad("file", "must be <pid>-<start time>/<name>");
  const sum = crc === undefined ? {} : { crc };
  const place = { ...(host === undefined ? {} : { host }), ...(file === undefined ? {} : { file }) };
  return { kind: "remote", remote: { ...of, ref: { id, bytes: wanted, ...sum, ...place, ask } } };
}

/** A tensor by reference as a plain field of a message. */
export function plainRemote({ dt, sh, ref: { bytes: n, ...ref } }: RemoteTensor): PlainMap {
  return { v: 1, dt, sh, ref: { ...ref, n } };
}

export function isMapOfFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** `bytes` as a tensor; where they are not aligned, a copy of them. They are as many as type and shape need. */
export function tensorOver(dt: Dtype, sh: readonly number[], bytes: Uint8Array): Tensor {
  const { itemBytes: size, view } = views[dt];
  const aligned = bytes.byteOffset % size === 0;
  const buffer = aligned ? bytes.buffer : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  // The table pairs every dtype with its own array, which the type system cannot follow through the lookup.
  return { dt, sh, data: view(buffer, aligned ? bytes.byteOffset : 0, bytes.byteLength / size) } as Tensor;
}

export function isDtype(value: string): value is Dtype {
  return Object.hasOwn(views, value);
}

function isShape(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) &&
    value.length <= rankMax &&
    value.every((size) => Number.isInteger(size) && size >= 0 && size < 2 ** 31) &&
    Number.isSafeInteger(elementsOf(value) * 8)
  );
}

/** The value without undefined fields, itself when it has none; throws on anything msgpack has no plain form for (C1). */
function plainOf(value: unknown, path: string): Plain {
  if (isPlain(value)) return value;
  if (Array.isArray(value))
    return value.map((item, index) => (isPlain(item) ? item : plainOf(item, `${path}[${index}]`)));
  if (!isPlainMap(value)) {
    throw new Error(`${path}: a ${Object.prototype.toString.call(value)} cannot go over the wire as a plain field`);
  }
  const plain: Record<string, Plain> = {};
  for (const key in value) {
    const item = value[key];
    if (item !== undefined) plain[key] = isPlain(item) ? item : plainOf(item, `${path}.${key}`);
  }
  return plain;
}

/** Whether it can be packed as it is, which is the common case and copies nothing. */
function isPlain(value: unknown): value is Plain {
  if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string")
    return true;
  if (Array.isArray(value)) return value.every(isPlain);
  if (!isPlainMap(value)) return false;
  for (const key in value) if (!isPlain(value[key])) return false;
  return true;
}

function isPlainMap(value: unknown): value is Fields {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function writeMapHeader(out: Buffer, at: number, entries: number): number {
  if (entries < 16) return out.writeUInt8(0x80 | entries, at);
  return out.writeUInt16BE(entries, out.writeUInt8(0xde, at));
}

function writeSize(out: Buffer, at: number, size: number): number {
  if (size < 0x80) {
    out[at] = size;
    return at + 1;
  }
  if (size < 0x100) return out.writeUInt8(size, out.writeUInt8(0xcc, at));
  if (size < 0x10000) return out.writeUInt16BE(size, out.writeUInt8(0xcd, at));
  return out.writeUInt32BE(size, out.writeUInt8(0xce, at));
}

/** The one-letter key and the length of raw bytes. */
function writeBinHeader(out: Buffer, at: number, key: "p" | "d", length: number): number {
  out[at] = 0xa1;
  out[at + 1] = key.charCodeAt(0);
  if (length < 0x100) {
    out[at + 2] = 0xc4;
    out[at + 3] = length;
    return at + 4;
  }
  if (length < 0x10000) return out.writeUInt16BE(length, out.writeUInt8(0xc5, at + 2));
  return out.writeUInt32BE(length, out.writeUInt8(0xc6, at + 2));
}
