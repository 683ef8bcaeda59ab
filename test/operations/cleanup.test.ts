// Cleanup before restart, over a real broker: by the watchdog within the bound, else by the supervisor, and each death once (law 6).
//
// The supervisor's clock is virtual where it must wait: a wait that ends without it did not wait.

import test from "ava";
import { watchdog } from "../../actors/operations/watchdog.js";
import { wire } from "../../actors/wiring/wiring.js";
import type { Clock } from "../../models/clock.js";
import { auditCleanups, type CleanupAudit } from "../../operations/cleanup/cleanup-audit.js";
import { CleanupLog } from "../../operations/cleanup/cleanup-log.js";
import {
  type CleanupDeps,
  CleanupOverdueError,
  confirmCleanup,
  reclaimFormer,
  recordStart,
} from "../../operations/cluster/cleanup-confirmation.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import { systemClock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { type LeaseOwner, openLease } from "../../transport/log/lease.js";
import { ensureCleanupStream, ensureLeaseBucket } from "../../transport/log/streams.js";
import { type CleanupRecord, encodeCleanup } from "../../transport/messages/events.js";
import { smallModel } from "../actors/small-node.js";
import { smallTree } from "../supervision/small-tree.js";
import { startCluster } from "../transport/fixture.js";

const cluster = await startCluster();
test.after.always(() => cluster.end());
const { subjects } = cluster;
const run = "run-1";
const never = new AbortController().signal;

async function depsOf(clock: Clock = systemClock): Promise<CleanupDeps & { readonly bus: Bus }> {
  const bus = await cluster.bus();
  await ensureLeaseBucket(bus, subjects);
  await ensureCleanupStream(bus, subjects);
  const telemetry = new Telemetry(bus, subjects, "root", new Counters(), systemClock);
  return { bus, subjects, telemetry, clock, run };
}

const longMs = 600_000;
const shortMs = 500;

function leaseOf(bus: Bus, key: string, ttlMs = longMs) {
  return openLease(bus, new VirtualClock(), subjects.leaseBucket, key, { ttlMs });
}

/** A lease whose owner renews it no more; with the long TTL only an eviction ends it. */
async function hold(bus: Bus, key: string, owner: LeaseOwner, ttlMs = longMs): Promise<void> {
  await leaseOf(bus, key, ttlMs).acquire({ run, ...owner }, never);
}

async function startWatchdog() {
  const bus = await cluster.bus();
  const telemetry = new Telemetry(bus, subjects, "operations-1", new Counters(), systemClock);
  const identity = { node: "operations-1", incarnation: 1, origin: "o", run };
  const wiring = wire({ identity, bus, subjects, telemetry, clock: systemClock, vitals: () => ({}) }, [smallModel()]);
  const behaviour = () => watchdog(wiring.watchdog);
  const { tree } = await smallTree([{ id: "watchdog", restart: "permanent", behaviour }]);
  await bus.flush();
  return tree;
}

/** "kind by leases" of one node, in the order of the stream, up to its end of now or until `until` is there. */
async function recordsOf(node: string, until?: CleanupRecord["kind"]): Promise<string[]> {
  const { bus } = await depsOf();
  const reading = new AbortController();
  const lines: string[] = [];
  for await (const { record, pending } of new CleanupLog(bus, subjects, systemClock).follow(1, reading.signal)) {
    if (record?.node === node)
      lines.push(
        [record.kind, record.incarnation, record.by, ...("leases" in record ? [record.leases] : [])].join(" "),
      );
    if (until === undefined ? pending === 0 : record?.node === node && record.kind === until) break;
  }
  reading.abort();
  return lines;
}

/** The part of the audit that is about one node. */
async function auditOfNode(bus: Bus, node: string): Promise<Record<string, unknown>> {
  const audit: CleanupAudit = await auditCleanups(bus, subjects, systemClock);
  return Object.fromEntries(
    Object.entries(audit).flatMap(([name, value]) =>
      Array.isArray(value) ? [[name, value.filter((each: { node: string }) => each.node === node).length]] : [],
    ),
  );
}
const clean = { pairs: 1, missing: 0, doubled: 0, late: 0, overdue: 0, unasked: 0 };

test.serial("the watchdog sweeps the dead incarnation's lease and confirms, without any wait (S0-34)", async (t) => {
  const deps = await depsOf(new VirtualClock());
  await hold(deps.bus, "a", { node: "learning-1", incarnation: 1 });
  const tree = await startWatchdog();
  t.deepEqual(await confirmCleanup(deps, { node: "learning-1", incarnation: 1, cause: "SIGKILL" }), {
    leasesCleaned: 1,
  });
  t.is((await leaseOf(deps.bus, "a").look()).kind, "free");
  t.deepEqual(await recordsOf("learning-1"), ["died 1 supervisor", "cleanup_confirmed 1 watchdog 1"]);
  await tree.stop();
});

test.serial(
  "without a watchdog the supervisor waits its bound, not longer, and cleans up itself (S0-43)",
  async (t) => {
    const clock = new VirtualClock();
    const deps = await depsOf(clock);
    const dead = { node: "learning-2", incarnation: 4 };
    await hold(deps.bus, "b", dead);
    const cleaned = confirmCleanup(deps, { ...dead, cause: "SIGKILL" });
    await recordsOf(dead.node, "died");
    await clock.advance(499);
    t.like(await leaseOf(deps.bus, "b").look(), { kind: "held", owner: { ...dead, run } });
    await clock.advance(1);
    t.deepEqual(await cleaned, { leasesCleaned: 1 });
    t.is((await leaseOf(deps.bus, "b").look()).kind, "free");
    t.deepEqual(await recordsOf(dead.node), ["died 4 supervisor", "cleanup_confirmed 4 supervisor 1"]);
  },
);

test.serial("a watchdog that comes too late confirms nothing twice: the first stored one counts (S0-34)", async (t) => {
  const tree = await startWatchdog();
  await recordsOf("learning-2");
  const { bus } = await depsOf();
  const late = { node: "learning-2", incarnation: 4, run, author: "operations-9", atMs: 1 } as const;
  const outcome = await new CleanupLog(bus, subjects, systemClock).write({
    kind: "cleanup_confirmed",
    ...late,
    by: "watchdog",
    leases: 0,
  });
  t.like(outcome, { kind: "written", first: false });
  t.deepEqual(await recordsOf("learning-2"), ["died 4 supervisor", "cleanup_confirmed 4 supervisor 1"]);
  t.deepEqual(await auditOfNode(bus, "learning-2"), clean);
  await tree.stop();
});

test.serial(
  "control: without the message id the second confirmation is stored, and the audit says doubled",
  async (t) => {
    const deps = await depsOf();
    const dead = { node: "doubled-1", incarnation: 1 };
    const tree = await startWatchdog();
    await confirmCleanup(deps, { ...dead, cause: "SIGKILL" });
    const again = {
      kind: "cleanup_confirmed",
      ...dead,
      run,
      by: "supervisor",
      author: "root",
      atMs: 1,
      leases: 0,
    } as const;
    deps.bus.publish(subjects.cleanup(dead.node), encodeCleanup(again));
    await deps.bus.flush();
    t.deepEqual(await auditOfNode(deps.bus, dead.node), { ...clean, doubled: 1 });
    await tree.stop();
  },
);

test.serial(
  "the lease of another incarnation, or another run, is left alone; the death is confirmed all the same",
  async (t) => {
    const deps = await depsOf();
    const next = { node: "learning-3", incarnation: 2, run };
    const namesake = { node: "learning-3", incarnation: 1, run: "run-2" };
    await hold(deps.bus, "c", next);
    await hold(deps.bus, "d", namesake);
    t.deepEqual(await confirmCleanup(deps, { node: "learning-3", incarnation: 1, cause: "SIGKILL" }), {
      leasesCleaned: 0,
    });
    t.like(await leaseOf(deps.bus, "c").look(), { kind: "held", owner: next });
    t.like(await leaseOf(deps.bus, "d").look(), { kind: "held", owner: namesake });
    t.deepEqual(await recordsOf("learning-3"), ["died 1 supervisor", "cleanup_confirmed 1 supervisor 0"]);
  },
);

test.serial("a confirmation of an earlier incarnation is not taken for this one's", async (t) => {
  const clock = new VirtualClock();
  const deps = await depsOf(clock);
  const dead = { node: "learning-4", incarnation: 2 };
  await hold(deps.bus, "e", dead);
  const cleaned = confirmCleanup(deps, { ...dead, cause: "SIGKILL" });
  await recordsOf(dead.node, "died");
  await new CleanupLog(deps.bus, subjects, systemClock).write({
    kind: "cleanup_confirmed",
    ...dead,
    incarnation: 1,
    run,
    by: "watchdog",
    author: "operations-1",
    atMs: 0,
    leases: 7,
  });
  await clock.advance(500);
  t.deepEqual(await cleaned, { leasesCleaned: 1 });
});

test.serial(
  "with the broker down the restart waits its bound and no more; the confirmation is there once, when the broker is back (S0-43)",
  async (t) => {
    const deps = await depsOf();
    const dead = { node: "learning-5", incarnation: 1 };
    const tree = await startWatchdog();
    await hold(deps.bus, "f", dead);
    const gone = new Promise<void>((resolve) => {
      const stop = cluster.broker.onExit(() => {
        stop();
        resolve();
      });
    });
    process.kill(cluster.broker.pid, "SIGKILL");
    await gone;
    await t.throwsAsync(confirmCleanup(deps, { ...dead, cause: "SIGKILL" }), { instanceOf: CleanupOverdueError });
    recordStart(deps, dead.node, 2);
    await cluster.broker.restart();
    for (const kind of ["died", "cleanup_overdue", "cleanup_confirmed", "started"] as const)
      await recordsOf(dead.node, kind);
    t.deepEqual(await auditOfNode(deps.bus, dead.node), { ...clean, overdue: 1 });
    t.is((await leaseOf(deps.bus, "f").look()).kind, "free");
    await tree.stop();
  },
);

test.serial(
  "a death that its root did not live to see confirmed is confirmed by the next watchdog (S2-36)",
  async (t) => {
    const { bus } = await depsOf();
    const dead = { node: "learning-6", incarnation: 3, run: "run-0" };
    await hold(bus, "g", dead);
    const log = new CleanupLog(bus, subjects, systemClock);
    await log.write({ kind: "died", ...dead, by: "supervisor", author: "root", atMs: 0, cause: "SIGKILL" });
    const tree = await startWatchdog();
    t.deepEqual(await recordsOf(dead.node, "cleanup_confirmed"), [
      "died 3 supervisor",
      "cleanup_confirmed 3 watchdog 1",
    ]);
    await tree.stop();
  },
);

test.serial(
  "a root that starts on its own broker takes back every lease of former runs, and counts them (S2-36)",
  async (t) => {
    const deps = { ...(await depsOf()), run: "run-7" };
    await hold(deps.bus, "h", { node: "learning-1", incarnation: 9, run: "run-6" });
    await hold(deps.bus, "i", { node: "learning-1", incarnation: 9, run: "run-7" });
    t.true((await reclaimFormer(deps, "ours", never)) >= 1);
    t.is((await leaseOf(deps.bus, "h").look()).kind, "free");
    t.is((await leaseOf(deps.bus, "i").look()).kind, "held", "its own run's are left alone");
    const records = await recordsOf("learning-1", "reclaimed");
    t.true(records.includes("reclaimed 9 supervisor"));
  },
);

test.serial("on somebody else's broker only leases that nobody renews are taken back (S2-36, S2-38)", async (t) => {
  const deps = { ...(await depsOf()), run: "run-8" };
  await hold(deps.bus, "j", { node: "elsewhere", incarnation: 1, run: "run-9" });
  await hold(deps.bus, "k", { node: "learning-1", incarnation: 2, run: "run-5" }, shortMs);
  t.true((await reclaimFormer(deps, "shared", never)) >= 1);
  t.is((await leaseOf(deps.bus, "k").look()).kind, "free");
  t.is((await leaseOf(deps.bus, "j").look()).kind, "held", "within its TTL");
});

test.serial(
  "a watchdog takes back the lease of a holder that renews no more, and counts it (S2-6, S2-38)",
  async (t) => {
    const { bus } = await depsOf();
    await hold(bus, "l", { node: "stopped-1", incarnation: 1 }, shortMs);
    const tree = await startWatchdog();
    t.deepEqual(await recordsOf("stopped-1", "reclaimed"), ["reclaimed 1 watchdog"]);
    t.is((await leaseOf(bus, "l").look()).kind, "free");
    await tree.stop();
  },
);
