// Cleanup before restart, over a real broker: by the watchdog within the bound, else by the supervisor, and each death once (law 6).
//
// The supervisor's clock is virtual: a wait that ends without it did not wait.

import test from "ava";
import { watchdog } from "../../actors/watchdog.js";
import { wire } from "../../actors/wiring.js";
import { confirmCleanup } from "../../operations/cleanup-confirmation.js";
import { Counters, Telemetry } from "../../operations/telemetry.js";
import { systemClock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { Bus } from "../../transport/bus.js";
import { encodeEvent, parseEvent } from "../../transport/events.js";
import { type LeaseOwner, openLease } from "../../transport/lease.js";
import { ensureLeaseBucket } from "../../transport/streams.js";
import { smallModel } from "../actors/small-node.js";
import { smallTree } from "../supervision/small-tree.js";
import { startCluster } from "../transport/fixture.js";

const cluster = await startCluster();
test.after.always(() => cluster.end());
const { subjects } = cluster;
const model = smallModel();

interface Scene {
  readonly bus: Bus;
  readonly clock: VirtualClock;
  /** "by leases", one for each confirmation. */
  readonly confirmations: string[];
  readonly confirmed: Promise<void>;
  cleanUp(owner: LeaseOwner): Promise<{ readonly leasesCleaned: number }>;
}

async function scene(node: string): Promise<Scene> {
  const bus = await cluster.bus();
  await ensureLeaseBucket(bus, subjects);
  const clock = new VirtualClock();
  const confirmations: string[] = [];
  const confirmed = new Promise<void>((resolve) => {
    bus.subscribe(subjects.cleanup(node), {}, (message) => {
      const event = parseEvent(message.data);
      if (event.kind === "ok") confirmations.push(`${event.value.items[0]?.by} ${event.value.items[0]?.leases}`);
      resolve();
    });
  });
  await bus.flush();
  const telemetry = new Telemetry(bus, subjects, "root", new Counters(), systemClock);
  const deps = { bus, subjects, telemetry, clock, models: [model.manifest.name] };
  return {
    bus,
    clock,
    confirmations,
    confirmed,
    cleanUp: (owner) => confirmCleanup(deps, { ...owner, cause: "SIGKILL" }),
  };
}

/** A lease whose owner renews it no more. */
async function leaseOf(bus: Bus, owner: LeaseOwner): Promise<void> {
  const lease = openLease(bus, new VirtualClock(), subjects.leaseBucket, model.manifest.name);
  const found = await lease.look();
  if (found.kind === "held") await lease.evict(found.owner);
  await lease.acquire(owner, new AbortController().signal);
}

function holder(bus: Bus) {
  return openLease(bus, systemClock, subjects.leaseBucket, model.manifest.name).look();
}

async function startWatchdog() {
  const bus = await cluster.bus();
  const telemetry = new Telemetry(bus, subjects, "operations-1", new Counters(), systemClock);
  const identity = { node: "operations-1", incarnation: 1, origin: "o" };
  const wiring = wire({ identity, bus, subjects, telemetry, clock: systemClock, vitals: () => ({}) }, [model]);
  const behaviour = () => watchdog(wiring.watchdog);
  const { tree } = await smallTree([{ id: "watchdog", restart: "permanent", behaviour }]);
  await bus.flush();
  return tree;
}

test.serial("the watchdog sweeps the dead incarnation's lease and confirms, without any wait", async (t) => {
  const dead = { node: "learning-1", incarnation: 1 };
  const { bus, confirmations, cleanUp } = await scene(dead.node);
  await leaseOf(bus, dead);
  const tree = await startWatchdog();
  t.deepEqual(await cleanUp(dead), { leasesCleaned: 1 });
  t.is((await holder(bus)).kind, "free");
  await bus.flush();
  t.deepEqual(confirmations, ["watchdog 1"]);
  await tree.stop();
});

test.serial("without a watchdog the supervisor waits its bound, not longer, and cleans up itself", async (t) => {
  const dead = { node: "learning-2", incarnation: 4 };
  const { bus, clock, confirmations, confirmed, cleanUp } = await scene(dead.node);
  await leaseOf(bus, dead);
  const cleaned = cleanUp(dead);
  await clock.advance(499);
  t.like(await holder(bus), { kind: "held", owner: dead });
  await clock.advance(1);
  t.deepEqual(await cleaned, { leasesCleaned: 1 });
  t.is((await holder(bus)).kind, "free");
  await confirmed;
  t.deepEqual(confirmations, ["supervisor 1"]);
});

test.serial("the lease of another incarnation is left alone, and the death is confirmed all the same", async (t) => {
  const [dead, next] = [
    { node: "learning-3", incarnation: 1 },
    { node: "learning-3", incarnation: 2 },
  ];
  const { bus, confirmations, cleanUp } = await scene(dead.node);
  await leaseOf(bus, next);
  const tree = await startWatchdog();
  t.deepEqual(await cleanUp(dead), { leasesCleaned: 0 });
  t.like(await holder(bus), { kind: "held", owner: next });
  t.deepEqual(confirmations, ["watchdog 0"]);
  await tree.stop();
});

test.serial("a late confirmation of an earlier incarnation is not taken for this one's", async (t) => {
  const dead = { node: "learning-4", incarnation: 2 };
  const { bus, clock, confirmed, cleanUp } = await scene(dead.node);
  await leaseOf(bus, dead);
  const cleaned = cleanUp(dead);
  const late = { kind: "cleanup", node: dead.node, actor: "watchdog", incarnation: 1, atMs: 0, items: [{ leases: 7 }] };
  bus.publish(subjects.cleanup(dead.node), encodeEvent(late));
  await confirmed;
  await clock.advance(500);
  t.deepEqual(await cleaned, { leasesCleaned: 1 });
  t.is((await holder(bus)).kind, "free");
});
