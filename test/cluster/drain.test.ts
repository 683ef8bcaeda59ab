// Ending well: a node or a cluster that is told to leave finishes what is in flight and leaves nothing behind; one that is told twice, or
// runs out of time, leaves nothing behind either.

import { rm } from "node:fs/promises";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../supervision/clock.js";
import type { DriftmendClient } from "../../transport/client.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { identify } from "../../transport/process-identity.js";
import { discovery } from "../../transport/subjects.js";
import { modelTaking } from "../models/slow-model.js";
import { startCluster } from "../transport/fixture.js";
import { byHand, clientOf, type HandStarted, leaseHeld, leaseOf, nodeByHand, typed } from "./hand.js";
import { someDigits, tensorOf } from "./pictures.js";
import { survivors } from "./program.js";

const cluster = await startCluster();
const client = await clientOf(cluster);
let slow = "";
const started: HandStarted[] = [];
const testWithinMs = 180_000;

test.before(async (t) => {
  t.timeout(testWithinMs);
  slow = await modelTaking(1_400);
});
test.afterEach.always(async () => {
  for (const each of started.splice(0)) await each.forget();
});
test.after.always(async () => {
  await client.close();
  await cluster.end();
  await rm(slow, { recursive: true, force: true });
});

async function node(t: ExecutionContext, name: string, ...words: readonly string[]): Promise<HandStarted> {
  t.timeout(testWithinMs);
  const hand = await nodeByHand(cluster, name, ...words);
  started.push(hand);
  await hand.ready;
  await leaseHeld(cluster, name);
  return hand;
}

/** Sent, and with the broker: what comes after it comes after them. */
async function inFlight(count: number, deadlineMs = 30_000) {
  const asked = (await someDigits(count)).map(({ ink }) =>
    client.infer("digits", tensorOf(ink), { retries: 0, deadlineMs }),
  );
  await client.bus.flush();
  return asked;
}

/** Resolves when the node has begun to drain: it is no longer to be found. */
async function gone(of: DriftmendClient, name: string): Promise<void> {
  for (;;) {
    const pings = await of.bus.requestMany(discovery.ping, new Uint8Array(), { waitMs: 500, stallMs: 200 });
    if (!pings.some(({ data }) => new TextDecoder().decode(data).includes(`"${name}"`))) return;
  }
}

async function nothingLeft(t: ExecutionContext, { child, leftovers }: HandStarted): Promise<void> {
  t.like(await leaseOf(cluster), { kind: "free" }, "no lease");
  t.deepEqual(await leftovers(), [], "no file");
  t.is(await identify(child.pid ?? 0), undefined, "no process");
}

for (const signal of ["SIGTERM", "SIGINT"] as const)
  test.serial(
    `(S2-11, S2-48) ${signal} to a node: everything in flight is answered, exit code 0, no lease, no file, no process`,
    async (t) => {
      const hand = await node(t, "drained");
      const asked = await inFlight(64);
      hand.child.kill(signal);
      for (const outcome of await Promise.all(asked)) t.is(outcome.kind, "reply", JSON.stringify(outcome));
      const { code, stderr } = await hand.ended;
      t.is(code, 0, stderr);
      await nothingLeft(t, hand);
    },
  );

test.serial("a kill -9 does leave a lease: what the other tests look for can be found", async (t) => {
  const hand = await node(t, "killed");
  hand.child.kill("SIGKILL");
  await hand.ended;
  t.like(await leaseOf(cluster), { kind: "held", owner: { node: "killed" } });
});

test.serial(
  "(S2-11, S2-48) a second signal is hard: what is in flight is refused by name, the node is gone at once, its lease with it",
  async (t) => {
    const hand = await node(t, "insisted", "--model", slow);
    const asked = await inFlight(3);
    hand.child.kill("SIGTERM");
    await gone(client, "insisted");
    hand.child.kill("SIGTERM");
    const outcomes = await Promise.all(asked);
    for (const outcome of outcomes) t.like(outcome, { kind: "refusal", refusal: { code: "not_ready" } });
    t.like(await hand.ended, { code: null, signal: "SIGKILL" });
    await nothingLeft(t, hand);
  },
);

test.serial("(S2-11) a grace time that is over is as hard as a second signal, and not over before", async (t) => {
  const graceMs = 700;
  const hand = await node(t, "late", "--model", slow, "--timeout", `drain=${graceMs}ms`);
  const asked = await inFlight(1);
  const toldAtMs = systemClock.monotonicMs();
  hand.child.kill("SIGTERM");
  for (const outcome of await Promise.all(asked)) t.like(outcome, { kind: "refusal", refusal: { code: "not_ready" } });
  t.true(systemClock.monotonicMs() - toldAtMs >= graceMs * 0.9);
  t.like(await hand.ended, { code: null, signal: "SIGKILL" });
  await nothingLeft(t, hand);
});

test.serial(
  "(S2-14) a drain by message ends a node without a root as SIGTERM does, and is acknowledged when it has left",
  async (t) => {
    const hand = await node(t, "ordered");
    const restart = await typed(cluster, "drain", "ordered", "--restart");
    t.is(restart.code, 1);
    t.regex(restart.stderr, /no root that could start it again/);
    const asked = await inFlight(64);
    const { code, stdout, stderr } = await typed(cluster, "drain", "ordered", "--json");
    t.is(code, 0, stderr);
    t.like(JSON.parse(stdout), { node: "ordered", state: "stopped", exit: "exit code 0" });
    for (const outcome of await Promise.all(asked)) t.is(outcome.kind, "reply", JSON.stringify(outcome));
    t.is((await hand.ended).code, 0);
    await nothingLeft(t, hand);
  },
);

/** A root of its own with two serving nodes, against the test's broker. */
async function root(t: ExecutionContext, ...words: readonly string[]): Promise<HandStarted> {
  t.timeout(testWithinMs);
  const hand = await byHand(cluster, "node", "up", "--json", "--serving", "2", "--store", "store", ...words);
  started.push(hand);
  await hand.ready;
  await leaseHeld(cluster, "learning-1");
  return hand;
}

async function tree(): Promise<TreeNode> {
  return JSON.parse((await typed(cluster, "tree", "--json")).stdout);
}

test.serial(
  "(S2-14, S0-39) under a root a drained node leaves its place stopped, and comes back as the next generation; one beside the root is seen and drained for good: everything is answered",
  async (t) => {
    const hand = await root(t);
    const asking = keepAsking();
    for (const [name, generation] of [
      ["serving-1", 2],
      ["serving-2", 2],
      ["learning-1", 2],
      ["serving-1", 3],
    ] as const) {
      const { code, stdout, stderr } = await typed(cluster, "drain", name, "--restart", "--json");
      t.is(code, 0, stderr);
      t.like(JSON.parse(stdout), { node: name, generation, state: "running", exit: "exit code 0" });
    }
    await joinedNode(t);
    t.is((await typed(cluster, "drain", "serving-2")).code, 0);
    const left = (await tree()).children.find(({ name }) => name === "serving-2");
    t.like(left, { state: "stopped", generation: 2, lastExit: "exit code 0", children: [] });
    t.regex((await typed(cluster, "drain", "serving-2")).stderr, /stopped already/);
    t.regex((await typed(cluster, "drain", "serving-9")).stderr, /no node "serving-9".*\n.*serving-1/);
    const { answered, others } = await asking.end();
    t.deepEqual(others, []);
    t.true(answered > 10);
    hand.child.kill("SIGTERM");
    t.is((await hand.ended).code, 130);
  },
);

test.serial(
  "(S2-46, S2-48) a second signal to a root kills nodes before it ends, with a code of its own, and nothing is left",
  async (t) => {
    const hand = await root(t, "--model", slow);
    const processes = (await Promise.all(pidsIn(await tree()).map(identify))).filter((each) => each !== undefined);
    t.is(processes.length, 5, "the root and four nodes");
    const asked = await inFlight(4, 8_000);
    hand.child.kill("SIGINT");
    await gone(client, "learning-1");
    hand.child.kill("SIGINT");
    const { code, stderr } = await hand.ended;
    t.is(code, 137);
    t.regex(stderr, /ended by force/);
    t.deepEqual(await survivors(processes, 0), []);
    t.is((await leaseOf(cluster)).kind, "free");
    t.deepEqual(await hand.leftovers(), ["store"]);
    // Nobody is there to answer: each still ends, within its deadline.
    for (const outcome of await Promise.all(asked)) t.not(outcome.kind, "reply");
  },
);

function pidsIn({ pid, children }: TreeNode): number[] {
  return [...(pid === undefined ? [] : [pid]), ...children.flatMap(pidsIn)];
}

const breathMs = 15;

/** A node beside the root, as from another machine: seen, struck inside, never killed from afar, drained for good. */
async function joinedNode(t: ExecutionContext): Promise<void> {
  const words = ["node", "--json", "--role", "serving", "--name", "beside"];
  const hand = await byHand(cluster, "node", ...words);
  started.push(hand);
  await hand.ready;
  const beside = (await tree()).children.find(({ name }) => name === "beside");
  t.like(beside, { kind: "node", joined: true, pid: hand.child.pid, state: "running" });
  t.regex((await typed(cluster, "tree")).stdout, /─ beside +running, joined by hand/);
  const relay = await typed(cluster, "chaos", "kill", "beside/digits/relay", "--json");
  t.is(relay.code, 0, relay.stderr);
  t.like(JSON.parse(relay.stdout), { generationBefore: 1, generationAfter: 2, lost: 0 });
  const whole = await typed(cluster, "chaos", "kill", "beside");
  t.is(whole.code, 1);
  t.regex(whole.stderr, /beside was joined by hand: no root owns its process.*\n.*driftmend drain beside/);
  t.is((await typed(cluster, "drain", "beside", "--restart")).code, 1);
  const left = await typed(cluster, "drain", "beside");
  t.is(left.code, 0, left.stderr);
  t.regex(left.stdout, /beside left after .*; it was joined by hand, so nobody starts it again/);
  t.is((await hand.ended).code, 0);
  t.false((await tree()).children.some(({ name }) => name === "beside"));
}

/** Requests with retries, a few at a time, until told to end. */
function keepAsking() {
  const others: string[] = [];
  let answered = 0;
  let isOver = false;
  const ask = async (): Promise<void> => {
    const pictures = await someDigits(8);
    for (let turn = 0; !isOver; turn += 1) {
      const { ink } = pictures[turn % pictures.length] ?? { ink: new Float32Array(784) };
      const outcome = await client.infer("digits", tensorOf(ink), { deadlineMs: 30_000 });
      if (outcome.kind === "reply") answered += 1;
      else others.push(JSON.stringify(outcome));
      await systemClock.delay(breathMs);
    }
  };
  const asking = [ask(), ask(), ask()];
  return {
    end: async () => {
      isOver = true;
      await Promise.all(asking);
      return { answered, others };
    },
  };
}
