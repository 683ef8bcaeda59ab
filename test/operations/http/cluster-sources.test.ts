// The real sources against a real nats-server, with answerers on the cluster's subjects that play its nodes.

import test from "ava";
import { clusterSources } from "../../../operations/http/cluster-sources.js";
import { hearTelemetry } from "../../../operations/http/heard-telemetry.js";
import { LearningBook } from "../../../operations/http/learning-book.js";
import type { Sources } from "../../../operations/http/sources.js";
import { StabilityShelf } from "../../../operations/http/stability-shelf.js";
import { reportSources, traceSources } from "../../../operations/http/told-sources.js";
import { systemClock } from "../../../supervision/clock.js";
import type { Bus } from "../../../transport/bus/bus.js";
import { refuse } from "../../../transport/bus/refusing.js";
import { encodeDeadLetter } from "../../../transport/log/dead-letter-records.js";
import { ensureDeadLetterStream } from "../../../transport/log/dead-letters.js";
import { ask } from "../../../transport/log/jetstream.js";
import { openLog } from "../../../transport/log/log.js";
import { openSnapshots } from "../../../transport/log/snapshot.js";
import { ensureStreams } from "../../../transport/log/streams.js";
import { encodeAlertReceipt, parseAlertOrder } from "../../../transport/messages/alert-orders.js";
import { encodeChaosReceipt, parseChaosOrder } from "../../../transport/messages/chaos-orders.js";
import { encodeMessage } from "../../../transport/messages/codec.js";
import { encodeTree } from "../../../transport/messages/look-orders.js";
import { jetStreamApi } from "../../../transport/subjects.js";
import { type Cluster, startCluster } from "../../transport/fixture.js";
import { traceId } from "./http-scene.js";

let cluster: Cluster;
let bus: Bus;
let sources: Sources;

test.before(async () => {
  cluster = await startCluster();
  bus = await cluster.bus();
  const door = { bus, subjects: cluster.subjects, clock: systemClock };
  const shelf = new StabilityShelf(systemClock, undefined);
  const told = { newest: () => undefined, ...reportSources(door), ...traceSources(undefined) };
  const stability = { stability: () => shelf.list(), stabilityReport: (id: string) => shelf.html(id) };
  sources = clusterSources(door, { ...told, ...stability }, new LearningBook(["digits"]));
});
test.after.always(() => cluster.end());

const receipt = {
  ...{
    target: "learning-1",
    mode: "sigkill",
    generationBefore: 1,
    generationAfter: 2,
    inFlight: null,
    redelivered: null,
  },
  ...{ refused: null, lost: null, leasesCleaned: 1, detectMs: 1, repairMs: 9, cause: "signal SIGKILL" },
};

test.serial("where nobody answers every question ends, and says who was silent", async (t) => {
  t.like(await sources.tree(), { kind: "unavailable", message: "no node of the cluster answers" });
  t.is((await sources.series()).kind, "unavailable");
  t.is((await sources.alerts()).kind, "unavailable");
  t.is((await sources.silence("a", 1_000, "")).kind, "unavailable");
  t.is((await sources.traces(5)).kind, "unavailable");
  t.deepEqual(await sources.deadLetters(5, undefined), {
    kind: "unavailable",
    message: "the dead letters cannot be read: no_stream",
  });
  t.like(await sources.fault({ node: "a", target: "b", mode: "kill" }), { kind: "unavailable" });
});

test.serial("the tree is the root's; a whole node is the root's to strike, an actor its node's", async (t) => {
  const { subjects } = cluster;
  const asked: string[] = [];
  const tree = { name: "root", kind: "root", generation: 1, state: "running", restarts: 0, children: [] } as const;
  const answerers = [
    bus.subscribe(subjects.actor("root", "tree"), {}, (message) => void message.respond(encodeTree(tree))),
    bus.subscribe(subjects.all.chaos, {}, (message) => {
      const order = parseChaosOrder(message.data);
      if (order.kind !== "ok" || order.value.kind !== "fault") return;
      asked.push(`${message.subject} ${order.value.target}`);
      if (order.value.mode === "hang") refuse(message, { code: "under_minimum", message: "one must stay" });
      else message.respond(encodeChaosReceipt(receipt));
    }),
  ];
  await bus.flush();
  t.like(await sources.tree(), { kind: "found", value: { name: "root", kind: "root" } });
  t.deepEqual(await sources.fault({ node: "learning-1", target: "learning-1", mode: "sigkill" }), {
    kind: "found",
    value: receipt,
  });
  await sources.fault({ node: "learning-1", target: "digits-updater", mode: "kill" });
  await sources.fault({ node: "root", target: "serving-1", mode: "sigkill" });
  t.deepEqual(asked, [
    `${subjects.chaos("root")} learning-1`,
    `${subjects.chaos("learning-1")} digits-updater`,
    `${subjects.chaos("root")} serving-1`,
  ]);
  t.deepEqual(await sources.fault({ node: "learning-1", target: "digits-updater", mode: "hang", forMs: 1 }), {
    kind: "declined",
    code: "under_minimum",
    message: "one must stay",
  });
  for (const each of answerers) each.unsubscribe();
});

test.serial(
  "a report is taken as described or not at all; an order about alerts answers the list after it",
  async (t) => {
    const { subjects } = cluster;
    const list = {
      v: 1,
      atMs: 5,
      alerts: [],
      silences: [{ matches: "a", untilMs: 9, by: "operator over HTTP", note: "n" }],
    };
    let said: object = list;
    const ordered: unknown[] = [];
    const answerers = [
      bus.subscribe(
        subjects.report("alerts"),
        {},
        (message) => void message.respond(encodeMessage({ v: 1, report: { ...said } })),
      ),
      bus.subscribe(subjects.alertOrders, {}, (message) => {
        const order = parseAlertOrder(message.data);
        if (order.kind === "ok") ordered.push(order.value);
        if (order.kind === "ok" && order.value.kind === "ack")
          refuse(message, { code: "bad_request", message: "no such alert" });
        else message.respond(encodeAlertReceipt({ atMs: 5, firing: 0 }));
      }),
    ];
    await bus.flush();
    t.deepEqual(await sources.silence("a", 60_000, "n"), { kind: "found", value: list });
    t.like(ordered[0], { kind: "silence", matches: "a", forMs: 60_000, note: "n", by: "operator over HTTP" });
    t.deepEqual(await sources.acknowledge("a:b", ""), {
      kind: "declined",
      code: "bad_request",
      message: "no such alert",
    });
    said = { ...list, atMs: "late" };
    const garbled = await sources.alerts();
    t.is(garbled.kind, "unavailable");
    t.regex(garbled.kind === "unavailable" ? garbled.message : "", /atMs/);
    for (const each of answerers) each.unsubscribe();
  },
);

test.serial("dead letters are read from the log, page by page; one that is not there cannot run again", async (t) => {
  const { subjects } = cluster;
  await ensureDeadLetterStream(bus, subjects);
  const log = openLog(bus, systemClock);
  const sent = new TextEncoder().encode("what a client sent");
  const payloads = [
    { kind: "omitted", byteLength: 9 },
    { kind: "request", bytes: sent },
  ] as const;
  for (const n of [1, 2, 3]) {
    const payload = payloads[n % 2] ?? payloads[0];
    const letter = encodeDeadLetter({
      ...{ kind: "letter", jobId: `job-${n}`, model: "digits", phase: "inference", state: "exhausted", cause: "boom" },
      ...{ attempts: 3, traceId, node: "serving-1", atMs: n, payload },
    });
    t.is((await log.append(subjects.deadLetters("digits", "inference"), letter, `letter-${n}`)).kind, "appended");
  }
  const page = await sources.deadLetters(2, undefined);
  t.deepEqual(page.kind === "found" ? page.value.entries.map(({ id, jobId }) => [id, jobId]) : [], [
    [3, "job-3"],
    [2, "job-2"],
  ]);
  t.deepEqual(page.kind === "found" ? page.value.entries.map(({ payload }) => payload) : [], [
    { kind: "request", byteLength: sent.length },
    { kind: "omitted", byteLength: 9 },
  ]);
  const older = await sources.deadLetters(2, page.kind === "found" ? (page.value.cursor ?? undefined) : undefined);
  t.deepEqual(older.kind === "found" ? older.value.entries.map(({ id }) => id) : [], [1]);
  t.is((await sources.requeue("job-9")).kind, "missing");
  t.is((await sources.requeue("job-1")).kind, "unavailable", "there is no node to take the order");
});

test.serial("snapshots stay with their model, also when models come and go between two looks at them", async (t) => {
  const { subjects } = cluster;
  const book = new LearningBook(["one", "two"]);
  const of = clusterSources({ bus, subjects, clock: systemClock }, { ...sources }, book);
  const at = { stream: subjects.stream("snapshot", "one"), subject: subjects.snapshots("one") };
  await ensureStreams(bus, subjects, "one");
  t.is((await openSnapshots(bus, systemClock, at).put(new Uint8Array(8))).kind, "stored");
  const listed = async () => {
    const learning = await of.learning();
    return learning.kind === "found"
      ? learning.value.models.map(({ name, snapshots }) => [name, snapshots.length])
      : [];
  };
  t.deepEqual(await listed(), [
    ["one", 1],
    ["two", 0],
  ]);
  book.end("one");
  book.begin("three");
  t.deepEqual(await listed(), [
    ["two", 0],
    ["three", 0],
  ]);
});

/** The bus, where something happens before the first question on a subject is asked: here, what is heard live and stands in the past too. */
function before(asked: string, happens: () => void): Bus {
  let hasHappened = false;
  return new Proxy(bus, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const call = (words: readonly unknown[]): unknown => Reflect.apply(value, target, words);
      return (...words: unknown[]) => {
        if (hasHappened || name !== "request" || words[0] !== asked) return call(words);
        hasHappened = true;
        happens();
        return target.flush().then(() => call(words));
      };
    },
  });
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (said: string) => new TextEncoder().encode(said);

test.serial("telemetry is heard with its past, each message once, also what comes in between (S1-40)", async (t) => {
  const { subjects } = cluster;
  const wanted = [subjects.event("update"), subjects.all.metrics];
  const door = { bus, subjects, clock: systemClock };
  const early: string[] = [];
  const first = new AbortController();
  await hearTelemetry(door, wanted, (bytes) => early.push(text(bytes)), first.signal);
  bus.publish(subjects.event("update"), bytesOf("without a stream"));
  await bus.flush();
  await bus.request(subjects.event("nobody"), bytesOf(""), { timeoutMs: 50 });
  t.deepEqual(early, ["without a stream"]);
  first.abort();

  const made = await ask(bus, jetStreamApi.streamCreate(subjects.telemetryStream), {
    ...{ name: subjects.telemetryStream, subjects: [subjects.all.telemetry], storage: "memory", retention: "limits" },
  });
  t.is(made.kind, "ok");
  const expected: string[] = [];
  const say = (n: number): void => {
    const said = `message ${n}`;
    expected.push(said);
    bus.publish(n % 3 === 0 ? subjects.metrics("serving-1") : subjects.event("update"), bytesOf(said));
    bus.publish(subjects.event("vote"), bytesOf(`vote ${n}`));
  };
  for (let n = 0; n < 300; n += 1) say(n);
  await bus.flush();
  const heard: string[] = [];
  const second = new AbortController();
  let all: () => void = () => undefined;
  const whole = new Promise<void>((resolve) => {
    all = resolve;
  });
  const hearing = hearTelemetry(
    {
      ...door,
      bus: before(jetStreamApi.streamInfo(subjects.telemetryStream), () => {
        for (let n = 300; n < 350; n += 1) say(n);
      }),
    },
    wanted,
    (bytes) => {
      heard.push(text(bytes));
      if (heard.length >= 600) all();
    },
    second.signal,
  );
  await hearing;
  for (let n = 350; n < 600; n += 1) {
    say(n);
    if (n % 20 === 0) await bus.flush();
  }
  await whole;
  second.abort();
  t.deepEqual(heard, expected);
});
