// The two shipped graphs in ONNX Runtime, in process, against each other and against arithmetic done here.
import test from "ava";
import { AdaptedView, emptyAdaptation, foldRow, sourceParameters } from "../../models/adaptation/adaptation.js";
import { sourceNormalisation } from "../../models/adaptation/domains.js";
import { graphOf, type Parameters } from "../../models/adaptation/pass.js";
import { signatureOf, squaredDistance } from "../../models/adaptation/signature.js";
import { loadModel } from "../../models/manifest.js";
import { openAdaptableSession, openSession } from "../../models/serving/onnx-session.js";
import { digitsFolder, firstDigits } from "./digits-model.js";

const model = await loadModel(digitsFolder);
const { calibration } = model;
const { channels, width, classes } = calibration;
const adaptable = await openAdaptableSession(model.modelBytes, graphOf(model));
const source = await openSession(model.sourceBytes);
const parameters = sourceParameters(model);
const { scale, shift } = sourceNormalisation(calibration);
const rows = 64;
const { input } = await firstDigits(rows);
const embedded = await adaptable.run(input, rows, parameters);

/** The source's parameters with other numbers in every row of the table. */
function everywhere(change: (value: number, isShift: boolean, channel: number) => number): Parameters {
  const table = parameters.table.map((value, i) => change(value, i % (2 * channels) >= channels, i % channels));
  return { ...parameters, table };
}

test.after.always(async () => {
  await Promise.all([adaptable.close(), source.close()]);
});

test("at the source's parameters the serving graph gives the source's logits within 1e-5 of their size", async (t) => {
  const plain = await source.run(input, rows);
  let worst = 0;
  for (let i = 0; i < plain.length; i++) {
    const size = Math.max(1, Math.abs(plain[i] ?? 0));
    worst = Math.max(worst, Math.abs((plain[i] ?? 0) - (embedded.logits[i] ?? 0)) / size);
  }
  t.true(worst <= 1e-5, `${worst}`);
});

test("it answers clean digits as the source does, at least 98 of 100 rightly", async (t) => {
  const many = await firstDigits(1000);
  const plain = await source.run(many.input, 1000);
  const { logits } = await adaptable.run(many.input, 1000, parameters);
  const answerOf = (values: Float32Array, row: number) => {
    const own = values.subarray(row * classes, (row + 1) * classes);
    return own.indexOf(Math.max(...own));
  };
  let right = 0;
  many.labels.forEach((label, row) => {
    t.is(answerOf(logits, row), answerOf(plain, row));
    if (answerOf(logits, row) === label) right++;
  });
  t.true(right >= 980);
});

test("a row's result does not depend on the rows beside it", async (t) => {
  const alone = await adaptable.run(input.slice(0, 784), 1, parameters);
  alone.logits.forEach((logit, i) => void t.true(Math.abs(logit - (embedded.logits[i] ?? 0)) < 1e-4));
  t.true(Math.abs((alone.density[0] ?? 0) - (embedded.density[0] ?? 0)) < 1e-5);
});

test("the head is an input: logits are embedding W + b of the head given", async (t) => {
  const head = Float32Array.from({ length: width * classes + classes }, (_, i) => Math.sin(i));
  const { logits, embeddings } = await adaptable.run(input.slice(0, 784), 1, { ...parameters, head });
  for (let k = 0; k < classes; k++) {
    let expected = head[width * classes + k] ?? 0;
    for (let j = 0; j < width; j++) expected += (embeddings[j] ?? 0) * (head[j * classes + k] ?? 0);
    t.true(Math.abs(expected - (logits[k] ?? 0)) < 1e-3);
  }
});

test("scale and shift are an input: the embedding layer's moments are its values before normalisation", async (t) => {
  const first = channels - width;
  for (let j = 0; j < width; j++) {
    const u = embedded.moments[first + j] ?? Number.NaN;
    t.true(Math.abs((embedded.moments[channels + first + j] ?? 0) - u * u) <= 1e-4 * Math.max(1, u * u));
    const y = Math.max(0, u * (scale[first + j] ?? 0) + (shift[first + j] ?? 0));
    t.true(Math.abs(y - (embedded.embeddings[j] ?? 0)) < 1e-4);
  }
});

test("moments do not depend on the parameters of their own layer", async (t) => {
  const wide = everywhere((value, isShift) => (isShift ? value : 3 * value));
  const { moments } = await adaptable.run(input.slice(0, 784), 1, wide);
  for (let c = 0; c < calibration.firstLayerChannels; c++) {
    t.true(Math.abs((moments[c] ?? 0) - (embedded.moments[c] ?? 0)) < 1e-6);
  }
});

test("density is the mean cosine to the five nearest anchors", (t) => {
  const { anchors, anchorCount } = calibration;
  for (let row = 0; row < 8; row++) {
    const own = embedded.embeddings.subarray(row * width, (row + 1) * width);
    const length = Math.hypot(...own);
    const cosines = Array.from({ length: anchorCount }, (_, anchor) => {
      let cosine = 0;
      for (let j = 0; j < width; j++) cosine += ((own[j] ?? 0) / length) * (anchors[anchor * width + j] ?? 0);
      return cosine;
    });
    const nearest = cosines.sort((a, b) => b - a).slice(0, 5);
    const expected = nearest.reduce((sum, cosine) => sum + cosine, 0) / 5;
    t.true(Math.abs(expected - (embedded.density[row] ?? 0)) < 1e-5);
  }
});

test("an embedding of nothing but zeros has a finite density", async (t) => {
  const low = everywhere((value, isShift) => (isShift ? -1e6 : value));
  const { embeddings, density } = await adaptable.run(input.slice(0, 784), 1, low);
  t.true(embeddings.every((value) => value === 0));
  t.true(Number.isFinite(density[0]));
});

/** Ink and ground exchanged: no clean digit looks like it. */
const strange = input.slice(0, 784).map((ink) => 1 - ink);
const two = new Float32Array(2 * 784);
two.set(input.subarray(0, 784));
two.set(strange, 784);

/** A fold that has seen `times` strange digits. */
async function adaptedToStrange(times: number): Promise<AdaptedView> {
  const { moments } = await adaptable.run(strange, 1, parameters);
  const adaptation = emptyAdaptation(model);
  for (let i = 0; i < times; i++)
    foldRow(adaptation, model, { bySource: false, moments, slot: i % classes, density: 0.5, looks: [] });
  return new AdaptedView(model, adaptation);
}

test("rows of one batch are of different domains: each is normalised by its own row of the table", async (t) => {
  const view = await adaptedToStrange(60);
  const known = { ...view.adapted, head: calibration.head };
  const beside = await adaptable.run(two, 2, known);
  t.deepEqual([...beside.domains], [1, 2], "home, and the first domain beside it");
  const untouched = await adaptable.run(two, 2, parameters);
  const logitsOf = ({ logits }: { readonly logits: Float32Array }, row: number) =>
    logits.subarray(row * classes, (row + 1) * classes);
  const apart = (a: Float32Array, b: Float32Array) => Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? 0))));
  t.true(apart(logitsOf(beside, 0), logitsOf(untouched, 0)) < 1e-4, "home has seen nothing: the source's");
  t.true(apart(logitsOf(beside, 1), logitsOf(untouched, 1)) > 1, "the strange row's normalisation is another");
  // The same row where its domain's numbers stand everywhere: no other row of the table has a part in it.
  const own = known.table.subarray(2 * 2 * channels, 3 * 2 * channels);
  const table = Float32Array.from(known.table, (_, i) => own[i % own.length] ?? Number.NaN);
  const alone = await adaptable.run(strange, 1, { ...known, table });
  t.true(apart(alone.logits, logitsOf(beside, 1)) < 1e-4);
});

test("a row far from every known domain takes row 0 of the table, whatever stands in the others", async (t) => {
  const home = { ...(await adaptedToStrange(0)).adapted, head: calibration.head };
  const table = home.table.map((value, i) => (i < 2 * channels ? value : Number.NaN));
  const { domains, logits } = await adaptable.run(two, 2, { ...home, table });
  t.deepEqual([...domains], [1, 0]);
  const untouched = await adaptable.run(strange, 1, parameters);
  for (let k = 0; k < classes; k++) {
    t.true(Number.isNaN(logits[k]));
    t.true(Math.abs((logits[classes + k] ?? Number.NaN) - (untouched.logits[k] ?? 0)) < 1e-4);
  }
});

test("the graph tells domains apart as the fold does: nearest signature, none at the limit or beyond", async (t) => {
  const { adapted } = await adaptedToStrange(1);
  const { size, limit } = calibration.signature;
  // Digits on their way to the exchange of ink and ground: from home over nowhere to the other domain.
  const way = new Float32Array(rows * 784);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < 784; i++) {
      const ink = input[i] ?? 0;
      way[row * 784 + i] = ink + (row / (rows - 1)) * (1 - 2 * ink);
    }
  const { domains, moments } = await adaptable.run(way, rows, { ...adapted, head: calibration.head });
  const strangeOnes = Float64Array.from(
    { length: size },
    (_, s) => adapted.signatures[s * adapted.limits.length + 1] ?? 0,
  );
  const expected = Array.from({ length: rows }, (_, row) => {
    const signature = signatureOf(calibration, moments.subarray(row * 2 * channels, (row + 1) * 2 * channels));
    const [near, other] = [squaredDistance(signature, new Float64Array(size)), squaredDistance(signature, strangeOnes)];
    if (Math.min(near, other) >= limit) return 0;
    return near < other ? 1 : 2;
  });
  t.deepEqual([...domains], expected);
  t.deepEqual([...new Set(expected)].sort(), [0, 1, 2]);
});

test("bytes that are no graph are refused", async (t) => {
  await t.throwsAsync(openSession(Uint8Array.of(1, 2, 3)));
});
