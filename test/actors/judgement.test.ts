// What the rows of a micro-batch become.

import test from "ava";
import { answerOf, type Judgement, judge, pastAnswerOf, tasksOf } from "../../actors/judgement.js";
import type { PastAnswer, VoterMessage } from "../../actors/messages.js";
import { seededRandom } from "../../models/clock.js";
import type { Model } from "../../models/manifest.js";
import type { Neighbours } from "../../models/memory.js";
import { ownVerdict } from "../../models/vote.js";
import { type InferenceReply, parseInferenceReply } from "../../transport/wire.js";
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
}

function messageOf({ model = smallModel(), cold = false, neighbours, past, explain = false }: Given): VoterMessage {
  const [desk, askers] = [quietDesk(), new Askers()];
  const requests = labels.map((label) => openAt(desk, askers, `id${label}`, { explain, deadlineMs: 600_000 }));
  const record = answersOf(model, labels, seededRandom(3), 0.8);
  const batch = batchOf(record, requests, { cold, version: cold ? 0 : 3 });
  return { kind: "judge", batch, neighbours, past: past ?? labels.map(() => undefined) };
}

function judged(given: Given = {}): Judgement {
  const judgement = judge(given.model ?? smallModel(), messageOf(given), author, seededRandom(1));
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
  const learnAt = (gate: number): number | undefined =>
    judge(smallModel({ gate }), message, author, seededRandom(1))?.record.learn[0];
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
  const past = {
    at: { seq: 2, index: 0 },
    answer: 1,
    confidence: 0.5,
    cold: true,
    version: 0,
    traceId: "f".repeat(32),
  };
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
  t.is(judge(smallModel(), nothing, author, seededRandom(1)), undefined);
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

test("a repeated request gets the answer that the log holds, with the trace of the first", (t) => {
  const past = {
    at: { seq: 2, index: 1 },
    answer: 2,
    confidence: 0.5,
    cold: true,
    version: 0,
    traceId: "f".repeat(32),
  };
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
