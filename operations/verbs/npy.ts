// Reads one array from NumPy's .npy format.
//
// Owns: the format's header, versions 1.0 to 3.0 (numpy.lib.format, "NPY format"), and what the cluster's tensors can carry of it.
// Does not own: what a model accepts. The bytes are a stranger's: nothing is believed before it is checked.
//
// Y1. Never throws. Every failure is a refusal that says what to do.
// Y2. The data is exactly as long as dtype and shape say: no byte is missing, none is left over.

import { type Dtype, dtypes, elementsOf, isDtype, itemBytes } from "../../transport/messages/codec.js";
import { printable } from "../text.js";

/** Row-major, little-endian; `dt` and `sh` as in the contract's tensor. */
export interface Picture {
  readonly dt: Dtype;
  readonly sh: readonly number[];
  readonly data: Uint8Array;
}

export type ReadResult =
  | { readonly kind: "ok"; readonly picture: Picture }
  | { readonly kind: "refused"; readonly message: string; readonly next: string };

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const headerBytesMax = 64 * 1024;
const saveAgain = "save it again with numpy.save(file, numpy.ascontiguousarray(array, '<f4'))";

interface Header {
  readonly descr: string;
  readonly fortran: boolean;
  readonly shape: readonly number[];
}

export function looksLikeNpy(bytes: Uint8Array): boolean {
  return magic.every((byte, index) => bytes[index] === byte);
}

/** `bytes` is the whole file. The returned data is a view of it. */
export function readNpy(bytes: Uint8Array): ReadResult {
  if (!looksLikeNpy(bytes)) return refused("it does not begin like an .npy file", saveAgain);
  const span = headerSpan(bytes);
  if (span === undefined) return refused("its .npy header is cut off, too long or of an unknown version", saveAgain);
  const header = parseHeader(new TextDecoder("utf-8").decode(bytes.subarray(span.from, span.to)));
  if (header === undefined)
    return refused("its .npy header cannot be read, or its dtype is not a plain one", saveAgain);
  const { descr, shape } = header;
  if (!isDtype(descr))
    return refused(`its dtype '${printable(descr)}' cannot be sent`, `use one of ${dtypes.join(" ")}: ${saveAgain}`);
  if (header.fortran) return refused("its array is in Fortran order", saveAgain);
  const expected = elementsOf(shape) * itemBytes(descr);
  const data = bytes.subarray(span.to);
  if (!Number.isSafeInteger(expected) || data.length !== expected)
    return refused(`its header promises ${expected} bytes of data and ${data.length} are there`, saveAgain);
  return { kind: "ok", picture: { dt: descr, sh: shape, data } };
}

function refused(message: string, next: string): ReadResult {
  return { kind: "refused", message, next };
}

/** Byte range of the header's text. Version 1 counts it in 2 bytes, 2 and 3 in 4. */
function headerSpan(bytes: Uint8Array): { readonly from: number; readonly to: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6];
  const from = version === 1 ? 10 : 12;
  if ((version !== 1 && version !== 2 && version !== 3) || bytes[7] !== 0 || bytes.length < from) return undefined;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const to = from + length;
  return length <= headerBytesMax && to <= bytes.length ? { from, to } : undefined;
}

const entry = /^\s*'(descr|fortran_order|shape)'\s*:\s*('[^'\\]*'|True|False|\([\d\s,]*\))\s*(?:,|$)/;

/** The header is a Python literal: a dict with exactly the keys descr, fortran_order and shape, in any order. */
function parseHeader(text: string): Header | undefined {
  const inside = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  if (inside === undefined) return undefined;
  const found = new Map<string, string>();
  let rest = inside;
  while (rest.trim() !== "") {
    const match = entry.exec(rest);
    const [whole, key, value] = match ?? [];
    if (whole === undefined || key === undefined || value === undefined || found.has(key)) return undefined;
    found.set(key, value);
    rest = rest.slice(whole.length);
  }
  const descr = /^'(.*)'$/.exec(found.get("descr") ?? "")?.[1];
  const order = found.get("fortran_order");
  const shape = parseShape(found.get("shape") ?? "");
  if (descr === undefined || shape === undefined || (order !== "True" && order !== "False")) return undefined;
  return { descr, fortran: order === "True", shape };
}

/** "()" , "(5,)", "(28, 28)". A single number needs its comma, as in Python. */
function parseShape(text: string): readonly number[] | undefined {
  const inside = /^\((.*)\)$/s.exec(text)?.[1]?.trim();
  if (inside === undefined) return undefined;
  if (inside === "") return [];
  if (!/^\d{1,15}\s*,(\s*\d{1,15}\s*,)*(\s*\d{1,15})?$/.test(inside)) return undefined;
  return inside
    .replace(/,$/, "")
    .split(",")
    .map((each) => Number(each.trim()));
}
