// Substrate: small ONNX files written node by node, run by ONNX Runtime as they are and as they were rewritten. One after the
// other: they all share this thread.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { emptyDomains, normalisation, sourceNormalisation } from "../../models/adaptation/domains.js";
import { adopt } from "../../models/adoption/adopt.js";
import { openAnySession, openSession } from "../../models/serving/onnx-session.js";
import { defaults } from "../../models/settings.js";
import { adopted, adoption, fileOf, opened, picture, refusal, trainedDigits, unheard, worst } from "./adopting.js";
import { digitsFolder, firstDigits } from "./digits-model.js";
import {
  classes,
  classifier,
  clusteredRows,
  ownRows,
  pictureClassifier,
  plainClassifier,
} from "./small-classifiers.js";

for (const opset of [9, 10, 11, 12, 13, 15, 17, 18, 21])
  test.serial(
    `of opset ${opset}: normalisation behind convolution and linear layer becomes inputs, and nothing changes`,
    async (t) => {
      const bytes = pictureClassifier("N", opset);
      const rows = await ownRows(bytes, picture);
      const model = await adopted(bytes, rows);
      const { session, source, calibration, manifest } = await opened(model);
      t.deepEqual(
        manifest.layers.map(({ channels }) => channels),
        [4, 6],
      );
      t.deepEqual(model.inspected.stages, { moments: true, head: true });
      t.deepEqual(model.inspected.remarks, []);
      const original = await openAnySession(bytes);
      const [expected] = await original.run(rows.values, [50, ...picture], ["logits"]);
      const served = await session.run(rows.values, 50, source);
      t.true(worst(served.logits, expected?.data ?? new Float32Array()) < 1e-4);
      t.is(model.accuracy, 1);
      t.true(served.density.every((k) => k <= 1.0001 && k > -1.0001));
      t.deepEqual([calibration.channels, calibration.firstLayerChannels, calibration.width], [10, 4, 6]);
      await Promise.all([session.close(), original.close()]);
    },
  );

test.serial(
  "a trained model gains from following its input in the rehearsal, loses nothing on clean rows, and follows it",
  async (t) => {
    const bytes = await trainedDigits();
    const { input, labels: own } = await firstDigits(500);
    const rows = { shape: [1, 28, 28], values: input, labels: Uint8Array.from(own) };
    const result = await adopt(bytes, rows, { ...adoption, labels: [..."0123456789"] }, unheard);
    if (result.kind !== "adopted") return t.fail(JSON.stringify(result));
    t.true((result.rehearsal?.lossOnClean ?? 1) <= 0.01);
    t.true((result.rehearsal?.gainUnderDamage ?? 0) > 0.005, JSON.stringify(result.rehearsal));
    t.deepEqual(result.stages, { moments: true, head: true });
    t.deepEqual((await opened(result)).manifest.learning.stages, defaults.stages);
  },
);

test.serial(
  "a model that following its input would throw off is found out in the rehearsal, and its normalisation stays",
  async (t) => {
    const bytes = pictureClassifier("N", 13, 0.5, 15);
    const model = await adopted(bytes, await clusteredRows(bytes, picture));
    t.true((model.rehearsal?.lossOnClean ?? 0) > 0.01 || (model.rehearsal?.gainUnderDamage ?? 0) < 0);
    t.deepEqual(model.inspected.stages, { moments: true, head: true });
    t.deepEqual((await opened(model)).manifest.learning.stages, { ...defaults.stages, moments: false });
    t.regex(model.remarks.join(), /rehearsed, that costs up to/);
  },
);

test.serial(
  "a model whose inputs all look the same to the layer that adapts gains nothing in the rehearsal, and its normalisation stays",
  async (t) => {
    const bytes = await readFile(join(digitsFolder, "source.onnx"));
    const { input, labels: own } = await firstDigits(500);
    const rows = { shape: [1, 28, 28], values: input, labels: Uint8Array.from(own) };
    const result = await adopt(bytes, rows, { ...adoption, labels: [..."0123456789"] }, unheard);
    if (result.kind !== "adopted") return t.fail(JSON.stringify(result));
    t.is(result.rehearsal?.lossOnClean, 0);
    t.true((result.rehearsal?.gainUnderDamage ?? 1) <= 0, JSON.stringify(result.rehearsal));
    t.deepEqual(result.stages, { moments: false, head: true });
    t.regex(result.remarks.join(), /rehearsed, that costs up to 0.0 % .* on damaged ones/);
  },
);

test.serial("moments are those of what is normalised: the first is what scale and shift act on", async (t) => {
  const bytes = pictureClassifier();
  const rows = await ownRows(bytes, picture);
  const model = await adopted(bytes, rows);
  const { session, source, calibration } = await opened(model);
  const { channels } = calibration;
  const embedded = await session.run(rows.values, 50, source);
  // By hand, for the linear layer: the embedding is relu(scale u + shift) of the first moment u.
  for (let row = 0; row < 5; row++)
    for (let j = 0; j < 6; j++) {
      const u = embedded.moments[row * 2 * channels + 4 + j] ?? Number.NaN;
      const y = Math.max(0, u * (source.scale[4 + j] ?? 0) + (source.shift[4 + j] ?? 0));
      t.true(Math.abs(y - (embedded.embeddings[row * 6 + j] ?? Number.NaN)) < 1e-4);
    }
  t.deepEqual(normalisation(emptyDomains(calibration), calibration, 0), sourceNormalisation(calibration));
  await session.close();
});

test.serial("a negative gamma keeps the affine in front of the pool, and the logits stay", async (t) => {
  const bytes = pictureClassifier("N", 13, -2);
  const model = await adopted(bytes, await ownRows(bytes, picture));
  t.is(model.inspected.plan.layers[0]?.norm.pool, null);
  t.is(model.inspected.plan.layers.length, 2);
  t.true(model.proof.serving < 1e-4);
});

test.serial("a batch fixed to one becomes free, and the file is held against as it takes it: one by one", async (t) => {
  const bytes = pictureClassifier(1);
  const model = await adopted(bytes, await ownRows(bytes, picture, 50, 1));
  t.is(model.inspected.fixedBatch, 1);
  t.is(model.proof.rows, 50);
  t.true(model.proof.serving < 1e-4);
  const { session, source } = await opened(model);
  t.is((await session.run(new Float32Array(7 * 64), 7, source)).logits.length, 7 * classes);
  await session.close();
});

test.serial("a batch that is baked in deeper is refused, and the reason names it", async (t) => {
  const bytes = classifier([1, 5], ({ graph, floats }) => {
    const stacked = graph.one("Concat", ["input", floats("row", [1, 5])], { axis: 0 });
    const both = graph.one("Reshape", [stacked, graph.integers("flat", [-1, 10])]);
    return graph.one("Gemm", [both, floats("w", [10, classes]), floats("b", [classes])]);
  });
  const rows = { shape: [5], values: new Float32Array(100), labels: new Uint8Array(20) };
  t.regex(await refusal(bytes, rows), /batch dimension cannot be made free|depends on the rows beside it/);
});

for (const tail of ["Softmax", "LogSoftmax"] as const)
  for (const opset of [11, 13])
    test.serial(
      `a trailing ${tail} of opset ${opset} is left off, and the original's values still come out behind it`,
      async (t) => {
        const bytes = plainClassifier(tail, opset);
        const model = await adopted(bytes, await ownRows(bytes, [5]));
        t.is(model.inspected.end.tail, tail === "Softmax" ? "softmax" : "log-softmax");
        t.true(model.proof.serving < 1e-5);
        t.is(model.proof.agreement, 1);
      },
    );

test.serial("without batch normalisation scale and shift act on the embedding, as nothing at the source", async (t) => {
  const bytes = plainClassifier();
  const rows = await ownRows(bytes, [5]);
  const model = await adopted(bytes, rows);
  const { session, source, calibration, manifest } = await opened(model);
  t.regex(model.remarks.join(), /act on the embedding/);
  t.deepEqual(manifest.layers, [{ name: "embedding", channels: 8 }]);
  t.deepEqual(model.inspected.stages, { moments: true, head: true });
  t.true(source.scale.every((value) => Math.abs(value - 1) < 1e-6));
  t.true(source.shift.every((value) => Math.abs(value) < 1e-5));
  const { moments, embeddings } = await session.run(rows.values, 50, source);
  for (let i = 0; i < 8; i++) t.true(Math.abs((moments[i] ?? 0) - (embeddings[i] ?? 0)) < 1e-5);
  t.is(calibration.gamma.length, 8);
  await session.close();
});

test.serial(
  "what has no linear head is served as it is: its own logits through a head that changes nothing",
  async (t) => {
    const bytes = classifier(["N", 5], ({ graph, floats }) => {
      const u = graph.one("Gemm", ["input", floats("w", [5, classes]), floats("b", [classes])]);
      return graph.one("Tanh", [u]);
    });
    const model = await adopted(bytes, await ownRows(bytes, [5]));
    t.deepEqual(model.stages, { moments: false, head: false });
    t.deepEqual((await opened(model)).manifest.learning.stages, { ...defaults.stages, moments: false, head: false });
    t.regex(model.remarks.join("\n"), /the head does not adapt.*\n.*served as it is/);
    t.true(model.proof.serving < 1e-5);
  },
);

test.serial("normalisation adapts without a head, and the head without normalisation of the right shape", async (t) => {
  const bytes = classifier(
    ["N", 5],
    ({ graph, floats, norm }) =>
      graph.one("Tanh", [
        norm(graph.one("Gemm", ["input", floats("w", [5, classes]), floats("b", [classes])]), classes),
      ]),
    { seed: 39 },
  );
  const model = await adopted(bytes, await ownRows(bytes, [5]));
  t.deepEqual(model.inspected.stages, { moments: true, head: false });
  t.is(model.inspected.plan.layers.length, 1);
});

test.serial("a layer that does not normalise rows is left as it is, with its reason", async (t) => {
  const bytes = classifier(["N", 6], ({ graph, floats, norm }) => {
    const halves = graph.one("Reshape", ["input", graph.integers("halves", [-1, 3])]);
    const whole = graph.one("Reshape", [norm(halves, 3), graph.integers("whole", [-1, 6])]);
    return graph.one("Gemm", [whole, floats("w", [6, classes]), floats("b", [classes])]);
  });
  const model = await adopted(bytes, await ownRows(bytes, [6]));
  t.is(model.inspected.plan.layers.length, 0);
  t.regex(model.remarks.join(), /does not adapt: it normalises \[64, 3\], not \[rows, 3, ...\]/);
});

test.serial(
  "a residual network adapts at each of its layers, and a shared input counts for both of them",
  async (t) => {
    const bytes = classifier(["N", 2, 6, 6], ({ graph, floats, norm }) => {
      const convolve = (x: string, name: string) =>
        graph.one("Conv", [x, floats(name, [4, name === "k0" ? 2 : 4, 3, 3], 0.4)], {
          kernel_shape: [3, 3],
          pads: [1, 1, 1, 1],
        });
      const stem = convolve("input", "k0");
      const x = graph.one("Relu", [norm(stem, 4)]);
      const inner = graph.one("Relu", [norm(convolve(x, "k1"), 4)]);
      const sum = graph.one("Add", [norm(convolve(inner, "k2"), 4), norm(stem, 4)]);
      const pooled = graph.one("Flatten", [graph.one("GlobalAveragePool", [graph.one("Relu", [sum])])]);
      return graph.one("Gemm", [pooled, floats("w", [4, classes]), floats("b", [classes])]);
    });
    const model = await adopted(bytes, await ownRows(bytes, [2, 6, 6]));
    t.is(model.inspected.plan.layers.length, 4);
    t.deepEqual(model.inspected.remarks, []);
    t.true(model.proof.serving < 1e-4);
  },
);

test.serial(
  "a signal in time adapts, too: normalisation of [rows, channels, steps], pooled without a ReLU between",
  async (t) => {
    const bytes = classifier(["N", 2, 16], ({ graph, floats, norm }) => {
      const z = graph.one("Conv", ["input", floats("k", [4, 2, 3])], { kernel_shape: [3] });
      const x = graph.one("MaxPool", [norm(z, 4)], { kernel_shape: [2], strides: [2] });
      return graph.one("Gemm", [graph.one("Flatten", [x]), floats("w", [28, classes]), floats("b", [1])]);
    });
    const model = await adopted(bytes, await ownRows(bytes, [2, 16]));
    t.deepEqual(
      model.inspected.plan.layers.map(({ rank, norm }) => [rank, norm.pool?.hasRelu]),
      [[3, false]],
    );
    t.true(model.proof.serving < 1e-4);
  },
);

test.serial(
  "pictures whose head is a convolution adapt at their normalisation; the logits are their embedding",
  async (t) => {
    const bytes = classifier(["N", 1, 6, 6], ({ graph, floats, norm }) => {
      const z = graph.one("Conv", ["input", floats("k", [4, 1, 3, 3])], { kernel_shape: [3, 3] });
      const scores = graph.one("Conv", [graph.one("Relu", [norm(z, 4)]), floats("h", [classes, 4, 1, 1])], {
        kernel_shape: [1, 1],
      });
      return graph.one("Flatten", [graph.one("GlobalAveragePool", [scores])]);
    });
    const model = await adopted(bytes, await ownRows(bytes, [1, 6, 6]));
    t.deepEqual(model.inspected.stages, { moments: true, head: false });
    t.is(model.inspected.plan.width, classes);
    t.true(model.proof.serving < 1e-4);
  },
);

test.serial("a head behind Dropout and with its weight turned by a Transpose is found", async (t) => {
  const bytes = classifier(["N", 5], ({ graph, floats }) => {
    const x = graph.one("Dropout", [graph.one("Relu", [graph.one("MatMul", ["input", floats("w", [5, 8])])])]);
    const turned = graph.one("Transpose", [floats("h", [classes, 8])], { perm: [1, 0] });
    return graph.one("Identity", [graph.one("MatMul", [x, turned])]);
  });
  const model = await adopted(bytes, await ownRows(bytes, [5]));
  t.deepEqual(model.inspected.stages, { moments: true, head: true });
  t.is(model.inspected.plan.width, 8);
  t.true(model.proof.serving < 1e-4);
});

test.serial("a purely linear model adapts at its input", async (t) => {
  const bytes = classifier(["N", 5], ({ graph, floats }) =>
    graph.one("Gemm", ["input", floats("w", [5, classes]), floats("b", [classes])], {
      alpha: { float: 2 },
      beta: { float: 3 },
    }),
  );
  const model = await adopted(bytes, await ownRows(bytes, [5]));
  t.is(model.inspected.plan.width, 5);
  t.true(model.proof.serving < 1e-4);
});

test.serial("an input that has the name of one of ours is served under another", async (t) => {
  const bytes = plainClassifier();
  const other = Uint8Array.from(bytes);
  const rows = await ownRows(bytes, [5]);
  // The five letters of "input" wherever they stand, as a name of the same length.
  for (let i = 0; i + 5 <= other.length; i++)
    if (Buffer.from(other.subarray(i, i + 5)).toString("latin1") === "input") other.set(Buffer.from("table"), i);
  const model = await adopted(other, rows);
  t.is((await opened(model)).manifest.input.name, "input");
  t.true(model.proof.serving < 1e-4);
});

test.serial("source.onnx gives the logits, whatever the original's output", async (t) => {
  const bytes = plainClassifier("Softmax");
  const rows = await ownRows(bytes, [5]);
  const model = await adopted(bytes, rows);
  const session = await openSession(fileOf(model, "source.onnx"));
  const logits = await session.run(rows.values, 50);
  t.true(logits.some((value) => value < 0 || value > 1));
  await session.close();
});

test.serial("equal file and rows give equal bytes", async (t) => {
  const bytes = pictureClassifier();
  const rows = await ownRows(bytes, picture);
  t.deepEqual((await adopted(bytes, rows)).files, (await adopted(bytes, rows)).files);
});

test.serial("too few rows of a label switch adaptation off, and the reason names the label", async (t) => {
  const bytes = plainClassifier();
  const rows = await ownRows(bytes, [5], 200);
  const kept = [...rows.labels.keys()].filter((row) => rows.labels[row] !== 1 || row < 20);
  const few = {
    shape: [5],
    values: Float32Array.from(kept.flatMap((row) => [...rows.values.subarray(row * 5, row * 5 + 5)])),
    labels: Uint8Array.from(kept, (row) => rows.labels[row] ?? 0),
  };
  const model = await adopted(bytes, few);
  t.deepEqual(model.stages, { moments: false, head: false });
  t.regex(model.remarks.join(), /fewer than 20 rows of label b/);
});

test.serial("labels in another order than the output are doubted", async (t) => {
  const bytes = plainClassifier();
  const rows = await ownRows(bytes, [5]);
  const model = await adopted(bytes, { ...rows, labels: rows.labels.map((label) => (label + 1) % classes) });
  t.regex(model.remarks.join(), /in the order of the output/);
});
