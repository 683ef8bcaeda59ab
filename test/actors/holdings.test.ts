// What an actor held is gone before its next incarnation starts: a real tree, real leases on a real broker.

import test from "ava";
import { Holdings } from "../../actors/holdings.js";
import type { Behaviour } from "../../supervision/actor/behaviour.js";
import { systemClock } from "../../supervision/clock.js";
import type { CleanupHook } from "../../supervision/tree/cleanup.js";
import { type HeldLease, type LeaseView, openLease } from "../../transport/log/lease.js";
import { ensureLeaseBucket } from "../../transport/log/streams.js";
import { actor, smallTree } from "../supervision/small-tree.js";
import { startCluster } from "../transport/fixture.js";

const cluster = await startCluster();
test.after.always(() => cluster.end());
const owner = { node: "learning-1", incarnation: 1, run: "r1" };

/** An actor that takes a lease and never gives it back, and what its next incarnation finds when it starts. */
async function forgetful(key: string, hookOf: (holdings: Holdings) => CleanupHook) {
  const bus = await cluster.bus();
  await ensureLeaseBucket(bus, cluster.subjects);
  const lease = openLease(bus, systemClock, cluster.subjects.leaseBucket, key, { ttlMs: 60_000 });
  const holdings = new Holdings();
  const found: LeaseView["kind"][] = [];
  const behaviour: Partial<Behaviour<unknown, unknown>> = {
    init: async (life) => {
      found.push((await lease.look()).kind);
      await holdings.acquire(life.path, lease, owner, life.signal);
    },
  };
  const running = await smallTree([actor("holder", behaviour)], { deps: { confirmCleanup: hookOf(holdings) } });
  return { ...running, holdings, lease, found };
}

const hook =
  (holdings: Holdings): CleanupHook =>
  async ({ path }) => ({ leasesCleaned: await holdings.release(path) });

test("a lease that a crashed actor held is released before its next incarnation starts, and is on the receipt (S0-43)", async (t) => {
  const { tree, events, found } = await forgetful("a", hook);
  for (const mode of ["crash", "kill"] as const) {
    const receipt = await tree.kill("holder", mode);
    t.is(receipt.leasesCleaned, 1, mode);
  }
  await events.started("holder", 3);
  t.deepEqual(found, ["free", "free", "free"]);
  t.deepEqual(
    events.lines("started", "cleanup_confirmed").filter((line) => line.includes("holder")),
    [
      "started holder 1",
      "cleanup_confirmed holder 1",
      "started holder 2",
      "cleanup_confirmed holder 2",
      "started holder 3",
    ],
  );
  await tree.stop();
});

test("control: with a hook that does not wait, the next incarnation finds the lease still held", async (t) => {
  const { tree, events, found, holdings } = await forgetful("b", () => async () => ({ leasesCleaned: 0 }));
  const receipt = await tree.kill("holder", "crash");
  await events.started("holder", 2);
  t.is(receipt.leasesCleaned, 0);
  t.deepEqual(found, ["free", "held"]);
  await tree.stop();
  await holdings.release("holder");
});

test("what the behaviour let go itself counts too, and is let go once", async (t) => {
  const { tree, holdings, lease } = await forgetful("c", () => async () => ({ leasesCleaned: 0 }));
  await tree.stop();
  t.is(await holdings.release("holder"), 1);
  t.is((await lease.look()).kind, "free");
  t.is(await holdings.release("holder"), 0);
});

test("an acquisition that was under way at the end is let go when it succeeds", async (t) => {
  const bus = await cluster.bus();
  await ensureLeaseBucket(bus, cluster.subjects);
  const lease = openLease(bus, systemClock, cluster.subjects.leaseBucket, "d", { ttlMs: 60_000 });
  const holdings = new Holdings();
  const acquired: (HeldLease | undefined)[] = [];
  void holdings.acquire("updater", lease, owner, new AbortController().signal).then((held) => acquired.push(held));
  t.is(await holdings.release("updater"), 1);
  t.is(acquired.length, 1);
  t.is(await acquired[0]?.lost, "released");
  t.is((await lease.look()).kind, "free");
});
