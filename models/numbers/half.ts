// IEEE 754 half precision: what the log holds of numbers that need no more than eleven significant bits.
//
// Owns: the conversions between float32 and binary16, as bits. Does not own: which columns are halves (transport/log/records.ts).
//
// H1. Rounding is to the nearest half, ties to even. Finite numbers beyond the largest half, 65,504, become it: a moment that
//     overflowed stays a number. Infinities, NaN and the sign of zero are kept.
// H2. Rounding twice changes nothing, and a rounded number and its half are the same number to the bit.

/** Float32 bits of 2^-14, the least normal half: below it halves are multiples of 2^-24. */
const normalFrom = 0x38800000;
/** Float32 bits of 65,520: from here the nearest half would be infinite. */
const overflowFrom = 0x477ff000;
const infinity = 0x7f800000;
/** Difference of the exponents' biases, 127 - 15, at the exponent's place in a float32. */
const rebias = 0x38000000;

/** The halves nearest to `values`, as raw bits. */
export function halvesOf(values: Float32Array): Uint16Array {
  const bits = bitsOf(values);
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) halves[i] = half(bits[i] ?? 0);
  return halves;
}

/** The numbers that these halves are. */
export function numbersOf(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const bits = bitsOf(values);
  for (let i = 0; i < halves.length; i++) bits[i] = bitsOfHalf(halves[i] ?? 0);
  return values;
}

/** A copy with every number rounded to its nearest half: what a reader of the log will see. */
export function roundedToHalves(values: Float32Array): Float32Array {
  const rounded = new Float32Array(values.length);
  const from = bitsOf(values);
  const to = bitsOf(rounded);
  for (let i = 0; i < from.length; i++) {
    const bits = from[i] ?? 0;
    const magnitude = bits & 0x7fffffff;
    // In this range the halves are the float32 whose last 13 bits are zero: no way over the half.
    if (magnitude >= normalFrom && magnitude < overflowFrom) to[i] = (bits + 0xfff + ((bits >>> 13) & 1)) & 0xffffe000;
    else to[i] = bitsOfHalf(half(bits));
  }
  return rounded;
}

/** The same of halves as they lie in a message: little-endian, on any boundary. There are as many as `into` is long. */
export function numbersInto(into: Float32Array, halves: Uint8Array): void {
  const bits = bitsOf(into);
  for (let i = 0, at = 0; i < bits.length; i++, at += 2)
    bits[i] = bitsOfHalf((halves[at] ?? 0) | ((halves[at + 1] ?? 0) << 8));
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** Float32 bits of a half. */
function bitsOfHalf(from: number): number {
  const sign = (from & 0x8000) << 16;
  const magnitude = from & 0x7fff;
  const fraction = from & 0x3ff;
  if (magnitude >= 0x7c00) return sign | infinity | (fraction << 13);
  if (magnitude >= 0x400) return sign | ((magnitude << 13) + rebias);
  if (magnitude === 0) return sign;
  // fraction x 2^-24: its highest bit becomes the implicit one, at 2^(highest - 24).
  const highest = 31 - Math.clz32(fraction);
  return sign | ((highest - 24 + 127) << 23) | ((fraction << (23 - highest)) & 0x7fffff);
}

function half(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= normalFrom) {
    if (magnitude < overflowFrom) return sign | ((magnitude - rebias + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    if (magnitude < infinity) return sign | 0x7bff;
    return sign | (magnitude === infinity ? 0x7c00 : notANumber(magnitude));
  }
  return sign | subnormal(magnitude);
}

/** Keeps the upper bits of a NaN, and at least one, so that it does not become infinite. */
function notANumber(magnitude: number): number {
  const payload = (magnitude >>> 13) & 0x3ff;
  return 0x7c00 | (payload === 0 ? 0x200 : payload);
}

/** Multiples of 2^-24: the significand, shifted to that unit, rounded to even. */
function subnormal(magnitude: number): number {
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return 0;
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const middle = 1 << (shift - 1);
  return rest > middle || (rest === middle && (kept & 1) === 1) ? kept + 1 : kept;
}
