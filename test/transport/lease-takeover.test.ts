// From the death of a writer's process to the lease in a standby's hands, over a real broker: by eviction, not by looking now and then.

import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "ava";
import { watchdog } from "../../actors/operations/watchdog.js";
import { wire } from "../../actors/wiring/wiring.js";
import { confirmCleanup } from "../../operations/cluster/cleanup-confirmation.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import { systemClock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { openLease } from "../../transport/log/lease.js";
import { ensureCleanupStream, ensureLeaseBucket } from "../../transport/log/streams.js";
import { smallModel } from "../actors/small-node.js";
import { smallTree } from "../supervision/small-tree.js";
import { startCluster } from "./fixture.js";

/** So long that neither its end nor a look at a quarter of it can be what hands the lease on. */
const ttlMs = 600_000;
const takeovers = 20;
const never = new AbortController().signal;

async function scene(t: { teardown(fn: () => Promise<void>): void }) {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const { subjects } = cluster;
  const [bus, dogs, standby] = [await cluster.bus(), await cluster.bus(), await cluster.bus()];
  await ensureLeaseBucket(bus, subjects);
  await ensureCleanupStream(bus, subjects);
  const telemetryOf = (node: string) => new Telemetry(bus, subjects, node, new Counters(), systemClock);
  const identity = { node: "operations-1", incarnation: 1, origin: "o", run: "r1" };
  const telemetry = telemetryOf("operations-1");
  const wiring = wire({ identity, bus: dogs, subjects, telemetry, clock: systemClock, vitals: () => ({}) }, [
    smallModel(),
  ]);
  const behaviour = () => watchdog(wiring.watchdog);
  const { tree } = await smallTree([{ id: "watchdog", restart: "permanent", behaviour }]);
  t.teardown(() => tree.stop());
  const deps = { bus, subjects, telemetry: telemetryOf("root"), clock: systemClock, run: "r1" };
  // Its clock stands still, so it never renews: as a dead process does.
  const dead = openLease(bus, new VirtualClock(), subjects.leaseBucket, "digits", { ttlMs });
  const waiting = openLease(standby, systemClock, subjects.leaseBucket, "digits", { ttlMs });
  return { deps, dead, waiting };
}

test("a standby has the lease as soon as the writer's death is confirmed, long before any TTL (S0-34, S2-38)", async (t) => {
  const { deps, dead, waiting } = await scene(t);
  const tookMs: number[] = [];
  for (let incarnation = 1; incarnation <= takeovers; incarnation += 1) {
    const owner = { node: "learning-1", incarnation, run: "r1" };
    await dead.acquire(owner, never);
    const next = waiting.acquire({ node: "learning-2", incarnation: 1, run: "r1" }, never);
    const child = spawn(process.execPath, ["--eval", "setTimeout(() => undefined, 600000)"]);
    await once(child, "spawn");
    child.kill("SIGKILL");
    await once(child, "exit");
    const diedAtMs = systemClock.monotonicMs();
    const [held] = await Promise.all([
      next.then((lease) => {
        tookMs.push(systemClock.monotonicMs() - diedAtMs);
        return lease;
      }),
      confirmCleanup(deps, { ...owner, cause: "signal SIGKILL" }),
    ]);
    t.is(held?.owner.node, "learning-2");
    await held?.release();
  }
  const sorted = tookMs.sort((one, other) => one - other);
  const at = (share: number) => `${(sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1)} ms`;
  t.log(`exit to acquired, ${takeovers} times: median ${at(0.5)}, p99 ${at(0.99)}`);
  t.is(tookMs.length, takeovers);
  t.true(Math.max(...tookMs) < ttlMs / 4, "by eviction");
});
