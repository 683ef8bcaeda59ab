// What learning reads, cut short and with bits turned over: a typed refusal or sound numbers, within a bounded time, never anything else.
//
// A calibration on disk is vouched for by the manifest's sha256 (manifest.test.ts) and a snapshot by its own checksum; here both are read as if
// whoever checks had been fooled.
import test from "ava";
import fc from "fast-check";
import { type Calibration, readCalibration, writeCalibration } from "../../models/calibration.js";
import { seededRandom } from "../../models/clock.js";
import type { Subject } from "../../models/manifest.js";
import { BlocksError } from "../../models/numbers/blocks.js";
import { applyTask, checksum, foldExperience, type Policy, sourcePolicy } from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import { plainLearner } from "./live-through.js";
import { answersOf, smallCalibration, smallSubject, taskFor } from "./small-world.js";

/** Where the JSON head of a run of blocks ends, padding included. */
function headEnd(bytes: Uint8Array): number {
  return 12 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
}

/** Bits anywhere, as many of them in the head as in all the rest: one bit there turns a length, a name or a number over. */
function flips(bytes: Uint8Array): fc.Arbitrary<readonly (readonly [number, number])[]> {
  const anywhere = fc.oneof(fc.nat(headEnd(bytes) - 1), fc.nat(bytes.length - 1));
  return fc.array(fc.tuple(anywhere, fc.nat(7)), { minLength: 1, maxLength: 4 });
}

function flipped(bytes: Uint8Array, bits: readonly (readonly [number, number])[]): Uint8Array {
  const changed = bytes.slice();
  for (const [place, bit] of bits) changed[place] = (changed[place] ?? 0) ^ (1 << bit);
  return changed;
}

/** Cuts at every place of the head, and at some of every block. */
function cuts(bytes: Uint8Array): number[] {
  const head = Array.from({ length: headEnd(bytes) }, (_, i) => i);
  const rest = Array.from(
    { length: 100 },
    (_, i) => headEnd(bytes) + Math.floor(((bytes.length - headEnd(bytes)) * i) / 100),
  );
  return [...head, ...rest, bytes.length - 1];
}

function isSound(calibration: Calibration): boolean {
  const { classes, width, channels, anchorCount, anchorLabels, variance } = calibration;
  const lengths: readonly (readonly [Float32Array, number])[] = [
    [calibration.head, (width + 1) * classes],
    [calibration.anchorEmbeddings, anchorCount * width],
    [calibration.anchors, anchorCount * width],
    [calibration.mean, channels],
    [calibration.gamma, channels],
    [calibration.beta, channels],
    [calibration.classMean, classes * channels],
    [calibration.classSquare, classes * channels],
  ];
  const { mean, deviation, low, high } = calibration.density;
  return (
    lengths.every(([values, length]) => values.length === length && values.every(Number.isFinite)) &&
    variance.every((value) => value >= 0 && Number.isFinite(value)) &&
    anchorLabels.every((label) => label < classes) &&
    [mean, deviation, low, high, calibration.eps, calibration.momentDistance99].every(Number.isFinite)
  );
}

/** What reading made of the bytes. Anything thrown but BlocksError fails the test. */
function readingOf(bytes: Uint8Array): Calibration | "refused" {
  try {
    return readCalibration(bytes);
  } catch (error) {
    if (error instanceof BlocksError) return "refused";
    throw error;
  }
}

const subject = smallSubject();

async function learned(of: Subject, steps: number): Promise<Policy> {
  const policy = sourcePolicy(of);
  const random = seededRandom(5);
  for (let seq = 1; seq <= 3; seq++)
    foldExperience(policy, seq, answersOf(subject, [0, 1, 2, 0, 1, 2], random, 0.6), of);
  for (let seq = 1; seq <= steps; seq++)
    await applyTask(policy, seq, taskFor({ seq: 3, index: seq }, 0), plainLearner, of);
  return policy;
}

const calibrationBytes = writeCalibration(smallCalibration());

test("every truncation of a calibration is refused by BlocksError", (t) => {
  for (const length of cuts(calibrationBytes))
    t.is(readingOf(calibrationBytes.slice(0, length)), "refused", `${length}`);
});

test("a calibration with bits turned over is refused, or every number in it is sound and a step on it leaves a sound head", async (t) => {
  const seen = { refused: 0, taken: 0 };
  await fc.assert(
    fc.asyncProperty(flips(calibrationBytes), async (bits) => {
      const found = readingOf(flipped(calibrationBytes, bits));
      seen[found === "refused" ? "refused" : "taken"] += 1;
      if (found === "refused") return;
      t.true(isSound(found));
      const { head, served } = await learned({ ...subject, calibration: found }, 1);
      t.true(head.every(Number.isFinite) && served.every(Number.isFinite));
    }),
    { numRuns: 1_500, seed: 3 },
  );
  t.true(seen.refused > 100 && seen.taken > 100, JSON.stringify(seen));
});

const policy = await learned(subject, 4);
const snapshot = encodePolicy(policy);

test("every truncation of a snapshot is refused with a reason", (t) => {
  for (const length of cuts(snapshot)) {
    const found = decodePolicy(snapshot.slice(0, length), subject);
    t.true(found.kind === "refused" && found.why.length > 0, `${length}`);
  }
  t.is(decodePolicy(Uint8Array.of(...snapshot, 0), subject).kind, "refused");
});

test("a snapshot with bits turned over is refused with a reason, or it is the same state, bit for bit", (t) => {
  const seen = { refused: 0, policy: 0 };
  fc.assert(
    fc.property(flips(snapshot), (bits) => {
      const found = decodePolicy(flipped(snapshot, bits), subject);
      seen[found.kind] += 1;
      // What is taken differs at most in what nothing depends on: padding, and counters for people.
      if (found.kind === "policy") t.is(checksum(found.policy), checksum(policy));
      else t.true(found.why.length > 0);
    }),
    { numRuns: 1_500, seed: 3 },
  );
  t.true(seen.refused > 500, JSON.stringify(seen));
});

test("parameters that are not finite are refused although the checksum was made of them", (t) => {
  for (const name of ["head", "served", "firstMoment", "secondMoment"] as const)
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const broken = { ...policy, [name]: policy[name].slice().fill(value, 5, 6) };
      const found = decodePolicy(encodePolicy(broken), subject);
      t.regex(found.kind === "refused" ? found.why : "taken", /a parameter is not finite/, name);
    }
});
