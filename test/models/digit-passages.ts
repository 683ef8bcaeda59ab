// Real digits as passages: streams of sim/stream.ts through the shipped graph with class-balanced moments, as the cluster embeds them.
// The embeddings do not depend on the head, so one run serves every setting of it.
import { seededRandom } from "../../models/clock.js";
import { loadModel, type Model } from "../../models/manifest.js";
import { chooseSlot, foldMoments, normalisation, sourceMoments, sourceNormalisation } from "../../models/moments.js";
import { type AdaptableSession, openAdaptableSession } from "../../models/onnx-session.js";
import type { Subject } from "../../models/policy.js";
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
  const learning = { ...digits.manifest.learning, ...overrides, stages: { moments: false, head: true } };
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

/** The samples, one request at a time, under the moments as they follow (stage A) or under the source's. */
export async function passagesOf(
  samples: Iterable<Pick<Sample, "picture" | "label">>,
  seed: number,
  normalisedBy: "moments" | "source",
): Promise<Passage[]> {
  const { calibration } = digits;
  const { channels } = calibration;
  const session = await openDigits(digits);
  const moments = sourceMoments(calibration);
  const random = seededRandom(seed);
  const passages: Passage[] = [];
  for (const { picture, label } of samples) {
    const affine = normalisedBy === "moments" ? normalisation(moments, calibration) : sourceNormalisation(calibration);
    const found = await session.run(picture, 1, { ...affine, head: calibration.head });
    passages.push({ embedding: found.embeddings.slice(), truth: label });
    const own = found.moments.slice(0, 2 * channels);
    const slot = chooseSlot(
      calibration,
      { logits: found.logits, moments: own, density: found.density[0] ?? 0 },
      random,
    );
    foldMoments(moments, slot, own);
  }
  await session.close();
  return passages;
}

function openDigits({ manifest, calibration, modelBytes }: Model): Promise<AdaptableSession> {
  const { channels, width, classes } = calibration;
  return openAdaptableSession(modelBytes, {
    inputName: manifest.input.name,
    shape: manifest.input.shape,
    channels,
    width,
    classes,
  });
}
