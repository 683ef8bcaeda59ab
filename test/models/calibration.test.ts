// The calibration file: round trip of the shipped one, and files that contradict themselves.
import test from "ava";
import { readCalibration, unitRows, writeCalibration } from "../../models/calibration.js";
import { loadModel } from "../../models/manifest.js";
import { BlocksError, readBlocks, writeBlocks } from "../../models/numbers/blocks.js";
import { digitsFolder } from "./digits-model.js";

const { calibration } = await loadModel(digitsFolder);

test("a calibration comes back equal", (t) => {
  t.deepEqual(readCalibration(writeCalibration(calibration)), calibration);
});

test("blocks that are no calibration are refused", (t) => {
  t.throws(() => readCalibration(writeBlocks({ kind: "policy" }, {})), { instanceOf: BlocksError });
});

test("values that contradict the header are refused", (t) => {
  const contradictions = [
    { channels: 175 },
    { classes: 9 },
    { firstLayerChannels: 177 },
    { variance: calibration.variance.map((value) => -value) },
    { mean: calibration.mean.map(() => Number.NaN) },
    { anchorLabels: calibration.anchorLabels.map(() => 10) },
    { anchorCount: 499 },
  ];
  for (const contradiction of contradictions) {
    t.throws(() => readCalibration(writeCalibration({ ...calibration, ...contradiction })), {
      instanceOf: BlocksError,
    });
  }
});

test("unit rows have length one, and a row of zeros stays zero", (t) => {
  t.deepEqual(unitRows(Float32Array.of(3, 4, 0, 0), 2), Float32Array.of(0.6, 0.8, 0, 0));
});

test("anchors follow from the anchor embeddings and are not stored twice", (t) => {
  t.false("anchors" in readBlocks(writeCalibration(calibration)).arrays);
  t.deepEqual(calibration.anchors, unitRows(calibration.anchorEmbeddings, calibration.width));
});
