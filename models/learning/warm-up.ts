// A rehearsal of learning: steps whose results nobody keeps, so that the compilers of JavaScript and WebAssembly have seen the work before
// it counts. A first step takes 15 ms, the next 2.5, later ones 1.5: a process that takes over folds a dozen of them before it learns on.
//
// Owns: the material, the count. Does not own: the step (guarded-step.ts), who rehearses (node.ts, actors/learning/updater.ts).
//
// W1. It leaves nothing behind: what is folded afterwards is the same, bit for bit.

import { seededRandom } from "../clock.js";
import type { Subject } from "../manifest.js";
import { guardedStep, sourceHeadState } from "./guarded-step.js";
import type { Learner } from "./learner.js";
import { admit, draw, emptyReplay } from "./replay.js";

const rehearsals = 32;

/** Resolves after some tens of milliseconds of work, between which the event loop breathes; stops early when the signal aborts. */
export async function rehearse(
  learner: Learner,
  { manifest, calibration }: Subject,
  signal?: AbortSignal,
): Promise<void> {
  const { learning: settings } = manifest;
  const { classes, width, anchorCount, anchorLabels, anchorEmbeddings } = calibration;
  const replay = emptyReplay(classes, settings.replayPerClass, width);
  for (let anchor = 0; anchor < anchorCount; anchor += 1) {
    const embedding = anchorEmbeddings.subarray(anchor * width, (anchor + 1) * width);
    admit(replay, anchorLabels[anchor] ?? 0, anchor, embedding, false);
  }
  let state = sourceHeadState(calibration);
  for (let step = 0; step < rehearsals && signal?.aborted !== true; step += 1) {
    const material = draw(replay, settings.stepBatch, seededRandom(step));
    const proposal = await guardedStep(state, material, settings.learningRate.min, learner, calibration, settings);
    if (proposal.kind === "accepted") state = proposal.next;
  }
}
