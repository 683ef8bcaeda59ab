// The kernels of the head, against the loop that their doc comments describe, to the bit.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { headLogits, logSoftmax, sparseLogits, sparseRows } from "../../models/numbers/softmax.js";

/** b plus its products in index order, one after the other. */
function plainLogits(embeddings: Float32Array, head: Float32Array, width: number, classes: number): Float64Array {
  const logits = new Float64Array((embeddings.length / width) * classes);
  for (let i = 0; i < logits.length; i++) {
    const [row, c] = [Math.floor(i / classes), i % classes];
    let sum = head[width * classes + c] ?? Number.NaN;
    for (let j = 0; j < width; j++) {
      const x = embeddings[row * width + j] ?? Number.NaN;
      if (x !== 0) sum += x * (head[j * classes + c] ?? Number.NaN);
    }
    logits[i] = sum;
  }
  return logits;
}

const width = 7;
const rows = 9;
const random = seededRandom(11);
/** Every other value nought, as behind a ReLU. */
const embeddings = Float32Array.from({ length: rows * width }, () => Math.max(0, 2 * random() - 1));

test("logits are the same to the bit whatever the number of classes, so however many are summed side by side", (t) => {
  for (let classes = 1; classes <= 12; classes++) {
    const head = Float32Array.from({ length: (width + 1) * classes }, () => 20 * random() - 10);
    t.deepEqual(headLogits(embeddings, head, width), plainLogits(embeddings, head, width, classes));
  }
});

test("rows kept without their noughts give the same logits for one head after another", (t) => {
  const kept = sparseRows(embeddings, width);
  for (let round = 0; round < 3; round++) {
    const head = Float32Array.from({ length: (width + 1) * 10 }, () => 2 * random() - 1);
    t.deepEqual(sparseLogits(kept, head), plainLogits(embeddings, head, width, 10));
  }
});

test("a value that is not finite stays in every logit it enters, and in no other", (t) => {
  const classes = 5;
  const head = new Float32Array((width + 1) * classes).fill(1);
  head[2 * classes + 3] = Number.NaN;
  const spoilt = Float32Array.from(embeddings);
  spoilt[width + 1] = Number.POSITIVE_INFINITY;
  const logits = headLogits(spoilt, head, width);
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < classes; c++) {
      const meetsNaN = c === 3 && spoilt[row * width + 2] !== 0;
      t.is(Number.isFinite(logits[row * classes + c]), !meetsNaN && row !== 1, `row ${row}, class ${c}`);
    }
  }
});

test("a head or rows of another width are refused", (t) => {
  t.throws(() => headLogits(embeddings, new Float32Array(15), width), { instanceOf: RangeError });
  t.throws(() => headLogits(new Float32Array(8), new Float32Array(16), width), { instanceOf: RangeError });
});

test("the logarithm of a softmax sums to one, and large logits do not overflow", (t) => {
  const logs = logSoftmax(Float32Array.of(1000, 1001, 999));
  const total = logs.reduce((sum, log) => sum + Math.exp(log), 0);
  t.true(Math.abs(total - 1) < 1e-12);
});
