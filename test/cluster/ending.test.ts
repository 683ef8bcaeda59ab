// How a cluster ends, as a process: by its limit, by Ctrl-C, by SIGTERM, by a death of its root. Nothing may stay behind.

import { once } from "node:events";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../supervision/clock.js";
import { contextFile, readContext } from "../../transport/access/context.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { identify } from "../../transport/process-identity.js";
import { someDigits, tensorOf } from "./pictures.js";
import { ask, type Program, processesOf, run, start, survivors, typedIn } from "./program.js";
import { Heard, lookAt, temporaryStore } from "./running.js";

const stores: string[] = [];
const testWithinMs = 90_000;

test.after.always(async () => {
  for (const store of stores) await rm(store, { recursive: true, force: true });
});

async function newStore(t: ExecutionContext): Promise<string> {
  // Starting and ending a cluster takes its time on a busy machine.
  t.timeout(testWithinMs);
  const store = await temporaryStore();
  stores.push(store);
  return store;
}

async function demo(t: ExecutionContext, ...words: readonly string[]) {
  const store = await newStore(t);
  const { code, stdout, stderr, tookMs } = await run(store, "demo", "--json", ...words);
  t.is(code, 0, stderr);
  t.is((await readdir(store)).includes("context.json"), false);
  t.is((await readdir(store)).includes("broker.lock"), false);
  return { report: JSON.parse(stdout), tookMs };
}

/** Of the demos with limits, for the tests behind them. */
let fifty: object = {};
let threeSeconds = { requests: 0 };

test.serial(
  "--requests 50 is exactly 50, also where it comes before another limit, all of them answered, cold, and equal to the source model (S0-19, S0-20, S0-21)",
  async (t) => {
    const { report } = await demo(t, "--requests", "50", "--duration", "10m");
    fifty = report;
    t.like(report, { requests: 50, answered: 50, refused: {}, mode: { cold: 50, ensemble: 0 }, modelVersion: 0 });
    t.is(report.accuracy.adapting, report.accuracy.source);
    t.is(report.log.experiences, 50);
    t.true(report.replay.equal);
  },
);

test.serial("--duration 3s ends after 3 s, give or take one, with the same report (S0-19, S0-20)", async (t) => {
  const { report } = await demo(t, "--duration", "3s", "--requests", "1000000");
  threeSeconds = report;
  t.true(report.seconds >= 2 && report.seconds <= 4, `${report.seconds}`);
  t.true(report.requests > 100);
  t.is(report.answered, report.requests);
  t.is(report.log.experiences, report.answered);
  t.deepEqual(Object.keys(report), Object.keys(fifty));
});

test.serial("of two limits the first that is reached counts (S0-20)", (t) => {
  t.like(fifty, { requests: 50 }, "before ten minutes were over");
  t.true(threeSeconds.requests > 0 && threeSeconds.requests < 1_000_000, "three seconds were over before them");
});

/** Tells an `up` to end while it has requests open, and holds its end against what is promised; resolves with what it printed. */
async function endsWell(
  t: ExecutionContext,
  up: Pick<Program, "child" | "ended">,
  { store, signal }: { readonly store: string; readonly signal: "SIGINT" | "SIGTERM" },
): Promise<string> {
  const read = await readContext(contextFile(store));
  if (read.kind !== "found") throw new Error(`the context is ${read.kind}`);
  const sight = await lookAt(read.context);
  const processes = await processesOf(sight);
  t.true(processes.length >= 5, "root, broker, three nodes, and perhaps the spare already");
  const left = await Heard.on(sight.operator, sight.subjects.event("node_left"));
  const asking = (await someDigits(64)).map(({ ink }) =>
    sight.client.infer("digits", tensorOf(ink), { retries: 0, deadlineMs: 5_000 }),
  );
  await sight.client.bus.flush();
  up.child.kill(signal);
  for (const outcome of await Promise.all(asking)) t.is(outcome.kind, "reply", JSON.stringify(outcome));
  const { code, stdout } = await up.ended;
  t.is(code, 130);
  t.deepEqual([...new Set(left.events.map(({ node }) => node))].sort(), ["learning-1", "operations-1", "serving-1"]);
  await sight.close();
  t.deepEqual(await survivors(processes, 0), []);
  t.is((await readContext(contextFile(store))).kind, "missing");
  t.is((await readdir(store)).includes("broker.lock"), false);
  return stdout;
}

/** The cluster of the next two tests. */
let seen: { readonly store: string; readonly program: Program } | undefined;

test.serial(
  "a cluster is seen, struck and proved by the verbs of a second terminal (S0-40, S0-44, S2-62)",
  async (t) => {
    const store = await newStore(t);
    const program = start(store, "up", "--json");
    seen = { store, program };
    const { pid } = await program.ready;
    const before = (await ask(store, "tree")) as TreeNode;
    t.like(before, { kind: "root", pid });
    const [broker, ...nodes] = before.children;
    t.like(broker, { name: "nats-server", generation: 1 });
    t.deepEqual(
      nodes.map(({ name }) => name),
      ["serving-1", "learning-1", "operations-1"],
    );
    for (const node of nodes) {
      t.is(node.generation, 1);
      t.not(await identify(node.pid ?? 0), undefined, node.name);
      t.true(node.children.length > 0);
    }
    t.like(await ask(store, "chaos", "kill", "updater"), { lost: 0, generationBefore: 1, generationAfter: 2 });
    t.like(await ask(store, "chaos", "kill", "serving-1"), { mode: "sigkill", generationAfter: 2 });
    const after = ((await ask(store, "tree")) as TreeNode).children.find(({ name }) => name === "serving-1");
    t.is(after?.generation, 2);
    t.not(after?.pid, nodes[0]?.pid);
    const { nodes: told } = (await ask(store, "status")) as { nodes: Record<string, { incarnation: number }> };
    t.is(told["serving-1"]?.incarnation, 2);
    t.like(await ask(store, "replay", "digits", "--verify"), { equal: true, updates: 0 });
  },
);

test.serial(
  "SIGTERM on `up` drains: what is open is answered, every node takes its leave, exit code 130, nothing is left (S2-47, S0-40)",
  async (t) => {
    t.timeout(testWithinMs);
    if (seen === undefined) return t.fail("the cluster did not start");
    const { store, program } = seen;
    const { natsUrl } = await program.ready;
    const stdout = await endsWell(t, program, { store, signal: "SIGTERM" });
    t.like(JSON.parse(stdout), { ready: true, natsUrl }, "one line of JSON and nothing else");
  },
);

/** Where the next two tests type. */
let typedAt = "";

test.serial(
  "SIGINT on `up` drains: what is open is answered, every node takes its leave, exit code 130, nothing is left (S2-47, S0-40); " +
    "a demo refuses to start beside it",
  async (t) => {
    typedAt = await newStore(t);
    const up = typedIn(typedAt, "up");
    await Promise.race([once(up.child.stdout ?? t.fail(), "data"), up.ended]);
    const beside = await typedIn(typedAt, "demo", "--requests", "20", "--json").ended;
    t.is(beside.code, 1);
    t.is(beside.stdout, "");
    t.regex(beside.stderr, /runs on \.driftmend already/);
    t.regex(await endsWell(t, up, { store: join(typedAt, ".driftmend"), signal: "SIGINT" }), /^ready in \d+ ms/);
  },
);

test.serial("a demo leaves the log of an ended cluster alone", async (t) => {
  t.timeout(testWithinMs);
  const kept = await readdir(join(typedAt, ".driftmend", "nats"), { recursive: true });
  const after = await typedIn(typedAt, "demo", "--requests", "20", "--json").ended;
  t.is(after.code, 0, after.stderr);
  t.deepEqual(await readdir(join(typedAt, ".driftmend", "nats"), { recursive: true }), kept);
  t.deepEqual(await readdir(join(typedAt, ".driftmend")), ["nats"]);
});

test.serial("a demo that is interrupted drains, reports what it measured, and ends with 130 (S2-47)", async (t) => {
  const program = start(await newStore(t), "demo", "--json");
  const processes = await underWay(program);
  program.child.kill("SIGINT");
  const { code, stdout } = await program.ended;
  t.is(code, 130);
  const report = JSON.parse(stdout);
  t.is(report.answered, report.requests);
  t.is(report.log.experiences, report.answered);
  t.true(report.replay.equal);
  t.deepEqual(await survivors(processes, 0), []);
});

test.serial("a demo whose reader left, as in `demo | head`, drains and leaves nothing behind", async (t) => {
  const store = await newStore(t);
  const program = start(store, "demo");
  const processes = await underWay(program);
  program.child.stdout?.destroy();
  const { code, stderr } = await program.ended;
  t.is(code, 0, stderr);
  t.is((await readContext(contextFile(store))).kind, "missing");
  t.deepEqual(await survivors(processes, 0), []);
});

test.serial(
  "kill -9 of the root takes nodes and broker with it, and the store can be used again (S2-47)",
  async (t) => {
    const store = await newStore(t);
    const program = start(store, "demo", "--json");
    const processes = await underWay(program);
    const killedAtMs = systemClock.monotonicMs();
    program.child.kill("SIGKILL");
    await program.ended;
    t.deepEqual(await survivors(processes, 10_000), []);
    t.log(`all ${processes.length} gone ${Math.round(systemClock.monotonicMs() - killedAtMs)} ms after the root`);
    t.is((await readContext(contextFile(store))).kind, "stale");
    const { code, stdout, stderr } = await run(store, "demo", "--requests", "30", "--json");
    t.is(code, 0, stderr);
    const report = JSON.parse(stdout);
    t.is(report.answered, 30);
    t.true(report.log.experiences > 30, "the log of the killed cluster is still there");
    t.true(report.replay.equal);
  },
);

/** The processes of a demo once it has answered a good number of requests. */
async function underWay(program: Program) {
  const sight = await lookAt(await program.ready);
  const votes = await Heard.on(sight.operator, sight.subjects.event("vote"));
  await votes.until("150 answers", (events) => events.reduce((sum, { items }) => sum + items.length, 0) >= 150);
  const processes = await processesOf(sight);
  await sight.close();
  return processes;
}
