// Substrate: .npy files written byte by byte here, after numpy.lib.format; one written by NumPy itself is kept as base64.
import test from "ava";
import fc from "fast-check";
import { readNpy } from "../../operations/verbs/npy.js";

interface Parts {
  readonly descr?: string;
  readonly fortran?: string;
  readonly shape?: string;
  readonly version?: 1 | 2 | 3;
  readonly data?: Uint8Array;
}

function npy({
  descr = "<f4",
  fortran = "False",
  shape = "(2, 3)",
  version = 1,
  data = new Uint8Array(24),
}: Parts = {}): Buffer {
  return npyWithHeader(`{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`, version, data);
}

function npyWithHeader(text: string, version: number, data: Uint8Array): Buffer {
  const prefix = version === 1 ? 10 : 12;
  const header = Buffer.from(`${text.padEnd(Math.ceil((prefix + text.length + 1) / 64) * 64 - prefix - 1)}\n`);
  const length = Buffer.alloc(prefix - 8);
  if (version === 1) length.writeUInt16LE(header.length);
  else length.writeUInt32LE(header.length);
  return Buffer.concat([Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]), length, header, data]);
}

test("an array written by NumPy is read: numpy.save of arange(6, dtype '<u2').reshape(2, 3)", (t) => {
  const written =
    "k05VTVBZAQB2AHsnZGVzY3InOiAnPHUyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAEAAgADAAQABQA=";
  const result = readNpy(Buffer.from(written, "base64"));
  if (result.kind === "refused") return t.fail(result.message);
  t.is(result.picture.dt, "<u2");
  t.deepEqual(result.picture.sh, [2, 3]);
  t.deepEqual([...result.picture.data], [0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
});

for (const [descr, size] of Object.entries({
  "<f4": 4,
  "<f8": 8,
  "<f2": 2,
  "|i1": 1,
  "<i2": 2,
  "<i4": 4,
  "<i8": 8,
  "|u1": 1,
  "<u2": 2,
  "<u4": 4,
  "<u8": 8,
  "|b1": 1,
}))
  for (const version of [1, 2, 3] as const)
    test(`dtype ${descr} keeps its bytes, shape and name from a version ${version} file (S2-24)`, (t) => {
      const data = Uint8Array.from({ length: 6 * size }, (_, index) => index * 37);
      const result = readNpy(npy({ descr, version, data }));
      t.deepEqual(result, { kind: "ok", picture: { dt: descr, sh: [2, 3], data: Buffer.from(data) } });
    });

test("a scalar keeps rank 0 (S2-33)", (t) => {
  const result = readNpy(npy({ shape: "()", data: new Uint8Array(4) }));
  t.deepEqual(result.kind === "ok" ? result.picture.sh : result, []);
});

test("an empty array keeps its zero (S2-32)", (t) => {
  const result = readNpy(npy({ shape: "(0, 28)", data: new Uint8Array(0) }));
  t.deepEqual(result.kind === "ok" ? result.picture.sh : result, [0, 28]);
});

test("one dimension is written with Python's comma", (t) => {
  t.is(readNpy(npy({ shape: "(6,)" })).kind, "ok");
  t.is(readNpy(npy({ shape: "(6)" })).kind, "refused");
});

const hostile: Readonly<Record<string, Buffer>> = {
  "nothing at all": Buffer.alloc(0),
  "another format": Buffer.from("PK\u0003\u0004 this is a zip"),
  "version 9": npyWithHeader("{}", 9, new Uint8Array(0)),
  "a header that goes on beyond the file": npy().subarray(0, 40),
  "a header of 4 GiB": Buffer.concat([
    npy({ version: 2 }).subarray(0, 8),
    Buffer.from([255, 255, 255, 255]),
    Buffer.alloc(100),
  ]),
  "a big-endian dtype": npy({ descr: ">f4" }),
  "a pickled object": npy({ descr: "|O" }),
  "a dtype named like a method": npy({ descr: "constructor" }),
  "a structured dtype": npyWithHeader(
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }",
    1,
    new Uint8Array(24),
  ),
  "Fortran order": npy({ fortran: "True" }),
  "a negative size": npy({ shape: "(-2, 3)" }),
  "a size beyond counting": npy({ shape: "(999999999999999, 999999999999999)" }),
  "sizes whose product is no number": npy({ shape: `(${"999999999999999, ".repeat(31)}0)` }),
  "a missing byte": npy({ data: new Uint8Array(23) }),
  "a byte too many": npy({ data: new Uint8Array(25) }),
  "a key twice": npyWithHeader(
    "{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (6,), }",
    1,
    new Uint8Array(24),
  ),
  "a key unknown": npyWithHeader(
    "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'x': True, }",
    1,
    new Uint8Array(24),
  ),
  "a key missing": npyWithHeader("{'descr': '<f4', 'shape': (6,), }", 1, new Uint8Array(24)),
  "code where a literal belongs": npyWithHeader("__import__('os').system('x')", 1, new Uint8Array(24)),
};

for (const [name, bytes] of Object.entries(hostile))
  test(`${name} is refused with what to do`, (t) => {
    const result = readNpy(bytes);
    t.is(result.kind, "refused");
    if (result.kind === "refused") t.true(result.message !== "" && result.next !== "");
  });

test("no change to a file's bytes makes the reader throw, and what it reads is as long as it says", (t) => {
  const good = npy();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }),
      fc.nat(good.length),
      (changes, length) => {
        const bytes = Uint8Array.from(good.subarray(0, length === 0 ? good.length : length));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        const result = readNpy(bytes);
        return (
          result.kind === "refused" ||
          result.picture.sh.reduce((product, each) => product * each, 1) <= result.picture.data.length
        );
      },
    ),
    { numRuns: 2_000 },
  );
  t.pass();
});
