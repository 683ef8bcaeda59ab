// The tensor map as other languages write and read it: python3 with msgpack and numpy, in both directions.

import { execFileSync, spawnSync } from "node:child_process";
import test from "ava";
import {
  type Dtype,
  decodeMessage,
  dtypes,
  encodeMessage,
  itemBytes,
  readTensor,
} from "../../transport/messages/codec.js";

/** Debian's own interpreter first: another one on the PATH may lack the modules. */
const python = ["/usr/bin/python3", "python3"].find(
  (candidate) => spawnSync(candidate, ["-c", "import msgpack, numpy"], { stdio: "ignore" }).status === 0,
);
const ifPython = python === undefined ? test.skip : test;

function runPython(script: string, input: Uint8Array): Buffer {
  return execFileSync(python ?? "", ["-c", script], { input });
}

/** Reads a message, doubles the tensor with numpy where it is a number, and writes it the plain way: no padding, d last. */
const echo = `
import sys, msgpack, numpy
m = msgpack.unpackb(sys.stdin.buffer.read(), raw=False)
t = m["input"]
a = numpy.frombuffer(t["d"], dtype=t["dt"]).reshape(t["sh"])
assert a.tobytes() == t["d"]
b = a if t["dt"] == "|b1" else (a + a).astype(t["dt"])
sys.stdout.buffer.write(msgpack.packb({"v": 1, "id": m["id"] + "-py", "big": 2**40,
  "input": {"v": 1, "dt": t["dt"], "sh": list(b.shape), "d": b.tobytes()}}))
`;

for (const dt of dtypes) {
  ifPython(`python reads and writes ${dt} (S2-24)`, (t) => {
    const input = sample(dt);
    const decoded = decodeMessage(runPython(echo, encodeMessage({ v: 1, id: "ä" }, { input })));
    if (decoded.kind !== "message") return t.fail(decoded.message);
    t.is(decoded.fields.id, "ä-py");
    t.is(decoded.fields.big, 2 ** 40);
    const read = readTensor(decoded.fields.input, "input");
    if (read.kind !== "tensor") return t.fail(read.message);
    t.is(read.tensor.dt, dt);
    t.deepEqual([...read.tensor.sh], [2, 3]);
    t.deepEqual([...read.tensor.data], expected(dt));
    return undefined;
  });
}

/** [2, 3] of 0 to 5; for half floats the bits of 1.0, for truth values 0 and 1. */
function sample(dt: Dtype) {
  const bytes = new Uint8Array(6 * itemBytes(dt));
  const read = readTensor({ v: 1, dt, sh: [2, 3], d: bytes }, "t");
  if (read.kind !== "tensor") throw new Error(read.message);
  const { tensor } = read;
  for (let index = 0; index < 6; index += 1) {
    if (tensor.data instanceof BigInt64Array || tensor.data instanceof BigUint64Array)
      tensor.data[index] = BigInt(index);
    else tensor.data[index] = dt === "<f2" ? 0x3c00 : dt === "|b1" ? index % 2 : index;
  }
  return tensor;
}

function expected(dt: Dtype): (number | bigint)[] {
  const doubled = [0, 2, 4, 6, 8, 10];
  if (dt === "<i8" || dt === "<u8") return doubled.map(BigInt);
  if (dt === "<f2") return doubled.map(() => 0x4000);
  return dt === "|b1" ? [0, 1, 0, 1, 0, 1] : doubled;
}

ifPython("python reads a scalar and an empty tensor (S2-32, S2-33)", (t) => {
  const shapes = `
import sys, msgpack, numpy
m = msgpack.unpackb(sys.stdin.buffer.read(), raw=False)
for name in ("scalar", "empty"):
    x = m[name]
    a = numpy.frombuffer(x["d"], dtype=x["dt"]).reshape(x["sh"])
    print(name, a.shape, a.dtype.str, a.tolist())
`;
  const said = runPython(
    shapes,
    encodeMessage(
      { v: 1 },
      {
        scalar: { dt: "<f8", sh: [], data: Float64Array.of(2.5) },
        empty: { dt: "<i4", sh: [0, 7], data: new Int32Array(0) },
      },
    ),
  );
  t.is(said.toString(), "scalar () <f8 2.5\nempty (0, 7) <i4 []\n");
});
