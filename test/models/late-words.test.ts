// What a label and a reward do to the memory and to the material of a step.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { memoryRows } from "../../models/memory/memory-rows.js";
import { behindMax, MemoryStore } from "../../models/memory/memory-store.js";
import { checksum, foldExperience, sourcePolicy } from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import { decodeExperience, encodeExperience } from "../../transport/log/records.js";
import { answersOf, labelFor, smallSubject, width } from "./small-world.js";

const subject = smallSubject({ trust: 0 });
const of = { seq: 1, index: 1 };
const rewardFor = (reward: number) =>
  ({ kind: "reward", model: "small", node: "n1", atMs: 2_000, id: "r1", reward, of }) as const;

function remembering(capacity = 100): { memory: MemoryStore; batch: ReturnType<typeof answersOf> } {
  const memory = new MemoryStore({ width, capacity });
  const batch = answersOf(subject, [0, 1, 2, 0, 1, 2], seededRandom(2));
  memory.add(memoryRows(1, batch, { rememberedPerRecord: 100 }));
  return { memory, batch };
}

test("a late label corrects the experience, makes it certain and gives it the highest priority (S2-64)", (t) => {
  const { memory, batch } = remembering();
  t.like(memory.find(of), { answer: 1, priority: 0.5, verified: false });
  t.true(memory.label(of, 2));
  t.deepEqual(memory.find(of), { answer: 2, confidence: 1, priority: 1, verified: true });
  const asked = batch.embeddings.subarray(width, 2 * width);
  t.is(memory.search(asked, 1, 1).answers[0], 2);
  t.is(memory.find({ seq: 9, index: 0 }), undefined);
});

test("a bad word raises the priority and takes the confidence, in proportion; a good one raises the priority alone (S2-64)", (t) => {
  const { memory } = remembering();
  const before = memory.find(of)?.confidence ?? t.fail();
  t.true(memory.judge(of, 0.7));
  t.like(memory.find(of), { answer: 1, confidence: before, verified: false });
  t.true(Math.abs((memory.find(of)?.priority ?? 0) - 0.7) < 1e-6);
  memory.judge(of, -0.75);
  t.true(Math.abs((memory.find(of)?.confidence ?? 0) - before / 4) < 1e-6);
  memory.judge(of, 0.1);
  t.true(Math.abs((memory.find(of)?.priority ?? 0) - 0.75) < 1e-6, "a priority is raised, never lowered");
  memory.label(of, 1);
  memory.judge(of, -1);
  t.like(memory.find(of), { confidence: 1, priority: 1, verified: true }, "a true label says more");
  t.false(memory.judge({ seq: 9, index: 0 }, -1));
});

test("of what is judged bad the memory lets go last, of what nobody cared about first", (t) => {
  const { memory } = remembering(6);
  memory.judge({ seq: 1, index: 0 }, -1);
  const more = answersOf(subject, [0, 1], seededRandom(3));
  memory.add(memoryRows(2, more, { rememberedPerRecord: 100 }));
  t.not(memory.find({ seq: 1, index: 0 }), undefined);
  t.is(memory.find({ seq: 1, index: 2 }), undefined);
  t.is(memory.stats().size, 6);
});

test("true labels are found beside the nearest, however many others are nearer; those that are gone are not", (t) => {
  const memory = new MemoryStore({ width, capacity: 100 });
  const axis = (first: number): Float32Array =>
    Float32Array.from({ length: width }, (_, i) => (i === 0 ? 1 : i === 1 ? first : 0));
  for (let seq = 1; seq <= 50; seq++) {
    const batch = { ...answersOf(subject, [0], seededRandom(seq)), embeddings: axis(seq / 100) };
    memory.add(memoryRows(seq, batch, { rememberedPerRecord: 1 }));
  }
  for (const seq of [40, 50]) memory.label({ seq, index: 0 }, 2);
  const found = memory.search(axis(0), 1, 3, 2);
  t.is(found.found[0], 5);
  t.deepEqual(Array.from(found.seqs.subarray(0, 5)), [1, 2, 3, 40, 50]);
  t.deepEqual(Array.from(found.verified.subarray(0, 5)), [0, 0, 0, 1, 1]);
  const close = memory.search(axis(0.5), 1, 3, 2);
  t.deepEqual(Array.from(close.seqs.subarray(0, close.found[0])), [50, 49, 48, 40], "none twice, nearest first");
  for (let seq = 51; seq <= 260; seq++)
    memory.add(memoryRows(seq, answersOf(subject, [0], seededRandom(seq)), { rememberedPerRecord: 1 }));
  t.is(memory.stats().verified, 0);
  const later = memory.search(axis(0), 1, 3, 2);
  t.is(later.found[0], 3);
});

test("the memory says how often it had seen something alike, and whether its index keeps up (S2-62)", (t) => {
  const { memory, batch } = remembering();
  t.like(memory.stats(), { size: 6, capacity: 100, hitRatio: null, health: "ok" });
  memory.search(batch.embeddings, 6, 1);
  t.is(memory.stats().hitRatio, 1);
  // Three axes that no class lies near, and half of all questions so far then.
  const strange = Float32Array.from({ length: 6 * width }, (_, i) => (i % width === 7 || i % width === 1 ? -1 : 0));
  memory.search(strange, 6, 1);
  t.is(memory.stats().hitRatio, 0.5);
  for (let seq = 2; seq <= 2 + behindMax; seq++)
    memory.add(memoryRows(seq, answersOf(subject, [0, 1], seededRandom(seq)), { rememberedPerRecord: 2 }));
  t.is(memory.stats().size, 100);
  const wide = new MemoryStore({ width, capacity: 1_000 });
  for (let seq = 1; seq <= 1 + behindMax; seq++)
    wide.add(memoryRows(seq, answersOf(subject, [0], seededRandom(seq)), { rememberedPerRecord: 1 }));
  t.is(wide.stats().health, "behind");
  while (wide.advance(64));
  t.is(wide.stats().health, "ok");
});

test("a label moves the row among the verified of its class; a bad word takes it out, and a label brings it back", (t) => {
  const policy = sourcePolicy(subject);
  foldExperience(policy, 1, answersOf(subject, [0, 1, 2], seededRandom(2)), subject);
  const held = (): number => Array.from(policy.replay.keys).filter((key) => key >= 0).length;
  t.is(held(), 3);
  foldExperience(policy, 2, rewardFor(-0.2), subject);
  t.is(held(), 2);
  t.is(policy.counters.rewardsUsed, 1);
  foldExperience(policy, 3, rewardFor(-1), subject);
  foldExperience(policy, 4, rewardFor(0.5), subject);
  t.is(policy.counters.rewardsUsed, 1, "it is out already, and a good word is no material");
  foldExperience(policy, 5, labelFor(of, 2), subject);
  t.is(held(), 3);
  foldExperience(policy, 6, rewardFor(-1), subject);
  t.is(held(), 3, "a true label says more");
  const again = decodePolicy(encodePolicy(policy), subject);
  t.true(again.kind === "policy" && checksum(again.policy) === checksum(policy));
});

test("a reward comes back from the log as it was, within -1 and 1", (t) => {
  const reward = rewardFor(-0.25);
  t.deepEqual(decodeExperience(encodeExperience(reward)), { kind: "ok", value: reward });
  t.like(decodeExperience(encodeExperience(rewardFor(1.5))), { kind: "refused", field: "reward" });
});
