// What two looks at the tensor leases of a host say about the time between them.

import test from "ava";
import { TensorLeaseWatch } from "../../operations/cluster/tensor-lease-watch.js";
import { type LeaseTotals, noLeases } from "../../transport/tensors/segment-leases.js";
import type { OwnerRecord } from "../../transport/tensors/segment-owner.js";
import type { Sweep } from "../../transport/tensors/segment-sweep.js";

function record(
  owner: string,
  totals: Partial<LeaseTotals>,
  leases: readonly { bytes: number; createdAtMs: number }[] = [],
): OwnerRecord {
  return {
    ...{ v: 1, pid: 7, started: "1", namespaces: "", owner, atMs: 0 },
    leases: leases.map((lease) => ({ file: "f", about: null, state: "created", expiresAtMs: 0, ...lease })),
    totals: { ...noLeases, ...totals },
    pool: { leased: 1, spare: 1, leasedBytes: 100, spareBytes: 20, made: 2 },
  };
}

const alive = (
  owner: string,
  ...rest: [Partial<LeaseTotals>, { bytes: number; createdAtMs: number }[]?]
): Sweep["alive"][number] => {
  return { name: owner, status: "alive", record: record(owner, ...rest) };
};

function watching(...sweeps: readonly Partial<Sweep>[]): TensorLeaseWatch {
  const left = [...sweeps];
  return new TensorLeaseWatch({
    sweep: async () => ({ swept: [], alive: [], foreign: 0, ...left.shift() }),
    nowMs: () => 1_000,
  });
}

test("what owners had done before the first look is not counted, what they and newcomers do afterwards is, once", async (t) => {
  const watch = watching(
    { alive: [alive("a", { created: 5, released: 4 })] },
    { alive: [alive("a", { created: 7, released: 6 }), alive("b", { created: 1 })] },
    { alive: [alive("a", { created: 7, released: 6 }), alive("b", { created: 1 })] },
  );
  t.deepEqual((await watch.look()).grown, noLeases);
  t.deepEqual((await watch.look()).grown, { ...noLeases, created: 3, released: 2 });
  t.deepEqual((await watch.look()).grown, noLeases);
});

test("leases of the living are counted with their bytes, the oldest one's age and the pool; after idle all are zero (S2-19, S2-59)", async (t) => {
  const leases = [
    { bytes: 10, createdAtMs: 400 },
    { bytes: 30, createdAtMs: 900 },
  ];
  const watch = watching({ alive: [alive("a", { created: 2 }, leases), alive("b", {})] }, {});
  t.like(await watch.look(), { live: 2, liveBytes: 40, oldestAgeMs: 600, poolBytes: 240 });
  t.like(await watch.look(), { live: 0, liveBytes: 0, oldestAgeMs: null, poolBytes: 0 });
});

test("a dead owner is swept with what it did after the last look at it; a lease that expired names its owner", async (t) => {
  const dead = {
    name: "a",
    record: record("a", { created: 4, expired: 1 }, [{ bytes: 10, createdAtMs: 0 }]),
    files: 1,
    bytes: 10,
  };
  const watch = watching({}, { alive: [alive("a", { created: 3 })] }, { swept: [dead] }, {});
  await watch.look();
  await watch.look();
  const look = await watch.look();
  t.deepEqual(look.grown, { ...noLeases, created: 1, expired: 1 });
  t.deepEqual(look.expired, [{ owner: "a", pid: 7, leases: 1 }]);
  t.is(look.swept.length, 1);
  t.deepEqual(await watch.look(), {
    live: 0,
    liveBytes: 0,
    oldestAgeMs: null,
    poolBytes: 0,
    grown: noLeases,
    expired: [],
    swept: [],
  });
});
