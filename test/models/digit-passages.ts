// Real digits as passages: streams of sim/stream.ts through the shipped graph with the moments of their domains, as the cluster embeds them.
// The embeddings do not depend on the head, so one run serves every setting of it.
import { AdaptedView, emptyAdaptation, foldRow } from "../../models/adaptation/adaptation.js";
import { chooseSlot } from "../../models/adaptation/domains.js";
import { graphOf } from "../../models/adaptation/pass.js";
import { seededRandom } from "../../models/clock.js";
import type { Subject } from "../../models/manifest.js";
import { loadModel } from "../../models/manifest.js";
import { openAdaptableSession } from "../../models/serving/onnx-session.js";
import type { LearningSettings } from "../../models/settings.js";
import { drawDigit, loadDigitPool } from "../../sim/digits.js";
import { type DriftName, drift, type Severity } from "../../sim/drift.js";
import type { Sample } from "../../sim/stream.js";
import { digitsFolder } from "./digits-model.js";
import type { Passage } from "./live-through.js";

export const digits = await loadModel(digitsFolder);
export const pool = await loadDigitPool();

/** The digits model under other settings; the moments are in the embeddings already. */
export function digitsSubject(overrides: Partial<LearningSettings> = {}): Subject {
  const stages = { moments: false, views: false, head: true, floor: false };
  const learning = { ...digits.manifest.learning, ...overrides, stages };
  return { calibration: digits.calibration, manifest: { ...digits.manifest, learning } };
}

/** Digits under one drift. */
export function driftedDigits(
  name: DriftName,
  severity: Severity,
  requests: number,
  seed: number,
): readonly Pick<Sample, "picture" | "label">[] {
  const random = seededRandom(seed);
  return Array.from({ length: requests }, () => {
    const { picture, label } = drawDigit(pool, random);
    return { picture: drift(name, severity, picture, random), label };
  });
}

/** The samples, one request at a time, under the domains' moments as they follow (stage A) or under the source's. */
export async function passagesOf(
  samples: Iterable<Pick<Sample, "picture" | "label">>,
  seed: number,
  normalisedBy: "moments" | "source",
): Promise<Passage[]> {
  const { calibration, manifest } = digits;
  const { head } = calibration;
  const stages = { ...manifest.learning.stages, moments: normalisedBy === "moments" };
  const subject = { calibration, manifest: { ...manifest, learning: { ...manifest.learning, stages } } };
  const session = await openAdaptableSession(digits.modelBytes, graphOf(digits));
  const adaptation = emptyAdaptation(subject);
  const view = new AdaptedView(subject, adaptation);
  const random = seededRandom(seed);
  const passages: Passage[] = [];
  for (const { picture, label } of samples) {
    const found = await session.run(picture, 1, { ...view.adapted, head });
    passages.push({ embedding: found.embeddings.slice(), truth: label });
    const density = found.density[0] ?? Number.NaN;
    const { slot } = chooseSlot(calibration, { logits: found.logits, density }, random);
    const folded = foldRow(adaptation, subject, { bySource: false, moments: found.moments, slot, density, looks: [] });
    if (folded !== undefined) view.folded(folded);
  }
  await session.close();
  return passages;
}
