// The buffer: a fold over the experience log, in order, each record once, from whichever side it comes.

import type { Worker } from "node:worker_threads";
import test from "ava";
import type { BufferMessage } from "../../actors/serving/messages.js";
import {
  type Adaptation,
  AdaptedView,
  emptyAdaptation,
  type Folded,
  foldRow,
} from "../../models/adaptation/adaptation.js";
import { adaptationRow } from "../../models/adaptation/logged-rows.js";
import { seededRandom } from "../../models/clock.js";
import type { ExperienceBatch, ExperienceRecord } from "../../models/experience.js";
import { foldExperience, sourcePolicy } from "../../models/policy/policy.js";
import { answersOf, besideSource, labelFor } from "../models/small-world.js";
import { deferred } from "../supervision/small-tree.js";
import { MemoryLog } from "./memory-log.js";
import { type AnyRecord, rememberingNode } from "./remembering-node.js";
import { Askers, batchOf, openAt, quietDesk, settle, smallModel } from "./small-node.js";

const model = smallModel();
const random = seededRandom(5);

/** Three rows with ids of their own, all of class `label`. */
function recordOf(name: string, label = 0): ExperienceBatch {
  const record = answersOf(model, [label, label, label], random);
  return { ...record, ids: [0, 1, 2].map((row) => `${name}${row}`) };
}

function fromVoter(seq: number, record: ExperienceRecord): BufferMessage {
  return { kind: "record", from: "voter", logged: { seq, record }, arrived: 0 };
}

function fromLog(seq: number, record: ExperienceRecord): BufferMessage {
  return { kind: "record", from: "log", logged: { seq, record } };
}

/** A batch of three requests about class `label`. */
function recall(label: number, ids: readonly string[], cold = false, isRetry = false): BufferMessage {
  const [desk, askers] = [quietDesk(), new Askers()];
  const requests = ids.map((id) => openAt(desk, askers, id, { isRetry }));
  return { kind: "recall", batch: batchOf(answersOf(model, [label, label, label], random), requests, { cold }) };
}

/** The same answers to inputs that are nothing like what the model was trained on. */
function farFromHome(record: ExperienceBatch): ExperienceBatch {
  return { ...record, moments: record.moments.map((moment) => moment * 8 + 40), cold: record.cold.map(() => 0) };
}

/** What the rows of these records leave of an adaptation. */
function adaptationOf(...records: readonly ExperienceBatch[]): Adaptation {
  const adaptation = emptyAdaptation(model);
  for (const record of records)
    for (const index of record.ids.keys()) foldRow(adaptation, model, adaptationRow(record, index));
  return adaptation;
}

/** Records of a log up to `lastSeq`, as if what comes later were still under way. */
async function* following(log: MemoryLog<AnyRecord>, lastSeq: number, signal: AbortSignal, fromSeq = 1) {
  for await (const { seq, entry } of log.follow(fromSeq, signal)) if (seq <= lastSeq) yield { seq, record: entry };
}

const newIds = ["x", "y", "z"];

/** A log with two records, a label, and something unreadable at its end. */
function pastLog(): MemoryLog<AnyRecord> {
  const log = new MemoryLog<AnyRecord>();
  const records: AnyRecord[] = [recordOf("a"), recordOf("b", 1), labelFor({ seq: 1, index: 0 }, 2), undefined];
  for (const [index, record] of records.entries()) log.append(`${index}`, record);
  return log;
}

test("(S0-6) ready means caught up: everything before is remembered, also when the end of the log cannot be read", async (t) => {
  const { tree, introduce, locate } = await rememberingNode({ log: pastLog() });
  t.like(tree.summary("buffer"), { experiences: 6, labels: 1, lastSeq: 4 });
  t.like(tree.summary("buffer")?.memory, { size: 6, verified: 1 });
  t.is((await introduce()).experiences, 6);
  t.deepEqual(await locate("b2"), { seq: 2, index: 2 });
  await tree.stop();
});

test("(S0-6) a killed buffer comes back with the same memory and the same adaptation", async (t) => {
  const { tree, introduce } = await rememberingNode({ log: pastLog() });
  const before = await introduce();
  await tree.kill("buffer", "kill");
  t.deepEqual(await introduce(), before);
  await tree.stop();
});

test("the log is being read while the snapshot is on its way", async (t) => {
  const log = pastLog();
  const asked = deferred();
  const { tree } = await rememberingNode({
    log,
    source: {
      // Read one after the other, neither would ever come.
      adaptation: () => asked.promise.then(() => undefined),
      follow: (fromSeq, signal) => {
        asked.resolve();
        return following(log, log.lastSeq, signal, fromSeq);
      },
    },
  });
  t.like(tree.summary("buffer"), { experiences: 6, lastSeq: 4 });
  await tree.stop();
});

test("a record is folded once, whether the log or the voter brings it first", async (t) => {
  const { tree, tell, introduce, inference } = await rememberingNode();
  const [one, two] = [recordOf("a"), besideSource(recordOf("b"))];
  for (const message of [fromVoter(1, one), fromLog(1, one), fromLog(2, two), fromVoter(2, two)]) tell(message);
  const { experiences, adapted } = await introduce();
  t.is(experiences, 6);
  t.deepEqual(adapted, new AdaptedView(model, adaptationOf(one, two)).adapted);
  t.notDeepEqual(adapted, new AdaptedView(model, adaptationOf(one)).adapted);
  await inference.until(2);
  await settle();
  t.deepEqual(
    inference.messages.map((message) => message.kind === "remembered" && message.experiences),
    [3, 6],
    "the model is told once for each record",
  );
  await tree.stop();
});

test("behind a gap the voter's record waits for the log, which brings everything in order", async (t) => {
  const { tree, tell, introduce, log } = await rememberingNode();
  const [one, two] = [recordOf("a"), recordOf("b")];
  tell(fromVoter(2, two));
  t.is((await introduce()).experiences, 0);
  log.append("1", one);
  log.append("2", two);
  await settle();
  t.is((await introduce()).experiences, 6);
  t.like(tree.summary("buffer"), { lastSeq: 2 });
  await tree.stop();
});

test("a record that nobody can read is passed by, and what the voter appends behind it is next in order", async (t) => {
  const { tree, tell, introduce } = await rememberingNode();
  tell({ kind: "record", from: "log", logged: { seq: 1, record: undefined } });
  tell(fromVoter(2, recordOf("a")));
  t.is((await introduce()).experiences, 3);
  await tree.stop();
});

test("a row that is not finite is left out of the adaptation, as the policy's fold leaves it out", async (t) => {
  for (const column of ["moments", "densities", "embeddings"] as const) {
    const { tree, tell, introduce } = await rememberingNode();
    const [broken, whole] = [recordOf("a"), recordOf("b")];
    broken[column][0] = Number.NaN;
    tell(fromLog(1, broken));
    tell(fromLog(2, whole));
    const { adapted, experiences } = await introduce();
    t.is(experiences, 6, column);
    t.true([...adapted.table, ...adapted.signatures, ...adapted.limits].every(Number.isFinite), column);
    const policy = sourcePolicy(model);
    foldExperience(policy, 1, broken, model);
    foldExperience(policy, 2, whole, model);
    t.deepEqual(adapted, new AdaptedView(model, policy.adaptation).adapted, column);
    t.is(policy.counters.rowsSkipped, 1);
    await tree.stop();
  }
});

test("adaptation begins at the newest snapshot and takes in only what it does not contain", async (t) => {
  const log = pastLog();
  const whole = await rememberingNode({ log });
  const expected = await whole.introduce();
  await whole.tree.stop();
  const [first] = log.entries;
  if (first?.kind !== "answers") return t.fail("the log begins with answers");
  const { tree, introduce } = await rememberingNode({
    log,
    source: { adaptation: async () => ({ adaptation: adaptationOf(first), experienceSeq: 1 }) },
  });
  t.deepEqual(await introduce(), expected);
  await tree.stop();
});

test("a repeated request id is found with the answer that the log holds; new ones are not", async (t) => {
  const { tree, tell, voter } = await rememberingNode();
  const record = recordOf("a");
  tell(fromLog(1, record));
  tell(recall(0, ["new", "a1", "newer"]));
  await voter.until(1);
  const past = voter.messages[0]?.past ?? [];
  t.deepEqual([past[0], past[2]], [undefined, undefined]);
  t.like(past[1], { at: { seq: 1, index: 1 }, answer: record.answers[1], version: record.version });
  await tree.stop();
});

test("warm batches come with their neighbours, cold ones ask no memory", async (t) => {
  const { tree, tell, voter, counters } = await rememberingNode({ log: pastLog() });
  tell(recall(0, newIds, true));
  tell(recall(0, newIds));
  await voter.until(2);
  t.is(voter.messages[0]?.neighbours, undefined);
  t.deepEqual([...(voter.messages[1]?.neighbours?.found ?? [])], [5, 5, 5]);
  t.is(counters.get("knn_searches"), 3);
  await tree.stop();
});

test("a search that fails costs its rows their vote, not their answer, and is counted", async (t) => {
  const { tree, tell, voter, counters } = await rememberingNode({
    around: (behaviour) => ({
      ...behaviour,
      init: async (life) => {
        const state = await behaviour.init(life);
        const search = () => Promise.reject(new Error("the index is broken"));
        return {
          ...state,
          memory: Object.assign(Object.create(state.memory), {
            search,
            add: () => undefined,
            close: () => state.memory.close(),
          }),
        };
      },
    }),
  });
  tell(recall(0, newIds));
  await voter.until(1);
  t.is(voter.messages[0]?.neighbours, undefined);
  t.deepEqual([counters.get("knn_searches"), counters.get("knn_failures")], [3, 3]);
  await tree.stop();
});

test("(S0-11) with every tenth search failing the failure rate reads 10 %, and every request is still judged", async (t) => {
  const { tree, tell, voter, counters } = await rememberingNode({
    around: (behaviour) => ({
      ...behaviour,
      init: async (life) => {
        const state = await behaviour.init(life);
        let asked = 0;
        const search = (...given: Parameters<typeof state.memory.search>) => {
          asked += 1;
          return asked % 10 === 0 ? Promise.reject(new Error("the index is broken")) : state.memory.search(...given);
        };
        return {
          ...state,
          memory: Object.assign(Object.create(state.memory), {
            search,
            add: () => undefined,
            close: () => state.memory.close(),
          }),
        };
      },
    }),
  });
  for (let batch = 1; batch <= 100; batch++) {
    tell(recall(0, newIds));
    await voter.until(batch);
  }
  t.is(voter.messages.filter(({ neighbours }) => neighbours === undefined).length, 10);
  t.true(Math.abs(counters.get("knn_failure_rate") - 0.1) <= 0.01, `${counters.get("knn_failure_rate")}`);
  await tree.stop();
});

// Serial: it hears of every thread that is started meanwhile.
test.serial(
  "when the memory's thread dies the buffer is a new incarnation, remembers the same, and answers what was asked",
  async (t) => {
    const threads: Worker[] = [];
    const note = (thread: Worker): number => threads.push(thread);
    process.on("worker", note);
    const { tree, events, tell, voter } = await rememberingNode({ log: pastLog() });
    process.off("worker", note);
    await Promise.all(threads.map((thread) => thread.terminate()));
    await events.started("buffer", 2);
    tell(recall(0, newIds));
    await voter.until(1);
    t.deepEqual([...(voter.messages[0]?.neighbours?.found ?? [])], [5, 5, 5]);
    await tree.stop();
  },
);

test.serial("a buffer that cannot read its log leaves no thread behind, and tries again", async (t) => {
  const threads: Worker[] = [];
  const note = (thread: Worker): number => threads.push(thread);
  process.on("worker", note);
  let tries = 0;
  const { tree } = await rememberingNode({
    source: {
      lastSeq: async () => {
        tries += 1;
        if (tries === 1) throw new Error("the log is away");
        return 0;
      },
    },
  });
  process.off("worker", note);
  t.deepEqual(
    threads.map(({ threadId }) => threadId > 0),
    [false, true],
    "the first one has ended",
  );
  await tree.stop();
});

test("what is remembered by id is bounded by the memory's capacity, oldest first", async (t) => {
  const { tree, tell, locate } = await rememberingNode({ model: smallModel({ capacity: 4 }) });
  tell(fromLog(1, recordOf("a")));
  tell(fromLog(2, recordOf("b")));
  t.is(await locate("a0"), undefined);
  t.is(await locate("a1"), undefined);
  t.deepEqual(await locate("a2"), { seq: 1, index: 2 });
  t.deepEqual(await locate("b2"), { seq: 2, index: 2 });
  await tree.stop();
});

test("a request that was tried before is looked for up to the end of the log, which another node may have moved", async (t) => {
  const log = pastLog();
  const elsewhere = recordOf("elsewhere");
  const { tree, tell, voter } = await rememberingNode({
    log,
    // What the other node writes has not reached this one.
    source: {
      follow: (from, signal) => (from === 1 ? following(log, 4, signal) : following(log, Infinity, signal, from)),
    },
  });
  log.append("other", elsewhere);
  tell(recall(0, ["elsewhere0", "y", "z"]));
  tell(recall(0, ["elsewhere0", "y", "z"], false, true));
  await voter.until(2);
  t.deepEqual(
    voter.messages.map(({ past }) => past[0]?.at),
    [undefined, { seq: 5, index: 0 }],
    "a first try asks nobody, a second one does",
  );
  await tree.stop();
});

test("what a record that was folded ahead of its turn brings is told then: nobody does when it comes", async (t) => {
  const log = new MemoryLog<AnyRecord>();
  const told: Folded[] = [];
  const { tree, introduce, locate, inference, tell } = await rememberingNode({
    log,
    onAdapted: (folded) => void told.push(folded),
    source: { follow: (from, signal) => following(log, 0, signal, from) },
  });
  const elsewhere = farFromHome(recordOf("elsewhere"));
  log.append("other", elsewhere);
  t.deepEqual(await locate("elsewhere2"), { seq: 1, index: 2 });
  t.true(
    told.some(({ begun }) => begun),
    "a domain began",
  );
  const before = told.length;
  await inference.until(1);
  t.like(inference.messages[0], { kind: "remembered", arrived: 0, ...(await introduce()) });
  tell(fromLog(1, elsewhere));
  await settle();
  t.deepEqual([inference.messages.length, told.length], [1, before], "and once");
  await tree.stop();
});

test("a late label finds the answer that another node logged a moment ago; an id that nobody answered is looked for in vain", async (t) => {
  const log = pastLog();
  const { tree, locate } = await rememberingNode({
    log,
    source: {
      follow: (from, signal) => (from === 1 ? following(log, 4, signal) : following(log, Infinity, signal, from)),
    },
  });
  log.append("other", recordOf("elsewhere"));
  t.deepEqual(await locate("elsewhere2"), { seq: 5, index: 2 });
  t.is(await locate("nobody"), undefined);
  await tree.stop();
});

test("a log that does not answer does not keep a retry from being judged", async (t) => {
  const { tree, tell, voter } = await rememberingNode({ source: { lastSeqNow: async () => undefined } });
  tell(recall(0, newIds, false, true));
  await voter.until(1);
  t.is(voter.messages[0]?.past[0], undefined);
  await tree.stop();
});

test("the row of a request that an earlier record answered enters neither memory nor adaptation", async (t) => {
  const record = recordOf("a");
  const { tree, tell, introduce, locate } = await rememberingNode();
  tell(fromLog(1, record));
  const once = await introduce();
  tell(fromLog(2, { ...record, node: "another" }));
  t.deepEqual(await introduce(), once);
  t.deepEqual(await locate("a1"), { seq: 1, index: 1 });
  t.like(tree.summary("buffer"), { experiences: 3, lastSeq: 2 });
  await tree.stop();
});
