// Domains on a model of two classes and two channels, small enough to compute by hand.
import test from "ava";
import {
  chooseSlot,
  type Domains,
  domainsMax,
  emptyDomains,
  foldMoments,
  isLive,
  momentDistance,
  normalisation,
  place,
  sourceNormalisation,
} from "../../models/adaptation/domains.js";
import type { Calibration } from "../../models/calibration.js";
import { seededRandom } from "../../models/clock.js";

/** Signatures are (first mean - 1, first root mean square - 2), and reach one unit far. */
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
  signature: { size: 2, mean: Float32Array.of(1, 2), whitener: Float32Array.of(1, 0, 0, 1), limit: 1 },
  head: new Float32Array(4),
};

/** A row whose signature is (x, y). */
const rowAt = (x: number, y = 0): Float32Array => Float32Array.of(1 + x, -2, (2 + y) ** 2, 5);

function signatureIn({ signatures }: Domains, domain: number): number[] {
  return [...signatures.subarray(2 * domain, 2 * domain + 2)];
}

/** Answers a row as serving does: it is placed, and moves its domain's moments. */
function answer(domains: Domains, slot: number, row: Float32Array): number {
  const { domain } = place(domains, calibration, row);
  foldMoments(domains, calibration, domain, slot, row);
  return domain;
}

const close = (found: number | undefined, expected: number, within = 1e-5): boolean =>
  Math.abs((found ?? Number.NaN) - expected) < within;

test("a domain without rows has exactly the source's scale and shift (M2)", (t) => {
  const domains = emptyDomains(calibration);
  for (let domain = 0; domain < domainsMax; domain++)
    t.deepEqual(normalisation(domains, calibration, domain), sourceNormalisation(calibration));
  for (let i = 0; i < 30; i++) answer(domains, i % 2, rowAt(20));
  t.notDeepEqual(normalisation(domains, calibration, 1), sourceNormalisation(calibration));
  t.deepEqual(
    normalisation(domains, calibration, 0),
    sourceNormalisation(calibration),
    "another's rows are not its own",
  );
});

test("the source's scale and shift are those of batch normalisation", (t) => {
  const { scale, shift } = sourceNormalisation(calibration);
  t.is(scale[0], Math.fround(2 / Math.sqrt(4 + 1e-5)));
  t.true(close(shift[0], 0.25 - 1));
  t.true(close(shift[1], 1));
});

test("a shift of every class moves mean and variance as far as its size and its rows deserve", (t) => {
  const domains = emptyDomains(calibration);
  // Channel 0: first moments +2, second +10 in every class. Channel 1 stays. Twelve rows: half of what there will be.
  for (let i = 0; i < 6; i++) {
    foldMoments(domains, calibration, 3, 0, Float32Array.of(2.5, -2.5, 15, 5));
    foldMoments(domains, calibration, 3, 1, Float32Array.of(3.5, -1.5, 16, 6));
  }
  const d = 4 / (4 + 1e-5) / 2;
  const w = ((d / (d + 0.01)) * 12) / (12 + 12);
  const mu = 1 + 2 * w;
  const variance = 4 + w * 10 - (2 * 1 * w * 2 + (w * 2) ** 2);
  const factor = 2 / Math.sqrt(variance + 1e-5);
  const { scale, shift } = normalisation(domains, calibration, 3);
  t.true(close(scale[0], factor, 1e-6));
  t.true(close(shift[0], 0.25 - mu * factor, 1e-6));
  t.deepEqual(
    [scale[1], shift[1]],
    [sourceNormalisation(calibration).scale[1], sourceNormalisation(calibration).shift[1]],
  );
});

/** The mean that a domain's scale and shift say channel 0 has. */
function meanIn(domains: Domains, domain: number): number {
  const { scale, shift } = normalisation(domains, calibration, domain);
  return (0.25 - (shift[0] ?? Number.NaN)) / (scale[0] ?? Number.NaN);
}

test("a burst of one class does not outweigh the other: each has its own mean, and only what all rows share weighs one row", (t) => {
  const domains = emptyDomains(calibration);
  for (let i = 0; i < 12; i++) foldMoments(domains, calibration, 1, 1, Float32Array.of(1.5, -1.5, 6, 6));
  for (let i = 0; i < 600; i++) foldMoments(domains, calibration, 1, 0, Float32Array.of(10.5, -2.5, 105, 5));
  // Class 0 is 10 off, class 1 is not; the pooled mean has forgotten the first twelve rows and is 10 off, too.
  const shift = (10 + (12 * 0 + 10) / 13) / 2;
  const d = shift ** 2 / (4 + 1e-5) / 2;
  const w = ((d / (d + 0.01)) * 60) / (60 + 12);
  t.true(close(meanIn(domains, 1), 1 + w * shift, 1e-3), `${meanIn(domains, 1)}`);
  t.true(meanIn(domains, 1) < 1 + w * 10 - 3, "a mean over all rows would follow the burst");
});

test("a class's mean spans its last rows: what it said long ago is forgotten", (t) => {
  const domains = emptyDomains(calibration);
  const cell = (2 * 1 + 0) * 4;
  for (let i = 0; i < 12; i++) foldMoments(domains, calibration, 1, 0, Float32Array.of(4.5, -2.5, 5, 5));
  t.true(close(domains.classShifts[cell], 4));
  foldMoments(domains, calibration, 1, 0, Float32Array.of(0.5, -2.5, 5, 5));
  t.true(close(domains.classShifts[cell], 4 - 4 / 12), "one row of twelve");
  for (let i = 0; i < 100; i++) foldMoments(domains, calibration, 1, 0, Float32Array.of(0.5, -2.5, 5, 5));
  t.true(close(domains.classShifts[cell], 0, 0.01));
  t.is(domains.classRows[2], 12);
  t.is(domains.pooledRows[1], 60);
});

test("a row further than the limit from all domains begins one, and its like come back to it", (t) => {
  const domains = emptyDomains(calibration);
  t.deepEqual(place(domains, calibration, rowAt(0.1)), { domain: 0, begun: false, ended: undefined });
  t.deepEqual(place(domains, calibration, rowAt(5)), { domain: 1, begun: true, ended: undefined });
  t.deepEqual(place(domains, calibration, rowAt(5.5)), { domain: 1, begun: false, ended: undefined });
  t.deepEqual(place(domains, calibration, rowAt(0, 5)), { domain: 2, begun: true, ended: undefined });
  t.deepEqual(place(domains, calibration, rowAt(0.2)), { domain: 0, begun: false, ended: undefined });
  t.deepEqual(place(domains, calibration, rowAt(5.2)), { domain: 1, begun: false, ended: undefined });
  t.deepEqual(
    [...domains.counts],
    [6, 2, 0, 4, 1],
    "six placed, two begun, none ended, four that were not of the domain before, the last of domain 1",
  );
  t.deepEqual([...domains.rows.subarray(0, 3)], [2, 3, 1]);
  t.deepEqual([...domains.lastUsed.subarray(0, 3)], [5, 6, 4]);
});

test("at the limit a row is not near any more; home reaches two thirds of it", (t) => {
  const domains = emptyDomains(calibration);
  t.is(place(domains, calibration, rowAt(-0.81)).domain, 0);
  t.deepEqual(place(domains, calibration, rowAt(-0.82)), { domain: 1, begun: true, ended: undefined });
  t.is(place(domains, calibration, rowAt(-1.81)).domain, 1);
  t.deepEqual(place(domains, calibration, rowAt(-2.9)), { domain: 2, begun: true, ended: undefined });
});

test("of two domains within reach the nearer one takes the row", (t) => {
  const domains = emptyDomains(calibration);
  t.is(place(domains, calibration, rowAt(1.2)).domain, 1);
  t.is(place(domains, calibration, rowAt(0.59)).domain, 0);
  t.is(place(domains, calibration, rowAt(0.61)).domain, 1);
});

test("a domain's signature is the mean of its rows, and of the last fifty or so once there are more", (t) => {
  const domains = emptyDomains(calibration);
  for (const [x, y] of [
    [5, 0],
    [5.5, 0.25],
    [5.25, 0.5],
  ] as const)
    t.is(place(domains, calibration, rowAt(x, y)).domain, 1);
  const [x, y] = signatureIn(domains, 1);
  t.true(close(x, 5.25) && close(y, 0.25));
  for (let i = 0; i < 200; i++) place(domains, calibration, rowAt(5.25, 0.25));
  const before = signatureIn(domains, 1)[0] ?? Number.NaN;
  place(domains, calibration, rowAt(6));
  t.true(close(signatureIn(domains, 1)[0], before + 0.02 * (6 - before)), "a fiftieth of the way");
});

test("home never moves, however many rows lie beside it (M4)", (t) => {
  const domains = emptyDomains(calibration);
  for (let i = 0; i < 500; i++) t.is(answer(domains, i % 2, rowAt(0.8)), 0);
  t.deepEqual(signatureIn(domains, 0), [0, 0]);
  t.is(domains.rows[0], 500);
  t.deepEqual(normalisation(domains, calibration, 0), sourceNormalisation(calibration), "and it stays the source's");
});

test("(M5) a domain that home's rows have moved home ends, and leaves its place empty", (t) => {
  const domains = emptyDomains(calibration);
  const far = place(domains, calibration, rowAt(0.9));
  t.deepEqual(far, { domain: 1, begun: true, ended: undefined });
  let placed = far;
  let rows = 0;
  for (; placed.ended === undefined && rows < 100; rows++) {
    // As near to home as a row may be that the domain still takes.
    const x = 0.52 * (signatureIn(domains, 1)[0] ?? Number.NaN);
    t.true(x > 0.15);
    foldMoments(domains, calibration, 1, 0, rowAt(x));
    placed = place(domains, calibration, rowAt(x));
  }
  t.deepEqual(placed, { domain: 0, begun: false, ended: 1 });
  t.false(isLive(domains, 1));
  t.deepEqual(signatureIn(domains, 1), [0, 0]);
  t.deepEqual([domains.rows[1], domains.pooledRows[1], domains.counts[2]], [0, 0, 1]);
  t.deepEqual(normalisation(domains, calibration, 1), sourceNormalisation(calibration));
  t.is(place(domains, calibration, rowAt(0.4)).domain, 0, "what it had taken is home's again");
  t.deepEqual(place(domains, calibration, rowAt(0, 0.9)), { domain: 1, begun: true, ended: undefined });
});

test("(M5) a domain whose rows stay a faint drift away from home stays, however many they are", (t) => {
  const domains = emptyDomains(calibration);
  place(domains, calibration, rowAt(0.9));
  for (let i = 0; i < 2_000; i++)
    t.deepEqual(place(domains, calibration, rowAt(0.46)), { domain: 1, begun: false, ended: undefined });
  t.true((signatureIn(domains, 1)[0] ?? 1) < 0.5);
});

/** Home and all fifteen others, each used `rows` times, in order. */
function full(rows: number): Domains {
  const domains = emptyDomains(calibration);
  answer(domains, 0, rowAt(0));
  for (let domain = 1; domain < domainsMax; domain++)
    for (let i = 0; i < rows; i++) answer(domains, i % 2, rowAt(10 * domain, 1));
  return domains;
}

test("the seventeenth domain takes the place of the one unused longest, and starts empty (M4)", (t) => {
  const domains = full(4);
  t.true(Array.from({ length: domainsMax }, (_, domain) => isLive(domains, domain)).every(Boolean));
  t.is(answer(domains, 0, rowAt(10, 1)), 1, "the first is used again");
  const untouched = normalisation(domains, calibration, 3);
  t.deepEqual(place(domains, calibration, rowAt(-30)), { domain: 2, begun: true, ended: 2 });
  t.deepEqual(signatureIn(domains, 2), [-30, 0]);
  t.is(domains.rows[2], 1);
  t.is(domains.pooledRows[2], 0);
  t.true(domains.classShifts.subarray(2 * 8, 3 * 8).every((value) => value === 0));
  t.true(domains.classRows.subarray(2 * 2, 3 * 2).every((value) => value === 0));
  t.true(domains.pooledShifts.subarray(2 * 4, 3 * 4).every((value) => value === 0));
  t.deepEqual(normalisation(domains, calibration, 2), sourceNormalisation(calibration));
  t.deepEqual(normalisation(domains, calibration, 3), untouched, "its neighbours are as they were");
  t.deepEqual([...domains.counts.subarray(1, 3)], [16, 1]);
  t.deepEqual(
    place(domains, calibration, rowAt(20, 1)),
    { domain: 3, begun: true, ended: 3 },
    "what ended begins anew",
  );
});

test("home is not the one that makes room, although it was used first", (t) => {
  const domains = full(1);
  for (let i = 1; i < 40; i++) t.not(place(domains, calibration, rowAt(-30 * i)).domain, 0);
  t.is(place(domains, calibration, rowAt(0)).domain, 0);
  t.is(domains.counts[2], 39);
});

test("two drifts that alternate do not blur each other: each has the bits that it would have alone", (t) => {
  const [alone, both] = [emptyDomains(calibration), emptyDomains(calibration)];
  const random = seededRandom(6);
  for (let i = 0; i < 80; i++) {
    const row = rowAt(6 + 0.3 * random(), 0.1 * random());
    t.is(answer(alone, i % 2, row), 1);
    t.is(answer(both, i % 2, row), 1);
    t.is(answer(both, (i + 1) % 2, rowAt(-6, 0.1 * random())), 2);
  }
  t.deepEqual(normalisation(both, calibration, 1), normalisation(alone, calibration, 1));
  t.deepEqual(signatureIn(both, 1), signatureIn(alone, 1));
  t.true(meanIn(both, 1) > 5.5 && meanIn(both, 2) < -3.5);
});

test("negative control: with a limit that nothing exceeds they blur to a mean between them", (t) => {
  const wide = { ...calibration, signature: { ...calibration.signature, limit: 1e9 } };
  const domains = emptyDomains(wide);
  for (let i = 0; i < 80; i++)
    for (const x of [6, -6]) foldMoments(domains, wide, place(domains, wide, rowAt(x)).domain, i % 2, rowAt(x));
  t.is(domains.counts[1], 0);
  t.true(Math.abs(meanIn(domains, 0) - 1) < 1);
});

test("equal rows in equal order give equal bits (M1)", (t) => {
  const run = (): Domains => {
    const random = seededRandom(12);
    const domains = emptyDomains(calibration);
    for (let i = 0; i < 300; i++) answer(domains, Math.floor(2 * random()), rowAt(40 * random(), 4 * random()));
    return domains;
  };
  const found = run();
  t.deepEqual(run(), found);
  t.true((found.counts[2] ?? 0) > 0, "some were dropped");
});

test("a variance estimate below zero does not blow a channel up into NaN", (t) => {
  const domains = emptyDomains(calibration);
  for (let i = 0; i < 60; i++) foldMoments(domains, calibration, 0, 0, Float32Array.of(100, 100, 0, 0));
  const { scale, shift } = normalisation(domains, calibration, 0);
  t.true([...scale, ...shift].every(Number.isFinite));
});

test("rows of the wrong length and slots that are no class are refused, and move nothing", (t) => {
  const domains = emptyDomains(calibration);
  t.throws(() => foldMoments(domains, calibration, 0, 0, new Float32Array(3)), { instanceOf: RangeError });
  for (const slot of [-1, 2, 0.5, Number.NaN])
    t.throws(() => foldMoments(domains, calibration, 0, slot, new Float32Array(4)), { instanceOf: RangeError });
  t.deepEqual(domains, emptyDomains(calibration));
});

test("the moment distance is the first layer's mean squared shift in source variances", (t) => {
  t.is(momentDistance(calibration, Float32Array.of(1, -2, 0, 0)), 0);
  t.true(close(momentDistance(calibration, Float32Array.of(11, 7, 0, 0)), 100 / (4 + 1e-5), 1e-9));
});

test("a row that lies densely moves the class it is answered as, one that does not moves whichever class", (t) => {
  const random = seededRandom(1);
  const many = (density: number) => {
    const chosen = Array.from({ length: 2_000 }, () =>
      chooseSlot(calibration, { logits: Float32Array.of(0, 3), density }, random),
    );
    return {
      predicted: chosen.filter(({ slot }) => slot === 1).length / 2_000,
      trusted: chosen.filter(({ trusted }) => trusted).length / 2_000,
    };
  };
  t.true(many(0.95).predicted > 0.99);
  const sparse = many(0.1);
  t.is(sparse.trusted, 0);
  t.true(Math.abs(sparse.predicted - 0.5) < 0.05);
  // At the level itself half are trusted, and of the others half fall on the class all the same.
  const level = many(0.8);
  t.true(Math.abs(level.trusted - 0.5) < 0.05 && Math.abs(level.predicted - 0.75) < 0.05);
});

test("(M3) every trusted slot is the model's own answer, whatever chance says", (t) => {
  for (const chance of [0, 0.3, 0.999]) {
    const { slot, trusted } = chooseSlot(calibration, { logits: Float32Array.of(2, 1), density: 5 }, () => chance);
    t.deepEqual([slot, trusted], [0, true]);
  }
});
