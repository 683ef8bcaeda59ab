// Makes the trained digits network adaptable and measures what clean digits look like to it.
//
// Owns: which digits are looked at. Does not own: the rewriting (models/adoption/rewrite.ts), the measures (models/adoption/calibrate.ts).
import { calibrate, embedWith } from "../adoption/calibrate.js";
import { type Network, trainedGraph } from "../adoption/graph.js";
import { inspect } from "../adoption/inspect.js";
import { servingGraph } from "../adoption/rewrite.js";
import type { Calibration } from "../calibration.js";
import { type Random, seededRandom } from "../clock.js";
import { type DigitSet, pictureOf, pictureSize } from "./idx.js";

/** Digits of each class whose moments and embeddings are taken. */
const perClass = 1000;

export interface AdaptableDigits {
  readonly calibration: Calibration;
  readonly serving: Uint8Array;
}

/** digits: clean examples. Deterministic for a seed. */
export async function adaptableDigits(network: Network, digits: DigitSet, seed: number): Promise<AdaptableDigits> {
  const { classes, shape } = network;
  const chosen = balancedSample(digits, classes, seededRandom(seed));
  const labels = Uint8Array.from(chosen, (digit) => digits.labels[digit] ?? 0);
  const values = new Float32Array(chosen.length * pictureSize);
  chosen.forEach((digit, row) => void values.set(pictureOf(digits, digit), row * pictureSize));
  const inspected = await inspect(trainedGraph(network), { shape, values, labels }, classes);
  if (inspected.kind === "refused") throw new Error(`the digits network: ${inspected.message}`);
  const { graph, plan, source } = inspected;
  const embed = embedWith(
    source,
    { inputName: plan.inputName, shape, inputSize: pictureSize },
    (levels) => servingGraph(graph, plan, levels),
    (row, into) => into.set(values.subarray(row * pictureSize, (row + 1) * pictureSize)),
  );
  const { calibration } = await calibrate(source, labels, embed);
  return { calibration, serving: servingGraph(graph, plan, calibration) };
}

/** perClass digits of every class, class after class, drawn without putting back. */
function balancedSample(digits: DigitSet, classes: number, random: Random): Uint32Array {
  const byClass = Array.from({ length: classes }, (): number[] => []);
  digits.labels.forEach((label, digit) => void byClass[label]?.push(digit));
  return Uint32Array.from(
    byClass.flatMap((members) => {
      for (let i = 0; i < perClass; i++) {
        const other = i + Math.floor(random() * (members.length - i));
        [members[i], members[other]] = [members[other] ?? 0, members[i] ?? 0];
      }
      return members.slice(0, perClass);
    }),
  );
}
