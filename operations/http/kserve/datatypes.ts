// The datatypes of the Open Inference Protocol (KServe V2) and ours, and the values of a JSON tensor as raw bytes.
//
// Owns: the pairs, the refusal by name of what we have no type for, the rule which JSON value fits which type.
// Does not own: what else a request has (infer-body.ts), which type a model takes (models/manifest.ts).
//
// D1. Nothing is allocated for elements that are not there: they are counted before there is room for them.
// D2. No value changes on its way: what a type cannot hold is refused with its index.

import { type Dtype, elementsOf, itemBytes, readTensor, type Tensor } from "../../../transport/messages/codec.js";

const pairs = {
  BOOL: "|b1",
  UINT8: "|u1",
  UINT16: "<u2",
  UINT32: "<u4",
  UINT64: "<u8",
  INT8: "|i1",
  INT16: "<i2",
  INT32: "<i4",
  INT64: "<i8",
  FP16: "<f2",
  FP32: "<f4",
  FP64: "<f8",
} as const satisfies Readonly<Record<string, Dtype>>;
export type Datatype = keyof typeof pairs;

export const datatypes = Object.keys(pairs) as readonly Datatype[];
/** Of the protocol, without a type of ours. */
const untaken = ["BYTES", "BF16"];

export type ReadDatatype =
  | { readonly kind: "datatype"; readonly datatype: Datatype }
  | { readonly kind: "wrong"; readonly message: string };

export function readDatatype(word: string): ReadDatatype {
  if (isDatatype(word)) return { kind: "datatype", datatype: word };
  const message = untaken.includes(word)
    ? `${word} is not taken: send numbers as one of ${datatypes.join(" ")}`
    : `this datatype is not known: send one of ${datatypes.join(" ")}`;
  return { kind: "wrong", message };
}

function isDatatype(word: string): word is Datatype {
  return Object.hasOwn(pairs, word);
}

export function dtypeOf(datatype: Datatype): Dtype {
  return pairs[datatype];
}

/** Undefined for a type the protocol has no word for. */
export function datatypeOf(dtype: string): Datatype | undefined {
  return datatypes.find((datatype) => pairs[datatype] === dtype);
}

export type Elements =
  | { readonly kind: "elements"; readonly bytes: Uint8Array }
  | { readonly kind: "wrong"; readonly message: string };

/** `data` as JSON has it, nested or flat, in C order. */
export function elementsIn(data: unknown, datatype: Datatype, shape: readonly number[]): Elements {
  if (datatype === "FP16") return wrong("FP16 has no form in JSON: send it as binary data");
  if (!Array.isArray(data)) return wrong("must be a list of the tensor's elements");
  const wanted = elementsOf(shape);
  const found = leaves(data);
  if (found !== wanted) return wrong(`holds ${found} elements; the shape [${shape.join(", ")}] has ${wanted}`);
  const dt = pairs[datatype];
  const bytes = new Uint8Array(wanted * itemBytes(dt));
  const room = readTensor({ v: 1, dt, sh: [wanted], d: bytes }, "data");
  if (room.kind === "refused") return wrong(room.message);
  const misfit = fill(room.tensor, data, fits[datatype]);
  if (misfit !== undefined) return wrong(`element ${misfit} is no ${datatype}`);
  return { kind: "elements", bytes };
}

function wrong(message: string): Elements {
  return { kind: "wrong", message };
}

/** The nesting is as deep as the walk over the JSON lets it be (json-bounds.ts). */
function leaves(list: readonly unknown[]): number {
  let count = 0;
  for (const item of list) count += Array.isArray(item) ? leaves(item) : 1;
  return count;
}

/** The index of the first element that does not fit; undefined when all are in. */
function fill({ data }: Tensor, list: readonly unknown[], fitsIn: (value: unknown) => boolean): number | undefined {
  const isBig = data instanceof BigInt64Array || data instanceof BigUint64Array;
  let at = 0;
  const put = (items: readonly unknown[]): number | undefined => {
    for (const item of items) {
      if (Array.isArray(item)) {
        const misfit = put(item);
        if (misfit !== undefined) return misfit;
        continue;
      }
      if (!fitsIn(item)) return at;
      if (isBig) data[at] = BigInt(Number(item));
      else data[at] = Number(item);
      at += 1;
    }
    return undefined;
  };
  return put(list);
}

/** A number too large for the type would arrive as an infinity that nobody sent. */
const isFloat =
  (rounded: (value: number) => number) =>
  (value: unknown): boolean =>
    typeof value === "number" && Number.isFinite(rounded(value));
const isWhole =
  (low: number, high: number) =>
  (value: unknown): boolean =>
    typeof value === "number" && Number.isInteger(value) && value >= low && value <= high;

const fits: Readonly<Record<Datatype, (value: unknown) => boolean>> = {
  BOOL: (value) => typeof value === "boolean" || value === 0 || value === 1,
  UINT8: isWhole(0, 2 ** 8 - 1),
  UINT16: isWhole(0, 2 ** 16 - 1),
  UINT32: isWhole(0, 2 ** 32 - 1),
  // Beyond 2^53 a JSON number has lost digits before anybody sees it.
  UINT64: isWhole(0, Number.MAX_SAFE_INTEGER),
  INT8: isWhole(-(2 ** 7), 2 ** 7 - 1),
  INT16: isWhole(-(2 ** 15), 2 ** 15 - 1),
  INT32: isWhole(-(2 ** 31), 2 ** 31 - 1),
  INT64: isWhole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  FP16: () => false,
  FP32: isFloat(Math.fround),
  FP64: isFloat((value) => value),
};
