// Class-balanced moments on a model of two classes and two channels, small enough to compute by hand.
import test from "ava";
import type { Calibration } from "../../models/calibration.js";
import { ClassShifts } from "../../models/class-shifts.js";
import { seededRandom } from "../../models/clock.js";
import {
  chooseSlot,
  foldMoments,
  momentDistance,
  normalisation,
  sourceMoments,
  sourceNormalisation,
} from "../../models/moments.js";

const calibration: Calibration = {
  channels: 2,
  firstLayerChannels: 1,
  classes: 2,
  width: 1,
  mean: Float32Array.of(1, -2),
  variance: Float32Array.of(4, 1),
  gamma: Float32Array.of(2, 0.5),
  beta: Float32Array.of(0.25, 0),
  eps: 1e-5,
  classMean: Float32Array.of(0.5, -2.5, 1.5, -1.5),
  classSquare: Float32Array.of(5, 5, 6, 6),
  anchors: new Float32Array(5),
  anchorLabels: new Uint8Array(5),
  anchorCount: 5,
  anchorEmbeddings: new Float32Array(5),
  density: { mean: 0.9, deviation: 0.05, low: 0.8, high: 0.85 },
  momentDistance99: 0.5,
  head: new Float32Array(4),
};

const rowLength = 4;
const cleanMean = Float32Array.of(1, -2, 0, 0);
const farMean = Float32Array.of(11, -2, 0, 0);

test("rings as they start give exactly the source's scale and shift", (t) => {
  t.deepEqual(normalisation(sourceMoments(calibration), calibration), sourceNormalisation(calibration));
});

test("the source's scale and shift are those of batch normalisation", (t) => {
  const { scale, shift } = sourceNormalisation(calibration);
  t.is(scale[0], Math.fround(2 / Math.sqrt(4 + 1e-5)));
  t.true(Math.abs((shift[0] ?? 0) - (0.25 - 1)) < 1e-5);
  t.true(Math.abs((shift[1] ?? 0) - 1) < 1e-4);
});

test("a shift of every class moves mean and variance as far as its size deserves", (t) => {
  const moments = sourceMoments(calibration);
  // Channel 0: first moments +2, second +10 in every class. Channel 1 stays.
  for (let i = 0; i < 6; i++) {
    foldMoments(moments, 0, Float32Array.of(2.5, -2.5, 15, 5));
    foldMoments(moments, 1, Float32Array.of(3.5, -1.5, 16, 6));
  }
  const d = 4 / (4 + 1e-5) / 2;
  const w = d / (d + 0.01);
  const mu = 1 + 2 * w;
  const variance = 4 + 1 + 10 * w - mu * mu;
  const factor = 2 / Math.sqrt(variance + 1e-5);
  const { scale, shift } = normalisation(moments, calibration);
  t.true(Math.abs((scale[0] ?? 0) - factor) < 1e-6);
  t.true(Math.abs((shift[0] ?? 0) - (0.25 - mu * factor)) < 1e-6);
  t.is(scale[1], sourceNormalisation(calibration).scale[1]);
});

test("a burst of one class weighs no more than its one ring", (t) => {
  const once = sourceMoments(calibration);
  const often = sourceMoments(calibration);
  for (let i = 0; i < 6; i++) foldMoments(once, 0, farMean);
  for (let i = 0; i < 600; i++) foldMoments(often, 0, farMean);
  t.deepEqual(normalisation(often, calibration), normalisation(once, calibration));
});

test("a ring forgets its oldest row first", (t) => {
  const moments = sourceMoments(calibration);
  for (let i = 0; i < 7; i++) foldMoments(moments, 1, new Float32Array(rowLength).fill(i));
  const ring = moments.rings.subarray(6 * rowLength, 12 * rowLength);
  t.deepEqual(
    Array.from({ length: 6 }, (_, place) => ring[place * rowLength]),
    [6, 1, 2, 3, 4, 5],
  );
  t.deepEqual(moments.cursors, Uint8Array.of(0, 1));
});

test("a variance estimate below zero does not blow a channel up into NaN", (t) => {
  const moments = sourceMoments(calibration);
  for (let i = 0; i < 6; i++) foldMoments(moments, 0, Float32Array.of(100, 100, 0, 0));
  const { scale, shift } = normalisation(moments, calibration);
  t.true([...scale, ...shift].every(Number.isFinite));
});

test("rows of the wrong length and slots that are no class are refused", (t) => {
  const moments = sourceMoments(calibration);
  t.throws(() => foldMoments(moments, 0, new Float32Array(3)), { instanceOf: RangeError });
  for (const slot of [-1, 2, 0.5, Number.NaN]) {
    t.throws(() => foldMoments(moments, slot, new Float32Array(rowLength)), { instanceOf: RangeError });
  }
});

test("the moment distance is the first layer's mean squared shift in source variances", (t) => {
  t.is(momentDistance(calibration, cleanMean), 0);
  t.true(Math.abs(momentDistance(calibration, farMean) - 100 / (4 + 1e-5)) < 1e-9);
});

test("an input that looks clean goes to the predicted class, without asking chance", (t) => {
  const row = { logits: Float32Array.of(0, 3), moments: cleanMean, density: 0 };
  const refuse = () => t.fail("asked for chance");
  t.is(
    chooseSlot(calibration, row, () => {
      refuse();
      return 0;
    }),
    1,
  );
});

test("a drifted input goes to the predicted class when it lies densely, and anywhere when it does not", (t) => {
  const random = seededRandom(1);
  const shareOfPredicted = (density: number) => {
    const row = { logits: Float32Array.of(0, 3), moments: farMean, density };
    let predicted = 0;
    for (let i = 0; i < 2000; i++) predicted += chooseSlot(calibration, row, random);
    return predicted / 2000;
  };
  t.true(shareOfPredicted(0.95) > 0.99);
  t.true(Math.abs(shareOfPredicted(0.1) - 0.5) < 0.05);
});

test("sums that are kept give the bits of sums made anew, whatever rings moved in between", (t) => {
  const moments = sourceMoments(calibration);
  const kept = new ClassShifts(calibration, moments.perClass);
  const chance = seededRandom(77);
  for (let round = 0; round < 40; round += 1) {
    for (let rows = Math.floor(chance() * 4); rows > 0; rows -= 1) {
      const slot = Math.floor(chance() * calibration.classes);
      foldMoments(
        moments,
        slot,
        Float32Array.from({ length: 2 * calibration.channels }, () => chance()),
      );
      kept.moved(slot);
    }
    t.deepEqual(normalisation(moments, calibration, kept), normalisation(moments, calibration));
  }
});

test("negative control: a ring that moved without a word leaves its sum behind", (t) => {
  const moments = sourceMoments(calibration);
  const kept = new ClassShifts(calibration, moments.perClass);
  normalisation(moments, calibration, kept);
  foldMoments(moments, 0, new Float32Array(2 * calibration.channels).fill(3));
  t.notDeepEqual(normalisation(moments, calibration, kept), normalisation(moments, calibration));
});
