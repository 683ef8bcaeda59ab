// Typed access to the unchecked fields of a decoded map.
//
// Owns: the readers and the one exception that carries a wrong field out of a nest of readers, caught in `parse`.
// Does not own: which fields there are.

import {
  type Dtype,
  decodeMessage,
  type Fields,
  isMapOfFields,
  type Malformed,
  type RemoteTensor,
  readSentOrRef,
  readTensor,
  readTensorOrRef,
  type SentTensor,
  type Tensor,
  type TensorOf,
} from "./codec.js";

export type Parsed<T> = { readonly kind: "ok"; readonly value: T } | Malformed;

/** Thrown by the readers, caught by `parse`; never leaves a parse. No Error: a stack for each refusal costs more than the parse. */
class Wrong {
  constructor(readonly refusal: Malformed) {}
}

/** Decodes `bytes`, checks `v: 1` and reads the fields; every failure becomes a value. */
export function parse<T>(bytes: Uint8Array, read: (fields: Fields) => T): Parsed<T> {
  const decoded = decodeMessage(bytes);
  if (decoded.kind === "refused") return decoded;
  try {
    if (decoded.fields.v !== 1) throw wrong("v", "must be 1");
    return { kind: "ok", value: read(decoded.fields) };
  } catch (error) {
    if (error instanceof Wrong) return error.refusal;
    throw error;
  }
}

export function wrong(field: string, message: string): Wrong {
  return new Wrong({ kind: "refused", code: "bad_request", field, message });
}

export function optional<T>(fields: Fields, field: string, read: (fields: Fields, field: string) => T): T | undefined {
  const value = fields[leaf(field)];
  return value === undefined || value === null ? undefined : read(fields, field);
}

export function text(max: number): (fields: Fields, field: string) => string {
  return (fields, field) => {
    const value = fields[leaf(field)];
    if (typeof value !== "string" || value.length === 0 || value.length > max) {
      throw wrong(field, `must be text of 1 to ${max} characters`);
    }
    return value;
  };
}

export function number(low: number, high: number): (fields: Fields, field: string) => number {
  return (fields, field) => {
    const value = fields[leaf(field)];
    if (typeof value !== "number" || !(value >= low && value <= high)) {
      throw wrong(field, `must be a number from ${low} to ${high}`);
    }
    return value;
  };
}

export function whole(low: number, high: number = Number.MAX_SAFE_INTEGER): (fields: Fields, field: string) => number {
  return (fields, field) => {
    const value = fields[leaf(field)];
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < low || value > high) {
      throw wrong(field, `must be a whole number from ${low} to ${high}`);
    }
    return value;
  };
}

export function flag(fields: Fields, field: string): boolean {
  const value = fields[leaf(field)];
  if (typeof value !== "boolean") throw wrong(field, "must be true or false");
  return value;
}

export function oneOf<T extends string>(...words: readonly T[]): (fields: Fields, field: string) => T {
  return (fields, field) => {
    const value = fields[leaf(field)];
    const found = words.find((word) => word === value);
    if (found === undefined) throw wrong(field, `must be one of ${words.join(", ")}`);
    return found;
  };
}

export function map(fields: Fields, field: string): Fields {
  const value = fields[leaf(field)];
  if (!isMapOfFields(value)) throw wrong(field, "must be a map");
  return value;
}

export function list<T>(read: (fields: Fields, field: string) => T): (fields: Fields, field: string) => readonly T[] {
  return (fields, field) => {
    const value = fields[leaf(field)];
    if (!Array.isArray(value)) throw wrong(field, "must be a list");
    return value.map((item, index) => read({ [`${index}`]: item }, `${field}.${index}`));
  };
}

/** A list of text, handed on as it is. */
export function texts(max: number): (fields: Fields, field: string) => readonly string[] {
  const read = text(max);
  const fits = (item: unknown): item is string => typeof item === "string" && item.length > 0 && item.length <= max;
  return (fields, field) => {
    const value: unknown = fields[leaf(field)];
    return Array.isArray(value) && value.every(fits) ? value : list(read)(fields, field);
  };
}

/** A map inside: `read` gets its fields, and errors name them as `field.inner`. */
export function inside<T>(fields: Fields, field: string, read: (inner: Fields, prefix: string) => T): T {
  return read(map(fields, field), `${field}.`);
}

export function tensor(fields: Fields, field: string): Tensor {
  const read = readTensor(fields[leaf(field)], field);
  if (read.kind === "refused") throw new Wrong(read);
  return read.tensor;
}

/** A tensor whose bytes may be elsewhere. */
export function tensorOrRef(fields: Fields, field: string): Tensor | RemoteTensor {
  const read = readTensorOrRef(fields[leaf(field)], field);
  if (read.kind === "refused") throw new Wrong(read);
  return read.kind === "remote" ? read.remote : read.tensor;
}

/** The same, the bytes as they came. */
export function sentOrRef(fields: Fields, field: string): SentTensor | RemoteTensor {
  const read = readSentOrRef(fields[leaf(field)], field);
  if (read.kind === "refused") throw new Wrong(read);
  return read.kind === "remote" ? read.remote : read.sent;
}

/** A tensor of a known type and shape: one column of a record. */
export function column<D extends Dtype>(
  fields: Fields,
  field: string,
  dt: D,
  sh: readonly number[],
): TensorOf<D>["data"] {
  const found = tensor(fields, field);
  if (
    found.dt !== dt ||
    found.sh.length !== sh.length ||
    found.sh.some((size, axis) => sh[axis] !== -1 && size !== sh[axis])
  ) {
    throw wrong(field, `must be ${dt} [${sh.map((size) => (size === -1 ? "n" : size)).join(", ")}]`);
  }
  return found.data as TensorOf<D>["data"];
}

function leaf(field: string): string {
  const dot = field.lastIndexOf(".");
  return dot < 0 ? field : field.slice(dot + 1);
}
