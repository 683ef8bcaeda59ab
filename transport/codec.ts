// The wire codec: msgpack maps whose tensors are raw little-endian bytes. The only importer of msgpackr.
//
// Owns: the byte layout of a message and of the tensor map {v: 1, dt, sh, p?, d}.
// Does not own: which fields a message has (wire.ts, records.ts).
//
// C1. msgpackr never sees a typed array: `pack(Float32Array)` of 2.1.3 emits a wrong length and uninitialised memory.
// C2. In what we encode, `d` of every tensor starts on a 64-byte boundary of the payload.
// C3. Decoding never throws on foreign bytes and allocates nothing that a length only claims: msgpack-scan.ts has walked them first.

import { Packr } from "msgpackr";
import { scan } from "./msgpack-scan.js";

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
  return sh.reduce((product, size) => product * size, 1);
}

/** One map: `head` first, then the tensors in the given order. Undefined fields are left out. */
export function encodeMessage(head: PlainMap, tensors: Readonly<Record<string, Tensor>> = {}): Uint8Array {
  const plain = plainOf(head, "") as Readonly<Record<string, Plain>>;
  const names = Object.keys(tensors);
  const headEntries = Object.keys(plain).length;
  const body = withoutMapHeader(packr.pack(plain), headEntries);
  const parts: Uint8Array[] = [mapHeader(headEntries + names.length), body];
  let at = (parts[0]?.byteLength ?? 0) + body.byteLength;
  for (const name of names) {
    const tensor = tensors[name];
    if (tensor === undefined) continue;
    for (const part of tensorParts(name, tensor, at)) {
      parts.push(part);
      at += part.byteLength;
    }
  }
  return Buffer.concat(parts, at);
}

/** The bytes of `name: {v, dt, sh, p, d}` for a tensor map that starts at `at` of the payload (C2). */
function tensorParts(name: string, tensor: Tensor, at: number): readonly Uint8Array[] {
  const { data } = tensor;
  if (data.length !== elementsOf(tensor.sh)) {
    throw new Error(`tensor ${name}: ${data.length} elements do not fill the shape [${tensor.sh.join(", ")}]`);
  }
  const key = packr.pack(name);
  const meta = withoutMapHeader(packr.pack({ v: 1, dt: tensor.dt, sh: [...tensor.sh] }), 3);
  const prefix = Buffer.concat([key, Uint8Array.of(0x85), meta, Uint8Array.of(0xa1, 0x70)]);
  const tail = Buffer.concat([Uint8Array.of(0xa1, 0x64), binHeader(data.byteLength)]);
  const start = at + prefix.byteLength + 2 + tail.byteLength;
  const padding = (alignment - (start % alignment)) % alignment;
  return [
    prefix,
    binHeader(padding),
    new Uint8Array(padding),
    tail,
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  ];
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

/** A tensor map as a tensor; a view of the payload when its alignment allows, else a copy. */
export function readTensor(
  value: unknown,
  field: string,
): { readonly kind: "tensor"; readonly tensor: Tensor } | Malformed {
  const bad = (part: string, message: string): Malformed => {
    return { kind: "refused", code: "bad_tensor", field: part === "" ? field : `${field}.${part}`, message };
  };
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    return bad("", "must be a tensor map {v: 1, dt, sh, d}");
  }
  const { v, dt, sh, d, ref } = value as Fields;
  if (v !== 1) return bad("v", "must be 1");
  if (typeof dt !== "string" || !isDtype(dt)) return bad("dt", `must be one of ${dtypes.join(" ")}`);
  if (!isShape(sh)) return bad("sh", `must be at most ${rankMax} sizes, whole numbers of 0 and more`);
  if (ref !== undefined) return bad("ref", "tensors by reference are not taken here; send the bytes in d");
  if (!(d instanceof Uint8Array)) return bad("d", "must be raw bytes (msgpack bin)");
  const wanted = elementsOf(sh) * itemBytes(dt);
  if (d.byteLength !== wanted)
    return bad("d", `must hold ${wanted} bytes for ${dt} [${sh.join(", ")}], holds ${d.byteLength}`);
  return { kind: "tensor", tensor: tensorOver(dt, sh, d) };
}

function tensorOver(dt: Dtype, sh: readonly number[], bytes: Uint8Array): Tensor {
  const { itemBytes: size, view } = views[dt];
  const aligned = bytes.byteOffset % size === 0 ? bytes : Uint8Array.from(bytes);
  // The table pairs every dtype with its own array, which the type system cannot follow through the lookup.
  return { dt, sh, data: view(aligned.buffer, aligned.byteOffset, aligned.byteLength / size) } as Tensor;
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

/** A copy without undefined fields; throws on anything msgpack has no plain form for (C1). */
function plainOf(value: unknown, path: string): Plain {
  if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string")
    return value;
  if (Array.isArray(value)) return value.map((item, index) => plainOf(item, `${path}[${index}]`));
  const prototype = typeof value === "object" ? Object.getPrototypeOf(value) : undefined;
  if (typeof value !== "object" || (prototype !== Object.prototype && prototype !== null)) {
    throw new Error(`${path}: a ${Object.prototype.toString.call(value)} cannot go over the wire as a plain field`);
  }
  const entries = Object.entries(value).filter((entry) => entry[1] !== undefined);
  return Object.fromEntries(entries.map(([key, item]) => [key, plainOf(item, `${path}.${key}`)]));
}

function mapHeader(entries: number): Uint8Array {
  if (entries < 16) return Uint8Array.of(0x80 | entries);
  return Uint8Array.of(0xde, entries >> 8, entries & 0xff);
}

function withoutMapHeader(packed: Uint8Array, entries: number): Uint8Array {
  return packed.subarray(entries < 16 ? 1 : 3);
}

function binHeader(length: number): Uint8Array {
  if (length < 0x100) return Uint8Array.of(0xc4, length);
  if (length < 0x10000) return Uint8Array.of(0xc5, length >> 8, length & 0xff);
  return Uint8Array.of(0xc6, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff);
}
