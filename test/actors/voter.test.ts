// The voter in a real supervision tree, with a log in memory: append, then reply, whatever happens in between (law 2).

import test from "ava";
import type { Desk } from "../../actors/serving/desk.js";
import type { BufferMessage, RelayMessage, VoterMessage } from "../../actors/serving/messages.js";
import { type VoterDeps, voter } from "../../actors/serving/voter.js";
import { seededRandom } from "../../models/clock.js";
import type { ExperienceBatch } from "../../models/experience.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import type { AppendOutcome } from "../../transport/log/log.js";
import { answersOf } from "../models/small-world.js";
import { deferred, smallTree } from "../supervision/small-tree.js";
import { MemoryLog } from "./memory-log.js";
import {
  Askers,
  batchOf,
  type Inbox,
  inbox,
  openAt,
  quietDesk,
  recorded,
  settle,
  smallModel,
  wantedRequest,
} from "./small-node.js";

const labels = [0, 1, 2];

interface Scene {
  readonly tree: ActorTree;
  readonly log: MemoryLog<ExperienceBatch>;
  readonly askers: Askers;
  readonly buffer: Inbox<BufferMessage>;
  readonly relay: Inbox<RelayMessage>;
  readonly around: ReturnType<typeof recorded>;
  readonly desk: Desk;
  readonly openNow: () => number;
  ask(batchId?: string, past?: VoterMessage["past"]): void;
}

type Append = (log: MemoryLog<ExperienceBatch>, batchId: string, record: ExperienceBatch) => Promise<AppendOutcome>;

async function scene(append: Append, gate = 0): Promise<Scene> {
  const model = smallModel({ gate });
  const log = new MemoryLog<ExperienceBatch>();
  const [buffer, relay] = [inbox<BufferMessage>(), inbox<RelayMessage>()];
  const [desk, askers, around] = [quietDesk(), new Askers(), recorded()];
  const given: Omit<VoterDeps, "buffer" | "relay"> = {
    model,
    node: "node-a",
    nodeIncarnation: 1,
    desk,
    append: (batchId, record) => append(log, batchId, record),
    telemetry: around.telemetry,
  };
  const { tree } = await smallTree([
    buffer.child("buffer"),
    relay.child("relay"),
    {
      id: "voter",
      restart: "permanent",
      behaviour: (refs) => voter({ ...given, buffer: refs.ref("buffer"), relay: refs.ref("relay") }),
    },
  ]);
  let asked = 0;
  const ask: Scene["ask"] = (batchId = "batch-1", past = labels.map(() => undefined)) => {
    const requests = labels.map(() => openAt(desk, askers, `r${asked++}`));
    const record = answersOf(model, labels, seededRandom(3));
    const batch = batchOf(record, requests, { batchId });
    tree.ref<VoterMessage>("voter").tell({ kind: "judge", batch, neighbours: undefined, past });
  };
  return { tree, log, askers, buffer, relay, around, desk, openNow: () => desk.size, ask };
}

const appendAtOnce: Append = async (log, batchId, record) => log.append(batchId, record);

/** How many replies had left while the append was still under way. */
async function repliesBeforeTheAppend(isAwaited: boolean): Promise<number> {
  const [began, released] = [deferred(), deferred()];
  const running = await scene(async (log, batchId, record) => {
    const written = released.promise.then(() => log.append(batchId, record));
    began.resolve();
    return isAwaited ? written : { kind: "appended", seq: 1, duplicate: false };
  });
  running.ask();
  await began.promise;
  await settle();
  const early = running.askers.heard.length;
  released.resolve();
  await running.askers.until(labels.length);
  await running.tree.stop();
  return early;
}

test("law 2: no reply leaves before the append is acknowledged", async (t) => {
  t.is(await repliesBeforeTheAppend(true), 0);
});

test("negative control of law 2: when the append is not awaited, the replies do leave early", async (t) => {
  t.is(await repliesBeforeTheAppend(false), labels.length);
});

test("law 7: when the reply is written, the fold of its own record has not begun, and no event was made of it", async (t) => {
  const { tree, desk, buffer, relay, around, ask } = await scene(appendAtOnce, 2);
  const written = deferred<readonly number[]>();
  ask();
  // The client library writes in a microtask that the first publication asks for.
  const answer = (): void =>
    queueMicrotask(() =>
      written.resolve([buffer.messages.length, relay.messages.length, around.bus.events("vote").length]),
    );
  t.is(desk.open(wantedRequest("r2"), { answer, refuse: () => written.resolve([]) }).kind, "joined");
  t.deepEqual(await written.promise, [0, 0, 0]);
  await Promise.all([buffer.until(1), relay.until(1)]);
  await settle();
  t.is(around.bus.events("vote").length, 1);
  await tree.stop();
});

test("a batch is one record; each request is answered with its place in it, the buffer is told, confident rows give no task (S2-5)", async (t) => {
  const { tree, log, askers, buffer, relay, around, ask } = await scene(appendAtOnce);
  ask();
  await askers.until(3);
  t.deepEqual(
    askers.replies.map(({ experience }) => experience),
    [0, 1, 2].map((index) => ({ seq: 1, index })),
  );
  t.is(log.lastSeq, 1);
  await buffer.until(1);
  t.like(buffer.messages[0], { kind: "record", from: "voter", logged: { seq: 1, record: log.entries[0] } });
  t.deepEqual(relay.messages, []);
  const [vote] = around.bus.events("vote");
  t.deepEqual(
    vote?.items.map(({ id, learn, seq }) => ({ id, learn, seq })),
    ["r0", "r1", "r2"].map((id) => ({ id, learn: false, seq: 1 })),
  );
  await tree.stop();
});

test("(S0-1, S2-5) rows below the gate reach the relay as one task each, at the position of the record", async (t) => {
  const { tree, relay, askers, ask } = await scene(appendAtOnce, 2);
  ask();
  await askers.until(3);
  await relay.until(1);
  t.deepEqual(
    relay.messages.flatMap(({ tasks }) => tasks.map(({ experience }) => experience)),
    [0, 1, 2].map((index) => ({ seq: 1, index })),
  );
  await tree.stop();
});

test("killed during the append, the batch is delivered again under its id: one record, each request answered once", async (t) => {
  const ids: string[] = [];
  const [began, released] = [deferred(), deferred()];
  const { tree, log, askers, buffer, openNow, ask } = await scene(async (stored, batchId, record) => {
    ids.push(batchId);
    const outcome = stored.append(batchId, record);
    if (ids.length > 1) return outcome;
    began.resolve();
    await released.promise;
    return outcome;
  });
  ask();
  await began.promise;
  const receipt = await tree.kill("voter", "kill");
  t.like(receipt, { redelivered: 1, lost: 0 });
  await askers.until(3);
  released.resolve();
  await settle();
  t.deepEqual(ids, ["batch-1", "batch-1"]);
  t.is(log.lastSeq, 1);
  t.deepEqual(askers.heard, ["answer r0", "answer r1", "answer r2"]);
  t.is(openNow(), 0);
  t.deepEqual(
    buffer.messages,
    [{ kind: "passed", arrived: 3 }],
    "the record that was judged again is not the one in the log: the log brings that one",
  );
  await tree.stop();
});

test("a log that cannot take it refuses each request with a time to come back, and none is lost", async (t) => {
  let isFull = true;
  const { tree, log, askers, relay, openNow, ask } = await scene(
    async (stored, batchId, record) => (isFull ? { kind: "unavailable", why: "full" } : stored.append(batchId, record)),
    2,
  );
  ask("batch-1");
  await askers.until(3);
  t.deepEqual(
    askers.heard,
    ["r0", "r1", "r2"].map((id) => `refused ${id} log_unavailable`),
  );
  for (const wait of askers.retryAfterMs) t.true((wait ?? 0) > 0);
  t.is(openNow(), 0);
  t.deepEqual(relay.messages, [], "nothing is learned from what is not in the log");
  isFull = false;
  ask("batch-2");
  await askers.until(6);
  t.deepEqual(askers.heard.slice(3), ["answer r3", "answer r4", "answer r5"]);
  t.deepEqual(log.ids, ["batch-2"]);
  await tree.stop();
});

test("an append that finds its record there answers with the first position, and gives the buffer no second record", async (t) => {
  const { tree, log, askers, buffer, ask } = await scene(appendAtOnce);
  ask("batch-1");
  await askers.until(3);
  await buffer.until(1);
  ask("batch-2");
  ask("batch-1");
  await askers.until(9);
  await buffer.until(3);
  t.deepEqual(
    askers.replies.map(({ experience }) => experience?.seq),
    [1, 1, 1, 2, 2, 2, 1, 1, 1],
  );
  t.is(log.lastSeq, 2);
  await settle();
  t.deepEqual(
    buffer.messages.map(({ kind }) => kind),
    ["record", "record", "passed"],
  );
  await tree.stop();
});

test("a request that the log already answered gets that answer again and leaves no second experience", async (t) => {
  const { tree, log, askers, ask } = await scene(appendAtOnce);
  const past = {
    at: { seq: 40, index: 2 },
    answer: 2,
    confidence: 0.5,
    cold: false,
    version: 1,
    traceId: "a".repeat(32),
  };
  ask("batch-1", [undefined, past, undefined]);
  await askers.until(3);
  t.deepEqual(log.entries[0]?.ids, ["r0", "r2"]);
  t.deepEqual(askers.replies.find(({ id }) => id === "r1")?.experience, past.at);
  ask("batch-2", [past, past, past]);
  await askers.until(6);
  t.is(log.lastSeq, 1);
  await tree.stop();
});
