// One life of a model on a stream: each passage is answered by the served head, gated, folded, learned from, as a cluster of one node
// does it. Every decision is production's (vote.ts, gate.ts, policy.ts); the gradient is the plain one, which learner.test.ts holds every
// backend to: here accuracies matter, not bits.
import { noLooks } from "../../models/experience.js";
import { gate, isCold } from "../../models/judging/gate.js";
import { plainHeadGradient } from "../../models/learning/head-gradient.js";
import type { Learner } from "../../models/learning/learner.js";
import type { Subject } from "../../models/manifest.js";
import { ownVerdict, type Verdict } from "../../models/memory/vote.js";
import { headLogits } from "../../models/numbers/softmax.js";
import { applyTask, foldExperience, type Policy, sourcePolicy } from "../../models/policy/policy.js";

/** One request: what the model saw, and what was true. */
export interface Passage {
  /** [width] */
  readonly embedding: Float32Array;
  readonly truth: number;
  /** A voter that answers this, surely, whatever the served head says: a neighbourhood that was poisoned. */
  readonly told?: number;
  /** What a person labels it with right after; not always the truth. */
  readonly label?: number;
}

export interface Life {
  readonly subject: Subject;
  readonly policy: Policy;
  /** [passages] 1 = the served answer was right, before anything was learned from it. */
  readonly right: Uint8Array;
  /** [passages] the same of the source head, on the same embeddings. */
  readonly sourceRight: Uint8Array;
  readonly tasks: number;
}

export const plainLearner: Learner = {
  backend: "cpu",
  tried: [],
  headGradient: async (head, batch) => plainHeadGradient(head, batch),
  close: () => undefined,
};

export async function liveThrough(subject: Subject, passages: readonly Passage[]): Promise<Life> {
  const { calibration, manifest } = subject;
  const policy = sourcePolicy(subject);
  const right = new Uint8Array(passages.length);
  const sourceRight = new Uint8Array(passages.length);
  let [seq, update] = [0, 0];
  for (const [i, { embedding, truth, told, label }] of passages.entries()) {
    const verdict = ownVerdict(logitsOf(embedding, policy.served, calibration.width));
    right[i] = verdict.answer === truth ? 1 : 0;
    sourceRight[i] = ownVerdict(logitsOf(embedding, calibration.head, calibration.width)).answer === truth ? 1 : 0;
    const [answer, confidence] = told === undefined ? [verdict.answer, verdict.confidence] : [told, 1];
    const cold = isCold(policy.experiences, manifest.learning);
    seq += 1;
    const position = { seq, index: 0 };
    foldExperience(policy, seq, recordOf(subject, seq, embedding, answer, confidence, verdict), subject);
    if (label !== undefined) {
      seq += 1;
      const late = {
        kind: "label",
        model: manifest.name,
        node: "n1",
        atMs: 0,
        id: `${i}`,
        label,
        of: position,
      } as const;
      foldExperience(policy, seq, late, subject);
    }
    // A planted answer comes with a task, as an unsure one does: what is tried is the step, not whether there is one.
    if (gate(told === undefined ? confidence : 0, cold, manifest.learning) !== "learn") continue;
    update += 1;
    const unsure = told === undefined ? confidence : 0;
    const task = {
      model: manifest.name,
      traceId: "0".repeat(32),
      experience: { seq, index: 0 },
      confidence: unsure,
      atMs: 0,
      node: "n1",
    };
    await applyTask(policy, update, task, plainLearner, subject);
  }
  return { subject, policy, right, sourceRight, tasks: update };
}

/** Share of ones in from..to. */
export function shareOf(right: Uint8Array, from = 0, to = right.length): number {
  return right.subarray(from, to).reduce((sum, one) => sum + one, 0) / (to - from);
}

function logitsOf(embedding: Float32Array, head: Float32Array, width: number): Float32Array {
  return Float32Array.from(headLogits(embedding, head, width));
}

function recordOf(
  { manifest, calibration }: Subject,
  seq: number,
  embedding: Float32Array,
  answer: number,
  confidence: number,
  { shares }: Verdict,
) {
  return {
    kind: "answers",
    model: manifest.name,
    node: "n1",
    incarnation: 1,
    atMs: 0,
    version: 0,
    ids: [`${seq}`],
    traceIds: ["0".repeat(32)],
    cold: new Uint8Array(1),
    bySource: new Uint8Array(1),
    learn: new Uint8Array(1),
    answers: Uint16Array.of(answer),
    confidences: Float32Array.of(confidence),
    priorities: Float32Array.of(0.5),
    slots: new Uint8Array(1),
    densities: new Float32Array(1),
    looks: noLooks,
    embeddings: embedding,
    logits: Float32Array.from(shares, Math.log),
    moments: new Float32Array(2 * calibration.channels),
  } as const;
}
