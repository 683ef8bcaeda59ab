// The phi-accrual detector: pure, times are arguments.

import test from "ava";
import {
  AccrualDetector,
  type AccrualSettings,
  accrualDefaults,
  suspicionMax,
} from "../../supervision/process/accrual-detector.js";

const strict: AccrualSettings = { expectedIntervalMs: 1_000, window: 10, minDeviationMs: 100, acceptablePauseMs: 0 };

function beating(settings: AccrualSettings, intervalsMs: readonly number[]) {
  const detector = new AccrualDetector(settings);
  let atMs = 0;
  detector.heard(atMs);
  for (const interval of intervalsMs) {
    atMs += interval;
    detector.heard(atMs);
  }
  return { detector, atMs };
}

const regular = (count: number, ms = 1_000) => Array.from({ length: count }, () => ms);

test("phi is minus log10 of the chance that a live one is later still (Hayashibara 2004)", (t) => {
  const { detector, atMs } = beating(strict, regular(10));
  // The normal distribution's upper tail at 0, 1, 2 and 3 deviations.
  for (const [deviations, tail] of [
    [0, 0.5],
    [1, 0.158_655],
    [2, 0.022_75],
    [3, 0.001_35],
  ] as const) {
    const suspicion = detector.suspicion(atMs + 1_000 + 100 * deviations);
    t.true(Math.abs(10 ** -suspicion - tail) < 2e-4, `${deviations} deviations`);
  }
});

test("nothing is suspected before the first heartbeat", (t) => {
  const detector = new AccrualDetector(accrualDefaults);
  t.is(detector.suspicion(1e9), 0);
  t.is(detector.samples, 0);
});

test("suspicion grows with the silence, never falls meanwhile, and ends with a heartbeat", (t) => {
  const { detector, atMs } = beating(accrualDefaults, regular(20));
  let before = 0;
  for (let silent = 0; silent < 20_000; silent += 50) {
    const now = detector.suspicion(atMs + silent);
    t.true(now >= before);
    before = now;
  }
  t.is(before, suspicionMax);
  detector.heard(atMs + 20_000);
  t.true(detector.suspicion(atMs + 20_100) < 0.1);
});

test("the detection time is where suspicion crosses the threshold (S2-37)", (t) => {
  for (const settings of [strict, accrualDefaults]) {
    const { detector, atMs } = beating(settings, [900, 1_100, 1_000, 950, 1_050]);
    for (const threshold of [1, 8, 12]) {
      const detectionMs = detector.detectionMs(threshold);
      t.true(detector.suspicion(atMs + detectionMs - 1) < threshold);
      t.true(detector.suspicion(atMs + detectionMs + 1) >= threshold);
    }
  }
});

test("a steady beat of one second is given up after about 3.6 s, and not for a pause of 1.5 s", (t) => {
  const { detector, atMs } = beating(accrualDefaults, regular(50));
  t.true(detector.suspicion(atMs + 2_500) < 1, "a pause of 1.5 s on top of the interval");
  const detectionMs = detector.detectionMs(8);
  t.true(detectionMs > 3_000 && detectionMs < 4_000, `${detectionMs}`);
});

test("an unsteady beat is given more time than a steady one: the detector adapts", (t) => {
  const unsteady = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? 400 : 1_600));
  const steady = beating(accrualDefaults, regular(40)).detector;
  t.true(beating(accrualDefaults, unsteady).detector.detectionMs(8) > steady.detectionMs(8) + 1_000);
});

test("the window is bounded, and forgets", (t) => {
  const { detector } = beating(strict, [...regular(10, 5_000), ...regular(10, 1_000)]);
  t.is(detector.samples, 10);
  t.true(detector.detectionMs(8) < 2_000);
});

test("one long silence that was survived does not make it blind to the next", (t) => {
  const { detector, atMs } = beating(accrualDefaults, [...regular(20), 600_000]);
  t.true(detector.suspicion(atMs + 10_000) > 8);
});

test("an excused silence is neither suspicious nor an interval", (t) => {
  const { detector, atMs } = beating(accrualDefaults, regular(20));
  const before = detector.detectionMs(8);
  detector.excuse(atMs + 60_000);
  t.true(detector.suspicion(atMs + 60_100) < 1);
  t.is(detector.samples, 20);
  t.is(detector.detectionMs(8), before);
  t.true(detector.suspicion(atMs + 60_000 + before + 1) >= 8, "and silence after it is suspected as ever");
});
