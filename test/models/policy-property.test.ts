// Whatever comes in whatever order, the fold keeps its promises: finite parameters, a served head near the base, a version that counts what was
// applied and nothing else, and one state for one log.
//
// The learner is the plain one: what is tried is the fold, and its promises hold for any gradient.
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { adaptationArrays } from "../../models/adaptation/adaptation.js";
import { seededRandom } from "../../models/clock.js";
import type { ExperienceBatch } from "../../models/experience.js";
import { allFinite, headLogProbabilities, meanKl } from "../../models/learning/guardrails.js";
import type { Subject } from "../../models/manifest.js";
import {
  applyMark,
  applyRestore,
  applySkip,
  applyTask,
  checksum,
  foldExperience,
  type Policy,
  sourcePolicy,
} from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import { plainLearner } from "./live-through.js";
import { answersOf, classes, labelFor, smallSubject, taskFor, width } from "./small-world.js";

type Op =
  | { readonly kind: "answers"; readonly seed: number; readonly labels: readonly number[]; readonly twist: Twist }
  | { readonly kind: "again" }
  | { readonly kind: "label"; readonly back: number; readonly index: number; readonly label: number }
  | { readonly kind: "task"; readonly back: number; readonly index: number; readonly confidence: number }
  | { readonly kind: "mark" }
  | { readonly kind: "skip" }
  | { readonly kind: "restore" };

/** What is wrong with a record: nothing, its answers, its size, one value that is no number. */
type Twist = "honest" | "wrong and sure" | "huge" | "tiny" | "not finite";

const twists = fc.constantFrom<Twist>("honest", "wrong and sure", "huge", "tiny", "not finite");
const labels = fc.array(fc.nat(classes - 1), { minLength: 1, maxLength: 6 });
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("answers" as const), seed: fc.nat(1e6), labels, twist: twists }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "again" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("label" as const),
      back: fc.nat(3),
      index: fc.nat(7),
      label: fc.integer({ min: -1, max: classes }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("task" as const),
      back: fc.nat(2),
      index: fc.nat(60),
      confidence: fc.double({ min: -1, max: 2, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "mark" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "skip" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "restore" as const }) },
);
const sequences = fc.array(op, { minLength: 1, maxLength: 120, size: "max" });

function recordOf(subject: Subject, { seed, labels: given, twist }: Extract<Op, { kind: "answers" }>): ExperienceBatch {
  const batch = answersOf(subject, given, seededRandom(seed), 0.8);
  switch (twist) {
    case "honest":
      return batch;
    case "wrong and sure": {
      const answers = batch.answers.map((answer) => (answer + 1) % classes);
      return { ...batch, answers, confidences: batch.confidences.map(() => 1) };
    }
    case "huge":
      return {
        ...batch,
        embeddings: batch.embeddings.map((value) => value * 1e30),
        confidences: batch.confidences.map(() => 1),
      };
    case "tiny":
      return {
        ...batch,
        embeddings: batch.embeddings.map((value) => value * 1e-40),
        confidences: batch.confidences.map(() => 1),
      };
    case "not finite": {
      const embeddings = batch.embeddings.slice();
      embeddings[seed % embeddings.length] = seed % 2 === 0 ? Number.NaN : Number.NEGATIVE_INFINITY;
      return { ...batch, embeddings };
    }
    default:
      return twist satisfies never;
  }
}

/** Folds `ops`; after each calls `look` with how many versions it should have added. */
async function fold(
  subject: Subject,
  ops: readonly Op[],
  look: (policy: Policy, added: number) => void,
): Promise<Policy> {
  const policy = sourcePolicy(subject);
  const start = sourcePolicy(subject);
  let [seq, update] = [0, 0];
  let last: ExperienceBatch | null = null;
  const takeIn = (record: Parameters<typeof foldExperience>[2]): number => {
    seq += 1;
    foldExperience(policy, seq, record, subject);
    // An entry may name this record only once it is folded, and no record may wait unnamed (P1): a mark does both.
    update += 1;
    applyMark(policy, update, { model: "small", node: "n1", atMs: 0, experienceSeq: seq });
    return 0;
  };
  const act = async (each: Op): Promise<number> => {
    switch (each.kind) {
      case "answers":
        last = recordOf(subject, each);
        return takeIn(last);
      case "again":
        return last === null ? 0 : takeIn({ ...last, node: "n2" });
      case "label":
        return takeIn(labelFor({ seq: Math.max(1, seq - each.back), index: each.index }, each.label));
      case "task": {
        update += 1;
        const position = { seq: Math.max(0, seq - each.back), index: each.index };
        const outcome = await applyTask(policy, update, taskFor(position, each.confidence), plainLearner, subject);
        return outcome.kind === "applied" ? 1 : 0;
      }
      case "mark":
        update += 1;
        applyMark(policy, update, { model: "small", node: "n1", atMs: 0, experienceSeq: seq });
        return 0;
      case "skip":
        update += 1;
        applySkip(policy, update);
        return 0;
      case "restore": {
        update += 1;
        const { head, served, firstMoment, secondMoment, steps } = start;
        const from = { updateSeq: 0, version: 0 };
        applyRestore(policy, update, {
          model: "small",
          node: "n1",
          atMs: 0,
          from,
          head,
          served,
          firstMoment,
          secondMoment,
          steps,
        });
        return 1;
      }
      default:
        return each satisfies never;
    }
  };
  for (const each of ops) look(policy, await act(each));
  return policy;
}

/** Mean KL(base || served) over the anchors, nats. */
function farness(policy: Policy, { calibration }: Subject): number {
  const base = headLogProbabilities(calibration.anchorEmbeddings, calibration.head, width);
  return meanKl(base, headLogProbabilities(calibration.anchorEmbeddings, policy.served, width), classes);
}

function keeps(t: ExecutionContext, subject: Subject, kl: number): (policy: Policy, added: number) => void {
  let version = 0;
  return (policy, added) => {
    t.is(policy.version, version + added);
    version = policy.version;
    for (const name of ["head", "served", "firstMoment", "secondMoment"] as const)
      t.true(allFinite(policy[name]), name);
    t.true(
      allFinite(policy.replay.embeddings) &&
        Object.values(adaptationArrays(policy.adaptation)).every((array) => array.every(Number.isFinite)),
    );
    const far = farness(policy, subject);
    t.true(far <= kl, `the served head is ${far} nats from the base`);
  };
}

// A rate ten times the shipped one, so that 120 entries are enough to leave the base if nothing held the head.
const bold = { coldStart: 3, learningRate: { min: 0.03, max: 0.03 }, stepBatch: 12 };

for (const [name, settings] of [
  ["as shipped", { coldStart: 3 }],
  ["at ten times the rate", bold],
] as const)
  test(`any sequence of records, tasks, marks, labels, skips and restores keeps the promises, ${name}`, async (t) => {
    t.timeout(120_000);
    const subject = smallSubject(settings);
    let applied = 0;
    let refusedForKl = 0;
    await fc.assert(
      fc.asyncProperty(sequences, async (ops) => {
        // The limit is judged on the material of each step; on the anchors it holds with room: they are what the base is surest of.
        const one = await fold(subject, ops, keeps(t, subject, subject.manifest.learning.klLimit));
        const two = await fold(subject, ops, () => undefined);
        t.is(checksum(one), checksum(two));
        const read = decodePolicy(encodePolicy(one), subject);
        t.is(read.kind === "policy" ? checksum(read.policy) : read.why, checksum(one));
        const { duplicates, refused } = one.counters;
        applied += one.counters.applied;
        refusedForKl += refused.kl;
        const outcomes =
          one.counters.applied + duplicates + Object.values(refused).reduce((sum, count) => sum + count, 0);
        t.is(outcomes, ops.filter(({ kind }) => kind === "task" || kind === "skip").length);
      }),
      { numRuns: 30, seed: 11 },
    );
    t.log(`${applied} steps applied, ${refusedForKl} refused as kl`);
    t.true(applied > 300, "the sequences do teach");
  });

test("negative control: without the guards such sequences do leave the base, far beyond the limit", async (t) => {
  t.timeout(120_000);
  const open = smallSubject({
    ...bold,
    learningRate: { min: 2, max: 2 },
    klWeight: 0,
    klLimit: 1e9,
    restore: 0,
    ema: 0,
    anchorLossMax: 1,
    clipNorm: 1e300,
  });
  let farthest = 0;
  await fc.assert(
    fc.asyncProperty(sequences, async (ops) => {
      await fold(open, ops, (policy) => {
        farthest = Math.max(farthest, farness(policy, open));
      });
    }),
    { numRuns: 30, seed: 11 },
  );
  t.log(`farthest ${farthest} nats`);
  t.true(farthest > 2);
});
