// An input that stays the bytes it came as is taken and refused as a copy of it would be, and comes out of a stack with the same bits.

import test from "ava";
import { standardNormal } from "../../models/chance.js";
import { seededRandom } from "../../models/clock.js";
import { prepareInput } from "../../models/manifest.js";
import { lengthOf, numbersIn, stacked, takeSent } from "../../models/serving/sent-input.js";
import { type Dtype, dtypes, elementsOf, itemBytes, tensorOver } from "../../transport/messages/codec.js";
import { smallSubject } from "./small-world.js";

const sh = [3, 7];
const elements = elementsOf(sh);

function manifestFor(dt: Dtype, scale: number, range: readonly [number, number]) {
  const { manifest } = smallSubject();
  return { ...manifest, input: { name: "input", shape: sh, accepts: [{ dt, scale }], range } };
}

/** The bytes behind `shift` others, as a message has them. */
function lying(bytes: Uint8Array, shift: number): Uint8Array {
  const message = new Uint8Array(bytes.length + shift);
  message.set(bytes, shift);
  return message.subarray(shift);
}

/** What a copy would give, and what the bytes themselves give, as numbers. */
function both(manifest: ReturnType<typeof manifestFor>, dt: Dtype, bytes: Uint8Array, shift = 0) {
  const sent = lying(bytes, shift);
  const numbers = () => tensorOver(dt, sh, sent).data;
  const copied = prepareInput(manifest, { dt, sh, data: numbers() });
  const taken = takeSent(manifest, { dt, sh }, sent, numbers);
  const plain = taken.kind === "ok" ? { kind: "ok", values: numbersIn(taken.values) } : taken;
  return { copied, plain, taken, sent };
}

function floats(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from({ length: elements }, (_, i) => values[i % values.length] ?? 0).buffer);
}

for (const dt of dtypes)
  test(`${dt} is taken or refused as a copy of it would be, wherever it lies`, (t) => {
    const random = seededRandom(5);
    const raw = (): Uint8Array => {
      if (dt === "<f4") return floats(Array.from({ length: elements }, () => standardNormal(random)));
      return Uint8Array.from({ length: elements * itemBytes(dt) }, () => Math.floor(256 * random()));
    };
    for (const scale of [1, 1 / 255])
      for (const range of [
        [0, 1],
        [-1e30, 1e30],
        [0, 255],
        [-1, 0.5],
      ] as const)
        for (let shift = 0; shift < 5; shift++) {
          const { copied, plain } = both(manifestFor(dt, scale, range), dt, raw(), shift);
          t.deepEqual(plain, copied, `scale ${scale}, range ${range}, behind ${shift} bytes`);
        }
  });

test("float32 at the model's scale stays the bytes that came; anything else is numbers of its own", (t) => {
  const { taken, sent } = both(manifestFor("<f4", 1, [0, 1]), "<f4", floats([0, 0.5, 1]), 3);
  t.is(taken.kind === "ok" ? taken.values : undefined, sent);
  const scaled = both(manifestFor("<f4", 0.5, [0, 1]), "<f4", floats([0, 0.5, 1]), 4);
  t.true(scaled.taken.kind === "ok" && scaled.taken.values instanceof Float32Array);
});

test("the ends of the range, both noughts and everything just beyond are judged as by comparison", (t) => {
  const [tiny, one] = [2 ** -149, 1 + 2 ** -23];
  const values = [0, -0, tiny, -tiny, 1, one, -1, Number.NaN, -Number.NaN, Number.POSITIVE_INFINITY, -1e30, 0.1];
  // 0.1 is no float32, and 1e-60 none but nought.
  for (const high of [1, 0.1, 1e-60, 3.5e38])
    for (const value of values) {
      const { plain, copied } = both(manifestFor("<f4", 1, [0, high]), "<f4", floats([0, 0, 0, value]));
      t.deepEqual(plain, copied, `${value} in 0 to ${high}`);
    }
});

test("too few and too many bytes are refused as a copy of them would be", (t) => {
  for (const length of [elements - 1, elements + 1]) {
    const bytes = new Uint8Array(4 * length);
    const data = new Float32Array(length);
    const manifest = manifestFor("<f4", 1, [0, 1]);
    t.deepEqual(
      takeSent(manifest, { dt: "<f4", sh }, bytes, () => data),
      prepareInput(manifest, { dt: "<f4", sh, data }),
    );
  }
});

test("rows are stacked with the bits they came with, whether they are numbers or bytes", (t) => {
  const random = seededRandom(9);
  const rows = Array.from({ length: 4 }, () => Float32Array.from({ length: elements }, () => standardNormal(random)));
  const inputs = rows.map((row, i) => (i % 2 === 0 ? row : lying(new Uint8Array(row.buffer), i)));
  t.deepEqual(stacked(inputs), Float32Array.from(rows.flatMap((row) => [...row])));
  t.deepEqual(inputs.map(lengthOf), [elements, elements, elements, elements]);
  t.deepEqual(inputs.map(numbersIn), rows);
});
