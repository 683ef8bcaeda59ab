// An input that came inside a message, checked where it lies.
//
// Owns: which inputs may stay the bytes that came, and their check. Does not own: what a model accepts (manifest.ts), inputs by reference
// (large-input.ts), who stacks them (actors/serving/inference.ts).
//
// Most requests bring float32 at the model's scale. A copy for each of them would be memory outside the heap that is made, cleared and swept for
// ten milliseconds of use: what is stacked for the model may as well be the message itself.
//
// T1. Its verdict is prepareInput's, word for word, and so are its values, bit for bit.
// T2. What it returns may be a part of the message: whoever keeps it keeps the message's memory, and must not write to it.
import {
  acceptInput,
  firstOutside,
  type InputHead,
  type InputRefused,
  type InputTensor,
  type Manifest,
  outOfRange,
  prepareInput,
  sizeOf,
} from "../manifest.js";

/** Float32 values: numbers, or the bytes of such, little-endian, wherever they lie. */
export type InputValues = Float32Array | Uint8Array;

/** Values in it. */
export function lengthOf(input: InputValues): number {
  return input.byteLength / Float32Array.BYTES_PER_ELEMENT;
}

/** The values as numbers: itself, or a copy. */
export function numbersIn(input: InputValues): Float32Array {
  if (input instanceof Float32Array) return input;
  const values = new Float32Array(lengthOf(input));
  new Uint8Array(values.buffer).set(input);
  return values;
}

/** Copies inputs of one length into rows that follow each other. */
export function stacked(inputs: readonly InputValues[]): Float32Array {
  const rowBytes = inputs[0]?.byteLength ?? 0;
  const bytes = new Uint8Array(rowBytes * inputs.length);
  const values = new Float32Array(bytes.buffer);
  for (let row = 0; row < inputs.length; row++) {
    const input = inputs[row];
    if (input instanceof Float32Array) values.set(input, (row * rowBytes) / Float32Array.BYTES_PER_ELEMENT);
    else if (input !== undefined) bytes.set(input, row * rowBytes);
  }
  return values;
}

export type SentCheck = { readonly kind: "ok"; readonly values: InputValues } | InputRefused;

/** `numbers` reads the same bytes as elements of the tensor's type; asked where they are not float32 at the model's scale. */
export function takeSent(
  manifest: Manifest,
  head: InputHead,
  bytes: Uint8Array,
  numbers: () => InputTensor["data"],
): SentCheck {
  const accepted = acceptInput(manifest, head);
  if (accepted.kind === "refused") return accepted;
  const size = sizeOf(manifest.input.shape);
  if (head.dt !== "<f4" || accepted.scale !== 1 || lengthOf(bytes) !== size)
    return prepareInput(manifest, { dt: head.dt, sh: head.sh, data: numbers() });
  const [low, high] = manifest.input.range;
  const scratch = laidOut(bytes);
  if (low === 0 && areWithin(scratch.bits, size, high)) return { kind: "ok", values: bytes };
  const values = scratch.values.subarray(0, size);
  const outside = firstOutside(values, low, high);
  return outside < 0 ? { kind: "ok", values: bytes } : outOfRange(manifest, outside, values[outside]);
}

/** Where the bytes of an input are looked at as numbers: what comes off the wire lies anywhere. Written and read within one call. */
let scratch = { bytes: new Uint8Array(0), values: new Float32Array(0), bits: new Int32Array(0) };

function laidOut(bytes: Uint8Array): typeof scratch {
  if (scratch.bytes.length < bytes.length) {
    const { buffer } = new Uint8Array(bytes.length);
    scratch = { bytes: new Uint8Array(buffer), values: new Float32Array(buffer), bits: new Int32Array(buffer) };
  }
  scratch.bytes.set(bytes);
  return scratch;
}

const toBits = { values: new Float32Array(1), bits: new Int32Array(1) };
toBits.bits = new Int32Array(toBits.values.buffer);

/**
 * Whether `size` floats are all from +0 to `high`, by their bits: not negative, those rise with the number, and NaN lies above all. False says
 * nothing: -0 is within, and `high` need not be a float32.
 */
function areWithin(bits: Int32Array, size: number, high: number): boolean {
  toBits.values[0] = high;
  const highest = toBits.values[0] === high ? (toBits.bits[0] ?? -1) : -1;
  if (highest < 0) return false;
  let signs = 0;
  for (let i = 0; i < size; i++) {
    const value = bits[i] ?? -1;
    signs |= value | (highest - value);
  }
  return signs >= 0;
}
