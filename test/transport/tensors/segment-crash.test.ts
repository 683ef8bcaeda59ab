// Processes killed in the middle of a transfer, with kill -9, on the real /dev/shm; each with its negative control.

import { once } from "node:events";
import test from "ava";
import { TensorLeaseWatch } from "../../../operations/cluster/tensor-lease-watch.js";
import { systemClock as clock } from "../../../supervision/clock.js";
import { type SeenOwner, seeOwners, sweepSegments } from "../../../transport/tensors/segment-sweep.js";
import type { SegmentRef } from "../../../transport/tensors/segments.js";
import { withTimeouts } from "../../../transport/timeouts.js";
import { until } from "../../until.js";
import { child } from "./child.js";
import { bytesOf, type SharedMemory, sharedMemory, shm } from "./shared-memory.js";

const mib = 1024 * 1024;

function watchOf({ cluster }: SharedMemory): TensorLeaseWatch {
  return new TensorLeaseWatch({ sweep: () => sweepSegments(shm, cluster, clock.nowMs()), nowMs: () => clock.nowMs() });
}

/** The owners' records follow a change within a moment. */
async function untilSeen(memory: SharedMemory, isSo: (owners: readonly SeenOwner[]) => boolean): Promise<void> {
  await until("the owners' records", 30_000, async () => isSo((await seeOwners(shm, memory.cluster)).owners));
}

test("a receiver killed in the middle: the lease is taken back within its time, counted once, and the next receiver has the bytes (S2-21, S2-38)", async (t) => {
  t.timeout(60_000);
  const memory = sharedMemory(t);
  const watch = watchOf(memory);
  await watch.look();
  const expiryMs = 800;
  const segments = await memory.open({ timeouts: withTimeouts({ tensorLease: expiryMs }) });
  const control = await memory.open({ timeouts: withTimeouts({ tensorLease: 3_600_000 }) });
  const bytes = bytesOf(8 * mib);
  const leasedAtMs = clock.monotonicMs();
  const [outcome, kept] = [await segments.lease(bytes), await control.lease(bytes)];
  if (outcome.kind !== "leased" || kept.kind !== "leased") return t.fail();
  const { lease } = outcome;
  const ended = once(lease.ended, "abort");
  const reader = await child(t, "read", memory.cluster, JSON.stringify(lease.ref));
  for (const each of [lease, kept.lease]) each.handOver();
  await reader.kill();
  await ended;
  t.true(clock.monotonicMs() - leasedAtMs >= expiryMs - 5, "not before its time");
  t.deepEqual(segments.leases(), []);
  t.is(
    control.leases().length,
    1,
    "negative control: a lease whose time is not over stays, though nobody will ever confirm it",
  );

  await untilSeen(memory, (owners) => owners.some(({ record }) => record.totals.expired === 1));
  const looks = [await watch.look(), await watch.look()];
  t.deepEqual(
    looks.map(({ expired }) => expired.map(({ owner, leases }) => ({ owner, leases }))),
    [[{ owner: "tester", leases: 1 }], []],
    "the watchdog's cleanup, once",
  );

  const again = await segments.lease(bytes);
  if (again.kind !== "leased") return t.fail();
  const next = await memory.open();
  const read = await next.read(again.lease.ref);
  t.is(read.kind === "read" ? Buffer.compare(read.bytes, bytes) : read.why, 0);
  t.is(segments.figures().made, 1, "in the same memory");
  again.lease.release();
  await Promise.all([segments.close(), control.close(), next.close()]);
  await watch.look();
  t.deepEqual(await memory.entries(), [], "zero leases after it");
});

test("an owner killed with its leases: everything of it is swept, once, and the living keep theirs (S2-36, S2-28)", async (t) => {
  t.timeout(60_000);
  const memory = sharedMemory(t);
  const mine = await memory.open();
  const held = await mine.lease(bytesOf(1_000));
  const owner = await child(t, "own", memory.cluster, "3", `${mib}`);
  const [first] = owner.said as readonly SegmentRef[];
  await untilSeen(memory, (owners) =>
    owners.some(({ record }) => record.pid === owner.pid && record.leases.length === 3),
  );
  const early = await sweepSegments(shm, memory.cluster, clock.nowMs());
  t.deepEqual(early.swept, [], "negative control: while it lives nothing of it is swept");
  t.is(early.alive.length, 2);

  await owner.kill();
  const watch = watchOf(memory);
  const sweeps = await Promise.all([watch.look(), sweepSegments(shm, memory.cluster, clock.nowMs())]);
  const swept = sweeps.flatMap((each) => each.swept);
  t.is(swept.length, 1, "two sweepers count a dead owner once");
  t.like(swept[0]?.record, { pid: owner.pid, owner: "child-own" });
  t.is(swept[0]?.record.leases.length, 3);
  t.deepEqual((await sweepSegments(shm, memory.cluster, clock.nowMs())).swept, []);
  if (first === undefined || held.kind !== "leased") return t.fail();
  t.deepEqual(await mine.read(first), { kind: "refused", why: "missing" });
  t.is((await mine.read(held.lease.ref)).kind, "read");
  held.lease.release();
  await mine.close();
  t.deepEqual(await memory.entries(), [], "nothing is left of a killed process but what is counted");
});
