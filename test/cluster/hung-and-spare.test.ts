// A whole cluster whose learning node keeps a hot spare: killed, stopped and hung, while it is asked. Nothing is learned twice, and the
// parameters are what the log says.

import { rm } from "node:fs/promises";
import test from "ava";
import { replayModel } from "../../operations/log/replay.js";
import { systemClock } from "../../supervision/clock.js";
import { processesOf, start, survivors } from "./program.js";
import {
  folder,
  Heard,
  lookAt,
  model,
  nodeOf,
  nodeReady,
  type Running,
  type Sight,
  settledCommit,
  startRunning,
  strike,
  temporaryStore,
  treeOf,
} from "./running.js";
import { Traffic } from "./traffic.js";

let running: Running;
const testWithinMs = 120_000;
/** A spare begins a second after its node is ready, and is in the tree at once. */
const spareWouldBeSeenMs = 3_000;

test.before(async () => {
  running = await startRunning({ spares: ["learning"] });
});

test.after.always(() => running?.cluster.stop(AbortSignal.abort()));

/** The pid of the spare, once there is one: nobody is told of its birth, so this asks again and again. */
async function spareOf(sight: Sight, name: string, not: number | undefined): Promise<number> {
  for (;;) {
    const spare = (await treeOf(sight)).children.find((child) => child.name === name)?.spare;
    if (spare !== undefined && spare !== not) return spare;
    await systemClock.delay(100);
  }
}

test.serial(
  "kill -9 of the learning node makes its spare the next incarnation, and the log stays the truth (S0-39, S0-43, S0-44, S2-1)",
  async (t) => {
    t.timeout(testWithinMs);
    const heard = await Heard.on(running.operator, running.subjects.event("node_ready"));
    const cleanups = await Heard.on(running.operator, running.subjects.all.cleanup);
    const traffic = new Traffic(running, { name: "spare", askers: 2, seed: 5 });
    await traffic.more(model.manifest.learning.coldStart + 50);
    let spare = await spareOf(running, "learning-1", undefined);
    for (let incarnation = 2; incarnation <= 3; incarnation += 1) {
      process.kill((await nodeOf(running, "learning-1")).pid, "SIGKILL");
      const ready = await nodeReady(heard, "learning-1", incarnation);
      const next = await nodeOf(running, "learning-1");
      t.is(next.pid, spare, "it is the process that waited");
      t.is(next.generation, incarnation);
      const cleaned = cleanups.events.find(
        (event) => event.node === "learning-1" && event.incarnation === incarnation - 1,
      );
      t.true((cleaned?.atMs ?? Number.POSITIVE_INFINITY) <= ready.atMs, "cleanup precedes it");
      spare = await spareOf(running, "learning-1", spare);
      await traffic.more(50);
    }
    await traffic.stop();
    t.deepEqual(traffic.refused, []);
    const settled = await settledCommit(running);
    const { operator: bus, subjects } = running;
    const replayed = await replayModel({ bus, subjects, model: "digits", folder, clock: systemClock });
    t.true(replayed.equal);
    // A task that the outbox gave out meanwhile makes a later commit.
    t.true(replayed.versions >= (settled?.version ?? 1), `${replayed.versions} versions`);
  },
);

test.serial(
  "SIGSTOP of a node in a cluster: declared dead by its heartbeat, with the time it took, and replaced; the broker is not asked (S0-41, S2-37)",
  async (t) => {
    t.timeout(testWithinMs);
    const died = await Heard.on(running.operator, running.subjects.event("node_died"));
    const before = await nodeOf(running, "learning-1");
    const receipt = await strike(running, { node: "root", path: "learning-1", mode: "sigstop", forMs: 600_000 });
    t.is(receipt.generationAfter, before.generation + 1);
    const event = await died.find("the death of the stopped node", ({ items }) =>
      items.some((item) => item.about === "learning-1" && item.about_incarnation === before.generation),
    );
    const [item] = event.items;
    t.regex(String(item?.cause), /^declared dead: no heartbeat for \d+ ms \(phi/);
    t.true(Number(item?.detectMs) > 2_000, `${item?.detectMs}`);
    t.not((await nodeOf(running, "learning-1")).pid, before.pid);
  },
);

test.serial("a broker that is killed is not taken for hung nodes: every node goes on as it is (S0-41)", async (t) => {
  t.timeout(testWithinMs);
  const before = (await treeOf(running)).children.filter(({ kind }) => kind === "node");
  await strike(running, { node: "root", path: "nats-server", mode: "sigkill" });
  const after = (await treeOf(running)).children.filter(({ kind }) => kind === "node");
  t.deepEqual(
    after.map(({ name, pid, generation }) => ({ name, pid, generation })),
    before.map(({ name, pid, generation }) => ({ name, pid, generation })),
  );
});

for (const [words, signal] of [
  [[], "SIGTERM"],
  [[], "SIGKILL"],
  [["--no-spare"], "SIGTERM"],
] as const)
  test.serial(
    `\`${["up", ...words].join(" ")}\` ended by ${signal} leaves no process, ${words.length === 0 ? "nor its spare" : "and had no spare"} (S0-40, S2-47)`,
    async (t) => {
      t.timeout(testWithinMs);
      const store = await temporaryStore();
      t.teardown(() => rm(store, { recursive: true, force: true }));
      const program = start(store, "up", ...words);
      const sight = await lookAt(await program.ready);
      if (words.length === 0) await spareOf(sight, "learning-1", undefined);
      else await systemClock.delay(spareWouldBeSeenMs);
      const processes = await processesOf(sight);
      t.is(processes.length, words.length === 0 ? 6 : 5, "root, broker, three nodes, and the spare");
      await sight.close();
      program.child.kill(signal);
      await program.ended;
      t.deepEqual(await survivors(processes, 30_000), []);
    },
  );

test.serial("a hard stop of a cluster waits for no drain, and leaves no process (S2-47)", async (t) => {
  t.timeout(testWithinMs);
  const processes = (await processesOf(running)).filter(({ pid }) => pid !== process.pid);
  t.true(processes.length >= 4);
  const orderly = running.stop();
  await running.cluster.stop(AbortSignal.abort());
  await orderly;
  t.deepEqual(await survivors(processes, 30_000), []);
});
