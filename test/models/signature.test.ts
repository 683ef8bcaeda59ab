// What a signature tells apart: clean rows of every content are near each other, inputs of another kind are not.
import test from "ava";
import { emptyDomains, place } from "../../models/adaptation/domains.js";
import { firstLayerOf, signatureBasis, signatureOf, squaredDistance } from "../../models/adaptation/signature.js";
import type { Calibration, SignatureBasis } from "../../models/calibration.js";
import { standardNormal } from "../../models/chance.js";
import { type Random, seededRandom } from "../../models/clock.js";
import { smallCalibration } from "./small-world.js";

/** Moments of one row: the first layer's means and root mean squares as given, then a layer of one channel that says nothing here. */
function rowOf(means: readonly number[], roots: readonly number[]): Float32Array {
  return Float32Array.of(...means, 99, ...roots.map((root) => root * root), 9_999);
}

function calibrationWith(firstLayerChannels: number, signature: SignatureBasis): Calibration {
  return { ...smallCalibration(), channels: firstLayerChannels + 1, firstLayerChannels, signature };
}

const squareOf = (calibration: Calibration, row: Float32Array): number => {
  const signature = signatureOf(calibration, row);
  return squaredDistance(signature, new Float64Array(signature.length));
};

/** Clean rows of `wide` channels: contents move two directions much, one little, all others hardly. */
function cleanRows(wide: number, count: number, random: Random): Float32Array[] {
  return Array.from({ length: count }, () => {
    const [much, also, little] = [standardNormal(random), standardNormal(random), 0.2 * standardNormal(random)];
    const means = Array.from(
      { length: wide },
      (_, c) => much * Math.sin(c) + also * Math.cos(c) + 0.01 * standardNormal(random),
    );
    const roots = Array.from(
      { length: wide },
      (_, c) => 8 + much * Math.cos(3 * c) + little + 0.01 * standardNormal(random),
    );
    return rowOf(means, roots);
  });
}

test("the first layer's means and root mean squares are taken, and nothing of the layers behind it", (t) => {
  const sizes = { channels: 3, firstLayerChannels: 2 };
  t.deepEqual([...firstLayerOf(sizes, Float32Array.of(1, -2, 77, 9, 16, 77))], [1, -2, 3, 4]);
  t.deepEqual(
    [...firstLayerOf(sizes, Float32Array.of(0, 0, 0, -1, 0, 0))],
    [0, 0, 0, 0],
    "a square that rounding made negative",
  );
});

test("by hand: four rows of one channel", (t) => {
  // Means 1 and -1, root mean square always 2: variances 1 and 0, in all 1. Factors 1 / sqrt(1 + 0.01) and 1 / sqrt(0 + 0.01) = 10.
  const rows = [1, -1, 1, -1].map((mean) => rowOf([mean], [2]));
  const basis = signatureBasis({ channels: 2, firstLayerChannels: 1 }, rows);
  t.is(basis.size, 2);
  t.deepEqual(basis.mean, Float32Array.of(0, 2));
  t.true(Math.abs(basis.limit - 3 / 1.01) < 1e-9, "three times the clean rows' own squared length, 1 / 1.01");
  const calibration = calibrationWith(1, basis);
  const expected: readonly (readonly [number, number, number])[] = [
    [0, 2, 0],
    [1, 2, 1 / 1.01],
    [1.7, 2, 2.89 / 1.01],
    [0, 2.2, 4],
    [1, 2.1, 1 / 1.01 + 1],
  ];
  for (const [mean, root, square] of expected)
    t.true(Math.abs(squareOf(calibration, rowOf([mean], [root])) - square) < 1e-5, `${mean}, ${root}`);
  t.true(squareOf(calibration, rowOf([1.7], [2])) < basis.limit, "content may vary as it did");
  t.true(
    squareOf(calibration, rowOf([0], [2.2])) > basis.limit,
    "a tenth more where nothing ever varied is another kind of input",
  );
});

test("whitened, clean rows have unit spread in every direction that content moves, none over it, and no two go together", (t) => {
  const random = seededRandom(4);
  const rows = cleanRows(5, 400, random);
  const basis = signatureBasis({ channels: 6, firstLayerChannels: 5 }, rows);
  const calibration = calibrationWith(5, basis);
  t.is(basis.size, 10);
  const signatures = rows.map((row) => signatureOf(calibration, row));
  const meanOf = (value: (signature: Float64Array) => number) =>
    signatures.reduce((sum, signature) => sum + value(signature), 0) / signatures.length;
  const variances: number[] = [];
  for (let i = 0; i < basis.size; i++) {
    t.true(Math.abs(meanOf((signature) => signature[i] ?? Number.NaN)) < 1e-3);
    for (let j = 0; j < i; j++)
      t.true(Math.abs(meanOf((s) => (s[i] ?? Number.NaN) * (s[j] ?? Number.NaN))) < 1e-3, `${i}, ${j}`);
    variances.push(meanOf((signature) => (signature[i] ?? Number.NaN) ** 2));
  }
  // v / (v + 0.01 of all): what content moves has nearly one, what hardly moves next to nothing.
  t.true(
    variances.every((variance) => variance <= 1 + 1e-3),
    `${variances}`,
  );
  t.is(variances.filter((variance) => variance > 0.9).length, 2, `${variances}`);
  const raw = rows.map((row) => firstLayerOf(calibration, row));
  const spread = (i: number) => {
    const mean = raw.reduce((sum, row) => sum + (row[i] ?? 0), 0) / raw.length;
    return raw.reduce((sum, row) => sum + ((row[i] ?? 0) - mean) ** 2, 0) / raw.length;
  };
  const total = Array.from({ length: 10 }, (_, i) => spread(i)).reduce((sum, value) => sum + value, 0);
  const unfloored = variances.map((variance) => (0.01 * total * variance) / (1 - variance));
  t.true(
    Math.abs(unfloored.reduce((sum, value) => sum + value, 0) / total - 1) < 0.01,
    "their variances are those of the rows",
  );
});

for (const [wide, size] of [
  [5, 10],
  [32, 64],
  [40, 64],
  [200, 64],
] as const)
  test(`${wide} channels give signatures of ${size}: clean rows stay within the limit, rows shifted alike are beyond it`, (t) => {
    const sizes = { channels: wide + 1, firstLayerChannels: wide };
    const basis = signatureBasis(sizes, cleanRows(wide, 300, seededRandom(1)));
    t.is(basis.size, size);
    t.is(basis.whitener.length, 2 * wide * size);
    const calibration = calibrationWith(wide, basis);
    const fresh = cleanRows(wide, 200, seededRandom(2));
    t.is(fresh.filter((row) => squareOf(calibration, row) >= basis.limit).length, 0);
    // Every channel a little higher: less than content moves a single one, and in no direction that content has.
    const shifted = fresh.map((row) => row.map((value, i) => (i < wide ? value + 1.5 : value)));
    t.is(shifted.filter((row) => squareOf(calibration, row) < basis.limit).length, 0);
    // And they are near each other: one drift, not two hundred.
    const [one, ...others] = shifted.map((row) => signatureOf(calibration, row));
    t.true(others.every((other) => squaredDistance(other, one ?? new Float64Array()) < basis.limit));
    t.deepEqual(signatureBasis(sizes, cleanRows(wide, 300, seededRandom(1))), basis, "the same rows, the same bits");
  });

test("a first layer that says the same of every input gives no NaN: there is one kind of input", (t) => {
  const rows = Array.from({ length: 12 }, () => rowOf([3, 0], [5, 0]));
  const basis = signatureBasis({ channels: 3, firstLayerChannels: 2 }, rows);
  t.true(basis.whitener.every((value) => value === 0));
  // The graph holds the limit as float32, halved: it must still be above nought there, or no row would ever be near home.
  t.true(Math.fround(basis.limit / 2) > 0, `${basis.limit}`);
  const calibration = calibrationWith(2, basis);
  const far = rowOf([-50, 8], [1_000, 0]);
  t.deepEqual([...signatureOf(calibration, far)], [0, 0, 0, 0]);
  t.deepEqual(place(emptyDomains(calibration), calibration, far), { domain: 0, begun: false, ended: undefined });
});

test("two rows are enough, and one direction is all they span", (t) => {
  const basis = signatureBasis({ channels: 2, firstLayerChannels: 1 }, [rowOf([0], [1]), rowOf([2], [1])]);
  t.true(basis.whitener.every(Number.isFinite) && Number.isFinite(basis.limit));
  t.deepEqual(basis.mean, Float32Array.of(1, 1));
});

test("distances are taken from where a domain's signature begins in the column", (t) => {
  t.is(squaredDistance(Float64Array.of(1, 2), Float32Array.of(9, 9, 4, 6), 2), 25);
});
