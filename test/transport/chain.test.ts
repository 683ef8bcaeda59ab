// The fenced chain, the leases and the snapshots against a real nats-server.

import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { openChain } from "../../transport/log/chain.js";
import { store } from "../../transport/log/jetstream.js";
import { openLease } from "../../transport/log/lease.js";
import { evictAll } from "../../transport/log/lease-sweep.js";
import { openSnapshots } from "../../transport/log/snapshot.js";
import { ensureLeaseBucket, ensureStreams } from "../../transport/log/streams.js";
import { header } from "../../transport/subjects.js";
import { said, startCluster, text } from "./fixture.js";

const model = "digits";

async function open(t: { teardown(fn: () => Promise<void>): void }) {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const bus = await cluster.bus();
  await ensureStreams(bus, cluster.subjects, model);
  await ensureLeaseBucket(bus, cluster.subjects);
  const { subjects } = cluster;
  const weights = { stream: subjects.stream("weights", model), subject: subjects.weights(model) };
  const snapshot = { stream: subjects.stream("snapshot", model), subject: subjects.snapshots(model) };
  const lease = (ttlMs: number) => openLease(bus, systemClock, subjects.leaseBucket, model, { ttlMs });
  return { cluster, bus, weights, snapshot, lease };
}

test("of two writers that go on from the same commit one wins and the other is fenced (S2-39)", async (t) => {
  const { bus, weights } = await open(t);
  const one = openChain(bus, systemClock, weights);
  const other = openChain(bus, systemClock, weights);
  t.deepEqual(await one.commit(text("one 1"), 0), { kind: "committed", seq: 1 });
  const both = await Promise.all([one.commit(text("one 2"), 1), other.commit(text("other 2"), 1)]);
  t.deepEqual(both.map((outcome) => outcome.kind).sort(), ["committed", "fenced"]);
  t.deepEqual(await other.commit(text("other 3"), 1), { kind: "fenced" });
});

test("control: without the expected sequence both writers would succeed", async (t) => {
  const { bus, weights } = await open(t);
  const unfenced = (value: string) => store(bus, weights.subject, text(value), { timeoutMs: 1_000 });
  const both = await Promise.all([unfenced("one"), unfenced("other")]);
  t.deepEqual(
    both.map((outcome) => outcome.kind),
    ["stored", "stored"],
  );
});

test("a commit whose acknowledgement got lost is found, not stored twice (S2-35)", async (t) => {
  const { bus, weights } = await open(t);
  let lost = 0;
  const deaf: Bus = new Proxy(bus, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== "request") return typeof value === "function" ? value.bind(target) : value;
      return async (...given: Parameters<Bus["request"]>) => {
        const outcome = await target.request(...given);
        if (given[0] !== weights.subject || lost > 0) return outcome;
        lost += 1;
        return { kind: "timeout" };
      };
    },
  });
  const chain = openChain(deaf, systemClock, weights);
  t.deepEqual(await chain.commit(text("mine"), 0), { kind: "committed", seq: 1 });
  t.is(lost, 1);
  const head = await chain.head();
  t.is(head.kind === "found" ? said(head.message.bytes) : "", "mine");
});

test("commits go on across kill -9 of the broker, each once", async (t) => {
  const { cluster, bus, weights } = await open(t);
  const chain = openChain(bus, systemClock, weights);
  const seqs: number[] = [];
  let killing: Promise<void> | undefined;
  for (let index = 1; index <= 60; index += 1) {
    if (index === 20) killing = cluster.killAndRestart();
    const outcome = await chain.commit(text(`${index}`), seqs.at(-1) ?? 0);
    if (outcome.kind !== "committed") return t.fail(JSON.stringify(outcome));
    seqs.push(outcome.seq);
  }
  await killing;
  t.deepEqual(
    seqs,
    Array.from({ length: 60 }, (_, index) => index + 1),
  );
  return undefined;
});

const one = { node: "n1", incarnation: 1 };
const other = { node: "n2", incarnation: 1 };
const never = new AbortController().signal;

test("a lease has one holder; a release hands it on at once", async (t) => {
  const { lease } = await open(t);
  const held = await lease(10_000).acquire(one, never);
  const waiting = lease(10_000).acquire(other, never);
  t.like(await lease(10_000).look(), { kind: "held", owner: one });
  const startedMs = systemClock.monotonicMs();
  await held?.release();
  t.is(await held?.lost, "released");
  const next = await waiting;
  t.deepEqual(next?.owner, other);
  t.true(systemClock.monotonicMs() - startedMs < 1_000, "far less than the TTL of 10 s");
  await next?.release();
});

test("a dead holder's lease is evicted by name only", async (t) => {
  const { lease } = await open(t);
  const held = await lease(4_000).acquire(one, never);
  t.is((await lease(4_000).evict(other)).kind, "not_held");
  t.is((await lease(4_000).evict(one)).kind, "evicted");
  t.is(await held?.lost, "taken");
});

test("all leases of a dead node are evicted together, nobody else's (S0-34)", async (t) => {
  const { cluster, bus } = await open(t);
  const { leaseBucket } = cluster.subjects;
  const leaseOf = (key: string) => openLease(bus, systemClock, leaseBucket, key, { ttlMs: 4_000 });
  const held = [await leaseOf("a").acquire(one, never), await leaseOf("b").acquire(one, never)];
  const others = await leaseOf("c").acquire(other, never);
  t.deepEqual(await evictAll(bus, systemClock, leaseBucket, one), { kind: "swept", leases: 2 });
  t.deepEqual(await evictAll(bus, systemClock, leaseBucket, one), { kind: "swept", leases: 0 });
  t.like(await leaseOf("c").look(), { kind: "held", owner: other });
  t.deepEqual(await Promise.all(held.map((lease) => lease?.lost)), ["taken", "taken"]);
  await others?.release();
});

test("a holder that stops renewing loses the lease after its TTL, by the observer's clock (S2-6)", async (t) => {
  const { cluster, lease } = await open(t);
  const dying = await cluster.bus();
  const held = await openLease(dying, systemClock, cluster.subjects.leaseBucket, model, { ttlMs: 400 }).acquire(
    one,
    never,
  );
  const waiting = lease(400).acquire(other, never);
  const startedMs = systemClock.monotonicMs();
  await dying.close();
  const next = await waiting;
  const tookMs = systemClock.monotonicMs() - startedMs;
  t.log(`taken over after ${tookMs.toFixed(0)} ms with a TTL of 400 ms`);
  t.deepEqual(next?.owner, other);
  t.true(tookMs >= 300 && tookMs < 2_000);
  t.is(await held?.lost, "expired");
  await next?.release();
});

test("a lease is kept across a restart of the broker", async (t) => {
  const { cluster, lease } = await open(t);
  const held = await lease(3_000).acquire(one, never);
  await cluster.killAndRestart();
  const later = systemClock.delay(1_500).then(() => "still held");
  t.is(await Promise.race([held?.lost, later]), "still held");
  await held?.release();
});

test("the wait for a lease ends with its signal", async (t) => {
  const { lease } = await open(t);
  const held = await lease(10_000).acquire(one, never);
  const stop = new AbortController();
  const waiting = lease(10_000).acquire(other, stop.signal);
  stop.abort();
  t.is(await waiting, undefined);
  await held?.release();
});

test("the newest intact snapshot is found, a damaged one is passed over, and few are kept", async (t) => {
  const { bus, snapshot } = await open(t);
  const snapshots = openSnapshots(bus, systemClock, snapshot);
  t.deepEqual(await snapshots.newest(), { kind: "none", damaged: 0 });
  for (let index = 1; index <= 7; index += 1) await snapshots.put(text(`state ${index}`));
  const found = await snapshots.newest();
  t.is(found.kind === "snapshot" ? said(found.bytes) : "", "state 7");
  await store(bus, snapshot.subject, text("damaged"), {
    timeoutMs: 1_000,
    headers: { [header.checksum]: "0".repeat(64) },
  });
  const before = await snapshots.newest();
  t.like(before, { kind: "snapshot", damaged: 1 });
  t.is(before.kind === "snapshot" ? said(before.bytes) : "", "state 7");
  const listing = await snapshots.list();
  t.is(listing.kind === "listing" ? listing.snapshots.length : 0, 5);
});

test("a snapshot beyond the payload bound is refused, one of 5 MB comes back whole", async (t) => {
  const { bus, snapshot } = await open(t);
  const snapshots = openSnapshots(bus, systemClock, snapshot);
  t.is((await snapshots.put(new Uint8Array(9_000_000))).kind, "too_large");
  const large = new Uint8Array(5_000_000).fill(7);
  t.is((await snapshots.put(large)).kind, "stored");
  const found = await snapshots.newest();
  t.true(found.kind === "snapshot" && Buffer.compare(found.bytes, large) === 0);
});
