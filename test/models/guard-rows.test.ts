// What the guards promise to whoever reads the reports: the version stays, the guard is named, the figures are those of the step.
// And Adam's first steps, by hand.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { guardedStep, sourceHeadState } from "../../models/learning/guarded-step.js";
import { headLogProbabilities, meanKl } from "../../models/learning/guardrails.js";
import type { Learner } from "../../models/learning/learner.js";
import type { Subject } from "../../models/manifest.js";
import {
  applySkip,
  applyTask,
  checksum,
  foldExperience,
  type Policy,
  type StepOutcome,
  sourcePolicy,
} from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import { defaults, type LearningSettings } from "../../models/settings.js";
import { plainLearner } from "./live-through.js";
import { answersOf, classes, smallSubject, taskFor, width } from "./small-world.js";

/** Three records folded, every answer sure and wrong: the next task would teach it. */
function misled(
  overrides: Partial<LearningSettings> = {},
  labels: readonly number[] = [0, 1, 2, 0, 1, 2],
  spread = 0.9,
) {
  const subject = smallSubject(overrides);
  const policy = sourcePolicy(subject);
  const random = seededRandom(5);
  for (let seq = 1; seq <= 3; seq++) {
    const batch = answersOf(subject, labels, random, spread);
    const answers = batch.answers.map((answer) => (answer + 1) % classes);
    const confidences = new Float32Array(labels.length).fill(1);
    foldExperience(policy, seq, { ...batch, answers, confidences }, subject);
  }
  return { subject, policy };
}

function planted(gradient: (length: number) => Float32Array): Learner {
  return {
    ...plainLearner,
    headGradient: async (head) => ({ gradient: gradient(head.length), reward: 0, penalty: 0 }),
  };
}

function step(
  { subject, policy }: { subject: Subject; policy: Policy },
  update: number,
  learner = plainLearner,
  confidence = 0,
) {
  return applyTask(policy, update, taskFor({ seq: 3, index: update }, confidence), learner, subject);
}

const wild = { learningRate: { min: 5, max: 5 }, restore: 0, klWeight: 0 };

/** How each refusal comes about. */
const refusals: Readonly<
  Record<string, () => Promise<{ readonly before: Policy; readonly after: Policy; readonly outcome: StepOutcome }>>
> = {
  kl: () => refusedBy(misled({ ...wild, klLimit: 0.01, anchorLossMax: 1 })),
  anchors: () => refusedBy(misled({ ...wild, klLimit: 1e9 })),
  nan: () =>
    refusedBy(
      misled(),
      planted((length) => new Float32Array(length).fill(Number.POSITIVE_INFINITY)),
    ),
  cold: () => refusedBy(misled({ coldStart: 1_000 })),
  no_material: () => refusedBy(misled({}, [1, 1, 1, 1, 1, 1], 0.2)),
  disabled: () => refusedBy(misled({ stages: { ...defaults.stages, head: false } })),
  poison: async () => {
    const { policy } = misled();
    const before = structuredClone(policy);
    return { before, after: policy, outcome: applySkip(policy, 1) };
  },
};

async function refusedBy(scene: { subject: Subject; policy: Policy }, learner = plainLearner) {
  const before = structuredClone(scene.policy);
  return { before, after: scene.policy, outcome: await step(scene, 1, learner) };
}

for (const [guard, refused] of Object.entries(refusals))
  test(`(S2-8) a task refused as ${guard} is named and counted so, and leaves version, parameters and optimiser as they were`, async (t) => {
    const { before, after, outcome } = await refused();
    t.like(outcome, { kind: "refused", guard, version: before.version });
    t.is(after.version, before.version);
    t.is(after.updateSeq, 1);
    for (const name of ["head", "served", "firstMoment", "secondMoment", "steps"] as const)
      t.deepEqual(after[name], before[name], name);
    t.deepEqual(after.counters, { ...before.counters, refused: { ...before.counters.refused, [guard]: 1 } });
  });

test("(S2-8) negative control: what kl, anchors and nan refused is applied where they are taken away", async (t) => {
  const open = await step(misled({ ...wild, klLimit: 1e9, anchorLossMax: 1 }), 1);
  t.like(open, { kind: "applied", version: 1 });
  const fine = await step(
    misled(),
    1,
    planted((length) => new Float32Array(length).fill(1e30)),
  );
  t.like(fine, { kind: "applied", version: 1 });
});

test("(S2-8) the report shows the penalty that the loss was made of: the weight times the KL of the head before the step", async (t) => {
  for (const klWeight of [1, 3]) {
    const scene = misled({ klWeight, learningRate: { min: 0.02, max: 0.02 }, stepBatch: 6 });
    for (let update = 1; update <= 5; update++) {
      const seen: { head: Float32Array; embeddings: Float32Array }[] = [];
      const watching: Learner = {
        ...plainLearner,
        headGradient: (head, batch) => {
          seen.push({ head, embeddings: batch.embeddings });
          return plainLearner.headGradient(head, batch);
        },
      };
      const outcome = await step(scene, update, watching);
      if (outcome.kind !== "applied") return t.fail(JSON.stringify(outcome));
      const { head = new Float32Array(0), embeddings = new Float32Array(0) } = seen[0] ?? {};
      const base = headLogProbabilities(embeddings, scene.subject.calibration.head, width);
      const penalty = klWeight * meanKl(base, headLogProbabilities(embeddings, head, width), classes);
      t.true(Math.abs(outcome.penalty - penalty) < 1e-6, `${outcome.penalty} instead of ${penalty}`);
      t.is(outcome.loss, outcome.penalty - outcome.reward);
      if (update > 1) t.true(outcome.penalty > 1e-4, "away from the base it is seen");
    }
  }
});

test("(S2-9) a planted gradient of 1e15 reaches the optimiser with the norm of clipNorm, and is counted; one below it is not", async (t) => {
  const scene = misled({ clipNorm: 0.5 });
  const huge = await step(
    scene,
    1,
    planted((length) => new Float32Array(length).fill(1e15)),
  );
  if (huge.kind !== "applied") return t.fail(JSON.stringify(huge));
  t.true(huge.gradNorm > 5e15 && huge.clipped);
  t.true(huge.clippedNorm <= 0.5);
  t.is(scene.policy.counters.clipped, 1);
  // The first moment after one step is a tenth of what the optimiser was given.
  t.true(Math.abs(10 * Math.hypot(...scene.policy.firstMoment) - 0.5) < 1e-5);
  const small = await step(
    scene,
    2,
    planted((length) => new Float32Array(length).fill(1e-3)),
  );
  t.like(small, { kind: "applied", clipped: false });
  t.is(scene.policy.counters.clipped, 1);
});

test("(S2-9) negative control: without the clip such a gradient ends the optimiser for good", async (t) => {
  const scene = misled({ clipNorm: Number.MAX_VALUE });
  await step(
    scene,
    1,
    planted((length) => new Float32Array(length).fill(1e25)),
  );
  t.true(scene.policy.secondMoment.every((value) => value === Number.POSITIVE_INFINITY));
  const { head } = scene.policy;
  for (let update = 2; update <= 5; update++) await step(scene, update);
  const base = scene.subject.calibration.head;
  const moved = scene.policy.head.reduce((far, value, i) => Math.max(far, Math.abs(value - (head[i] ?? 0))), 0);
  const back = head.reduce((far, value, i) => Math.max(far, Math.abs(value - (base[i] ?? 0))), 0);
  t.true(moved <= 0.05 * back + 1e-9, `nothing but the way back to the base: ${moved} of ${back}`);
});

test("(S2-10) of two snapshots in a row the later one serves ema of the earlier and the rest of its own head, to 1e-6", async (t) => {
  for (const ema of [0.9, 0.99]) {
    const scene = misled({ ema, learningRate: { min: 0.01, max: 0.01 } });
    let earlier = encodePolicy(scene.policy);
    for (let update = 1; update <= 6; update++) {
      t.is((await step(scene, update)).kind, "applied");
      const later = encodePolicy(scene.policy);
      const [old, next] = [decodePolicy(earlier, scene.subject), decodePolicy(later, scene.subject)];
      if (old.kind !== "policy" || next.kind !== "policy") return t.fail("a snapshot was refused");
      t.is(next.policy.version, old.policy.version + 1);
      const worst = next.policy.served.reduce((far, value, i) => {
        const expected = ema * (old.policy.served[i] ?? Number.NaN) + (1 - ema) * (next.policy.head[i] ?? Number.NaN);
        return Math.max(far, Math.abs(value - expected));
      }, 0);
      t.true(worst < 1e-6, `${worst}`);
      t.notDeepEqual(next.policy.served, next.policy.head);
      earlier = later;
    }
  }
});

test("(S2-44) the report of the step says the rate of its task's confidence: the highest, half of it, and the lowest", async (t) => {
  const learningRate = { min: 1e-5, max: 4e-3 };
  for (const [confidence, rate] of [
    [0, 4e-3],
    [0.5, 2e-3],
    [1, 1e-5],
  ] as const) {
    const outcome = await step(misled({ learningRate }), 1, plainLearner, confidence);
    t.like(outcome, { kind: "applied", learningRate: rate });
  }
});

test("Adam's first three steps are those worked out by hand, for a gradient of 1, -0.5 and 0", async (t) => {
  // m: 0.1, 0.04, 0.036; v: 0.001, 0.001249, 0.001247751; corrected by 1 - 0.9^n and 1 - 0.999^n:
  // 1 / 1, 0.2105263 / sqrt(0.6248124), 0.1328413 / sqrt(0.4163332), times the rate of 0.1.
  const expected = [-0.1, -0.1 - 0.0266339, -0.1 - 0.0266339 - 0.020588];
  const subject = smallSubject({ clipNorm: 1e9, klLimit: 1e9, anchorLossMax: 1, restore: 0, ema: 0 });
  const { calibration, manifest } = subject;
  const material = { rows: 1, embeddings: new Float32Array(width).fill(1), votes: Uint16Array.of(0) };
  let state = sourceHeadState(calibration);
  for (const [n, gradient] of [1, -0.5, 0].entries()) {
    const learner = planted((length) => Float32Array.from({ length }, (_, i) => (i === 4 ? gradient : 0)));
    const proposal = await guardedStep(state, material, 0.1, learner, calibration, manifest.learning);
    if (proposal.kind !== "accepted") return t.fail(proposal.guard);
    state = proposal.next;
    const moved = (state.head[4] ?? 0) - (calibration.head[4] ?? 0);
    t.true(Math.abs(moved - (expected[n] ?? 0)) < 1e-6, `${n}: ${moved} instead of ${expected[n]}`);
    t.is(state.steps, n + 1);
    t.is(state.head[5], calibration.head[5], "where the gradient is nought nothing moves");
  }
});

test("one guarded step by hand: clip to 1, the first step of Adam, a quarter of the way back, half of it served", async (t) => {
  const subject = smallSubject({ clipNorm: 1, klLimit: 1e9, anchorLossMax: 1, restore: 0.25, ema: 0.5 });
  const { calibration, manifest } = subject;
  const start = sourceHeadState(calibration);
  const learner = planted((length) => Float32Array.from({ length }, (_, i) => (i === 0 ? 3 : i === 1 ? -4 : 0)));
  const material = { rows: 1, embeddings: new Float32Array(width).fill(1), votes: Uint16Array.of(0) };
  const proposal = await guardedStep(start, material, 0.2, learner, calibration, manifest.learning);
  if (proposal.kind !== "accepted") return t.fail(proposal.guard);
  const { next, report } = proposal;
  t.like(report, { gradNorm: 5, clippedNorm: 1, clipped: true, learningRate: 0.2 });
  const near = (found: number | undefined, expected: number) =>
    t.true(Math.abs((found ?? Number.NaN) - expected) < 1e-6, `${found} instead of ${expected}`);
  // Clipped to 0.6 and -0.8; the first step is the rate, whatever the size; a quarter goes back; half of the rest is served.
  near(next.firstMoment[0], 0.06);
  near(next.firstMoment[1], -0.08);
  near(next.secondMoment[1], 0.00064);
  near(next.head[0], (start.head[0] ?? 0) - 0.15);
  near(next.head[1], (start.head[1] ?? 0) + 0.15);
  near(next.served[1], (start.head[1] ?? 0) + 0.075);
  t.is(next.head[2], start.head[2]);
});

test("refused steps leave the checksum to the book-keeping alone: two folds that were refused alike are alike", async (t) => {
  const [one, two] = [misled({ ...wild, klLimit: 0.01 }), misled({ ...wild, klLimit: 0.01 })];
  for (const scene of [one, two]) for (let update = 1; update <= 3; update++) await step(scene, update);
  t.is(one.policy.version, 0);
  t.is(checksum(one.policy), checksum(two.policy));
});
