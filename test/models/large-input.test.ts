// A large input is brought to the model's scale where it lies, and comes out as a small one does, bit for bit.

import test from "ava";
import { standardNormal } from "../../models/chance.js";
import { seededRandom } from "../../models/clock.js";
import { prepareInput } from "../../models/manifest.js";
import { convertPortion, placeFor } from "../../models/serving/large-input.js";
import { type Dtype, dtypes, elementsOf, itemBytes, tensorOver } from "../../transport/messages/codec.js";
import { smallSubject } from "./small-world.js";

const sh = [3, 41];
const elements = elementsOf(sh);

function manifestFor(dt: Dtype, scale: number, range: readonly [number, number]) {
  const { manifest } = smallSubject();
  return { ...manifest, input: { name: "input", shape: sh, accepts: [{ dt, scale }], range } };
}

/** Raw elements of a type: whole numbers of both signs, or what floats there are. */
function raw(dt: Dtype): Uint8Array {
  const random = seededRandom(3);
  const bytes = Uint8Array.from({ length: elements * itemBytes(dt) }, () => Math.floor(256 * random()));
  if (dt === "<f4") return new Uint8Array(Float32Array.from({ length: elements }, () => standardNormal(random)).buffer);
  if (dt === "<f8") return new Uint8Array(Float64Array.from({ length: elements }, () => standardNormal(random)).buffer);
  return bytes;
}

for (const dt of dtypes)
  for (const scale of [1, 1 / 255])
    test(`(S2-49) ${dt} in place at scale ${scale.toFixed(3)} is what a copy would be, bit for bit`, (t) => {
      const manifest = manifestFor(dt, scale, [-1e30, 1e30]);
      const bytes = raw(dt);
      const expected = prepareInput(manifest, tensorOver(dt, sh, bytes.slice()));
      if (expected.kind !== "ok") return t.fail(expected.message);
      const place = placeFor(elements, itemBytes(dt));
      const memory = new Uint8Array(new SharedArrayBuffer(place.bytes));
      memory.set(bytes, place.offset);
      const { data } = tensorOver(dt, sh, memory.subarray(place.offset, place.offset + bytes.length));
      t.is(data.buffer, memory.buffer, "aligned, so it is read where it lies");
      const values = new Float32Array(memory.buffer, 0, elements);
      for (let from = 0; from < elements; from += 10)
        t.is(convertPortion(manifest, scale, data, values, from, Math.min(elements, from + 10)), undefined);
      t.deepEqual(Float32Array.from(values), expected.values);
    });

test("an element outside the model's range is named by its place in the whole input", (t) => {
  const manifest = manifestFor("<f4", 1, [0, 1]);
  const values = new Float32Array(elements).fill(0.5);
  values[70] = Number.NaN;
  t.is(convertPortion(manifest, 1, values, values, 0, 64), undefined);
  t.like(convertPortion(manifest, 1, values, values, 64, elements), {
    kind: "refused",
    field: "input.d",
    message: "element 70 is NaN; small takes 0 to 1",
  });
});
