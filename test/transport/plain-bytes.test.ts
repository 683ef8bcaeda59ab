// What we write ourselves is what msgpackr writes, byte for byte, for every plain value; and what was written stays as it is.

import test from "ava";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { plainBytes, plainEntries } from "../../transport/messages/plain-bytes.js";

const packr = new Packr({ useRecords: false, variableMapSize: true });

const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 90 }), fc.string({ maxLength: 300 }));
const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.nat(),
  fc.constantFrom(-0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, -32, -33, -128, -129, -32_768, -32_769),
);
const { value: plain } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    text,
    number,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(fc.string({ minLength: 1, maxLength: 12 }), tie("value"), { maxKeys: 20, noNullPrototype: true }),
  ),
}));
const map = fc.dictionary(fc.string({ minLength: 1, maxLength: 40 }), plain, { maxKeys: 40, noNullPrototype: true });

function packed(value: unknown): string {
  return Buffer.from(packr.pack(value)).toString("hex");
}

test("every plain map has the bytes that msgpackr gives it", (t) => {
  fc.assert(
    fc.property(map, (value) => {
      t.is(plainBytes(value as Readonly<Record<string, unknown>>).toString("hex"), packed(value));
    }),
    { numRuns: 500 },
  );
});

test("lists, maps and text around every border of their lengths, too", (t) => {
  for (const length of [0, 1, 15, 16, 31, 32, 63, 64, 255, 256, 65_535, 65_536]) {
    const few = Math.min(length, 2_000);
    const value = {
      ascii: "a".repeat(length),
      twice: "é".repeat(length),
      list: new Array(length).fill(7),
      map: Object.fromEntries(Array.from({ length: few }, (_, i) => [`k${i}`, i])),
    };
    t.is(plainBytes(value).toString("hex"), packed(value), `${length}`);
  }
});

test("undefined fields are left out wherever they are, and the head of the map may be left to others", (t) => {
  const value = { v: 1, none: undefined, deep: { none: undefined, list: [{ none: undefined, a: 1 }] } };
  const kept = { v: 1, deep: { list: [{ a: 1 }] } };
  t.is(plainBytes(value).toString("hex"), packed(kept));
  const { entries, body } = plainEntries(value);
  t.is(entries, 2);
  t.is(Buffer.from(body).toString("hex"), packed(kept).slice(2));
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, i]));
  t.is(Buffer.from(plainEntries(many).body).toString("hex"), packed(many).slice(6));
});

test("what cannot go over the wire throws, names its place, and leaves nothing behind", (t) => {
  const before = plainBytes({ kept: "before" });
  const broken: readonly (readonly [unknown, string])[] = [
    [{ a: { b: [1, Float32Array.of(1)] } }, ".a.b[1]: a [object Float32Array]"],
    [{ big: 1n }, ".big: a [object BigInt]"],
    [{ when: new Date(0) }, ".when: a [object Date]"],
    [{ call: () => 1 }, ".call: a [object Function]"],
    [{ list: [undefined] }, ".list[0]: a [object Undefined]"],
  ];
  for (const [value, message] of broken)
    t.throws(() => plainBytes(value as Readonly<Record<string, unknown>>), {
      message: `${message} cannot go over the wire as a plain field`,
    });
  t.is(plainBytes({ kept: "after" }).toString("hex"), packed({ kept: "after" }));
  t.is(before.toString("hex"), packed({ kept: "before" }));
});

test("what was written is not written over, however much comes behind it", (t) => {
  const kept: (readonly [Buffer, string])[] = [];
  for (let i = 0; i < 3_000; i++) {
    const value = { i, text: "x".repeat((i * 37) % 900), other: i % 97 === 0 ? "y".repeat(40_000) : null };
    kept.push([plainBytes(value), packed(value)]);
    plainEntries({ passing: "by", i });
  }
  t.true(kept.every(([bytes, expected]) => bytes.toString("hex") === expected));
});
