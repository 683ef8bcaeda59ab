// What the moments of a convolution are, on a network small enough to be worked out here, rewritten as every classifier is.
import test from "ava";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { sourceNormalisation } from "../../models/adaptation/domains.js";
import { graphOf } from "../../models/adaptation/pass.js";
import { calibrate, embedWith } from "../../models/adoption/calibrate.js";
import { type Network, type NormWeights, trainedGraph } from "../../models/adoption/graph.js";
import { inspect } from "../../models/adoption/inspect.js";
import { servingGraph } from "../../models/adoption/rewrite.js";
import { seededRandom } from "../../models/clock.js";
import { openAdaptableSession } from "../../models/serving/onnx-session.js";
import { smallSubject } from "./small-world.js";

const side = 4;
const width = 2;
const classes = 2;
const features = (side / 2) ** 2;
/** A kernel that only looks at its own place: z is the input times 3. */
const weight = Float32Array.of(0, 0, 0, 0, 3, 0, 0, 0, 0);
/** Trained on values before the pool, whose mean is lower: of the pooled ones neither mean nor variance is the layer's. */
const first: NormWeights = {
  gamma: Float32Array.of(1.5),
  beta: Float32Array.of(-0.25),
  mean: Float32Array.of(0.5),
  variance: Float32Array.of(4),
};
const last: NormWeights = {
  gamma: Float32Array.of(1, 2),
  beta: Float32Array.of(0.5, 0),
  mean: Float32Array.of(3, -1),
  variance: Float32Array.of(9, 0.25),
};
const eps = 1e-5;
const network: Network = {
  inputName: "input",
  shape: [1, side, side],
  eps,
  convolutions: [{ inputs: 1, channels: 1, weight, norm: first }],
  linear: { features, weight: Float32Array.from({ length: features * width }, (_, i) => 0.5 - i / 8), norm: last },
  width,
  classes,
  head: Float32Array.of(1, -1, -0.5, 0.5, 0.1, 0),
};
const channels = 1 + width;

const random = seededRandom(3);
const count = 60;
const size = side * side;
const values = Float32Array.from({ length: count * size }, () => 4 * random() - 1);
const labels = Uint8Array.from({ length: count }, (_, row) => row % classes);
const inspected = await inspect(trainedGraph(network), { shape: network.shape, values, labels }, classes);
if (inspected.kind === "refused") throw new Error(inspected.message);
const { graph, plan, source } = inspected;
const { calibration } = await calibrate(
  source,
  labels,
  embedWith(
    source,
    { inputName: plan.inputName, shape: plan.shape, inputSize: size },
    (levels) => servingGraph(graph, plan, levels),
    (row, into) => into.set(values.subarray(row * size, (row + 1) * size)),
  ),
);
const { manifest } = smallSubject();
const subject = { calibration, manifest: { ...manifest, input: { ...manifest.input, shape: plan.shape } } };
const session = await openAdaptableSession(servingGraph(graph, plan, calibration), graphOf(subject));
test.after.always(() => session.close());

const input = Float32Array.of(1, 2, 0, 1, 0, 4, 5, 0, 7, 0, 0, 0, 0, 0, 0, 0);
/** The largest of each 2 x 2 block, times 3. */
const pooled = [12, 15, 21, 0];
const mean = (of: readonly number[]): number => of.reduce((sum, value) => sum + value, 0) / of.length;

async function momentsAt(picture: Float32Array): Promise<{ first: number; second: number }> {
  const { moments } = await session.run(picture, 1, sourceParameters(subject));
  return { first: moments[0] ?? Number.NaN, second: moments[channels] ?? Number.NaN };
}

test("the moments of a convolution are the mean of its pooled values and of their squares", async (t) => {
  const { first: one, second } = await momentsAt(input);
  t.true(Math.abs(one - mean(pooled)) < 1e-4, `${one}`);
  t.true(Math.abs(second - mean(pooled.map((value) => value * value))) < 1e-3, `${second}`);
});

test("values scaled and shifted before the pool move the moments as if the pooled ones had been", async (t) => {
  const { first: one, second } = await momentsAt(input.map((value) => 0.5 * value + 1));
  const moved = pooled.map((value) => 0.5 * value + 3);
  t.true(Math.abs(one - mean(moved)) < 1e-4, `${one}`);
  t.true(Math.abs(second - mean(moved.map((value) => value * value))) < 1e-3, `${second}`);
});

test("the calibration's mean and variance are those of the pooled values, over clean rows", (t) => {
  const ofRows = labels.reduce<{ sum: number; squares: number }>(
    ({ sum, squares }, _, row) => {
      const blocks = [0, 2, 8, 10].map((corner) => {
        const at = (offset: number) => 3 * (values[row * size + corner + offset] ?? Number.NaN);
        return Math.max(at(0), at(1), at(side), at(side + 1));
      });
      return { sum: sum + mean(blocks), squares: squares + mean(blocks.map((value) => value * value)) };
    },
    { sum: 0, squares: 0 },
  );
  const centre = ofRows.sum / count;
  t.true(Math.abs((calibration.mean[0] ?? 0) - centre) < 1e-4);
  t.true(Math.abs((calibration.variance[0] ?? 0) - (ofRows.squares / count - centre * centre)) < 1e-3);
  t.true(centre > 5, "far above the 0.5 that the layer was trained to");
});

test("restated around them, scale and shift at the source are those that were trained", (t) => {
  const { scale, shift } = sourceNormalisation(calibration);
  const trained = [first, last].flatMap(({ gamma, beta, mean: centre, variance }) =>
    Array.from(gamma, (factor, c) => {
      const own = factor / Math.sqrt((variance[c] ?? 0) + eps);
      return { scale: own, shift: (beta[c] ?? 0) - (centre[c] ?? 0) * own };
    }),
  );
  t.is(trained.length, channels);
  for (const [c, expected] of trained.entries()) {
    t.true(Math.abs((scale[c] ?? Number.NaN) - expected.scale) < 1e-5 * Math.abs(expected.scale), `scale ${c}`);
    t.true(Math.abs((shift[c] ?? Number.NaN) - expected.shift) < 1e-4, `shift ${c}: ${shift[c]}, ${expected.shift}`);
  }
});
