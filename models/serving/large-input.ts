// One large input, checked and brought to the model's scale where it lies, a portion at a time.
//
// Owns: the conversion in place, and where the raw bytes have to lie for it. Does not own: what a model accepts (manifest.ts), the memory, the
// pause between two portions.
//
// L1. An element is read before anything is written over it: raw elements of less than four bytes lie at the end of the memory, larger ones
//     at its beginning, and the float32 values grow from the beginning on.
// L2. Its result is prepareInput's, bit for bit.

import { firstOutside, type InputRefused, type Manifest, outOfRange } from "../manifest.js";

/** Where raw elements lie, and how many bytes the memory needs. */
export interface InPlace {
  readonly bytes: number;
  readonly offset: number;
}

const floatBytes = 4;

export function placeFor(elements: number, itemBytes: number): InPlace {
  const bytes = elements * Math.max(itemBytes, floatBytes);
  return { bytes, offset: itemBytes < floatBytes ? bytes - elements * itemBytes : 0 };
}

/** Elements of one portion: about a millisecond of work. */
export const portion = 256 * 1024;

/**
 * Converts elements [from, to) of `raw`, which lies in the memory as placeFor has it, to `values` at its beginning. Undefined when all of
 * them are in the model's range. Portions come in order, from the first element on.
 */
export function convertPortion(
  manifest: Manifest,
  scale: number,
  raw: ArrayLike<number | bigint>,
  values: Float32Array,
  from: number,
  to: number,
): InputRefused | undefined {
  if (!(raw instanceof Float32Array && scale === 1)) for (let i = from; i < to; i++) values[i] = Number(raw[i]) * scale;
  const [low, high] = manifest.input.range;
  const outside = firstOutside(values.subarray(from, to), low, high);
  return outside < 0 ? undefined : outOfRange(manifest, from + outside, values[from + outside]);
}
