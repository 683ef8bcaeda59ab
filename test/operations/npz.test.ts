// Substrate: archives written by our own writer, by NumPy (kept as base64), and damaged ones.
import test from "ava";
import fc from "fast-check";
import { npzOf } from "../../models/numbers/npz.js";
import { readNpz } from "../../operations/verbs/npz.js";

const archive = npzOf({
  x: { shape: [2, 3], values: Float32Array.of(1, 2, 3, 4, 5, 6) },
  y: { shape: [2], values: Uint8Array.of(0, 1) },
});

test("arrays that were written stored are read back: type, shape and bytes", (t) => {
  const read = readNpz(archive, ["x", "y"]);
  if (read.kind === "refused") return t.fail(read.message);
  t.deepEqual([read.arrays.x.dt, read.arrays.x.sh], ["<f4", [2, 3]]);
  t.deepEqual([...new Float32Array(Uint8Array.from(read.arrays.x.data).buffer)], [1, 2, 3, 4, 5, 6]);
  t.deepEqual([read.arrays.y.dt, read.arrays.y.sh, [...read.arrays.y.data]], ["|u1", [2], [0, 1]]);
});

/** numpy.savez_compressed(file, x=numpy.arange(6, dtype='<i2').reshape(3, 2), y=numpy.array([7], dtype='<i8')) of NumPy 2.4.6. */
const compressed =
  "UEsDBC0AAAAIAAAAIQB1iCO7//////////8FABQAeC5ucHkBABAAjAAAAAAAAABSAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TaaSuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GsY6CkaaOgq1CmQDLgYGRgYmBmYGFgZWBgBQSwMELQAAAAgAAAAhALmTe5j//////////wUAFAB5Lm5weQEAEACIAAAAAAAAAEgAAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgbpNpoa6joJ6WX1RSlJgXn1+UkgoSd0vMKU4FihdnJBakAvkahjqaOgq1ChQALnYGCAAAUEsBAi0DLQAAAAgAAAAhAHWII7tSAAAAjAAAAAUAAAAAAAAAAAAAAIABAAAAAHgubnB5UEsBAi0DLQAAAAgAAAAhALmTe5hIAAAAiAAAAAUAAAAAAAAAAAAAAIABiQAAAHkubnB5UEsFBgAAAAACAAIAZgAAAAgBAAAAAA==";

test("arrays that NumPy compressed are read, with the sizes of a large archive in their headers", (t) => {
  const read = readNpz(Buffer.from(compressed, "base64"), ["x", "y"]);
  if (read.kind === "refused") return t.fail(read.message);
  t.deepEqual([read.arrays.x.dt, read.arrays.x.sh], ["<i2", [3, 2]]);
  t.deepEqual([...read.arrays.x.data], [0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
  t.deepEqual([...read.arrays.y.data], [7, 0, 0, 0, 0, 0, 0, 0]);
});

test("an array that is missing is named, and those that are there", (t) => {
  const read = readNpz(archive, ["z"]);
  t.true(read.kind === "refused" && /no array "z" \(it holds: x, y\)/.test(read.message));
});

test("an archive without arrays, and bytes of something else, are refused", (t) => {
  for (const bytes of [npzOf({}), new Uint8Array(), Buffer.from("PK"), Buffer.alloc(4096), Buffer.from("\x93NUMPY")])
    t.is(readNpz(bytes, ["x"]).kind, "refused");
});

test("a promise of more than a gigabyte is not even tried", (t) => {
  const bytes = Buffer.from(archive);
  const entry = bytes.indexOf("PK\x01\x02", 0, "latin1");
  bytes.writeUInt32LE(0x7fffffff, entry + 24);
  const read = readNpz(bytes, ["x"]);
  t.true(read.kind === "refused" && /at most 1073741824 are read/.test(read.message));
});

test("a deflated array that is longer than promised is damaged: nothing is unpacked beyond the promise", (t) => {
  const bytes = Buffer.from(compressed, "base64");
  const entry = bytes.indexOf("PK\x01\x02", 0, "latin1");
  bytes.writeUInt32LE(8, entry + 24);
  const read = readNpz(bytes, ["x"]);
  t.true(read.kind === "refused" && /damaged/.test(read.message));
});

test("an encrypted entry is refused", (t) => {
  const bytes = Buffer.from(archive);
  bytes[bytes.indexOf("PK\x01\x02", 0, "latin1") + 8] = 1;
  t.is(readNpz(bytes, ["x"]).kind, "refused");
});

for (const [what, whole] of [
  ["stored", Uint8Array.from(archive)],
  ["compressed", Uint8Array.from(Buffer.from(compressed, "base64"))],
] as const) {
  test(`one changed byte of a ${what} archive never throws, and never gives other numbers`, (t) => {
    const good = JSON.stringify(readNpz(whole, ["x", "y"]));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = Uint8Array.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ change;
        const read = readNpz(bytes, ["x", "y"]);
        return read.kind === "refused" || JSON.stringify(read) === good;
      }),
      { numRuns: 3000, seed: 1 },
    );
    t.pass();
  });

  test(`a ${what} archive cut off anywhere is refused`, (t) => {
    for (let length = 0; length < whole.length; length++)
      t.is(readNpz(whole.subarray(0, length), ["x", "y"]).kind, "refused");
  });
}

test("random bytes with the signs of an archive never throw", (t) => {
  const sign = fc
    .constantFrom("PK\x01\x02", "PK\x03\x04", "PK\x05\x06")
    .map((text) => [...Buffer.from(text, "latin1")]);
  const noise = fc.oneof(fc.array(fc.nat(255), { maxLength: 40 }), fc.constant([0, 0, 0, 0]), sign);
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 12 }), (parts) => {
      const bytes = Uint8Array.from(parts.flat());
      return readNpz(bytes, ["x"]).kind === "refused";
    }),
    { numRuns: 2000, seed: 2 },
  );
  t.pass();
});
