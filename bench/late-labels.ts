// `node dist/bench/late-labels.js [--seeds 3]`: what late labels are worth, as a table (docs/learning.md).
import { parseArgs } from "node:util";
import { openLearner } from "../models/learner.js";
import { loadModel } from "../models/manifest.js";
import { loadDigitPool } from "../sim/digits.js";
import { type Family, type LateLabelScore, measureLateLabels, type Use, uses } from "../sim/late-labels.js";

const { values } = parseArgs({ options: { seeds: { type: "string", default: "3" } } });
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => i + 1);
const model = await loadModel(new URL("../../models/digits", import.meta.url).pathname);
const pool = await loadDigitPool();
const learner = await openLearner();
const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function row(family: Family, share: number, use: Use): Promise<void> {
  const scores: LateLabelScore[] = [];
  for (const seed of seeds) scores.push(await measureLateLabels({ model, pool, learner, family, seed, share, use }));
  const mean = (of: (score: LateLabelScore) => number): string =>
    (scores.reduce((sum, score) => sum + of(score), 0) / scores.length).toFixed(4);
  const each = scores.map(({ drifting }) => drifting.toFixed(3)).join(" ");
  const figures = [mean((s) => s.drifting), mean((s) => s.before), mean((s) => s.after), each];
  print(`| ${[family, share, use, ...figures, scores[0]?.steps].join(" | ")} |`);
}

print("| drifts | labels | use | drifting | clean before | clean after | each seed | steps of seed 1 |");
print("| --- | --- | --- | --- | --- | --- | --- | --- |");
for (const family of ["geometry", "any", "clean"] as const) for (const use of uses) await row(family, 0.05, use);
for (const share of [0.01, 0.2]) await row("geometry", share, "both");
learner.close();
