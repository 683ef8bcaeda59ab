// Estimator, slot, vote, reward, gate, rate and priority on cases worked out on paper; the paper is in the comments.
//
// The plainer cases stand beside each function (domains.test.ts, vote.test.ts, reward.test.ts, gate.test.ts, rate.test.ts).
import test, { type ExecutionContext } from "ava";
import {
  chooseSlot,
  emptyDomains,
  foldMoments,
  momentDistance,
  normalisation,
} from "../../models/adaptation/domains.js";
import type { Calibration } from "../../models/calibration.js";
import { gate, isCold } from "../../models/judging/gate.js";
import { priority } from "../../models/judging/priority.js";
import { coherenceAt, reward } from "../../models/judging/reward.js";
import { learningRate } from "../../models/learning/rate.js";
import { castVotes, type Neighbour } from "../../models/memory/vote.js";
import { at } from "../../models/numbers/softmax.js";
import { defaults, type VoteStrategy } from "../../models/settings.js";

function near(t: ExecutionContext, found: number | undefined, expected: number, what: string): void {
  t.true(Math.abs((found ?? Number.NaN) - expected) < 1e-6, `${what}: ${found} instead of ${expected}`);
}

/** Two classes, two channels, the first of them the first layer; eps 0 keeps the paper short. */
const calibration: Calibration = {
  channels: 2,
  firstLayerChannels: 1,
  classes: 2,
  width: 1,
  mean: Float32Array.of(0, 2),
  variance: Float32Array.of(1, 4),
  gamma: Float32Array.of(1, 3),
  beta: Float32Array.of(0.5, -1),
  eps: 0,
  classMean: Float32Array.of(-1, 2, 1, 2),
  classSquare: Float32Array.of(1, 8, 1, 8),
  anchors: new Float32Array(5),
  anchorLabels: new Uint8Array(5),
  anchorCount: 5,
  anchorEmbeddings: new Float32Array(5),
  density: { mean: 0.9, deviation: 0.05, low: 0.8, high: 0.85 },
  momentDistance99: 0.5,
  signature: { size: 2, mean: new Float32Array(2), whitener: Float32Array.of(1, 0, 0, 1), limit: 1 },
  head: new Float32Array(4),
};

test("moments: three rows of one class and one of the other move mean and variance of their domain as on paper", (t) => {
  // Class 0 gets three rows with first moments (2, 4) and second moments (5, 20); clean are (-1, 2) and (1, 8): a shift of (3, 2 | 4, 12).
  // Class 1 gets one, (0, 4) and (1, 12); clean are (1, 2) and (1, 8): a shift of (-1, 2 | 0, 4). Pooled, over four: (2, 2 | 3, 10).
  // D_0 = (3 (3, 2 | 4, 12) + (2, 2 | 3, 10)) / 4 = (2.75, 2 | 3.75, 11.5);  D_1 = ((-1, 2 | 0, 4) + (2, 2 | 3, 10)) / 2 = (0.5, 2 | 1.5, 7).
  // D = (1.625, 2 | 2.625, 9.25).  d = (1.625^2 / 1 + 2^2 / 4) / 2 = (2.640625 + 1) / 2 = 1.8203125.
  // w = 1.8203125 / 1.8303125 * 4 / (4 + 12) = 0.9945365 / 4 = 0.2486341.
  const domains = emptyDomains(calibration);
  for (let i = 0; i < 3; i++) foldMoments(domains, calibration, 5, 0, Float32Array.of(2, 4, 5, 20));
  foldMoments(domains, calibration, 5, 1, Float32Array.of(0, 4, 1, 12));
  const { scale, shift } = normalisation(domains, calibration, 5);
  // Channel 0: mu = w 1.625 = 0.4040304; var = 1 + w 2.625 - 0.4040304^2 = 1.4894240; scale = 1 / 1.2204196 = 0.8193903.
  near(t, scale[0], 0.8193903, "scale 0");
  near(t, shift[0], 0.5 - 0.4040304 * 0.8193903, "shift 0");
  // Channel 1: w 2 = 0.4972682; mu = 2.4972682; var = 4 + w 9.25 - (2 * 2 * 0.4972682 + 0.4972682^2) = 4.0635170; scale = 3 / 2.0158167.
  near(t, scale[1], 1.4882306, "scale 1");
  near(t, shift[1], -1 - 2.4972682 * 1.4882306, "shift 1");
});

test("moments: the distance is that of the first layer alone, in its source variances", (t) => {
  near(t, momentDistance(calibration, Float32Array.of(0.5, 100, 0, 0)), 0.25, "only channel 0 counts");
  near(
    t,
    momentDistance({ ...calibration, variance: Float32Array.of(4, 1) }, Float32Array.of(3, 0, 0, 0)),
    2.25,
    "9 / 4",
  );
});

test("slot: the predicted class with chance sigmoid((k - te) / 0.01), else any class alike", (t) => {
  // At k = te the chance is 1/2, a hundredth above it 1 / (1 + 1/e) = 0.7310586, two below 1 / (1 + e^2) = 0.1192029.
  const logits = Float32Array.of(0, 1);
  const slot = (density: number, ...chances: readonly number[]) => {
    const left = [...chances];
    const chosen = chooseSlot(calibration, { logits, density }, () => left.shift() ?? t.fail());
    t.is(left.length, 0);
    return chosen;
  };
  for (const [density, trust] of [
    [0.8, 0.5],
    [0.81, 0.7310586],
    [0.78, 0.1192029],
  ] as const) {
    t.deepEqual(slot(density, trust - 1e-6), { slot: 1, trusted: true }, `trusted at ${density}`);
    t.deepEqual(slot(density, trust + 1e-6, 0.49), { slot: 0, trusted: false }, "any class: the lower half is class 0");
    t.deepEqual(slot(density, trust + 1e-6, 0.51), { slot: 1, trusted: false }, "and the upper half class 1");
  }
});

const hourMs = 3_600_000;
/** One vote, four strategies: softmax 0.5, 0.3, 0.2 and three neighbours, of which the second is verified and one time constant old. */
const neighbours: readonly Neighbour[] = [
  { position: { seq: 1, index: 0 }, similarity: 0.9, answer: 1, confidence: 0.8, atMs: hourMs, verified: false },
  { position: { seq: 2, index: 0 }, similarity: 0.8, answer: 1, confidence: 1, atMs: 0, verified: true },
  { position: { seq: 3, index: 0 }, similarity: 0.5, answer: 2, confidence: 0.6, atMs: hourMs, verified: false },
];
/** Two known examples beside them: k = 0.6. Of three labels asked, verified or known, the nearest two vote. */
const anchors = () => [
  { anchor: 7, label: 0, similarity: 0.7 },
  { anchor: 3, label: 2, similarity: 0.5 },
];
const labelled = { neighbours: 2, weight: 2, sharpness: 10 };
const decay = Math.exp(-1);
const byHand: Readonly<Record<VoteStrategy, { weights: readonly number[]; sums: readonly number[]; answer: number }>> =
  {
    // One each: 0 has the model, 1 two neighbours, 2 one.
    majority: { weights: [1, 1, 1, 1], sums: [1, 2, 1], answer: 1 },
    // The model 0.5; 0.9 * 0.8 = 0.72; 0.8 e^-1 = 0.2943036; 0.5 * 0.6 = 0.3.
    weighted: { weights: [0.5, 0.72, 0.8 * decay, 0.3], sums: [0.5, 0.72 + 0.8 * decay, 0.3], answer: 1 },
    // The model 0.5, then 0.8, 1 and 0.6, near or far, old or new.
    confidence: { weights: [0.5, 0.8, 1, 0.6], sums: [0.5, 1.8, 0.6], answer: 1 },
    // The whole softmax; of the neighbours only the verified one, 2 e^(10 (0.8 - 0.6)) e^-1 = 2 e; the nearer anchor, half of 2 e^(10 (0.7 - 0.6)) = e.
    ensemble: { weights: [1, 0, 2 * Math.E, 0, Math.E], sums: [0.5 + Math.E, 0.3 + 2 * Math.E, 0.2], answer: 1 },
  };

for (const [strategy, { weights, sums, answer }] of Object.entries(byHand))
  test(`(S2-4) vote: with three planted neighbours ${strategy} gives the weights and shares worked out by hand`, (t) => {
    const logits = Float32Array.from([0.5, 0.3, 0.2], Math.log);
    const settings = { strategy: strategy as VoteStrategy, recencyMs: hourMs, labelled };
    const verdict = castVotes({ logits, neighbours, anchors, nowMs: hourMs }, settings);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [i, vote] of verdict.votes.entries()) near(t, vote.weight, weights[i] ?? Number.NaN, `weight ${i}`);
    for (const [c, sum] of sums.entries()) near(t, at(verdict.shares, c), sum / total, `share ${c}`);
    t.is(verdict.votes.length, weights.length);
    t.is(verdict.answer, answer);
    near(t, verdict.confidence, (sums[answer] ?? Number.NaN) / total, "confidence");
    t.is(verdict.voters, weights.filter((weight) => weight > 0).length);
  });

test("(S2-4) vote: with one neighbour each strategy but the ensemble has half its confidence", (t) => {
  const logits = Float32Array.from([0.5, 0.3, 0.2], Math.log);
  const confidence = (strategy: VoteStrategy) =>
    castVotes(
      { logits, neighbours: neighbours.slice(1, 2), anchors, nowMs: hourMs },
      { strategy, recencyMs: hourMs, labelled },
    ).confidence;
  near(t, confidence("majority"), 0.5 / 2, "one against one: the model's, 1/2, halved");
  near(t, confidence("weighted"), 0.5 / (0.5 + 0.8 * decay) / 2, "weighted");
  near(t, confidence("confidence"), 1 / 1.5 / 2, "confidence");
  near(t, confidence("ensemble"), (0.3 + 2 * Math.E) / (1 + 3 * Math.E), "ensemble: not halved");
});

test("reward: every part at once, and the sum within ten", (t) => {
  // Task 0 (1 against 2). Sparse 1 - 0.7 = 0.3, shifted 1.5 / (1.5 + 0.5) = 0.75, novelty 0.525. Coherence 0.6 / (0.6 + 0.4) = 0.6.
  // Total 0 + 0.3 * 0.525 + 0.2 * 0.6 = 0.2775.
  // Of two neighbours one agrees: .75 / (.75 + .5).
  const two = {
    ...{ rows: 1, k: 2, found: Uint8Array.of(2), seqs: new Float64Array(2), indexes: new Uint16Array(2) },
    ...{ similarities: Float32Array.of(0.75, 0.5), answers: Uint16Array.of(2, 0), confidences: new Float32Array(2) },
    ...{ atMs: new Float64Array(2), verified: new Uint8Array(2) },
  };
  const coherence = coherenceAt(two, 0, 2);
  const evidence = { own: 1, answer: 2, coherence, density: 0.7, momentDistance: 1.5, momentDistance99: 0.5 };
  const found = reward(evidence);
  t.is(found.task, 0);
  near(t, found.novelty, 0.525, "novelty");
  near(t, found.coherence, 0.6, "coherence");
  near(t, found.total, 0.2775, "total");
  near(t, reward({ ...evidence, own: 2 }).total, 1.2775, "with the task");
});

test("(S2-5) gate: at the threshold there is nothing to learn, the next number below it is one task, and cold is neither", (t) => {
  for (const threshold of [0.5, 0.7, 1]) {
    const below = threshold - Number.EPSILON;
    t.is(gate(threshold, false, { gate: threshold }), "confident");
    t.is(gate(below, false, { gate: threshold }), "learn");
    t.is(gate(below, true, { gate: threshold }), "cold");
  }
  t.true(isCold(defaults.coldStart - 1, defaults));
  t.false(isCold(defaults.coldStart, defaults));
});

test("(S2-44) rate: the law between its limits, and where the lower limit takes over", (t) => {
  const limits = { min: 1e-4, max: 2e-3 };
  near(t, learningRate(0.25, limits), 1.5e-3, "0.25");
  near(t, learningRate(0.9, limits), 2e-4, "0.9");
  near(t, learningRate(0.95, limits), 1e-4, "0.95 is where they meet");
  t.is(learningRate(0.951, limits), 1e-4);
  t.is(learningRate(-0.5, limits), 2e-3);
});

test("priority: doubt, novelty and disagreement weigh 0.4, 0.4 and 0.2", (t) => {
  near(t, priority(0.6, { novelty: 0.25, task: 0 }, false, defaults), 0.4 * 0.4 + 0.4 * 0.25 + 0.2, "0.46");
  near(t, priority(0.6, { novelty: 0.25, task: 1 }, false, defaults), 0.26, "agreed");
  near(
    t,
    priority(0, { novelty: 1, task: 0 }, true, defaults),
    1,
    "a cold one that is worth more than the least keeps it",
  );
});
