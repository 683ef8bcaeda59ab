// The leases of large tensors as a running cluster sees them: clients that are killed in the middle, on a real cluster and the real /dev/shm.

import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import test from "ava";
import type { LeaseList } from "../../operations/terminal/leases.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { contextFile } from "../../transport/access/context.js";
import { clusterDirectory, sharedMemoryDir } from "../../transport/tensors/segment-place.js";
import { openSegments, type SegmentRef } from "../../transport/tensors/segments.js";
import { withTimeouts } from "../../transport/timeouts.js";
import { child } from "../transport/tensors/child.js";
import { bytesOf } from "../transport/tensors/shared-memory.js";
import { until } from "../until.js";
import { typedIn } from "./program.js";
import { Heard, type Running, startRunning, statusOf } from "./running.js";

const mib = 1024 * 1024;
const withinMs = 60_000;
const cluster = `leases-${randomBytes(4).toString("hex")}`;

let running: Running;
test.before(async () => {
  running = await startRunning({ cluster });
});
test.after.always(async () => {
  await running?.stop();
  await rm(clusterDirectory(sharedMemoryDir, cluster), { recursive: true, force: true });
});

async function leases(): Promise<LeaseList> {
  const at = ["--context", contextFile(running.store)];
  const { code, stdout, stderr } = await typedIn(running.store, "leases", "--json", ...at).ended;
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as LeaseList;
}

const cleaned = (heard: Heard, why: string) => () =>
  heard.events
    .filter(({ kind }) => kind === "cleanup")
    .flatMap(({ items }) => items.filter((item) => item.why === why));

test.serial(
  "a client killed with leases: they are seen while it lives, swept when it is dead, and nothing is left (S2-19, S2-36)",
  async (t) => {
    t.timeout(120_000);
    const heard = await Heard.on(running.operator, running.subjects.all.telemetry);
    // Totals are counted from the first beat that the observer heard.
    await until("a node that tells of leases", withinMs, async () => (await leases()).nodes.length > 0);
    const owner = await child(t, "own", cluster, "2", `${mib}`);
    const seen = await until("both leases, here and by the watchdog", withinMs, async () => {
      const list = await leases();
      return list.leases.length === 2 && list.nodes[0]?.live === 2 && list;
    });
    for (const lease of seen.leases)
      t.like(lease, { owner: "child-own", pid: owner.pid, bytes: mib, state: "created" });
    t.like(seen.nodes, [{ node: "operations-1", live: 2, bytes: 2 * mib, poolBytes: 2 * mib }]);
    t.deepEqual(cleaned(heard, "tensor_owner_died")(), [], "negative control: while it lives nothing is swept");

    await owner.kill();
    const [item] = await until("its cleanup", withinMs, () => {
      const items = cleaned(heard, "tensor_owner_died")();
      return items.length > 0 && items;
    });
    // Behind the bytes of each stands its state.
    t.like(item, { about: "child-own", pid: owner.pid, leases: 2, files: 2, bytes: 2 * (mib + 64), by: "watchdog" });
    const after = await until("the figures", withinMs, async () => {
      const list = await leases();
      return list.totals?.swept === 2 && list.nodes[0]?.live === 0 && list;
    });
    t.deepEqual(after.leases, [], "zero leases");
    t.like(after.totals, { created: 2, released: 0, swept: 2 });
    t.is(after.shm.poolBytes, 0);
    heard.stop();
  },
);

test.serial(
  "a receiver killed in the middle: its lease expires, and is one cleanup of the watchdog (S2-21, S2-38, S2-58)",
  async (t) => {
    t.timeout(120_000);
    const heard = await Heard.on(running.operator, running.subjects.all.telemetry);
    const cleanups = async () => Number((await statusOf(running, "operations-1")).watchdog_cleanups ?? 0);
    const before = await cleanups();
    const options = {
      cluster,
      dir: sharedMemoryDir,
      clock,
      timeouts: withTimeouts({ tensorLease: 1_500 }),
      owner: "sender",
    };
    const sender = await openSegments(options);
    if (sender.kind !== "open") return t.fail(sender.why);
    t.teardown(() => sender.close());
    const outcome = await sender.lease(bytesOf(4 * mib), { about: "digits/1" });
    if (outcome.kind !== "leased") return t.fail(outcome.kind);
    const ref: SegmentRef = outcome.lease.ref;
    const reader = await child(t, "read", cluster, JSON.stringify(ref));
    outcome.lease.handOver();
    await reader.kill();
    await until("its cleanup", withinMs, () => cleaned(heard, "tensor_lease_expired")().length === 1);
    t.is(await until("its count", withinMs, async () => (await cleanups()) - before), 1);
    t.deepEqual(sender.leases(), []);
    t.like((await statusOf(running, "operations-1")) as object, { tensor_leases_expired: 1 });
    heard.stop();
  },
);
