// The codec on its own: every element type there and back, hostile bytes, and what it must never hand to msgpackr.

import test from "ava";
import fc from "fast-check";
import { Packr } from "msgpackr";
import {
  type Dtype,
  decodeMessage,
  dtypes,
  elementsOf,
  encodeMessage,
  itemBytes,
  plainRemote,
  readTensor,
  readTensorOrRef,
  type Tensor,
} from "../../transport/messages/codec.js";

const runs = { numRuns: 150 };

/** Any tensor of one element type, by its raw bytes. */
function tensors(dt: Dtype): fc.Arbitrary<Tensor> {
  return fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }).chain((sh) => {
    const size = elementsOf(sh) * itemBytes(dt);
    return fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => tensorFrom(dt, sh, bytes));
  });
}

function tensorFrom(dt: Dtype, sh: readonly number[], bytes: Uint8Array): Tensor {
  const read = readTensor({ v: 1, dt, sh, d: bytes }, "t");
  if (read.kind !== "tensor") throw new Error(read.message);
  return read.tensor;
}

function bytesOf(tensor: Tensor): Uint8Array {
  return new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}

function roundTrip(tensor: Tensor, shift: number): Tensor {
  const encoded = encodeMessage({ v: 1, id: "x" }, { input: tensor });
  const moved = new Uint8Array(encoded.byteLength + shift);
  moved.set(encoded, shift);
  const decoded = decodeMessage(moved.subarray(shift));
  if (decoded.kind !== "message") throw new Error(decoded.message);
  const read = readTensor(decoded.fields.input, "input");
  if (read.kind !== "tensor") throw new Error(read.message);
  return read.tensor;
}

for (const dt of dtypes) {
  test(`a tensor of ${dt} keeps type, shape and bytes at any offset of the payload (S2-24)`, (t) => {
    fc.assert(
      fc.property(tensors(dt), fc.integer({ min: 0, max: 9 }), (tensor, shift) => {
        const back = roundTrip(tensor, shift);
        t.deepEqual({ dt: back.dt, sh: [...back.sh] }, { dt, sh: [...tensor.sh] });
        t.is(back.data.constructor, tensor.data.constructor);
        t.deepEqual(bytesOf(back), bytesOf(tensor));
      }),
      runs,
    );
  });
}

test("an empty tensor keeps its zero-sized shape (S2-32)", (t) => {
  const back = roundTrip({ dt: "<f4", sh: [0, 28], data: new Float32Array(0) }, 0);
  t.deepEqual([...back.sh], [0, 28]);
  t.is(back.data.length, 0);
});

test("a scalar keeps rank 0 (S2-33)", (t) => {
  const back = roundTrip({ dt: "<f8", sh: [], data: Float64Array.of(-0) }, 0);
  t.deepEqual([...back.sh], []);
  t.true(Object.is(back.data[0], -0));
});

test("the data of every tensor starts on a 64-byte boundary of the payload", (t) => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), fc.integer({ min: 0, max: 70_000 }), (id, length) => {
      const first: Tensor = { dt: "|u1", sh: [length], data: new Uint8Array(length) };
      const second: Tensor = { dt: "<f4", sh: [3], data: Float32Array.of(1, 2, 3) };
      const encoded = encodeMessage({ v: 1, id }, { first, second });
      const decoded = decodeMessage(encoded);
      if (decoded.kind !== "message") throw new Error(decoded.message);
      for (const name of ["first", "second"]) {
        const { d } = decoded.fields[name] as { readonly d: Uint8Array };
        t.is((d.byteOffset - encoded.byteOffset) % 64, 0);
      }
    }),
    { numRuns: 40 },
  );
});

test("an aligned tensor is a view of the payload, another one a copy (S2-49)", (t) => {
  const encoded = Uint8Array.from(
    encodeMessage({ v: 1 }, { input: { dt: "<f4", sh: [2], data: Float32Array.of(1, 2) } }),
  );
  const decoded = decodeMessage(encoded);
  if (decoded.kind !== "message") throw new Error(decoded.message);
  const read = readTensor(decoded.fields.input, "input");
  t.is(read.kind === "tensor" ? read.tensor.data.buffer : undefined, encoded.buffer);
  const shifted = roundTrip({ dt: "<f4", sh: [2], data: Float32Array.of(1, 2) }, 1);
  t.deepEqual([...shifted.data], [1, 2]);
});

test("msgpackr must never see a typed array: what it makes of one cannot be read back", (t) => {
  const packr = new Packr({ useRecords: false, variableMapSize: true });
  const packed = packr.pack(Float32Array.of(1, 2, 3));
  const readBack = (): unknown => {
    try {
      return [...(packr.unpack(packed) as Iterable<unknown>)];
    } catch (error) {
      return error;
    }
  };
  t.notDeepEqual(readBack(), [1, 2, 3], "the library changed: the rule in codec.ts can be looked at again");
  const smuggled = { data: Float32Array.of(1) } as unknown;
  t.throws(() => encodeMessage(smuggled as { readonly data: number }), { message: /cannot go over the wire/ });
});

test("a tensor whose data does not fill its shape is a broken invariant of the sender", (t) => {
  t.throws(() => encodeMessage({ v: 1 }, { input: { dt: "<f4", sh: [2], data: new Float32Array(3) } }), {
    message: /do not fill/,
  });
});

test("truncated and mutated bytes are refused or read, and never throw", (t) => {
  const whole = encodeMessage(
    { v: 1, id: "abc", priority: 5, explain: true, list: [1, 2.5, null, "x"], deep: { a: { b: 1 } } },
    { input: { dt: "<f4", sh: [4], data: Float32Array.of(1, 2, 3, 4) } },
  );
  for (let end = 0; end < whole.byteLength; end += 1) t.is(decodeMessage(whole.subarray(0, end)).kind, "refused");
  const edit = fc.record({ at: fc.nat(whole.byteLength - 1), to: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const mutated = Uint8Array.from(whole);
      for (const { at, to } of edits) mutated[at] = to;
      const decoded = decodeMessage(mutated);
      if (decoded.kind === "message") readTensor(decoded.fields.input, "input");
    }),
    { numRuns: 3_000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeMessage(bytes)),
    { numRuns: 2_000 },
  );
});

const hostile: Readonly<Record<string, { readonly bytes: readonly number[]; readonly says: RegExp }>> = {
  "an array that claims four billion items": {
    bytes: [0x81, 0xa1, 0x61, 0xdd, 0xff, 0xff, 0xff, 0xff],
    says: /claims more items/,
  },
  "a map that claims four billion entries": { bytes: [0xdf, 0xff, 0xff, 0xff, 0xff], says: /entries/ },
  "bytes that claim a gigabyte": { bytes: [0x81, 0xa1, 0x61, 0xc6, 0x40, 0, 0, 0], says: /ends before/ },
  "an extension type": { bytes: [0x81, 0xa1, 0x61, 0xd4, 0x00, 0x00], says: /extension/ },
  "msgpackr's own error extension": { bytes: [0x81, 0xa1, 0x61, 0xc7, 1, 0x65, 0x90], says: /extension/ },
  "the same key twice": { bytes: [0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2], says: /twice/ },
  "no name at all twice": { bytes: [0x82, 0xa0, 1, 0xa0, 2], says: /twice/ },
  "the key __proto__": { bytes: [0x81, 0xa9, ...Buffer.from("__proto__"), 0x80], says: /__proto__/ },
  "a key that is a number": { bytes: [0x81, 0x01, 0x01], says: /key must be a string/ },
  "bytes after the end": { bytes: [0x80, 0x01], says: /after the end/ },
  "nothing at all": { bytes: [], says: /one msgpack map/ },
  "a list instead of a map": { bytes: [0x90], says: /one msgpack map/ },
  "the byte that msgpack never uses": { bytes: [0x81, 0xa1, 0x61, 0xc1], says: /extension/ },
};
for (const [what, { bytes, says }] of Object.entries(hostile)) {
  test(`${what} is refused with a sentence`, (t) => {
    const decoded = decodeMessage(Uint8Array.from(bytes));
    t.is(decoded.kind, "refused");
    t.regex(decoded.kind === "refused" ? decoded.message : "", says);
  });
}

test("a repeated key is found in maps of any size, next to keys that nearly equal it", (t) => {
  for (const size of [2, 3, 15, 16, 17, 300]) {
    const names = Array.from({ length: size }, (_, index) => `key${`${index}`.padStart(3, "0")}`);
    const mapOf = (keys: readonly string[]): Uint8Array => {
      const head = [0x81, 0xa1, 0x61, 0xde, keys.length >> 8, keys.length & 0xff];
      return Uint8Array.from([...head, ...keys.flatMap((name) => [0xa0 | name.length, ...Buffer.from(name), 1])]);
    };
    t.is(decodeMessage(mapOf(names)).kind, "message");
    for (const twice of [0, size - 2]) {
      const decoded = decodeMessage(mapOf([...names.slice(0, -1), names[twice] ?? ""]));
      t.regex(decoded.kind === "refused" ? decoded.message : "", /twice/, `${size} keys`);
    }
    t.is(decodeMessage(mapOf([...names.slice(0, -1), ""])).kind, "message");
  }
});

test("a key may be written longer than it needs, as some encoders do, and is the same key", (t) => {
  const key = Buffer.from("id");
  const leads = [[0xa2], [0xd9, 2], [0xda, 0, 2], [0xdb, 0, 0, 0, 2]];
  for (const lead of leads) {
    const decoded = decodeMessage(Uint8Array.from([0x81, ...lead, ...key, 0xa1, 0x78]));
    t.deepEqual(decoded.kind === "message" ? decoded.fields : decoded, { id: "x" });
    const twice = decodeMessage(Uint8Array.from([0x82, ...lead, ...key, 1, 0xa2, ...key, 1]));
    t.regex(twice.kind === "refused" ? twice.message : "", /twice/);
  }
  const long = decodeMessage(Uint8Array.from([0x81, 0xda, 1, 0, ...Buffer.alloc(256, "k"), 1]));
  t.regex(long.kind === "refused" ? long.message : "", /key must be a string of at most 255 bytes/);
});

test("nesting is bounded, so that no stack overflows", (t) => {
  const bytes = Buffer.concat([
    Uint8Array.from([0x81, 0xa1, 0x61]),
    new Uint8Array(1_000_000).fill(0x91),
    Uint8Array.of(0x01),
  ]);
  const decoded = decodeMessage(bytes);
  t.regex(decoded.kind === "refused" ? decoded.message : "", /nested deeper/);
});

const ref = { id: "0123456789abcdef".repeat(2), n: 2, crc: 7, ask: "_INBOX.client.a.b" };
function byReference(change: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { v: 1, dt: "|u1", sh: [2], ref: { ...ref, ...change } };
}

test("a tensor by reference goes over the wire and back, with and without a place in shared memory", (t) => {
  const place = { host: "boot-1:2a", file: "77-12345/0123456789abcdef0123456789abcdef" };
  for (const more of [{}, place]) {
    const { n: bytes, ...rest } = { ...ref, ...more };
    const remote = { dt: "|u1", sh: [2], ref: { ...rest, bytes } } as const;
    const decoded = decodeMessage(encodeMessage({ input: plainRemote(remote) }));
    if (decoded.kind !== "message") return t.fail(decoded.message);
    t.deepEqual(readTensorOrRef(decoded.fields.input, "input"), { kind: "remote", remote });
  }
});

const badReferences: Readonly<Record<string, readonly [Readonly<Record<string, unknown>>, string]>> = {
  "an id of other characters": [byReference({ id: "x".repeat(32) }), "input.ref.id"],
  "a short id": [byReference({ id: "0123" }), "input.ref.id"],
  "a number of bytes that type and shape do not have": [byReference({ n: 2 ** 40 }), "input.ref.n"],
  "no number of bytes": [byReference({ n: undefined }), "input.ref.n"],
  "a checksum of 33 bits": [byReference({ crc: 2 ** 32 }), "input.ref.crc"],
  "a subject to ask on that is no inbox": [byReference({ ask: "driftmend.infer.digits" }), "input.ref.ask"],
  "a wildcard to ask on": [byReference({ ask: "_INBOX.client.>" }), "input.ref.ask"],
  "a subject of two words": [byReference({ ask: "_INBOX.client a" }), "input.ref.ask"],
  "a file outside the directory": [byReference({ file: "../../etc/passwd" }), "input.ref.file"],
  "a file by its whole path": [byReference({ file: "/dev/shm/1-1/a" }), "input.ref.file"],
  "a host that is no text": [byReference({ host: 7 }), "input.ref.host"],
  "both bytes and a reference": [{ ...byReference({}), d: new Uint8Array(2) }, "input.ref"],
  "a reference that is no map": [{ v: 1, dt: "|u1", sh: [2], ref: [1] }, "input.ref"],
};
for (const [what, [tensor, field]] of Object.entries(badReferences)) {
  test(`a tensor by reference with ${what} is refused and names ${field}`, (t) => {
    t.like(readTensorOrRef(tensor, "input"), { kind: "refused", code: "bad_tensor", field });
  });
}

const badTensors: Readonly<Record<string, { readonly tensor: unknown; readonly field: string }>> = {
  "no map": { tensor: 7, field: "input" },
  "a later version": { tensor: { v: 2, dt: "<f4", sh: [], d: new Uint8Array(4) }, field: "input.v" },
  "an unknown element type": { tensor: { v: 1, dt: ">f4", sh: [], d: new Uint8Array(4) }, field: "input.dt" },
  "a name from Object.prototype as type": {
    tensor: { v: 1, dt: "toString", sh: [], d: new Uint8Array(4) },
    field: "input.dt",
  },
  "a negative size": { tensor: { v: 1, dt: "<f4", sh: [-1], d: new Uint8Array(4) }, field: "input.sh" },
  "a shape whose product overflows": {
    tensor: { v: 1, dt: "|u1", sh: [2 ** 30, 2 ** 30, 2 ** 30], d: new Uint8Array(4) },
    field: "input.sh",
  },
  "too few bytes": { tensor: { v: 1, dt: "<f4", sh: [2], d: new Uint8Array(4) }, field: "input.d" },
  "text instead of bytes": { tensor: { v: 1, dt: "|u1", sh: [2], d: "ab" }, field: "input.d" },
  "a reference": { tensor: { v: 1, dt: "|u1", sh: [2], ref: "shm" }, field: "input.ref" },
  "a right reference, where only bytes are taken": { tensor: byReference({}), field: "input.ref" },
};
for (const [what, { tensor, field }] of Object.entries(badTensors)) {
  test(`a tensor with ${what} is refused and names ${field}`, (t) => {
    const read = readTensor(tensor, "input");
    t.like(read, { kind: "refused", code: "bad_tensor", field });
  });
}

test("a message is written into memory of the caller's own where it fits, the same bytes, else into new memory", (t) => {
  const tensor = { dt: "<f4", sh: [300], data: new Float32Array(300).fill(0.25) } as const;
  const alone = encodeMessage({ v: 1, id: "x" }, { input: tensor });
  const room = Buffer.alloc(4_096, 0xff);
  const inside = encodeMessage({ v: 1, id: "x" }, { input: tensor }, room);
  t.is(inside.buffer, room.buffer);
  t.deepEqual(Buffer.from(inside), Buffer.from(alone));
  t.not(encodeMessage({ v: 1, id: "x" }, { input: tensor }, Buffer.alloc(100)).buffer, room.buffer);
});
