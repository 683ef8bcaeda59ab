// Three nats-servers on loopback that form one JetStream cluster, every stream three times, and nodes on them; the whole of it, on hosts of
// their own and with every fault, is `npm run hosts`. The chain's fence and a log with one copy are looked at on the same servers.

import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import anyTest, { type TestFn } from "ava";
import { systemClock as clock } from "../../supervision/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { isLink, openChain } from "../../transport/log/chain.js";
import { ask, store } from "../../transport/log/jetstream.js";
import { openLog } from "../../transport/log/log.js";
import { ensureLeaseBucket, ensureStreams } from "../../transport/log/streams.js";
import { bucketStream, header, jetStreamApi } from "../../transport/subjects.js";
import { leaderOf, loopbackPlaces } from "../hosts/servers.js";
import { judge } from "../hosts/verdict.js";
import { cluster, flowing, startWorld, subjects, type World } from "../hosts/world.js";
import { said, text } from "../transport/fixture.js";
import { until } from "../until.js";

const test = anyTest.serial as TestFn<{ world: World }>;
const waitMs = 60_000;
let end = async (): Promise<void> => undefined;

test.before(async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "driftmend-three-"));
  const output = openSync(join(directory, "nodes.log"), "a", 0o600);
  const world = await startWorld({
    places: await loopbackPlaces(directory, ["a", "b", "c"]),
    nodes: [
      { name: "serving-a", role: "serving", on: "a" },
      { name: "serving-b", role: "serving", on: "b" },
      { name: "rest-c", role: "learning,operations", on: "c" },
    ],
    ...{ replicas: 3, searchPath: process.env.PATH ?? "", output, rate: 40, deadlineMs: 40_000, run: "three" },
  });
  t.context = { world };
  end = async () => {
    await world.end();
    closeSync(output);
    await rm(directory, { recursive: true, force: true });
  };
});

test.after.always(() => end());

async function replicasOf(bus: Bus, stream: string): Promise<number> {
  const info = await ask(bus, jetStreamApi.streamInfo(stream), undefined);
  const { num_replicas } = (info.kind === "ok" ? info.body.config : {}) as { readonly num_replicas?: number };
  return num_replicas ?? 0;
}

test("--replicas 3 reaches every stream and bucket; a node that asks for one copy takes none away", async (t) => {
  const { bus } = t.context.world;
  const streams = [
    ...(["experience", "update", "weights", "snapshot"] as const).map((kind) => subjects.stream(kind, "digits")),
    ...[subjects.cleanupStream, subjects.deadLetterStream, subjects.telemetryStream],
    ...[bucketStream(subjects.leaseBucket), bucketStream(subjects.alertBucket)],
  ];
  const copies = async () =>
    Object.fromEntries(await Promise.all(streams.map(async (s) => [s, await replicasOf(bus, s)])));
  const three = Object.fromEntries(streams.map((stream) => [stream, 3]));
  t.deepEqual(await copies(), three);
  t.deepEqual(await ensureLeaseBucket(bus, subjects), { kind: "ready" });
  t.deepEqual(await copies(), three);
});

test("of writers that commit at the same moment behind one link, one commits and the others are fenced; the servers alone let in all (law 3)", async (t) => {
  const { bus } = t.context.world;
  const model = "fence";
  t.deepEqual(await ensureStreams(bus, subjects, model, { replicas: 3 }), { kind: "ready" });
  const at = { stream: subjects.stream("weights", model), subject: subjects.weights(model) };
  const writers = ["one", "two", "three"];
  const chain = openChain(bus, clock, at);
  const first = await chain.commit(text("first"), 0);
  t.deepEqual(first, { kind: "committed", seq: 1 });

  // The control: what the servers say to the same expectation, three times at once.
  const stored = await Promise.all(
    writers.map((name) => store(bus, at.subject, text(name), { timeoutMs: waitMs, expectedLastSequence: 1 })),
  );
  t.true(stored.filter(({ kind }) => kind === "stored").length > 1, "nats-server lets in more than one");

  const head = await chain.head();
  const link = head.kind === "found" ? head.message : undefined;
  t.is(link?.seq, 2, "the first of them is the newest link");
  const commits = await Promise.all(writers.map((name) => openChain(bus, clock, at).commit(text(`${name} again`), 2)));
  t.deepEqual(commits.map(({ kind }) => kind).sort(), ["committed", "fenced", "fenced"]);
  const winner = writers[commits.findIndex(({ kind }) => kind === "committed")];
  const now = await chain.head();
  t.is(now.kind === "found" ? said(now.message.bytes) : "", `${winner} again`);
});

test("kill -9 of the server that leads the log, under load: nothing answered is lost, nothing is learned twice, replay is equal (S0-39, S1-91)", async (t) => {
  t.timeout(240_000);
  const { world } = t.context;
  const { bus, servers } = world;
  await flowing(world, "every client has answers", waitMs);
  const leader = await until("the log has a leader", waitMs, () =>
    leaderOf(bus, subjects.stream("experience", "digits"), cluster),
  );
  const alone = await logWithOneCopy(bus, leader);
  const struckAtMs = clock.monotonicMs();
  await servers.named(leader).end("SIGKILL");
  await flowing(world, "answers while the server is dead", waitMs);
  const seen = world.loads.seen(struckAtMs, clock.monotonicMs());
  // The control: a log with one copy stands still for as long as its server is dead.
  const outcome = await openLog(bus, clock).append(alone.subject, text("x"), "control.1");
  t.is(outcome.kind, "unavailable");
  servers.named(leader).start();
  const backWith = async () =>
    (await openLog(bus, clock).append(alone.subject, text("y"), "control.2")).kind === "appended";
  await until("and goes on with it", waitMs, backWith);

  await flowing(world, "answers with all servers", waitMs);
  await world.loads.stop();
  const verdict = judge(world.loads.asked(), await world.read());
  t.deepEqual(verdict.violations, []);
  t.is(verdict.lost + verdict.doubled, 0);
  t.is(verdict.answered, verdict.asked, "the load waits longer than an election takes");
  t.log(
    `no answer for ${(seen.outageMs / 1000).toFixed(1)} s; ${verdict.answered} answered, ${verdict.repeatedRecords} records repeated, version ${verdict.version}`,
  );
});

/** Which server a single copy is put on, JetStream chooses: streams are made until one is on `server`. */
async function logWithOneCopy(bus: Bus, server: string): Promise<{ readonly subject: string }> {
  for (let tried = 1; tried <= 30; tried += 1) {
    const model = `alone-${tried}`;
    const made = await ensureStreams(bus, subjects, model);
    const stream = subjects.stream("experience", model);
    if (made.kind === "ready" && (await leaderOf(bus, stream, cluster)) === server)
      return { subject: subjects.experience(model) };
  }
  throw new Error(`no single copy came to be on ${server}`);
}

test("a message is a link where it names the one directly before it, or is the first", (t) => {
  const message = (seq: number, expected?: string) => ({
    seq,
    headers: {
      get: (name: string) => (name === header.expectedLastSubjectSequence ? expected : undefined),
      status: 0,
      description: "",
    },
  });
  t.true(isLink(message(1, "0")));
  t.true(isLink(message(7, "6")));
  t.false(isLink(message(7, "5")));
  t.false(isLink(message(7, "7")));
  t.false(isLink(message(7)), "who names nothing is no writer of the chain");
});
