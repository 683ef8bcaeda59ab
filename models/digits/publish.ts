// Writes the digits model's folder from a trained network: two graphs, the calibration, the manifest that vouches for them.
//
// Owns: the digits manifest's content. Does not own: graphs (models/adoption/graph.ts), measurements
// (models/digits/calibrate.ts).
import { refOf, writeModelFolder } from "../adoption/adopt.js";
import { type Network, sourceGraph } from "../adoption/graph.js";
import { writeCalibration } from "../calibration.js";
import { type FileRef, parseManifest } from "../manifest.js";
import { openSession } from "../serving/onnx-session.js";
import { adaptableDigits } from "./calibrate.js";
import { type DigitSet, pictureOf, pictureSize } from "./idx.js";
import { inputName, labels, width } from "./network.js";
import { pictureViews } from "./picture-views.js";

const rowsPerRun = 100;

export interface Published {
  /** Of the source graph on the test digits, 0..1. */
  readonly accuracy: number;
  /** Of the whole folder. */
  readonly bytes: number;
}

/** Deterministic for a network, digits and a seed. */
export async function publish(
  network: Network,
  digits: { readonly training: DigitSet; readonly test: DigitSet },
  seed: number,
  folder: string,
): Promise<Published> {
  const { calibration, serving } = await adaptableDigits(network, digits.training, seed);
  const source = sourceGraph(network);
  const accuracy = await sourceAccuracyOf(source, digits.test);
  const written = { "model.onnx": serving, "source.onnx": source, "calibration.bin": writeCalibration(calibration) };
  const refs = {
    model: refOf("model.onnx", serving),
    source: refOf("source.onnx", source),
    calibration: refOf("calibration.bin", written["calibration.bin"]),
  };
  const text = `${JSON.stringify(manifestOf(network, refs, accuracy), null, 2)}\n`;
  parseManifest(text);
  await writeModelFolder(folder, { ...written, "manifest.json": new TextEncoder().encode(text) });
  return { accuracy, bytes: Object.values(refs).reduce((sum, ref) => sum + ref.bytes, text.length) };
}

/** What differs from the learning defaults would stand under `learning`; nothing does. */
function manifestOf(network: Network, files: Readonly<Record<string, FileRef>>, sourceAccuracy: number) {
  const convolutions = network.convolutions.map(({ channels }, i) => ({ name: `convolution${i + 1}`, channels }));
  return {
    v: 1,
    name: "digits",
    labels,
    input: {
      name: inputName,
      shape: network.shape,
      accepts: [
        { dt: "<f4", scale: 1 },
        { dt: "|u1", scale: 1 / 255 },
      ],
      range: [0, 1],
    },
    embeddingWidth: width,
    layers: [...convolutions, { name: "embedding", channels: width }],
    views: pictureViews,
    files,
    sourceAccuracy,
  };
}

async function sourceAccuracyOf(source: Uint8Array, digits: DigitSet): Promise<number> {
  const session = await openSession(source);
  let right = 0;
  for (let start = 0; start < digits.count; start += rowsPerRun) {
    const rows = Math.min(rowsPerRun, digits.count - start);
    const input = new Float32Array(rows * pictureSize);
    for (let row = 0; row < rows; row++) input.set(pictureOf(digits, start + row), row * pictureSize);
    const logits = await session.run(input, rows);
    for (let row = 0; row < rows; row++) {
      const own = logits.subarray(row * labels.length, (row + 1) * labels.length);
      if (own.indexOf(Math.max(...own)) === digits.labels[start + row]) right++;
    }
  }
  await session.close();
  return right / digits.count;
}
