// The standing of looks: scores worked out by hand, when views are tried, when the source takes over.
import test from "ava";
import { domainsMax } from "../../models/adaptation/domains.js";
import {
  emptyStanding,
  entropy,
  foldDensity,
  foldLooks,
  forget,
  judgeFloor,
  kindsOf,
  plain,
  type Standing,
  scoreOf,
  standingOf,
} from "../../models/adaptation/standing.js";
import { smallCalibration } from "./small-world.js";

const calibration = {
  ...smallCalibration(),
  classes: 2,
  density: { mean: 0.9, deviation: 0.05, low: 0.8, high: 0.85 },
};
const views = 3;
const { source, beside } = kindsOf(views);
const [sureA, sureB, unsure] = [Float32Array.of(1, 0), Float32Array.of(0, 1), Float32Array.of(0.5, 0.5)];

const near = (found: number, expected: number): boolean => Math.abs(found - expected) < 1e-6;

function looks(standing: Standing, kind: number, density: number, answers: readonly Float32Array[], domain = 2): void {
  for (const answer of answers) foldLook(standing, domain, kind, density, answer);
}

/** Takes one look in, alone of its row. */
function foldLook(standing: Standing, domain: number, kind: number, density: number, answer: Float32Array): void {
  foldLooks(standing, domain, [{ kind, density, answer }], 2);
}

const scoreIn = (standing: Standing, kind: number): number => scoreOf(standing, 2, kind, 2);

const eight = (a: Float32Array, b = a): readonly Float32Array[] => [a, b, a, b, a, b, a, b];

test("the plain look is kind 0, views follow, then the source and the plain look beside it", (t) => {
  t.deepEqual(kindsOf(0), { source: 1, beside: 2, count: 3 });
  t.deepEqual(kindsOf(16), { source: 17, beside: 18, count: 19 });
  t.is(emptyStanding(calibration, views).looks.length, domainsMax * 6);
});

test("entropy is in nats: two equal chances have ln 2, a sure answer none", (t) => {
  t.true(near(entropy(unsure), Math.LN2));
  t.is(entropy(sureA), 0);
  t.true(
    near(entropy(Float64Array.of(0.2, 0.3, 0.5)), -(0.2 * Math.log(0.2) + 0.3 * Math.log(0.3) + 0.5 * Math.log(0.5))),
  );
});

test("the score is density and a share of the mutual information between input and answer", (t) => {
  const standing = emptyStanding(calibration, views);
  looks(standing, 0, 0.8, eight(sureA, sureB));
  t.true(near(scoreIn(standing, 0), 0.8 + 0.115), "sure and different: the whole of it");
  looks(standing, 1, 0.8, eight(unsure));
  t.true(near(scoreIn(standing, 1), 0.8), "unsure: none");
  looks(standing, 2, 0.8, eight(sureA));
  t.true(near(scoreIn(standing, 2), 0.8), "always the same: none");
  // Answers (0.9, 0.1) and (0.2, 0.8) by turns: their mean is (0.55, 0.45), of 0.6881388 nats; they have 0.3250830 and 0.5004024 themselves.
  looks(standing, 3, 0.6, eight(Float32Array.of(0.9, 0.1), Float32Array.of(0.2, 0.8)));
  t.true(near(scoreIn(standing, 3), 0.6 + (0.115 * (0.6881388 - (0.325083 + 0.5004024) / 2)) / Math.LN2));
});

test("a view that turns everything into one dense class stands below sure answers that differ", (t) => {
  const standing = emptyStanding(calibration, views);
  looks(standing, 1, 0.9, eight(sureA));
  looks(standing, 2, 0.8, eight(sureA, sureB));
  t.true(scoreIn(standing, 2) > scoreIn(standing, 1));
  t.true((standing.densities[2 * 6 + 1] ?? 0) > (standing.densities[2 * 6 + 2] ?? 0), "although it is denser");
  t.deepEqual(standingOf(standing, calibration, 2).best, [2, 1]);
});

test("fewer than eight looks say nothing", (t) => {
  const standing = emptyStanding(calibration, views);
  looks(standing, 1, 0.8, eight(sureA, sureB).slice(1));
  t.true(Number.isNaN(scoreIn(standing, 1)));
  looks(standing, 1, 0.8, [sureA]);
  t.true(near(scoreIn(standing, 1), 0.915));
});

test("the first looks count alike, later ones three hundredths each", (t) => {
  const standing = emptyStanding(calibration, views);
  for (const density of [0.2, 0.4, 0.9]) foldLook(standing, 2, 1, density, sureA);
  t.true(near(standing.densities[2 * 6 + 1] ?? 0, 0.5), "their mean");
  for (let i = 0; i < 200; i++) foldLook(standing, 2, 1, 0.5, sureA);
  foldLook(standing, 2, 1, 1, sureB);
  t.true(near(standing.densities[2 * 6 + 1] ?? 0, 0.515));
  t.true(near(standing.answers[(2 * 6 + 1) * 2 + 1] ?? 0, 0.03));
});

test("a domain is worth more looks once its running density is one deviation under the clean mean", (t) => {
  const standing = emptyStanding(calibration, views);
  const open = (domain = 2) => standingOf(standing, calibration, domain).open;
  t.false(open(), "it starts at the clean mean");
  // The level is 0.9 - 0.05 = 0.85. Rows of 0.5 bring the mean to 0.88, 0.861 and 0.84295.
  for (const mean of [0.88, 0.861]) {
    foldDensity(standing, 2, 0.5);
    t.true(near(standing.running[2] ?? 0, mean));
    t.false(open());
  }
  foldDensity(standing, 2, 0.5);
  t.true(near(standing.running[2] ?? 0, 0.84295));
  t.true(open());
  t.false(open(1), "another domain is not");
  for (let i = 0; i < 20; i++) foldDensity(standing, 2, 0.9);
  t.false(open(), "and it closes again");
});

test("a model without views is never worth more looks", (t) => {
  const standing = emptyStanding(calibration, 0);
  for (let i = 0; i < 50; i++) foldDensity(standing, 2, 0);
  t.false(standingOf(standing, calibration, 2).open);
});

test("it is surveyed after forty looks beside which the views looked", (t) => {
  const standing = emptyStanding(calibration, views);
  looks(standing, plain, 0.8, Array(39).fill(sureA));
  t.false(standingOf(standing, calibration, 2).surveyed);
  looks(standing, plain, 0.8, [sureA]);
  t.true(standingOf(standing, calibration, 2).surveyed);
});

test("the best two views by score: the plain look and those hardly seen are none of them, the earlier one of equals comes first", (t) => {
  const standing = emptyStanding(calibration, views);
  looks(standing, plain, 0.99, eight(sureA, sureB));
  t.deepEqual(standingOf(standing, calibration, 2).best, []);
  looks(standing, 2, 0.5, eight(sureA));
  looks(standing, 3, 0.7, eight(sureA).slice(1));
  t.deepEqual(standingOf(standing, calibration, 2).best, [2]);
  looks(standing, 3, 0.7, [sureA]);
  looks(standing, 1, 0.5, eight(sureA));
  t.deepEqual(standingOf(standing, calibration, 2).best, [3, 1]);
  const { scores } = standingOf(standing, calibration, 2);
  t.deepEqual(
    scores.map((score) => Number(score.toFixed(4))),
    [1.105, 0.5, 0.5, 0.7],
  );
  t.true(standingOf(standing, calibration, 0).scores.every(Number.isNaN));
});

/** `count` looks of the source and beside it, at these densities; how often the floor changed. */
function judged(standing: Standing, count: number, ofSource: number, adapted: number): number {
  let changes = 0;
  for (let i = 0; i < count; i++) {
    foldLook(standing, 2, source, ofSource, i % 2 === 0 ? sureA : sureB);
    foldLook(standing, 2, beside, adapted, i % 2 === 0 ? sureA : sureB);
    if (judgeFloor(standing, 2)) changes += 1;
  }
  return changes;
}

/** How much denser the source's looks are than the plain ones beside. */
const leadOf = ({ densities }: Standing): number =>
  (densities[2 * 6 + source] ?? Number.NaN) - (densities[2 * 6 + beside] ?? Number.NaN);

const floored = (standing: Standing): boolean => standingOf(standing, calibration, 2).floored;

/** Leads of the source in density: above the first it takes over, at or below the second it hands back. */
const [takesOver, handsBack] = [0.02, 0];

test("from eight looks on the source takes over where it lies denser by the lead, and hands back where its lead is gone", (t) => {
  const standing = emptyStanding(calibration, views);
  t.is(judged(standing, 7, 0.8, 0.7), 0);
  t.false(floored(standing), "seven looks are not enough");
  t.is(judged(standing, 1, 0.8, 0.7), 1);
  t.true(floored(standing));
  t.deepEqual([...standing.counts], [1, 0, 0]);
  // The adapted model gets better: over sixteen looks its mean is (0.7 + x) / 2, here one thousandth short of handing back.
  t.is(judged(standing, 8, 0.8, 2 * (0.8 - handsBack - 0.001) - 0.7), 0);
  t.true(leadOf(standing) < takesOver && leadOf(standing) > handsBack);
  t.true(floored(standing), "a lead keeps it with which it would not have begun");
  // Over seventeen looks a mean gains 0.05 / 17 = 0.003 by one that is 0.05 above it.
  t.is(judged(standing, 1, 0.8, 0.8 - handsBack + 0.049), 1);
  t.false(floored(standing));
  t.deepEqual([...standing.counts], [1, 1, 0]);
});

test("at the boundaries: half a thousandth less than the lead does not take over, half a thousandth more does; so for handing back", (t) => {
  for (const [above, taken] of [
    [-0.0005, 0],
    [0.0005, 1],
  ] as const) {
    const standing = emptyStanding(calibration, views);
    t.is(judged(standing, 7, 0.8, 0.8 - takesOver - above), 0);
    t.is(judged(standing, 1, 0.8, 0.8 - takesOver - above), taken);
    t.is(judged(standing, 200, 0.8, 0.8 - takesOver - above), 0, "however many looks");
    t.is(floored(standing), taken === 1);
  }
  for (const [above, back] of [
    [0.0005, 0],
    [-0.0005, 1],
  ] as const) {
    const standing = emptyStanding(calibration, views);
    t.is(judged(standing, 8, 0.8, 0.7), 1);
    // Eight looks of 0.7 and eight of x have the mean (0.7 + x) / 2, and all the way there it rises.
    const x = 2 * (0.8 - handsBack - above) - 0.7;
    t.is(judged(standing, 7, 0.8, x), 0);
    t.is(judged(standing, 1, 0.8, x), back);
    t.is(floored(standing), back === 0);
  }
});

test("a lead that wavers between the two keeps a domain where it is, with the source or without", (t) => {
  const [fresh, returned] = [emptyStanding(calibration, views), emptyStanding(calibration, views)];
  t.is(judged(returned, 8, 0.8, 0.7), 1);
  const [middle, span] = [(takesOver + handsBack) / 2, takesOver - handsBack];
  for (let i = 0; i < 300; i++)
    for (const standing of [fresh, returned]) {
      const lead = middle + (i % 2 === 0 ? 0.4 : -0.4) * span;
      t.is(judged(standing, 1, 0.8, 0.8 - lead), 0);
    }
  t.true(Math.abs(leadOf(fresh) - leadOf(returned)) < 1e-4, "what they know is the same by now");
  t.deepEqual([floored(fresh), floored(returned)], [false, true]);
});

test("a source that is denser because it answers everything alike takes over: over requests of nearly one class, sure answers that differ are the sign of the worse model", (t) => {
  const standing = emptyStanding(calibration, views);
  const changed: number[] = [];
  for (let i = 0; i < 40; i++) {
    foldLook(standing, 2, source, 0.83, sureA);
    foldLook(standing, 2, beside, 0.78, i % 2 === 0 ? sureA : sureB);
    if (judgeFloor(standing, 2)) changed.push(i);
  }
  t.deepEqual(changed, [7], "the eighth look");
  t.true(floored(standing));
  t.true(scoreIn(standing, source) < scoreIn(standing, beside), "with mutual information it would not have");
});

test("a source whose sure answers differ does not take over by that", (t) => {
  const standing = emptyStanding(calibration, views);
  for (let i = 0; i < 40; i++) {
    foldLook(standing, 2, source, 0.78, i % 2 === 0 ? sureA : sureB);
    foldLook(standing, 2, beside, 0.83, sureA);
    t.false(judgeFloor(standing, 2));
  }
  t.true(scoreIn(standing, source) > scoreIn(standing, beside), "although its score is the higher one");
});

test("the floor is judged by looks at the same requests: plain looks and views at others play no part", (t) => {
  const standing = emptyStanding(calibration, views);
  looks(standing, plain, 0.99, Array(40).fill(sureA));
  looks(standing, 1, 0.99, Array(40).fill(sureA));
  t.is(judged(standing, 8, 0.8, 0.7), 1);
  const other = emptyStanding(calibration, views);
  looks(other, plain, 0.1, Array(40).fill(sureA));
  t.is(judged(other, 8, 0.7, 0.8), 0);
});

test("a domain is judged by its own looks", (t) => {
  const standing = emptyStanding(calibration, views);
  t.is(judged(standing, 24, 0.8, 0.7), 1);
  for (const domain of [1, 3]) {
    t.false(judgeFloor(standing, domain));
    const { floored: isFloored, proven } = standingOf(standing, calibration, domain);
    t.deepEqual([isFloored, proven], [false, false]);
  }
});

test("it is proven which does better after twenty-four looks of the source, whichever it is", (t) => {
  for (const [ofSource, adapted] of [
    [0.8, 0.7],
    [0.7, 0.8],
  ] as const) {
    const standing = emptyStanding(calibration, views);
    const proven = () => standingOf(standing, calibration, 2).proven;
    for (const kind of [plain, 1, views, beside]) looks(standing, kind, 0.5, Array(30).fill(sureA));
    t.false(proven(), "looks of another kind prove nothing");
    judged(standing, 23, ofSource, adapted);
    t.false(proven());
    judged(standing, 1, ofSource, adapted);
    t.true(proven());
    forget(standing, calibration, 2);
    t.false(proven(), "a domain that begins in its place is compared anew");
  }
});

test("(T2) when the leading look is less dense than it used to be, another drift has come: what is known of the views is forgotten", (t) => {
  const standing = emptyStanding(calibration, views);
  looks(standing, plain, 0.5, eight(sureA, sureB));
  looks(standing, 1, 0.9, eight(sureA, sureB));
  judged(standing, 24, 0.9, 0.7);
  const knows = () => standingOf(standing, calibration, 2);
  t.deepEqual(knows().best, [1]);
  // The surprise: 0.1 (0.6 - 0.9) = -0.03, which is less than 0.04. Its own mean is 0.9 - 0.3 / 9 = 0.8666667 now.
  foldLook(standing, 2, 1, 0.6, sureA);
  t.true(near(standing.surprise[2] ?? 0, -0.03));
  t.deepEqual(knows().best, [1]);
  // -0.03 + 0.1 (0.6 - 0.8666667 + 0.03) = -0.0536667.
  foldLook(standing, 2, 1, 0.6, sureB);
  t.deepEqual(knows().best, []);
  t.true(knows().scores.every(Number.isNaN), "the plain look's score, too");
  t.false(knows().surveyed);
  t.is(standing.surprise[2], 0);
  t.is(standing.counts[2], 1);
  t.true(knows().floored, "the floor is judged by the same drift's rows, side by side: it stays");
  t.true(knows().proven);
  t.is(standing.looks[2 * 6 + source], 24);
  looks(standing, 1, 0.3, eight(sureA, sureB));
  t.true(near(scoreIn(standing, 1), 0.3 + 0.115), "what comes then counts as if nothing had been");
});

test("density that goes up and down around its mean, or falls for a look that does not lead, is no other drift", (t) => {
  const standing = emptyStanding(calibration, views);
  looks(standing, 1, 0.9, eight(sureA, sureB));
  looks(standing, 2, 0.8, eight(sureA, sureB));
  for (let i = 0; i < 300; i++) {
    foldLook(standing, 2, 1, i % 2 === 0 ? 0.95 : 0.85, i % 2 === 0 ? sureA : sureB);
    foldLook(standing, 2, 2, 0.1, i % 2 === 0 ? sureA : sureB);
  }
  t.is(standing.counts[2], 0);
  t.deepEqual(standingOf(standing, calibration, 2).best, [1, 2]);
});

test("a domain that begins in another's place knows nothing of it, and the others keep what they know", (t) => {
  const standing = emptyStanding(calibration, views);
  for (const domain of [1, 2, 3]) {
    foldDensity(standing, domain, 0.1);
    looks(standing, 1, 0.7, eight(sureA, unsure), domain);
  }
  judged(standing, 20, 0.9, 0.7);
  t.true(floored(standing));
  foldLook(standing, 2, 1, 0.5, sureA);
  t.not(standing.surprise[2], 0);
  const [before, fresh] = [structuredClone(standing), emptyStanding(calibration, views)];
  forget(standing, calibration, 2);
  t.deepEqual(standingOf(standing, calibration, 2), standingOf(fresh, calibration, 2));
  t.is(standing.surprise[2], 0);
  t.deepEqual(standing.answers.subarray(2 * 12, 3 * 12), new Float32Array(12));
  for (const domain of [1, 3])
    t.deepEqual(standingOf(standing, calibration, domain), standingOf(before, calibration, domain));
  t.deepEqual(standing.counts, before.counts, "what has happened has happened");
});
