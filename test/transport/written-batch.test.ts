// The short way to a record, held to the long one: what it takes means the same, and whatever is laid out in another way is left alone.

import test from "ava";
import fc from "fast-check";
import type { ExperienceBatch } from "../../models/experience.js";
import { roundedToHalves } from "../../models/numbers/half.js";
import { decodeAnyExperience, decodeExperience, encodeExperience } from "../../transport/log/records.js";
import { writtenBatch } from "../../transport/log/written-batch.js";
import { encodeMessage } from "../../transport/messages/codec.js";
import { rewritten } from "./rewritten.js";

const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_.:/ ";
const name = (most: number) => fc.string({ minLength: 1, maxLength: most, unit: fc.constantFrom(...letters) });
const floats = (length: number) => fc.float32Array({ minLength: length, maxLength: length });
const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const halves = (length: number) => floats(length).map(roundedToHalves);

/** Any batch that a voter may write. */
const batches: fc.Arbitrary<ExperienceBatch> = fc
  .record({
    rows: fc.integer({ min: 1, max: 40 }),
    width: fc.integer({ min: 0, max: 9 }),
    looked: fc.integer({ min: 0, max: 40 }),
  })
  .chain(({ rows, width, looked }) =>
    fc.record({
      kind: fc.constant("answers" as const),
      model: name(64),
      node: name(64),
      incarnation: fc.maxSafeNat(),
      atMs: fc.double({ min: 0, max: 1e15, noNaN: true }),
      version: fc.nat(),
      ids: fc.array(name(128), { minLength: rows, maxLength: rows }),
      traceIds: fc.array(name(32), { minLength: rows, maxLength: rows }),
      ...{ cold: octets(rows), bySource: octets(rows), learn: octets(rows), slots: octets(rows) },
      answers: fc.uint16Array({ minLength: rows, maxLength: rows }),
      ...{ confidences: floats(rows), priorities: floats(rows), densities: halves(rows) },
      looks: fc.record({
        rows: fc
          .array(fc.nat(rows - 1), { minLength: looked, maxLength: looked })
          .map((of) => Uint16Array.from(of).sort()),
        kinds: octets(looked),
        densities: halves(looked),
        answers: halves(looked * 3),
      }),
      ...{ embeddings: floats(rows * width), logits: floats(rows * 3), moments: halves(rows * 2 * width) },
    }),
  );

/** The same bytes elsewhere in memory: columns lie on any boundary. */
function shifted(bytes: Uint8Array, by: number): Uint8Array {
  const moved = new Uint8Array(bytes.length + by + 3);
  moved.set(bytes, by);
  return moved.subarray(by, by + bytes.length);
}

test("what this version writes is read the short way, and is the same as the long way round, wherever it lies", (t) => {
  fc.assert(
    fc.property(batches, fc.nat(9), (batch, by) => {
      const bytes = shifted(encodeExperience(batch), by);
      const read = writtenBatch(bytes);
      t.deepEqual(read, batch);
      t.deepEqual(decodeAnyExperience(bytes), { kind: "ok", value: batch });
    }),
    { numRuns: 200 },
  );
});

test("bytes that were changed in any way are refused by both, left to the long way, or mean the same by either", (t) => {
  let [taken, left] = [0, 0];
  const change = fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(batches, fc.array(change, { minLength: 1, maxLength: 3 }), fc.nat(40), (batch, changes, cut) => {
      const whole = encodeExperience(batch);
      const bytes = whole.slice(0, cut < 5 ? whole.length - cut : whole.length);
      // Half of them where the structure is densest.
      for (const { at, to } of changes) bytes[at % (at % 2 === 0 ? bytes.length : 400)] = to;
      const read = writtenBatch(bytes);
      if (read === undefined) left += 1;
      else {
        taken += 1;
        t.deepEqual(decodeAnyExperience(bytes), { kind: "ok", value: read });
      }
    }),
    { numRuns: 3_000 },
  );
  t.true(taken > 100 && left > 100, `${taken} taken, ${left} left`);
});

test("another order, another field, letters beyond ASCII and late words go the long way, and are read", (t) => {
  const [batch] = fc.sample(batches, 1);
  if (batch === undefined) throw new Error("no sample");
  const bytes = encodeExperience(batch);
  const others = [
    encodeExperience({ ...batch, node: "knoten-ä" }),
    rewritten(bytes, (head, tensors) => encodeMessage(head, Object.fromEntries(Object.entries(tensors).reverse()))),
    rewritten(bytes, (head, tensors) => encodeMessage({ ...head, later: 1 }, tensors)),
    encodeExperience({
      ...{ kind: "label", model: "m", node: "n", atMs: 1, id: "r", label: 3 },
      of: { seq: 8, index: 1 },
    }),
  ];
  for (const [index, other] of others.entries()) {
    t.is(writtenBatch(other), undefined, `${index}`);
    t.is(decodeExperience(other).kind, "ok", `${index}`);
  }
});
