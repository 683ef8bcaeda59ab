// Law 8: learning may not make it worse. A memory that confirms its own mistakes teaches the head 400 steps of nonsense:
// every class is learned as the next one. With the guards the model stays what it was; without them it collapses.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { shareRight } from "../../models/learning/guardrails.js";
import { openLearner } from "../../models/learning/learner.js";
import type { Subject } from "../../models/manifest.js";
import { headLogits } from "../../models/numbers/softmax.js";
import { applyTask, foldExperience, type Policy, sourcePolicy } from "../../models/policy/policy.js";
import type { LearningSettings } from "../../models/settings.js";
import { answersOf, smallSubject, taskFor } from "./small-world.js";

const learner = await openLearner("wasm");
const steps = 400;

async function taughtNonsense(overrides: Partial<LearningSettings>): Promise<{ subject: Subject; policy: Policy }> {
  const subject = smallSubject(overrides);
  const policy = sourcePolicy(subject);
  const random = seededRandom(31);
  for (let seq = 1; seq <= steps; seq++) {
    const batch = answersOf(subject, [0, 1, 2], random);
    const wrong = {
      ...batch,
      answers: batch.answers.map((answer) => (answer + 1) % 3),
      confidences: new Float32Array(3).fill(1),
    };
    foldExperience(policy, seq, wrong, subject);
    await applyTask(policy, seq, taskFor({ seq, index: 0 }, 0), learner, subject);
  }
  return { subject, policy };
}

function servedAccuracy({ subject, policy }: { subject: Subject; policy: Policy }): number {
  const { anchorEmbeddings, anchorLabels, width } = subject.calibration;
  return shareRight(headLogits(anchorEmbeddings, policy.served, width), anchorLabels);
}

/** A rate at which 400 steps are enough to turn a head around; the documented one takes longer. */
const learningRate = { min: 0.05, max: 0.05 };

test("with the guards 400 steps of nonsense leave the anchors' answers as they were", async (t) => {
  const scene = await taughtNonsense({ learningRate });
  t.log(`applied ${scene.policy.counters.applied}, refused ${JSON.stringify(scene.policy.counters.refused)}`);
  t.is(servedAccuracy(scene), 1);
});

test("without them the same steps collapse the model", async (t) => {
  const off = { klWeight: 0, klLimit: Number.POSITIVE_INFINITY, restore: 0, anchorLossMax: 1, ema: 0, clipNorm: 1e9 };
  const scene = await taughtNonsense({ learningRate, ...off });
  t.is(scene.policy.counters.applied, steps - 3);
  t.true(servedAccuracy(scene) < 0.1, `${servedAccuracy(scene)}`);
});
