// Blocks in memory: round trips, and bytes that no honest writer made.
import test from "ava";
import fc from "fast-check";
import { BlocksError, float32Block, readBlocks, uint8Block, writeBlocks } from "../../models/numbers/blocks.js";

const sample = () =>
  writeBlocks(
    { kind: "sample", count: 3, nested: { list: [1, "two", null, true] } },
    {
      floats: Float32Array.of(1.5, -0, Number.MIN_VALUE),
      doubles: Float64Array.of(Math.PI),
      bytes: Uint8Array.of(1, 2, 3),
      words: Uint16Array.of(65535),
      longs: Uint32Array.of(4294967295),
      signed: Int32Array.of(-1),
      empty: new Float32Array(),
    },
  );

test("header and arrays come back bit for bit, whatever they hold", (t) => {
  const words = fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 20 });
  fc.assert(
    fc.property(words, words, fc.string(), (first, second, text) => {
      const bits = Uint32Array.from(first);
      const arrays = { bits: new Float32Array(bits.buffer), longs: Uint32Array.from(second) };
      const read = readBlocks(writeBlocks({ text }, arrays));
      t.deepEqual(read.header, { text });
      const { bits: found, longs } = read.arrays;
      t.true(found instanceof Float32Array && longs instanceof Uint32Array);
      t.deepEqual(new Uint32Array(found?.buffer ?? new ArrayBuffer()), bits);
      t.deepEqual(longs, Uint32Array.from(second));
    }),
  );
});

test("blocks read from the middle of a larger buffer are copies at their own alignment", (t) => {
  const bytes = sample();
  const larger = new Uint8Array(bytes.length + 3);
  larger.set(bytes, 3);
  const { arrays } = readBlocks(larger.subarray(3));
  larger.fill(0);
  t.deepEqual(arrays.doubles, Float64Array.of(Math.PI));
  t.deepEqual(arrays.signed, Int32Array.of(-1));
});

test("every truncation and every extension is refused", (t) => {
  const bytes = sample();
  for (let length = 0; length < bytes.length; length++) {
    t.throws(() => readBlocks(bytes.slice(0, length)), { instanceOf: BlocksError });
  }
  t.throws(() => readBlocks(Uint8Array.of(...bytes, 0)), { instanceOf: BlocksError });
});

test("changed bytes are read or refused with BlocksError, never anything else", (t) => {
  const bytes = sample();
  const change = fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
      const changed = bytes.slice();
      for (const [offset, value] of changes) changed[offset] = value;
      try {
        readBlocks(changed);
      } catch (error) {
        t.true(error instanceof BlocksError);
      }
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test("a length that promises more than there is allocates nothing", (t) => {
  const head = new TextEncoder().encode(
    '{"header":{},"blocks":[{"name":"huge","type":"f8","length":9007199254740991}]}',
  );
  const bytes = new Uint8Array(Math.ceil((12 + head.length) / 8) * 8);
  bytes.set(sample().subarray(0, 8));
  new DataView(bytes.buffer).setUint32(8, head.length, true);
  bytes.set(head, 12);
  t.throws(() => readBlocks(bytes), { instanceOf: BlocksError, message: /ends after/ });
});

test("names that are not identifiers are refused when writing", (t) => {
  for (const name of ["", "__proto__", "a b", "1st"]) {
    const arrays = Object.fromEntries([[name, new Uint8Array(1)]]);
    t.throws(() => writeBlocks({}, arrays), { instanceOf: BlocksError });
  }
});

test("typed access names the block that is missing, of another type or length, or not finite", (t) => {
  const blocks = readBlocks(
    writeBlocks({}, { good: Float32Array.of(1), bad: Float32Array.of(Number.NaN), raw: Uint8Array.of(7) }),
  );
  t.deepEqual(float32Block(blocks, "good", 1), Float32Array.of(1));
  t.deepEqual(uint8Block(blocks, "raw", 1), Uint8Array.of(7));
  t.throws(() => float32Block(blocks, "none", 1), { message: /"none" is missing/ });
  t.throws(() => float32Block(blocks, "raw", 1), { message: /"raw" is missing or not float32/ });
  t.throws(() => float32Block(blocks, "good", 2), { message: /1 values, not 2/ });
  t.throws(() => float32Block(blocks, "bad", 1), { message: /not finite/ });
  t.throws(() => uint8Block(blocks, "raw", 2), { message: /1 values, not 2/ });
});
