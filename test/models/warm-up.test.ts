// A rehearsal does real steps, and leaves nothing behind.

import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { type Learner, openLearner } from "../../models/learning/learner.js";
import { rehearse } from "../../models/learning/warm-up.js";
import { applyTask, checksum, foldExperience, sourcePolicy } from "../../models/policy/policy.js";
import { answersOf, smallSubject, taskFor } from "./small-world.js";

const learner = await openLearner("wasm");
const subject = smallSubject();

/** A policy after one step, from a log that follows from a seed. */
async function learned(): Promise<string> {
  const policy = sourcePolicy(subject);
  const random = seededRandom(9);
  for (let seq = 1; seq <= 3; seq += 1)
    foldExperience(policy, seq, answersOf(subject, [0, 1, 2, 0, 1, 2], random), subject);
  await applyTask(policy, 1, taskFor({ seq: 3, index: 0 }), learner, subject);
  return checksum(policy);
}

test("what is learned after a rehearsal is what is learned without it, bit for bit (law 4)", async (t) => {
  const before = await learned();
  await rehearse(learner, subject);
  t.is(await learned(), before);
});

test("a rehearsal computes gradients, and ends when it is not needed any more", async (t) => {
  let gradients = 0;
  const over = new AbortController();
  const counted: Learner = {
    ...learner,
    headGradient: (head, batch) => {
      gradients += 1;
      if (gradients === 3) over.abort();
      return learner.headGradient(head, batch);
    },
  };
  await rehearse(counted, subject, over.signal);
  t.is(gradients, 3);
});
