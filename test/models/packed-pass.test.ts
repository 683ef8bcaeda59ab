// What the engine's thread hands over: the same columns, in one piece of memory.

import test from "ava";
import type { Embedded } from "../../models/adaptation/pass.js";
import { packed } from "../../models/serving/packed-pass.js";

const logits = Float32Array.of(1, 2, 3, 4, 5, 6);
const none = {
  rows: new Uint16Array(),
  kinds: new Uint8Array(),
  densities: new Float32Array(),
  answers: new Float32Array(),
};
const oneLook: Embedded = {
  rows: 2,
  logits,
  plain: logits,
  embeddings: Float32Array.of(0.5, -0.5),
  moments: Float32Array.of(7, 8, 9, 10),
  density: Float32Array.of(0.9, 0.8),
  domains: Uint8Array.of(1, 16),
  bySource: Uint8Array.of(0, 1),
  looks: { ...none, weights: new Float32Array() },
};
const looked: Embedded = {
  ...oneLook,
  plain: Float32Array.of(6, 5, 4, 3, 2, 1),
  looks: {
    rows: Uint16Array.of(1, 1, 1),
    kinds: Uint8Array.of(0, 3, 2),
    densities: Float32Array.of(0.1, 0.2, 0.3),
    answers: Float32Array.from({ length: 9 }, (_, i) => i),
    weights: Float32Array.of(0.25, 0.75, 0),
  },
};

for (const [what, embedded] of [
  ["of one look each", oneLook],
  ["with further looks", looked],
] as const) {
  test(`a batch ${what} is handed over to the bit, all of it in one buffer`, (t) => {
    const { embedded: moved, buffer } = packed(embedded);
    t.deepEqual(moved, embedded);
    const { looks, rows: _, ...columns } = moved;
    for (const column of [...Object.values(columns), ...Object.values(looks)]) t.is(column.buffer, buffer);
  });
}

test("where nobody was looked at twice, the plain look is the answer's, and travels once", (t) => {
  const { embedded } = packed(oneLook);
  t.is(embedded.plain, embedded.logits);
  t.true(packed(looked).buffer.byteLength > packed(oneLook).buffer.byteLength);
});
