// The anchors next to an embedding, against the serving graph's own figure.
import { fileURLToPath } from "node:url";
import test from "ava";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { densityOf, nearestAnchors } from "../../models/adaptation/density.js";
import { graphOf } from "../../models/adaptation/pass.js";
import { seededRandom } from "../../models/clock.js";
import { loadModel } from "../../models/manifest.js";
import { openAdaptableSession } from "../../models/serving/onnx-session.js";
import { embeddingOf, smallCalibration } from "./small-world.js";

test("the density of a logged embedding is what the serving graph gave", async (t) => {
  const model = await loadModel(fileURLToPath(new URL("../../../models/digits", import.meta.url)));
  const { calibration } = model;
  const { width } = calibration;
  const session = await openAdaptableSession(model.modelBytes, graphOf(model));
  const random = seededRandom(4);
  const input = Float32Array.from({ length: 5 * 784 }, () => (random() < 0.2 ? random() : 0));
  const { embeddings, density } = await session.run(input, 5, sourceParameters(model));
  for (const [row, expected] of density.entries()) {
    const found = densityOf(nearestAnchors(embeddings.subarray(row * width, (row + 1) * width), calibration));
    t.true(Math.abs(found - expected) < 1e-5, `${found} instead of ${expected}`);
  }
  await session.close();
});

test("the five nearest come nearest first with their labels, as a search through all of them finds", (t) => {
  const calibration = smallCalibration();
  const { anchors, anchorCount, anchorLabels, width } = calibration;
  const asked = embeddingOf(1, seededRandom(9));
  const length = Math.hypot(...asked);
  const all = Array.from({ length: anchorCount }, (_, anchor) => ({
    anchor,
    label: anchorLabels[anchor] ?? -1,
    similarity: asked.reduce((sum, value, j) => sum + value * (anchors[anchor * width + j] ?? 0), 0) / length,
  })).sort((a, b) => b.similarity - a.similarity);
  t.deepEqual(
    nearestAnchors(asked, calibration).map(({ anchor, label }) => [anchor, label]),
    all.slice(0, 5).map(({ anchor, label }) => [anchor, label]),
  );
  t.deepEqual(nearestAnchors(new Float32Array(width), calibration), []);
  t.is(densityOf([]), 0);
});
