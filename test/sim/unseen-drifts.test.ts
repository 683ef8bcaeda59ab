// The ten drifts held back from tuning: pure functions that wear the source model down, and the streams made of them.
import { readFile } from "node:fs/promises";
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { pictureSize } from "../../models/digits/idx.js";
import { openSession } from "../../models/serving/onnx-session.js";
import { drawDigit, loadDigitPool } from "../../sim/digits.js";
import { driftNames, type Severity } from "../../sim/drift.js";
import { driftingStream, type Sample, unseenVariants, type Variant, variants } from "../../sim/stream.js";
import { unseenDrift, unseenDriftNames } from "../../sim/unseen-drifts.js";

const pool = await loadDigitPool();
const session = await openSession(await readFile("models/digits/source.onnx"));
const severities: readonly Severity[] = [1, 2, 3, 4, 5];
const random = seededRandom(11);
const digits = Array.from({ length: 200 }, () => drawDigit(pool, random));
const picture = digits[0]?.picture ?? new Float32Array();
const names: ReadonlySet<string> = new Set(unseenDriftNames);

test.after.always(() => session.close());

function take(variant: Variant, seed: number, count: number, segment?: readonly [number, number]): Sample[] {
  const stream = driftingStream({ pool, variant, seed, ...(segment && { segment }) });
  return Array.from({ length: count }, () => stream.next().value);
}

/** Share of the digits that the source model still reads. */
async function sourceAccuracy(inputs: readonly Float32Array[]): Promise<number> {
  const rows = new Float32Array(inputs.length * pictureSize);
  for (const [row, input] of inputs.entries()) rows.set(input, row * pictureSize);
  const logits = await session.run(rows, inputs.length);
  const classes = logits.length / inputs.length;
  const read = digits.filter(({ label }, row) => {
    const own = logits.subarray(row * classes, (row + 1) * classes);
    return own.indexOf(Math.max(...own)) === label;
  });
  return read.length / inputs.length;
}

for (const name of unseenDriftNames) {
  test(`${name} gives ink between 0 and 1, changes the picture, leaves the original alone, and repeats for a seed`, (t) => {
    const before = picture.slice();
    for (const severity of severities) {
      const drifted = unseenDrift(name, severity, picture, seededRandom(7));
      t.is(drifted.length, pictureSize);
      t.true(drifted.every((ink) => ink >= 0 && ink <= 1));
      // Chance may lose only rows that held no ink: of several pictures it does not.
      const changed = [7, 8, 9, 10].map((seed) => unseenDrift(name, severity, picture, seededRandom(seed)));
      t.true(changed.some((other) => other.some((ink, i) => ink !== picture[i])));
      t.deepEqual(unseenDrift(name, severity, picture, seededRandom(7)), drifted);
    }
    t.deepEqual(picture, before);
  });

  test.serial(`${name} takes more of the source model's answers the severer it is, from few to most`, async (t) => {
    const clean = await sourceAccuracy(digits.map((digit) => digit.picture));
    t.true(clean > 0.95);
    const left: number[] = [];
    for (const severity of severities) {
      const chance = seededRandom(severity);
      left.push(await sourceAccuracy(digits.map((digit) => unseenDrift(name, severity, digit.picture, chance))));
    }
    left.forEach((accuracy, i) => {
      t.true(accuracy < (left[i - 1] ?? clean) + 0.05, `${left}`);
    });
    const [mildest = 0, severest = 1] = [left[0], left[4]];
    t.true(mildest > 0.8 && mildest < clean && severest > 0.15 && severest < 0.35, `${left}`);
  });
}

test("a picture of another size is refused", (t) => {
  t.throws(() => unseenDrift("tilt", 1, new Float32Array(783), seededRandom(1)), { instanceOf: RangeError });
});

test("no drift that settings are chosen on is among those held back, and no stream that is taken by default holds one", (t) => {
  t.is(names.size, 10);
  for (const name of driftNames) t.false(names.has(name));
  for (const variant of variants) {
    t.false(unseenVariants.includes(variant));
    t.false(take(variant, 1, 200, [3, 5]).some((sample) => names.has(sample.drift)));
  }
});

for (const variant of unseenVariants) {
  test(`${variant} yields only these drifts, each once per round, at severity 2 to 4`, (t) => {
    const samples = take(variant, 5, 600, [30, 60]);
    const runs: { drift: string; severity: number; requests: number }[] = [];
    for (const { drift, severity } of samples) {
      const last = runs.at(-1);
      if (last?.drift === drift && last.severity === severity) last.requests++;
      else runs.push({ drift, severity, requests: 1 });
    }
    t.true(samples.every((sample) => names.has(sample.drift)));
    const round = runs.slice(0, 10);
    t.deepEqual(round.map((run) => run.drift).sort(), [...names].sort());
    for (const { requests, severity } of round) {
      t.true(requests >= 30 && requests <= 60);
      t.true(severity >= 2 && severity <= 4);
    }
  });

  test(`equal seeds give equal ${variant} streams, other seeds other ones`, (t) => {
    t.deepEqual(take(variant, 3, 40), take(variant, 3, 40));
    t.notDeepEqual(take(variant, 3, 40), take(variant, 4, 40));
  });
}

test("unseen mixes the classes, unseenBursts sends them in bursts", (t) => {
  const classesOfFifty = (variant: Variant) => {
    const seen = take(variant, 2, 1000, [10, 10]);
    const starts = Array.from({ length: 20 }, (_, i) => 50 * i);
    return starts.reduce((sum, at) => sum + new Set(seen.slice(at, at + 50).map(({ label }) => label)).size, 0) / 20;
  };
  t.true(classesOfFifty("unseen") > 8);
  t.true(classesOfFifty("unseenBursts") < 6);
});
