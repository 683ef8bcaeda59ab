// `node dist/bench/late-labels.js [--seeds 5 --uses none,both --families geometry,any,clean --stretch 500 --off nothing,views]`: what late labels
// are worth, with a stage switched off and without, as a table (docs/learning.md).
import { parseArgs } from "node:util";
import { loadModel, type Model } from "../models/manifest.js";
import type { LearningSettings } from "../models/settings.js";
import { loadDigitPool } from "../sim/digits.js";
import { type Family, type LateLabelScore, measureLateLabels, type Use, uses } from "../sim/late-labels.js";
import { systemClock } from "../supervision/clock.js";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "5" },
    uses: { type: "string", default: "none,both" },
    families: { type: "string", default: "geometry,any,clean" },
    stretch: { type: "string", default: "500" },
    off: { type: "string", default: "nothing,views" },
  },
});
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => i + 1);
const families = (["geometry", "any", "clean"] as const).filter((each) => values.families.split(",").includes(each));
const asked = uses.filter((each) => values.uses.split(",").includes(each));
const model = await loadModel(new URL("../../models/digits", import.meta.url).pathname);
const pool = await loadDigitPool();
const print = (line: string): void => void process.stdout.write(`${line}\n`);

function without(off: string): Model {
  const { learning } = model.manifest;
  const on: LearningSettings["stages"] = { ...learning.stages, ...(off === "nothing" ? {} : { [off]: false }) };
  return { ...model, manifest: { ...model.manifest, learning: { ...learning, stages: on } } };
}

async function row(off: string, family: Family, share: number, use: Use): Promise<void> {
  const scores: LateLabelScore[] = [];
  const options = {
    model: without(off),
    pool,
    clock: systemClock,
    family,
    share,
    use,
    stretch: Number(values.stretch),
  };
  for (const seed of seeds) scores.push(await measureLateLabels({ ...options, seed }));
  const mean = (of: (score: LateLabelScore) => number): string =>
    (scores.reduce((sum, score) => sum + of(score), 0) / scores.length).toFixed(4);
  const each = scores.map(({ drifting }) => drifting.toFixed(3)).join(" ");
  const figures = [mean((s) => s.drifting), mean((s) => s.before), mean((s) => s.after), each];
  const inRounds = [0, 1, 2].map((round) => mean((s) => s.rounds[round] ?? Number.NaN)).join(" ");
  print(`| ${[off, family, share, use, ...figures, inRounds, scores[0]?.steps].join(" | ")} |`);
}

print("| off | drifts | labels | use | drifting | clean before | clean after | each seed | rounds | steps of seed 1 |");
print(`|${" --- |".repeat(10)}`);
for (const off of values.off.split(","))
  for (const family of families) for (const use of asked) await row(off, family, 0.05, use);
