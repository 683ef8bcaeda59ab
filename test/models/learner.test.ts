// The gradient, held to finite differences and to plain arithmetic, on the backends that are installed.
import test from "ava";
import { type Random, seededRandom } from "../../models/clock.js";
import { type HeadBatch, plainHeadGradient } from "../../models/learning/head-gradient.js";
import { type Attempt, chooseBackend, LearnerError, openLearner } from "../../models/learning/learner.js";
import { headLogits, logSoftmax } from "../../models/numbers/softmax.js";

const [rows, width, classes] = [32, 64, 10];

function noise(length: number, random: Random): Float32Array {
  return Float32Array.from({ length }, () => 2 * random() - 1);
}

function batchOf(seed: number): { head: Float32Array; batch: HeadBatch } {
  const random = seededRandom(seed);
  const base = noise(rows * classes, random);
  const baseLog = new Float32Array(rows * classes);
  for (let row = 0; row < rows; row++) {
    baseLog.set(logSoftmax(base.subarray(row * classes, (row + 1) * classes)), row * classes);
  }
  const votes = Uint16Array.from({ length: rows }, () => Math.floor(random() * classes));
  const batch = { rows, width, classes, embeddings: noise(rows * width, random), votes, baseLog, klWeight: 1 };
  return { head: noise((width + 1) * classes, random), batch };
}

/** L of head-gradient.ts, straight from its formula. */
function loss(head: Float32Array, batch: HeadBatch): number {
  const logits = headLogits(batch.embeddings, head, batch.width);
  let sum = 0;
  for (let row = 0; row < batch.rows; row++) {
    const log = logSoftmax(logits.subarray(row * classes, (row + 1) * classes));
    sum -= Math.exp(log[batch.votes[row] ?? 0] ?? 0);
    for (let c = 0; c < classes; c++) {
      const baseLog = batch.baseLog[row * classes + c] ?? 0;
      sum += batch.klWeight * Math.exp(baseLog) * (baseLog - (log[c] ?? 0));
    }
  }
  return sum / batch.rows;
}

function worstDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

test("the plain gradient agrees with finite differences of the loss", (t) => {
  const { head, batch } = batchOf(1);
  const { gradient, reward, penalty } = plainHeadGradient(head, batch);
  t.true(Math.abs(penalty - reward - loss(head, batch)) < 1e-9);
  for (let i = 0; i < head.length; i += 13) {
    const [up, down] = [head.slice(), head.slice()];
    up[i] = (head[i] ?? 0) + 1e-3;
    down[i] = (head[i] ?? 0) - 1e-3;
    const slope = (loss(up, batch) - loss(down, batch)) / ((up[i] ?? 0) - (down[i] ?? 0));
    t.true(Math.abs(slope - (gradient[i] ?? 0)) < 1e-5, `${i}: ${slope} and ${gradient[i]}`);
  }
});

for (const backend of ["wasm", "cpu"] as const) {
  test(`the gradient of TensorFlow.js on ${backend} agrees with plain arithmetic and repeats bit for bit`, async (t) => {
    const learner = await openLearner(backend);
    t.is(learner.backend, backend);
    for (const seed of [2, 3, 4]) {
      const { head, batch } = batchOf(seed);
      const plain = plainHeadGradient(head, batch);
      const found = await learner.headGradient(head, batch);
      t.true(worstDifference(found.gradient, plain.gradient) < 2e-6);
      t.true(Math.abs(found.reward - plain.reward) < 1e-6);
      t.true(Math.abs(found.penalty - plain.penalty) < 1e-5);
      t.deepEqual(await learner.headGradient(head, batch), found);
    }
    learner.close();
    await t.throwsAsync(learner.headGradient(new Float32Array(0), batchOf(1).batch), {
      message: "the learner is closed",
    });
  });
}

test("without the native packages the choice falls on WASM and says why it passed over the others", async (t) => {
  const learner = await openLearner("auto");
  t.is(learner.backend, "wasm");
  t.deepEqual(
    learner.tried.map(({ backend, available }) => [backend, available]),
    [
      ["tfjs-node-gpu", false],
      ["tfjs-node", false],
      ["wasm", true],
    ],
  );
  t.is(learner.tried[0]?.why, "@tensorflow/tfjs-node-gpu is not installed");
});

test("the choice tries in order, takes the first that works, and gives a named backend no substitute", (t) => {
  const no = (backend: Attempt["backend"]): Attempt => ({ backend, available: false, why: "not installed" });
  t.deepEqual(chooseBackend("auto", []), { kind: "try", backend: "tfjs-node-gpu" });
  t.deepEqual(chooseBackend("auto", [no("tfjs-node-gpu")]), { kind: "try", backend: "tfjs-node" });
  const tried: Attempt[] = [no("tfjs-node-gpu"), { backend: "tfjs-node", available: true, why: "" }];
  t.deepEqual(chooseBackend("auto", tried), { kind: "chosen", backend: "tfjs-node" });
  t.deepEqual(chooseBackend("tfjs-node", [no("tfjs-node")]), { kind: "none", why: "tfjs-node: not installed" });
});

test("a backend that computes something else is not taken", async (t) => {
  const wrong = openLearner("cpu", async () => ({
    kind: "open",
    gradient: async (head, batch) => {
      const { gradient, ...parts } = plainHeadGradient(head, batch);
      return { ...parts, gradient: gradient.map((value) => 1.1 * value) };
    },
  }));
  const error = await t.throwsAsync(wrong, { instanceOf: LearnerError });
  t.regex(error?.message ?? "", /its gradient is off by/);
});
