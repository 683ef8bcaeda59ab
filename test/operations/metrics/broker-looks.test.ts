// What an observer asks of a real broker: queues, logs and leases, and the recent past that an earlier one left.

import anyTest, { type TestFn } from "ava";
import { CleanupLog } from "../../../operations/cleanup/cleanup-log.js";
import { encodeKept } from "../../../operations/metrics/kept-figures.js";
import { encodeLooked, type Looked } from "../../../operations/metrics/looked.js";
import { QueueLooks } from "../../../operations/metrics/queue-looks.js";
import { openPast, type PastItem } from "../../../operations/metrics/recent-past.js";
import { systemClock } from "../../../supervision/clock.js";
import type { Bus } from "../../../transport/bus/bus.js";
import { ensureDeadLetterStream, openDeadLetters } from "../../../transport/log/dead-letters.js";
import { ask, store, streamState } from "../../../transport/log/jetstream.js";
import { openLease } from "../../../transport/log/lease.js";
import { encodeCommit } from "../../../transport/log/records.js";
import {
  ensureCleanupStream,
  ensureLeaseBucket,
  ensureStreams,
  ensureTelemetryStream,
  streamLimits,
} from "../../../transport/log/streams.js";
import { encodeEvent, encodeMetrics } from "../../../transport/messages/events.js";
import { header, jetStreamApi } from "../../../transport/subjects.js";
import { type Cluster, startCluster, text } from "../../transport/fixture.js";
import { until } from "../../until.js";
import { cleanup, freshAggregate, lookedAt, Telling } from "./nodes-telling.js";

const test = anyTest as TestFn<{ cluster: Cluster; bus: Bus }>;
const withinMs = 30_000;

test.before(async (t) => {
  const cluster = await startCluster();
  const bus = await cluster.bus();
  for (const ready of [
    await ensureStreams(bus, cluster.subjects, "digits"),
    await ensureLeaseBucket(bus, cluster.subjects),
    await ensureCleanupStream(bus, cluster.subjects),
    await ensureDeadLetterStream(bus, cluster.subjects),
    await ensureTelemetryStream(bus, cluster.subjects),
  ])
    t.is(ready.kind, "ready");
  t.context = { cluster, bus };
});
test.after.always((t) => t.context.cluster?.end());

/** The first look that is as it is wanted. */
function looked(what: string, looks: QueueLooks, wanted: (look: Looked) => boolean): Promise<Looked> {
  return until(what, withinMs, async () => {
    const look = await looks.look();
    return look !== undefined && wanted(look) && look;
  });
}

const commitOf = (updateSeq: number): Uint8Array =>
  encodeCommit({
    ...{ model: "digits", version: 2, updateSeq, experienceSeq: 0, node: "n", incarnation: 1, backend: "cpu" },
    ...{ checksum: "c", previousChecksum: undefined, served: new Float32Array(4), atMs: 1 },
    counters: { applied: updateSeq, refused: { kl: 1 }, duplicates: 0 },
  });

test.serial(
  "depth and age of the update queue are those of the log and its commits (S0-14, S2-42, S2-60)",
  async (t) => {
    const { bus, cluster } = t.context;
    const { subjects } = cluster;
    const looks = new QueueLooks({ bus, clock: systemClock, subjects, models: ["digits"], limits: streamLimits });
    t.deepEqual((await looks.look())?.models[0]?.oldestAtMs, null);
    for (let seq = 1; seq <= 5; seq += 1)
      await store(bus, subjects.updates("digits"), text(`${seq}`), { timeoutMs: 2_000 });
    await store(bus, subjects.weights("digits"), commitOf(3), { timeoutMs: 2_000, expectedLastSequence: 0 });
    const looked = await looks.look();
    t.like(looked?.models[0], { lastSeq: 5, committedSeq: 3, version: 2, applied: 3, refused: { kl: 1 } });
    t.true(Math.abs((looked?.models[0]?.oldestAtMs ?? 0) - systemClock.nowMs()) < withinMs);
    await store(bus, subjects.weights("digits"), commitOf(5), { timeoutMs: 2_000, expectedLastSequence: 1 });
    t.like((await looks.look())?.models[0], { lastSeq: 5, committedSeq: 5, oldestAtMs: null });
    const log = looked?.streams.find(({ stream }) => stream === subjects.stream("update", "digits"));
    t.like(log, { messages: 5, maxBytes: streamLimits.updateMaxBytes });
  },
);

test.serial("leases are counted while they are held, and none is left after (S2-40, S2-59)", async (t) => {
  const { bus, cluster } = t.context;
  const { subjects } = cluster;
  const looks = new QueueLooks({ bus, clock: systemClock, subjects, models: [], limits: streamLimits });
  t.deepEqual((await looks.look())?.leases, { held: 0, oldestAgeMs: null });
  const lease = openLease(bus, systemClock, subjects.leaseBucket, "digits", { ttlMs: 60_000 });
  const held = await lease.acquire({ node: "a", incarnation: 1 }, new AbortController().signal);
  t.like((await looks.look())?.leases, { held: 1 });
  const aged = await looked("the lease grows older", looks, ({ leases }) => (leases.oldestAgeMs ?? 0) > 50);
  t.is(aged.leases.held, 1);
  await held?.release();
  t.deepEqual((await looks.look())?.leases, { held: 0, oldestAgeMs: null });
});

test.serial("a dead letter waits until an operator did something about it (S2-60)", async (t) => {
  const { bus, cluster } = t.context;
  const { subjects } = cluster;
  const looks = new QueueLooks({ bus, clock: systemClock, subjects, models: [], limits: streamLimits });
  const following = new AbortController();
  const followed = looks.followLetters(following.signal);
  const letters = openDeadLetters(bus, systemClock, subjects);
  const job = { model: "digits", jobId: "j1" } as const;
  const written = await letters.publish({
    ...job,
    ...{ kind: "letter", phase: "inference", state: "exhausted", cause: "c", attempts: 3, traceId: "t", node: "n" },
    ...{ atMs: 1_000, payload: { kind: "omitted", byteLength: 1 } },
  });
  const open = await looked("the letter is open", looks, ({ deadLetters }) => deadLetters.open === 1);
  t.is(open.deadLetters.oldestAtMs, 1_000);
  const of = written.kind === "appended" ? written.seq : 0;
  await letters.mark({ kind: "mark", ...job, of, what: "resolved", note: "seen", atMs: 2_000 });
  await t.notThrowsAsync(looked("the letter is resolved", looks, ({ deadLetters }) => deadLetters.open === 0));
  const later = { ...job, jobId: "j2", attempts: 3, traceId: "t", node: "n", phase: "inference", cause: "c" } as const;
  await letters.publish({
    ...{ ...later, kind: "letter", state: "exhausted", atMs: 3_000 },
    payload: { kind: "omitted", byteLength: 1 },
  });
  await looked("the later letter is open", looks, ({ deadLetters }) => deadLetters.open === 1);
  await ask(bus, jetStreamApi.streamPurge(subjects.deadLetterStream), {});
  const gone = await looks.look();
  t.deepEqual(gone?.deadLetters, { stream: subjects.deadLetterStream, open: 0, oldestAtMs: null });
  following.abort();
  await followed;
});

async function holds(bus: Bus, stream: string, messages: number): Promise<void> {
  for (const untilMs = systemClock.monotonicMs() + 30_000; systemClock.monotonicMs() < untilMs; ) {
    const found = await streamState(bus, stream);
    if (found.kind === "state" && found.state.messages >= messages) return;
    await systemClock.delay(5);
  }
  throw new Error(`${stream} does not hold ${messages} messages`);
}

test.serial("the recent past comes in its order, with the newest of what was kept (S1-40)", async (t) => {
  const { bus, cluster } = t.context;
  const { subjects } = cluster;
  const node = new Telling("learning-1", systemClock.nowMs());
  node.measure("job_update_ms", 3);
  const keep = (atMs: number): boolean =>
    bus.publish(
      subjects.observed("kept"),
      encodeKept({ atMs, figures: freshAggregate().kept(), points: [], frozen: {} }),
      { headers: { [header.rollup]: "sub" } },
    );
  keep(1);
  bus.publish(subjects.metrics("learning-1"), encodeMetrics(node.sample(systemClock.nowMs())));
  bus.publish(subjects.observed("looks"), encodeLooked(lookedAt({ lastSeq: 9 })));
  // The server stamps a message when it takes it in, which a flush does not wait for.
  await holds(bus, subjects.telemetryStream, 3);
  // Records stand between the others by their moments, which are whole milliseconds.
  await systemClock.delay(5);
  await new CleanupLog(bus, subjects, systemClock).write(cleanup("died", "learning-1", 1, systemClock.nowMs()));
  await systemClock.delay(5);
  const ready = { node: "learning-1", actor: "host", incarnation: 1, atMs: 1, items: [{ roles: "learning" }] };
  for (const kind of ["vote", "node_ready"]) bus.publish(subjects.event(kind), encodeEvent({ kind, ...ready }));
  keep(2);
  await bus.flush();
  const options = { bus, clock: systemClock, subjects, events: ["node_ready"] };
  const { kept, past, cleanupSeq } = await openPast(options, new AbortController().signal);
  const items: PastItem[] = [];
  for await (const item of past) items.push(item);
  t.deepEqual(
    items.map(({ kind }) => kind),
    ["sample", "looked", "cleanup", "event"],
  );
  t.is(kept?.atMs, 2, "the newest of what was kept");
  t.is(cleanupSeq, 2);
  const [sample] = items;
  if (sample?.kind === "sample") t.truthy(sample.sample.sketches?.job_update_ms);
  const state = await streamState(bus, subjects.telemetryStream);
  t.is(state.kind === "state" ? state.state.messages : 0, 5, "what was kept before has made room");
});

test.serial("a broker that was killed has no past, and nobody fails for it (S1-40)", async (t) => {
  const { cluster } = t.context;
  await cluster.killAndRestart();
  const bus = await cluster.bus();
  const { subjects } = cluster;
  const options = { bus, clock: systemClock, subjects, events: [] };
  const { kept, past } = await openPast(options, new AbortController().signal);
  const items: PastItem[] = [];
  for await (const item of past) items.push(item);
  t.is(kept, undefined);
  t.deepEqual(
    items.map(({ kind }) => kind),
    ["cleanup"],
    "deaths are on disk",
  );
  const looks = new QueueLooks({ bus, clock: systemClock, subjects, models: ["digits"], limits: streamLimits });
  t.truthy(await looks.look());
  t.true(looks.lacks(subjects.telemetryStream));
  t.false(looks.lacks(subjects.cleanupStream));
});
