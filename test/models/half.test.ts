// Half precision against its definition: all 65,536 halves, and any float32 against the nearest of them.

import test from "ava";
import fc from "fast-check";
import { halvesOf, numbersOf, roundedToHalves } from "../../models/numbers/half.js";

const every = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function half(value: number): number {
  return halvesOf(Float32Array.of(value))[0] ?? Number.NaN;
}

function rounded(value: number): number {
  return roundedToHalves(Float32Array.of(value))[0] ?? Number.NaN;
}

/** binary16 as IEEE 754 defines it, by arithmetic. */
function meaning(bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1_024) * 2 ** (exponent - 15));
}

test("each of the 65,536 halves is the number that IEEE 754 says, and comes back as the same bits", (t) => {
  const numbers = numbersOf(every);
  t.true(every.every((bits) => Object.is(numbers[bits], meaning(bits))));
  t.deepEqual(halvesOf(numbers), every);
  t.deepEqual(bitsOf(roundedToHalves(numbers)), bitsOf(numbers));
});

test("between two neighbouring halves a number goes to the nearer one, from the middle to the even one", (t) => {
  for (let low = 0; low < 0x7bff; low += 1) {
    const [from, to] = [meaning(low), meaning(low + 1)];
    const middle = (from + to) / 2;
    const step = middle * 2 ** -23;
    const even = low % 2 === 0 ? low : low + 1;
    const found = [half(middle), half(middle - step), half(middle + step), half(-middle)];
    const wanted = [even, low, low + 1, even | 0x8000];
    if (found.some((bits, index) => bits !== wanted[index])) t.deepEqual(found, wanted, `between ${from} and ${to}`);
  }
  t.pass();
});

test("a number that no half reaches becomes the largest half, infinity and NaN stay what they are", (t) => {
  t.is(rounded(65_519), 65_504);
  t.is(rounded(65_520), 65_504);
  t.is(rounded(3e38), 65_504);
  t.is(rounded(-3e38), -65_504);
  t.is(rounded(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
  t.is(rounded(Number.NEGATIVE_INFINITY), Number.NEGATIVE_INFINITY);
  t.is(rounded(Number.NaN), Number.NaN);
  const faint = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001).buffer);
  t.true(roundedToHalves(faint).every(Number.isNaN));
});

test("the smallest numbers keep their sign", (t) => {
  t.is(rounded(-0), -0);
  t.is(rounded(-1e-30), -0);
  t.is(rounded(2 ** -25), 0);
  t.is(rounded(2 ** -25 * 1.0001), 2 ** -24);
});

test("rounding moves no number of the normal range by more than 2^-11 of it, and rounding again moves nothing", (t) => {
  const any = fc.float32Array({ noNaN: true, minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(any, (values) => {
      const once = roundedToHalves(values);
      t.deepEqual(bitsOf(roundedToHalves(once)), bitsOf(once));
      for (const [index, value] of values.entries()) {
        const size = Math.abs(value);
        if (size > 65_504) continue;
        t.true(Math.abs((once[index] ?? Number.NaN) - value) <= Math.max(size * 2 ** -11, 2 ** -25));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("the numbers given are left as they are", (t) => {
  const values = Float32Array.of(1 / 3, 1e9);
  const before = Float32Array.from(values);
  roundedToHalves(values.subarray(0));
  t.deepEqual(values, before);
});
