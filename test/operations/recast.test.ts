// The answers of a log under other settings: small records, heads made by hand.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import type { ExperienceBatch } from "../../models/experience.js";
import { argmax } from "../../models/numbers/softmax.js";
import type { LearningSettings } from "../../models/settings.js";
import { Recast } from "../../operations/log/recast.js";
import { smallModel } from "../actors/small-node.js";
import { answersOf, classes, labelFor, width } from "../models/small-world.js";

const recorded = smallModel();
const source = recorded.calibration.head;
/** Answers "c", whatever it sees. */
const stubborn = Float32Array.from(source, (_, i) => (i === width * classes + 2 ? 50 : 0));

function recastFor(changes: Partial<LearningSettings> = {}): Recast {
  const recast = new Recast(recorded, smallModel(changes));
  recast.serve(0, { recorded: source, instead: source });
  return recast;
}

/** Answered by the model alone, as the log would hold it. */
function logged(labels: readonly number[], seed: number, part: Partial<ExperienceBatch> = {}): ExperienceBatch {
  return { ...answersOf(recorded, labels, seededRandom(seed), 0.2), ...part };
}

test("under the same settings every answer is reproduced, and nothing changes", (t) => {
  const recast = recastFor();
  for (let seq = 1; seq <= 5; seq++) recast.take(seq, logged([0, 1, 2], seq), 0);
  t.like(recast.counts, { rows: 15, notCompared: 0, reproduced: 15, changed: 0, gate: { learnNow: 0, leftNow: 0 } });
});

test("another head gives other answers from the logged embeddings, and labels say which were right", (t) => {
  const recast = recastFor();
  recast.serve(1, { recorded: source, instead: stubborn });
  recast.take(1, logged([0, 1, 2], 1, { version: 1 }), 0);
  t.like(recast.counts, { rows: 3, reproduced: 3, changed: 2 });
  for (const [index, label] of [0, 1, 2].entries()) recast.take(2 + index, labelFor({ seq: 1, index }, label), 0);
  recast.take(5, labelFor({ seq: 1, index: 0 }, 0), 0);
  recast.take(6, labelFor({ seq: 77, index: 0 }, 0), 0);
  t.deepEqual(recast.counts.labelled, { n: 3, recorded: 3, instead: 1, missed: 2 });
});

test("a cold answer is the source's under every head, unless the cold phase itself is another", (t) => {
  const cold = logged([0, 1, 2], 1, { cold: new Uint8Array([1, 1, 1]) });
  const recast = recastFor();
  recast.serve(0, { recorded: source, instead: stubborn });
  recast.take(1, cold, 0);
  t.is(recast.counts.changed, 0);
  const warm = recastFor({ coldStart: 0 });
  warm.serve(0, { recorded: source, instead: stubborn });
  warm.take(1, cold, 0);
  t.is(warm.counts.changed, 2);
});

test("a gate that is higher or lower is counted answer by answer", (t) => {
  const batch = logged([0, 1, 2, 0], 3);
  const [all, none] = [recastFor({ gate: 1 }), recastFor({ gate: 0 })];
  const between = new Recast(smallModel({ gate: 1 }), smallModel({ gate: 0 }));
  between.serve(0, { recorded: source, instead: source });
  for (const recast of [all, none, between]) recast.take(1, batch, 0);
  t.is(
    all.counts.gate.learnNow,
    Array.from(batch.confidences).filter((each) => each >= recorded.manifest.learning.gate).length,
  );
  t.is(between.counts.gate.leftNow, 4);
  t.is(none.counts.gate.learnNow, 0);
});

test("a vote that true labels have no part in gives other answers where they had one", (t) => {
  // The one nearest label counts 5, or nothing.
  const [heard, silent] = [5, 0].map((weight) => smallModel({ labelled: { neighbours: 1, weight, sharpness: 0 } }));
  const recast = new Recast(heard ?? t.fail(), silent ?? t.fail());
  recast.serve(0, { recorded: source, instead: source });
  const batch = logged([0], 4);
  recast.take(1, batch, 0);
  recast.take(2, labelFor({ seq: 1, index: 0 }, 2), 0);
  // The same picture again: the label votes for "c" where labels count.
  recast.take(3, { ...batch, ids: ["again"] }, 0);
  t.is(argmax(batch.logits.subarray(0, classes)), 0);
  t.like(recast.counts, { rows: 2, changed: 1, reproduced: 1 });
});

test("answers of a version that the fold does not have are counted and left out; what lies before the fold only fills the memory", (t) => {
  const recast = recastFor();
  recast.take(1, logged([0, 1], 1), 1);
  t.is(recast.counts.rows, 0);
  recast.take(2, logged([0, 1], 2, { version: 9 }), 1);
  recast.take(3, logged([0, 1], 3), 1);
  t.like(recast.counts, { rows: 2, notCompared: 2 });
});
