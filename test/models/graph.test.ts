// The two shipped graphs in ONNX Runtime, in process, against each other and against arithmetic done here.
import test from "ava";
import { loadModel } from "../../models/manifest.js";
import { sourceNormalisation } from "../../models/moments.js";
import { openAdaptableSession, openSession } from "../../models/onnx-session.js";
import { digitsFolder, firstDigits } from "./digits-model.js";

const model = await loadModel(digitsFolder);
const { calibration, manifest } = model;
const { channels, width, classes } = calibration;
const adaptable = await openAdaptableSession(model.modelBytes, {
  inputName: manifest.input.name,
  shape: manifest.input.shape,
  channels,
  width,
  classes,
});
const source = await openSession(model.sourceBytes);
const parameters = { ...sourceNormalisation(calibration), head: calibration.head };
const rows = 64;
const { input } = await firstDigits(rows);
const embedded = await adaptable.run(input, rows, parameters);

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

test("scale and shift are inputs: the embedding layer's moments are its values before normalisation", async (t) => {
  const first = channels - width;
  for (let j = 0; j < width; j++) {
    const u = embedded.moments[first + j] ?? Number.NaN;
    t.true(Math.abs((embedded.moments[channels + first + j] ?? 0) - u * u) <= 1e-4 * Math.max(1, u * u));
    const y = Math.max(0, u * (parameters.scale[first + j] ?? 0) + (parameters.shift[first + j] ?? 0));
    t.true(Math.abs(y - (embedded.embeddings[j] ?? 0)) < 1e-4);
  }
});

test("moments do not depend on the parameters of their own layer", async (t) => {
  const scale = parameters.scale.map((value) => value * 3);
  const { moments } = await adaptable.run(input.slice(0, 784), 1, { ...parameters, scale });
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
  const shift = parameters.shift.map(() => -1e6);
  const { embeddings, density } = await adaptable.run(input.slice(0, 784), 1, { ...parameters, shift });
  t.true(embeddings.every((value) => value === 0));
  t.true(Number.isFinite(density[0]));
});

test("bytes that are no graph are refused", async (t) => {
  await t.throwsAsync(openSession(Uint8Array.of(1, 2, 3)));
});
