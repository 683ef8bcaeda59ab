// Another data set than digits: Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), drifting as the digits do (docs/own-models.md).
//
//   node dist/bench/clothes.js --data DIR --clean FILE.npz         half of the test pictures, for `driftmend model init`
//   node dist/bench/clothes.js --data DIR --model FOLDER           the source, A, B and A + B on the other half, as a table
//
// DIR holds the four idx files, unpacked. `--seeds 2 --requests 1500`.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { type DigitSet, pictureSize, readDigits } from "../models/digits/idx.js";
import { pictureViews } from "../models/digits/picture-views.js";
import { loadModel } from "../models/manifest.js";
import { npzOf } from "../models/numbers/npz.js";
import { poolOf } from "../sim/digits.js";
import { evaluateAll } from "../sim/evaluation/evaluate.js";
import { stages } from "../sim/evaluation/methods/driftmend.js";
import { source } from "../sim/evaluation/methods/source.js";
import { digitStream } from "../sim/evaluation/streams.js";
import { variants } from "../sim/stream.js";
import { systemClock } from "../supervision/clock.js";

const { values } = parseArgs({
  options: {
    data: { type: "string", default: "." },
    clean: { type: "string" },
    model: { type: "string" },
    seeds: { type: "string", default: "2" },
    requests: { type: "string", default: "1500" },
  },
});
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const test = await readDigits("test", values.data);
const half = test.count / 2;

function part(from: number): DigitSet {
  const pixels = test.pixels.subarray(from * pictureSize, (from + half) * pictureSize);
  return { count: half, pixels, labels: test.labels.subarray(from, from + half) };
}

async function writeClean(file: string): Promise<void> {
  const { pixels, labels, count } = part(0);
  const x = { shape: [count, 1, 28, 28], values: Float32Array.from(pixels, (ink) => ink / 255) };
  await writeFile(file, npzOf({ x, y: { shape: [count], values: Uint8Array.from(labels) } }));
}

async function evaluate(folder: string): Promise<void> {
  const loaded = await loadModel(folder);
  // Those of the digits: nobody has made any for clothes.
  const model = { ...loaded, manifest: { ...loaded.manifest, views: pictureViews } };
  const pool = poolOf(part(half));
  const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => i + 1);
  const off = { moments: false, views: false, head: false, floor: true };
  const methods = [
    source,
    stages("A", "moments", { ...off, moments: true }, 1),
    stages("B", "views", { ...off, views: true }, 1),
    stages("A+B", "moments and views", { ...off, moments: true, views: true }, 1),
  ];
  const requests = Number(values.requests);
  const streams = variants.flatMap((variant) =>
    seeds.map((seed) => () => digitStream(pool, { variant, seed, requests })),
  );
  const never = new AbortController().signal;
  const { results } = await evaluateAll({ model, methods, streams, clock: systemClock, signal: never });
  print("| stream | seed | method | accuracy | gain | worst window | forgotten |");
  print(`|${" --- |".repeat(7)}`);
  for (const { stream, seed, method, accuracy, gain, worstWindow, clean } of results) {
    const figures = [accuracy, gain, worstWindow?.difference ?? Number.NaN, clean?.forgotten ?? Number.NaN];
    print(`| ${[stream, seed, method, ...figures.map((figure) => figure.toFixed(3))].join(" | ")} |`);
  }
}

if (values.clean !== undefined) await writeClean(values.clean);
if (values.model !== undefined) await evaluate(values.model);
