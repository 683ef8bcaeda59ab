// The gradient of each term of the loss, alone and together, against central differences of the loss written down anew in float64.
//
// There is no entropy term: the loss is -mean pi(vote) + klWeight * mean KL(base || pi) and nothing else (models/learning/head-gradient.ts).
import test from "ava";
import fc from "fast-check";
import { seededRandom } from "../../models/clock.js";
import { type HeadBatch, plainHeadGradient } from "../../models/learning/head-gradient.js";

interface Scene {
  readonly head: Float32Array;
  readonly batch: HeadBatch;
}

/** `reach` is how large the head's weights and the base's logits are: at 40 most rows are as good as certain. */
function scene(seed: number, reach: number, klWeight: number): Scene {
  const random = seededRandom(seed);
  const [rows, width, classes] = [3, 4, 3];
  const noise = (length: number, size: number) => Float32Array.from({ length }, () => size * (2 * random() - 1));
  const baseLogits = noise(rows * classes, reach);
  const baseLog = new Float32Array(rows * classes);
  for (let row = 0; row < rows; row++)
    baseLog.set(logShares([...baseLogits.subarray(row * classes, (row + 1) * classes)]), row * classes);
  const votes = Uint16Array.from({ length: rows }, () => Math.floor(random() * classes));
  const batch = { rows, width, classes, embeddings: noise(rows * width, 1), votes, baseLog, klWeight };
  return { head: noise((width + 1) * classes, reach), batch };
}

function logShares(logits: readonly number[]): number[] {
  const top = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - top), 0);
  return logits.map((logit) => logit - top - Math.log(sum));
}

/** mean pi(vote) and mean KL(base || pi), row by row from the definitions. */
function terms(head: Float32Array, { rows, width, classes, embeddings, votes, baseLog }: HeadBatch) {
  let [reward, kl] = [0, 0];
  for (let row = 0; row < rows; row++) {
    const logits = Array.from({ length: classes }, (_, c) => {
      let logit = head[width * classes + c] ?? Number.NaN;
      for (let j = 0; j < width; j++) logit += (embeddings[row * width + j] ?? 0) * (head[j * classes + c] ?? 0);
      return logit;
    });
    const logs = logShares(logits);
    reward += Math.exp(logs[votes[row] ?? -1] ?? Number.NaN) / rows;
    for (const [c, log] of logs.entries()) {
      const base = baseLog[row * classes + c] ?? Number.NaN;
      kl += (Math.exp(base) * (base - log)) / rows;
    }
  }
  return { reward, kl };
}

/** Largest difference between the gradient and the slope of `value`, over all weights. */
function worstSlope(head: Float32Array, gradient: Float32Array, value: (head: Float32Array) => number): number {
  let worst = 0;
  for (let i = 0; i < head.length; i++) {
    const [up, down] = [head.slice(), head.slice()];
    up[i] = (head[i] ?? 0) + 1e-3;
    down[i] = (head[i] ?? 0) - 1e-3;
    const slope = (value(up) - value(down)) / ((up[i] ?? 0) - (down[i] ?? 0));
    worst = Math.max(worst, Math.abs(slope - (gradient[i] ?? Number.NaN)));
  }
  return worst;
}

const seeds = fc.integer({ min: 1, max: 1_000_000 });

for (const reach of [1, 5, 40]) {
  test(`the reward's gradient is the slope of the mean chance of the vote, with logits up to about ${2 * reach}`, (t) => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { head, batch } = scene(seed, reach, 0);
        const found = plainHeadGradient(head, batch);
        t.is(found.penalty, 0);
        t.true(Math.abs(found.reward - terms(head, batch).reward) < 1e-9);
        const worst = worstSlope(head, found.gradient, (other) => -terms(other, batch).reward);
        t.true(worst < 2e-6, `${worst}`);
      }),
      { numRuns: 40, seed: 7 },
    );
  });

  test(`the KL term's gradient is its slope, and so is the sum of both terms, with logits up to about ${2 * reach}`, (t) => {
    fc.assert(
      fc.property(seeds, fc.constantFrom(0.3, 1, 4), (seed, klWeight) => {
        const { head, batch } = scene(seed, reach, klWeight);
        const both = plainHeadGradient(head, batch);
        const alone = plainHeadGradient(head, { ...batch, klWeight: 0 });
        const { kl } = terms(head, batch);
        // A shares' logarithm rounded to float32 does not sum to exactly one: relative to the size of the term.
        t.true(Math.abs(both.penalty - klWeight * kl) < 1e-6 * Math.max(1, klWeight * kl), `${both.penalty} ${kl}`);
        const difference = both.gradient.map((value, i) => value - (alone.gradient[i] ?? Number.NaN));
        const klSlope = worstSlope(head, difference, (other) => klWeight * terms(other, batch).kl);
        const sumSlope = worstSlope(head, both.gradient, (other) => {
          const { reward, kl: distance } = terms(other, batch);
          return klWeight * distance - reward;
        });
        t.true(klSlope < 1e-5 * klWeight + 2e-6, `KL ${klSlope}`);
        t.true(sumSlope < 1e-5 * klWeight + 2e-6, `both ${sumSlope}`);
      }),
      { numRuns: 40, seed: 7 },
    );
  });
}

test("at the base the KL term pulls nowhere; away from it, by hand: klWeight (p - q) for each logit", (t) => {
  // One row, one feature of size 2, two classes: logits are 2 w + b.
  const baseLog = Float32Array.from([0.8, 0.2], Math.log);
  const batch = { rows: 1, width: 1, classes: 2, embeddings: Float32Array.of(2), votes: Uint16Array.of(0), baseLog };
  const at = (w: number, klWeight: number) => plainHeadGradient(Float32Array.of(w, 0, 0, 0), { ...batch, klWeight });
  const close = (found: Float32Array, expected: readonly number[]) =>
    t.true(
      expected.every((value, i) => Math.abs(value - (found[i] ?? Number.NaN)) < 1e-6),
      `${found} instead of ${expected}`,
    );
  // p = (0.8, 0.2) where 2 w = ln 4: only the reward's -p0 (1 - p0) = -0.16 is left.
  close(at(Math.log(4) / 2, 5).gradient, [-0.32, 0.32, -0.16, 0.16]);
  t.true(Math.abs(at(Math.log(4) / 2, 5).penalty) < 1e-6);
  // p = (0.5, 0.5): reward -0.25, KL 5 (0.5 - 0.8) = -1.5, together -1.75.
  const { gradient, penalty, reward } = at(0, 5);
  close(gradient, [-3.5, 3.5, -1.75, 1.75]);
  t.is(reward, 0.5);
  t.true(Math.abs(penalty - 5 * (0.8 * Math.log(1.6) + 0.2 * Math.log(0.4))) < 1e-6);
});

test("logits of a thousand give a finite loss and a finite gradient", (t) => {
  const baseLog = Float32Array.of(0, -1_000, -2_000);
  const batch = {
    rows: 1,
    width: 1,
    classes: 3,
    embeddings: Float32Array.of(1_000),
    votes: Uint16Array.of(2),
    baseLog,
  };
  const { gradient, reward, penalty } = plainHeadGradient(Float32Array.of(1, 0, -1, 0, 0, 0), {
    ...batch,
    klWeight: 1,
  });
  t.true([...gradient, reward, penalty].every(Number.isFinite));
  t.is(reward, 0);
  t.true(penalty < 1e-6);
});
