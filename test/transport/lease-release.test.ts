// A lease that its holder let expire and then gives up: nothing may stay behind under its name.
//
// Substrate: a real nats-server; the holder's clock is the real one, and can be told to have slept.

import test from "ava";
import type { Clock } from "../../models/clock.js";
import { systemClock } from "../../supervision/clock.js";
import { openLease } from "../../transport/log/lease.js";
import { ensureLeaseBucket } from "../../transport/log/streams.js";
import { startCluster } from "./fixture.js";

const never = new AbortController().signal;
const one = { node: "learning-1", incarnation: 1 };
const other = { node: "learning-2", incarnation: 1 };

async function open(t: { teardown(end: () => Promise<void>): void }) {
  const cluster = await startCluster();
  t.teardown(() => cluster.end());
  const bus = await cluster.bus();
  await ensureLeaseBucket(bus, cluster.subjects);
  let sleptMs = 0;
  const sleeper: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + sleptMs };
  const lease = (clock: Clock) => openLease(bus, clock, cluster.subjects.leaseBucket, "digits", { ttlMs: 400 });
  return {
    lease,
    sleeper,
    sleep: () => {
      sleptMs += 10_000;
    },
  };
}

test("a lease that expired while its holder slept is freed when the holder ends (S2-48)", async (t) => {
  const { lease, sleeper, sleep } = await open(t);
  const held = await lease(sleeper).acquire(one, never);
  sleep();
  t.is(await held?.lost, "expired");
  t.like(await lease(systemClock).look(), { kind: "held", owner: one });
  await held?.release();
  t.is((await lease(systemClock).look()).kind, "free");
});

test("the one who took an expired lease keeps it when the old holder ends (S2-39)", async (t) => {
  const { lease, sleeper, sleep } = await open(t);
  const held = await lease(sleeper).acquire(one, never);
  sleep();
  t.is(await held?.lost, "expired");
  const taken = await lease(systemClock).acquire(other, never);
  await held?.release();
  t.like(await lease(systemClock).look(), { kind: "held", owner: other });
  await taken?.release();
});
