import test from "ava";
import fc from "fast-check";
import { seededRandom } from "../../models/clock.js";
import { admit, classesHeld, correct, draw, emptyReplay, passBy, type Replay } from "../../models/learning/replay.js";

function unit(value: number): Float32Array {
  return Float32Array.of(value, 1);
}

function keysOf(replay: Replay, label: number): number[] {
  return Array.from(replay.keys.subarray(label * replay.perClass, (label + 1) * replay.perClass));
}

test("each class keeps its newest rows, and a burst of one class leaves the others alone", (t) => {
  const replay = emptyReplay(2, 3, 2);
  admit(replay, 1, 1, unit(1), false);
  for (let key = 2; key <= 50; key++) admit(replay, 0, key, unit(key), false);
  t.deepEqual(keysOf(replay, 0).sort(), [48, 49, 50]);
  t.deepEqual(keysOf(replay, 1), [1, -1, -1]);
});

test("a draw takes the classes in turn, whatever each holds", (t) => {
  const replay = emptyReplay(3, 12, 2);
  for (let key = 0; key < 12; key++) admit(replay, 0, key, unit(key), false);
  admit(replay, 2, 99, unit(99), false);
  const { votes, embeddings } = draw(replay, 32, seededRandom(1));
  t.is(votes.filter((vote) => vote === 0).length, 16);
  t.is(votes.filter((vote) => vote === 2).length, 16);
  for (const [row, vote] of votes.entries()) t.is(embeddings[2 * row] === 99, vote === 2);
});

test("equal chance draws equal material, another seed other material", (t) => {
  const replay = emptyReplay(3, 12, 2);
  for (let key = 0; key < 30; key++) admit(replay, key % 3, key, unit(key), false);
  t.deepEqual(draw(replay, 32, seededRandom(5)), draw(replay, 32, seededRandom(5)));
  t.notDeepEqual(draw(replay, 32, seededRandom(5)), draw(replay, 32, seededRandom(6)));
});

test("a late label moves a held row to its class and marks it verified", (t) => {
  const replay = emptyReplay(2, 3, 2);
  passBy(replay, 7, unit(7));
  admit(replay, 0, 7, unit(7), false);
  t.true(correct(replay, 7, 1));
  t.deepEqual(keysOf(replay, 0), [-1, -1, -1]);
  t.deepEqual(keysOf(replay, 1), [7, -1, -1]);
  t.is(replay.verified[3], 1);
  t.deepEqual(classesHeld(replay), [1]);
});

test("a late label makes material of an experience that was never trusted, unless it is too long ago", (t) => {
  const replay = emptyReplay(2, 3, 2);
  passBy(replay, 7, unit(7));
  t.true(correct(replay, 7, 1));
  for (let key = 100; key < 100 + 1024; key++) passBy(replay, key, unit(0));
  t.true(correct(replay, 7, 0), "held rows are found however old");
  t.true(correct(replay, 1123, 0));
  t.false(correct(replay, 8, 0));
});

test("verified rows are never pushed out by unverified ones and take at most half the places", (t) => {
  const step = fc.record({ label: fc.nat(1), verified: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const replay = emptyReplay(2, 4, 2);
      for (const [key, { label, verified }] of steps.entries()) {
        const before = replay.verified.reduce((sum, one) => sum + one, 0);
        admit(replay, label, key, unit(key), verified);
        const after = replay.verified.reduce((sum, one) => sum + one, 0);
        t.true(after >= before);
        for (const own of [0, 1]) {
          t.true(replay.verified.subarray(own * 4, own * 4 + 4).reduce((sum, one) => sum + one, 0) <= 2);
        }
      }
    }),
  );
});
