// `npm run evaluate`: stage A against the source model on every stream, one request at a time, with the production functions.
// `-- --quick` takes one seed and two drifts. The figures of docs/learning.md come from here.

import { fileURLToPath } from "node:url";
import { loadModel } from "../models/manifest.js";
import { loadDigitPool } from "../sim/digits.js";
import { evaluateAll } from "../sim/evaluate.js";

const quick = process.argv.includes("--quick");
const folder = fileURLToPath(new URL("../../models/digits", import.meta.url));
const evaluations = await evaluateAll(await loadModel(folder), await loadDigitPool(), quick);
process.stdout.write("stream       seed  requests  source  adapting    gain  worst 200\n");
for (const { variant, seed, requests, accuracy, gain, worstWindow } of evaluations) {
  const figures = [accuracy.source, accuracy.adapting, gain, worstWindow].map((share) => share.toFixed(3).padStart(8));
  process.stdout.write(
    `${variant.padEnd(12)} ${`${seed}`.padStart(4)} ${`${requests}`.padStart(9)}${figures.join("")}\n`,
  );
}
