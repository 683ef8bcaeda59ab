// What the rows of a micro-batch become.

import test from "ava";
import { answerOf, type Judgement, judge, pastAnswerOf, tasksOf } from "../../actors/serving/judgement.js";
import type { EmbeddedBatch, PastAnswer, VoterMessage } from "../../actors/serving/messages.js";
import { kindsOf } from "../../models/adaptation/standing.js";
import { seededRandom } from "../../models/clock.js";
import type { Model } from "../../models/manifest.js";
import type { Neighbours } from "../../models/memory/memory.js";
import { ownVerdict } from "../../models/memory/vote.js";
import { roundedToHalves } from "../../models/numbers/half.js";
import { type InferenceReply, parseInferenceReply } from "../../transport/messages/wire.js";
import { answersOf, classes } from "../models/small-world.js";
import { Askers, batchOf, openAt, quietDesk, smallModel, traceOf } from "./small-node.js";

const author = { node: "node-a", nodeIncarnation: 7, nowMs: 5_000 };
const labels = [0, 1, 2];

interface Given {
  readonly model?: Model;
  readonly cold?: boolean;
  readonly neighbours?: Neighbours;
  readonly past?: readonly (PastAnswer | undefined)[];
  readonly explain?: boolean;
  readonly looks?: EmbeddedBatch["embedded"]["looks"];
}

/** One look for each of these rows; its kind is its place, and its density and answer tell of it. */
function lookedAt(rows: readonly number[]): EmbeddedBatch["embedded"]["looks"] {
  return {
    rows: Uint16Array.from(rows),
    kinds: Uint8Array.from(rows.keys()),
    densities: Float32Array.from(rows.keys(), (kind) => kind / 4),
    answers: Float32Array.from([...rows.keys()].flatMap(answerOfKind)),
    weights: new Float32Array(rows.length),
  };
}

/** [classes] that a half holds. */
function answerOfKind(kind: number): number[] {
  return [kind / 8, 1 - kind / 8, 0];
}

function messageOf({
  model = smallModel(),
  cold = false,
  neighbours,
  past,
  explain = false,
  looks,
}: Given): VoterMessage {
  const [desk, askers] = [quietDesk(), new Askers()];
  const requests = labels.map((label) => openAt(desk, askers, `id${label}`, { explain, deadlineMs: 600_000 }));
  const record = answersOf(model, labels, seededRandom(3), 0.8);
  const plain = batchOf(record, requests, { cold, version: cold ? 0 : 3 });
  const batch = looks === undefined ? plain : { ...plain, embedded: { ...plain.embedded, looks } };
  return { kind: "judge", batch, neighbours, past: past ?? labels.map(() => undefined) };
}

/** What the log holds of an earlier delivery. */
const past = {
  at: { seq: 2, index: 1 },
  answer: 2,
  confidence: 0.5,
  cold: true,
  version: 0,
  traceId: "f".repeat(32),
};

function judged(given: Given = {}): Judgement {
  const judgement = judge(given.model ?? smallModel(), messageOf(given), author);
  if (judgement === undefined) throw new Error("every row was repeated");
  return judgement;
}

/** For each row one verified neighbour that is sure of class `answer`. */
function neighboursFor(answer: number): Neighbours {
  const rows = labels.length;
  return {
    rows,
    k: 1,
    found: new Uint8Array(rows).fill(1),
    seqs: new Float64Array(rows).fill(4),
    indexes: new Uint16Array(rows).fill(2),
    similarities: new Float32Array(rows).fill(1),
    answers: new Uint16Array(rows).fill(answer),
    confidences: new Float32Array(rows).fill(1),
    atMs: new Float64Array(rows).fill(author.nowMs),
    verified: new Uint8Array(rows).fill(1),
  };
}

function replyTo(model: Model, judgement: Judgement, index: number, seq = 9): InferenceReply {
  return read(answerOf(model, "node-a", judgement, index, seq));
}

function read(bytes: Uint8Array): InferenceReply {
  const parsed = parseInferenceReply(bytes);
  if (parsed.kind !== "ok" || parsed.value.kind !== "reply") throw new Error("no reply");
  return parsed.value.reply;
}

test("(S0-3) a cold row has one voice, and its answer is the model's own softmax bit for bit", (t) => {
  const { record, verdicts } = judged({ cold: true, neighbours: neighboursFor(2) });
  for (const [row, verdict] of verdicts.entries()) {
    const own = ownVerdict(record.logits.subarray(row * classes, (row + 1) * classes));
    t.is(verdict.voters, 1);
    t.deepEqual(verdict.shares, own.shares);
    t.is(verdict.confidence, own.confidence);
  }
  t.deepEqual([...record.cold], [1, 1, 1]);
});

test("a warm row without a memory that answers is the model's own too: the vote is lost, the request is not", (t) => {
  const { verdicts, record } = judged();
  t.deepEqual(
    verdicts.map(({ voters }) => voters),
    [1, 1, 1],
  );
  t.deepEqual([...record.cold], [0, 0, 0]);
});

test("(S2-4) a verified neighbour moves the vote as computed by hand", (t) => {
  // One labelled neighbour at most, which counts 1 at any distance.
  const model = smallModel({ labelled: { neighbours: 1, weight: 1, sharpness: 0 } });
  const { record, verdicts } = judged({ model, neighbours: neighboursFor(2) });
  for (const [row, { shares, voters }] of verdicts.entries()) {
    const own = ownVerdict(record.logits.subarray(row * classes, (row + 1) * classes)).shares;
    t.is(voters, 2);
    for (const [label, share] of shares.entries())
      t.true(Math.abs(share - ((own[label] ?? 0) + (label === 2 ? 1 : 0)) / 2) < 1e-12);
  }
});

test("(S2-5) a confidence at the gate asks for no task, the next one below does", (t) => {
  const message = messageOf({});
  const confidence = judged().verdicts[0]?.confidence ?? 0;
  const learnAt = (gate: number): number | undefined => judge(smallModel({ gate }), message, author)?.record.learn[0];
  t.is(learnAt(confidence), 0);
  t.is(learnAt(confidence + Number.EPSILON), 1);
});

test("(S2-5, S0-1) tasks come of the flagged rows alone, each with its position, its confidence and its trace", (t) => {
  const { record } = judged({ model: smallModel({ gate: 2 }) });
  t.deepEqual([...record.learn], [1, 1, 1]);
  const tasks = tasksOf({ ...record, learn: new Uint8Array([0, 1, 1]) }, 12);
  t.deepEqual(
    tasks.map((task) => task.experience),
    [
      { seq: 12, index: 1 },
      { seq: 12, index: 2 },
    ],
  );
  t.like(tasks[0], { model: "small", traceId: traceOf("id1"), confidence: record.confidences[1], node: "node-a" });
});

test("(S0-4) however unsure, a cold row asks for no task", (t) => {
  const { record } = judged({ model: smallModel({ gate: 2 }), cold: true });
  t.deepEqual([...record.learn], [0, 0, 0]);
  t.deepEqual(tasksOf(record, 1), []);
});

test("(S0-5) a cold row is logged with the high priority", (t) => {
  const model = smallModel({ coldStartPriority: 0.75 });
  for (const priority of judged({ model, cold: true }).record.priorities) t.true(priority >= 0.75);
});

test("rows that the log already answered are left out, in every column", (t) => {
  const whole = judged().record;
  const { record, requests } = judged({ past: [undefined, past, undefined] });
  t.deepEqual(
    requests.map(({ id }) => id),
    ["id0", "id2"],
  );
  t.deepEqual(record.ids, ["id0", "id2"]);
  for (const column of ["embeddings", "logits", "moments"] as const) {
    const width = whole[column].length / 3;
    const expected = [...whole[column].subarray(0, width), ...whole[column].subarray(2 * width)];
    t.deepEqual([...record[column]], expected, column);
  }
  const nothing = messageOf({ past: [past, past, past] });
  t.is(judge(smallModel(), nothing, author), undefined);
});

test("looks at rows that the log already answered are left out, and the others keep theirs under their new numbers", (t) => {
  // Two looks at the first row, one at the second, three at the last.
  const looks = lookedAt([0, 0, 1, 2, 2, 2]);
  t.deepEqual([...judged({ looks }).record.looks.rows], [0, 0, 1, 2, 2, 2]);
  const keptOf = (answered: readonly (PastAnswer | undefined)[]) => judged({ looks, past: answered }).record.looks;
  const withoutSecond = keptOf([undefined, past, undefined]);
  t.deepEqual([...withoutSecond.rows], [0, 0, 1, 1, 1]);
  t.deepEqual([...withoutSecond.kinds], [0, 1, 3, 4, 5]);
  t.deepEqual([...withoutSecond.densities], [0, 0.25, 0.75, 1, 1.25]);
  t.deepEqual(
    [...withoutSecond.answers],
    [0, 1, 3, 4, 5].flatMap((kind) => answerOfKind(kind)),
  );
  const onlyFirst = keptOf([undefined, past, past]);
  t.deepEqual([...onlyFirst.rows], [0, 0]);
  t.deepEqual([...onlyFirst.kinds], [0, 1]);
  t.deepEqual(keptOf([past, undefined, past]).rows, Uint16Array.of(0));
});

test("what the log keeps of a look is what a half holds, so that this node folds what the others read", (t) => {
  const third = 1 / 3;
  const looks = { ...lookedAt([0]), densities: Float32Array.of(third), answers: Float32Array.of(third, third, third) };
  const { record } = judged({ looks });
  t.deepEqual(record.looks.densities, roundedToHalves(Float32Array.of(third)));
  t.not(record.looks.densities[0], Math.fround(third));
  t.deepEqual(record.looks.answers, roundedToHalves(Float32Array.of(third, third, third)));
  const dense = messageOf({});
  const { embedded } = dense.batch;
  const odd = { ...embedded, density: new Float32Array(3).fill(third) };
  const again = judge(smallModel(), { ...dense, batch: { ...dense.batch, embedded: odd } }, author);
  t.deepEqual(again?.record.densities, roundedToHalves(odd.density));
});

test("a vote is judged by the plain look: what the other looks made of the answer changes neither slot nor reward's own answer", (t) => {
  const message = messageOf({});
  const { embedded } = message.batch;
  // All looks together answer the first class, whatever the plain one said.
  const logits = new Float32Array(embedded.logits.length).map((_, i) => (i % classes === 0 ? 9 : 0));
  const sure = { ...embedded, density: new Float32Array(3).fill(1) };
  const slotsOf = (given: typeof embedded) =>
    judge(smallModel(), { ...message, batch: { ...message.batch, embedded: given } }, author)?.record;
  const mixed = slotsOf({ ...sure, logits });
  t.deepEqual([...(mixed?.answers ?? [])], [0, 0, 0]);
  t.deepEqual(mixed?.logits, logits);
  t.deepEqual(mixed?.slots, slotsOf(sure)?.slots);
  t.deepEqual([...(mixed?.slots ?? [])], labels);
});

test("the slot's chance follows from the request's id: judged twice the record is the same, bit for bit, and a row's slot is its own in any company", (t) => {
  const ids = Array.from({ length: 30 }, (_, i) => `request-${i}`);
  // No row is dense enough to be trusted: every slot is chance.
  const judgedAs = (order: readonly string[]) => {
    const [desk, askers] = [quietDesk(), new Askers()];
    const requests = order.map((id) => openAt(desk, askers, id));
    const record = answersOf(
      smallModel(),
      order.map(() => 0),
      seededRandom(3),
    );
    const batch = batchOf({ ...record, densities: new Float32Array(order.length).fill(0.5) }, requests);
    const message: VoterMessage = { kind: "judge", batch, neighbours: undefined, past: order.map(() => undefined) };
    const judgement = judge(smallModel(), message, author);
    return new Map(judgement?.record.ids.map((id, row) => [id, judgement.record.slots[row]]));
  };
  const slots = judgedAs(ids);
  t.deepEqual([...new Set(slots.values())].sort(), [0, 1, 2], "chance");
  const turned = judgedAs([...ids].reverse());
  for (const id of ids) t.is(turned.get(id), slots.get(id), id);
  for (const id of ids) t.is(judgedAs([id]).get(id), slots.get(id), `${id} alone`);
  const message = messageOf({ looks: lookedAt([0, 2]) });
  const twice = [0, 1].map(() => judge(smallModel(), message, author)?.record);
  t.truthy(twice[0]);
  t.deepEqual(twice[0], twice[1]);
});

test("the reply says what the contract says, and nothing is explained that was not asked for", (t) => {
  const model = smallModel();
  const judgement = judged();
  t.deepEqual(replyTo(model, judgement, 1), {
    id: "id1",
    answer: { index: 1, label: "b" },
    confidence: judgement.record.confidences[1] ?? Number.NaN,
    mode: "ensemble",
    modelVersion: 3,
    experience: { seq: 9, index: 1 },
    traceId: traceOf("id1"),
    node: "node-a",
    explain: undefined,
  } as InferenceReply);
  t.like(replyTo(model, judged({ cold: true }), 0), { mode: "cold", modelVersion: 0 });
});

test("(S2-4) explained, the reply holds the model's softmax, the neighbours with their weights, and the sums", (t) => {
  const model = smallModel();
  const judgement = judged({ neighbours: neighboursFor(2), explain: true });
  const { explain } = replyTo(model, judgement, 0);
  const [first, ...anchors] = explain?.neighbours ?? [];
  // As near as can be, and far nearer than the anchors: 8 times the weight of a label.
  t.deepEqual(first, { id: "4.2", similarity: 1, label: "c", weight: 16 });
  t.is(anchors.length, 4);
  for (const { id, weight } of anchors) t.true(/^anchor\.\d+$/.test(id) && weight > 0 && weight < 16);
  const total = 1 + [16, ...anchors.map(({ weight }) => weight)].reduce((sum, weight) => sum + weight, 0);
  const c =
    (explain?.own[2] ?? 0) +
    (explain?.neighbours ?? []).reduce((sum, each) => sum + (each.label === "c" ? each.weight : 0), 0);
  t.true(Math.abs((explain?.weights[2] ?? 0) - c / total) < 1e-9);
  t.deepEqual(explain?.weights, [...(judgement.verdicts[0]?.shares ?? [])]);
  t.true(Math.abs((explain?.own.reduce((sum, share) => sum + share, 0) ?? 0) - 1) < 1e-6);
  t.is(explain?.own.length, classes);
});

test("explained, the reply names the domain and every look with its weight, and says nothing of the plain look beside the source's", (t) => {
  const model = smallModel();
  const { source, beside } = kindsOf(0);
  const message = messageOf({ explain: true });
  const looks = {
    rows: Uint16Array.of(1, 1, 2),
    kinds: Uint8Array.of(source, beside, source),
    densities: Float32Array.of(0.75, 0.5, 0.25),
    answers: Float32Array.of(0, 0, 1, 0, 1, 0, 1, 0, 0),
    weights: Float32Array.of(1, 0, 0),
  };
  const embedded = { ...message.batch.embedded, domains: Uint8Array.of(0, 1, 5), looks };
  const judgement = judge(model, { ...message, batch: { ...message.batch, embedded } }, author);
  if (judgement === undefined) return t.fail("every row was repeated");
  const explained = labels.map((row) => replyTo(model, judgement, row).explain);
  t.deepEqual(
    explained.map((each) => each?.domain),
    [null, 0, 4],
  );
  t.deepEqual(
    explained.map((each) => each?.looks),
    [
      [],
      [{ view: "source", density: 0.75, label: "c", weight: 1 }],
      [{ view: "source", density: 0.25, label: "a", weight: 0 }],
    ],
  );
});

test("a row that the source alone looked at is logged as such, told as such, and moves no class", (t) => {
  const model = smallModel();
  const message = messageOf({ explain: true });
  const embedded = { ...message.batch.embedded, domains: Uint8Array.of(2, 2, 2), bySource: Uint8Array.of(0, 1, 0) };
  const judgement = judge(
    model,
    { ...message, past: [past, undefined, undefined], batch: { ...message.batch, embedded } },
    author,
  );
  if (judgement === undefined) return t.fail("every row was repeated");
  t.deepEqual([...judgement.record.bySource], [1, 0], "of the rows that are logged");
  t.deepEqual(
    judgement.sights.map(({ bySource, slot }) => [bySource, slot === "none"]),
    [
      [true, true],
      [false, false],
    ],
  );
  const density = embedded.density[1] ?? Number.NaN;
  t.deepEqual(replyTo(model, judgement, 0).explain?.looks, [{ view: "source", density, label: "b", weight: 1 }]);
  t.deepEqual(replyTo(model, judgement, 1).explain?.looks, []);
});

test("a repeated request gets the answer that the log holds, with the trace of the first", (t) => {
  const request = openAt(quietDesk(), new Askers(), "again");
  const reply = read(pastAnswerOf(smallModel(), "node-a", request, past));
  t.like(reply, {
    id: "again",
    answer: { index: 2, label: "c" },
    mode: "cold",
    confidence: 0.5,
    traceId: past.traceId,
  });
  t.deepEqual(reply.experience, past.at);
});
