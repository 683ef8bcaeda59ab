// The ten drifts as pure functions, and the streams made of them.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { loadDigitPool } from "../../sim/digits.js";
import { drift, driftNames, type Severity } from "../../sim/drift.js";
import { driftingStream, type Sample, type Variant, variants } from "../../sim/stream.js";

const pool = await loadDigitPool();
const severities: readonly Severity[] = [1, 2, 3, 4, 5];

function take(variant: Variant, seed: number, count: number, segment?: readonly [number, number]): Sample[] {
  const stream = driftingStream({ pool, variant, seed, ...(segment && { segment }) });
  return Array.from({ length: count }, () => stream.next().value);
}

const picture = take("clean", 1, 1)[0]?.picture ?? new Float32Array();

for (const name of driftNames) {
  test(`${name} gives ink between 0 and 1, changes the picture, leaves the original alone, and repeats for a seed`, (t) => {
    const before = picture.slice();
    for (const severity of severities) {
      const drifted = drift(name, severity, picture, seededRandom(7));
      t.is(drifted.length, 784);
      t.true(drifted.every((ink) => ink >= 0 && ink <= 1));
      t.notDeepEqual(drifted, picture);
      t.deepEqual(drift(name, severity, picture, seededRandom(7)), drifted);
    }
    t.deepEqual(picture, before);
  });

  test(`${name} goes farther from the original at severity 5 than at 1`, (t) => {
    const distance = (severity: Severity) => {
      let sum = 0;
      drift(name, severity, picture, seededRandom(7)).forEach((ink, i) => {
        sum += (ink - (picture[i] ?? 0)) ** 2;
      });
      return sum;
    };
    t.true(distance(5) > distance(1));
  });
}

test("a picture of another size is refused", (t) => {
  t.throws(() => drift("rotate", 1, new Float32Array(783), seededRandom(1)), { instanceOf: RangeError });
});

test("equal seeds give equal streams, other seeds other ones", (t) => {
  for (const variant of variants) {
    t.deepEqual(take(variant, 3, 120), take(variant, 3, 120));
    t.notDeepEqual(take(variant, 3, 120), take(variant, 4, 120));
  }
});

test("ten drifts follow each other, each once per round, 300 to 600 requests at severity 2 to 4", (t) => {
  const samples = take("iid", 5, 6000);
  const runs: { drift: string; severity: number; requests: number }[] = [];
  samples.forEach(({ drift: name, severity, index }, i) => {
    t.is(index, i);
    const last = runs.at(-1);
    if (last?.drift === name && last.severity === severity) last.requests++;
    else runs.push({ drift: name, severity, requests: 1 });
  });
  const round = runs.slice(0, 10);
  t.deepEqual(round.map((run) => run.drift).sort(), [...driftNames].sort());
  for (const { requests, severity } of round) {
    t.true(requests >= 300 && requests <= 600);
    t.true(severity >= 2 && severity <= 4);
  }
});

test("iid mixes the classes, noniid sends them in bursts", (t) => {
  const shareOfCommonest = (variant: Variant) => {
    const samples = take(variant, 2, 1000, [10, 10]);
    let sum = 0;
    for (let start = 0; start < 1000; start += 50) {
      const counts = new Uint8Array(10);
      for (const { label } of samples.slice(start, start + 50)) counts[label] = (counts[label] ?? 0) + 1;
      sum += Math.max(...counts) / 50;
    }
    return sum / 20;
  };
  t.true(shareOfCommonest("iid") < 0.35);
  t.true(shareOfCommonest("noniid") > 0.6);
});

test("clean streams hold untouched digits", (t) => {
  for (const variant of ["clean", "cleanBursts"] as const)
    t.true(take(variant, 1, 50).every((sample) => sample.drift === "none" && sample.severity === 0));
});

test("recurring drifts come back three by three, a clean stretch of a third of a segment after each round", (t) => {
  const round = 9 + 9 + 9 + 3;
  const names = take("recur", 1, 3 * round, [9, 9]).map((sample) => sample.drift);
  const first = names.slice(0, round);
  t.deepEqual(names.slice(round, 2 * round), first);
  t.deepEqual(names.slice(2 * round), first);
  t.is(new Set(first.slice(0, 27)).size, 3);
  t.deepEqual(first.slice(27), ["none", "none", "none"]);
  for (const start of [0, 9, 18]) t.is(new Set(first.slice(start, start + 9)).size, 1);
});

test("a mixed stream changes its drift with every request", (t) => {
  const names = take("mixed", 1, 100).map((sample) => sample.drift);
  t.deepEqual(names.slice(0, 10).sort(), [...driftNames].sort());
});
