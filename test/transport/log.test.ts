// The log against a real nats-server: appends that are stored once, following across the broker's death, the bound, truncation.

import test from "ava";
import type { Clock } from "../../models/clock.js";
import { systemClock } from "../../supervision/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import type { Followed } from "../../transport/log/follow.js";
import { ask } from "../../transport/log/jetstream.js";
import { openLog } from "../../transport/log/log.js";
import { LogWipedError } from "../../transport/log/read-stream.js";
import { boundsOf, ensureStreams, limitsFor, streamLimits, withHeadroom } from "../../transport/log/streams.js";
import { jetStreamApi } from "../../transport/subjects.js";
import { type Cluster, said, startCluster, text } from "./fixture.js";

const model = "digits";

async function open(t: { teardown(fn: () => Promise<void>): void }, limits = {}) {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const bus: Bus = await cluster.bus();
  const ready = await ensureStreams(bus, cluster.subjects, model, limits);
  if (ready.kind !== "ready") throw new Error(ready.why);
  const stream = cluster.subjects.stream("experience", model);
  return { cluster, bus, stream, subject: cluster.subjects.experience(model), log: openLog(bus, systemClock) };
}

async function take(messages: AsyncIterable<Followed>, count: number): Promise<Followed[]> {
  const taken: Followed[] = [];
  for await (const message of messages) {
    taken.push(message);
    if (taken.length === count) break;
  }
  return taken;
}

/** Consumers of one stream, as they are asked for. */
async function watchCreations(cluster: Cluster, stream: string) {
  const bus = await cluster.keeper();
  let [count, waiting] = [0, (): void => undefined];
  bus.subscribe(jetStreamApi.consumerCreate(stream, "*"), {}, () => {
    count += 1;
    waiting();
  });
  await bus.flush();
  return {
    get count() {
      return count;
    },
    next: () =>
      new Promise<void>((resolve) => {
        waiting = resolve;
      }),
  };
}

/** Time that passes when the test says so. */
function handClock(): { readonly clock: Clock; readonly pass: (ms: number) => void } {
  let nowMs = 0;
  let timers: readonly { readonly atMs: number; readonly run: () => void }[] = [];
  const after: Clock["after"] = (ms, run) => {
    const timer = { atMs: nowMs + ms, run };
    timers = [...timers, timer];
    return () => {
      timers = timers.filter((other) => other !== timer);
    };
  };
  const pass = (ms: number): void => {
    nowMs += ms;
    const due = timers.filter(({ atMs }) => atMs <= nowMs);
    timers = timers.filter(({ atMs }) => atMs > nowMs);
    for (const { run } of due) run();
  };
  return { clock: { ...systemClock, monotonicMs: () => nowMs, after }, pass };
}

test("the same message id is stored once however often it is appended", async (t) => {
  const { log, stream, subject } = await open(t);
  t.deepEqual(await log.append(subject, text("a"), "one"), { kind: "appended", seq: 1, duplicate: false });
  t.deepEqual(await log.append(subject, text("a"), "one"), { kind: "appended", seq: 1, duplicate: true });
  const state = await log.state(stream);
  t.is(state.kind === "state" ? state.state.messages : -1, 1);
});

test("a follower sees what was there and what comes, in order, with its place", async (t) => {
  const { log, stream, subject } = await open(t);
  for (let index = 1; index <= 300; index += 1) await log.append(subject, text(`${index}`), `${index}`);
  const signal = AbortSignal.timeout(20_000);
  const taking = take(log.follow(stream, { fromSeq: 100, signal, batch: 32 }), 203);
  for (const late of ["301", "302"]) await log.append(subject, text(late), late);
  const taken = await taking;
  t.deepEqual(
    taken.map((message) => message.seq),
    Array.from({ length: 203 }, (_, index) => index + 100),
  );
  t.true(taken.every((message) => said(message.bytes) === `${message.seq}`));
  t.is(taken.at(-1)?.pending, 0);
  t.true(Math.abs((taken[0]?.atMs ?? 0) - systemClock.nowMs()) < 60_000);
});

test("a follower ends with its connection, begun before the connection closed or after", async (t) => {
  const { cluster, stream } = await open(t);
  const bus = await cluster.bus();
  const log = openLog(bus, systemClock);
  const follow = () => take(log.follow(stream, { fromSeq: 1, signal: new AbortController().signal }), 1);
  const following = follow();
  await bus.flush();
  await bus.close();
  t.deepEqual(await following, []);
  t.deepEqual(await follow(), []);
});

test("a follower that is over leaves nothing on its connection, which may see one with each look over HTTP", async (t) => {
  const { bus, stream } = await open(t);
  let [waits, listeners] = [0, 0];
  const counted = new Proxy(bus, {
    get(target, name) {
      if (name === "closed") waits += 1;
      if (name === "onEvent")
        return (listener: Parameters<Bus["onEvent"]>[0]) => {
          const stop = target.onEvent(listener);
          listeners += 1;
          return () => {
            listeners -= 1;
            stop();
          };
        };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await openLog(bus, systemClock).append("driftmend.wal.experience.digits", text("one"), "m1");
  const log = openLog(counted, systemClock);
  for (let look = 0; look < 3; look += 1)
    t.is((await take(log.follow(stream, { fromSeq: 1, signal: new AbortController().signal }), 1)).length, 1);
  t.deepEqual({ waits, listeners }, { waits: 0, listeners: 0 });
});

test("an operator reads the log without any violation (S2-65)", async (t) => {
  const { cluster, log, subject, stream } = await open(t);
  for (let index = 1; index <= 20; index += 1) await log.append(subject, text(`${index}`), `${index}`);
  const operator = await cluster.bus("operator");
  const events: unknown[] = [];
  operator.onEvent((event) => events.push(event));
  const reading = openLog(operator, systemClock);
  t.is((await take(reading.follow(stream, { fromSeq: 1, signal: AbortSignal.timeout(10_000) }), 20)).length, 20);
  t.is((await reading.get(stream, 3)).kind, "found");
  t.is((await reading.state(stream)).kind, "state");
  t.like(await reading.append(subject, text("x"), "x"), { kind: "unavailable", why: "denied" });
  t.is(events.length, 1, "the append only");
});

test("a consumer that falls silent is replaced, one that is heard is not, and the follower goes on where it was", async (t) => {
  const { cluster, bus, log, stream, subject } = await open(t);
  const created = await watchCreations(cluster, stream);
  const { clock, pass } = handClock();
  const followed = openLog(bus, clock)
    .follow(stream, { fromSeq: 1, signal: AbortSignal.timeout(20_000) })
    [Symbol.asyncIterator]();
  const [starting, first] = [created.next(), followed.next()];
  await starting;
  await log.append(subject, text("one"), "one");
  t.is((await first).value?.seq, 1);
  pass(1_000);
  await log.append(subject, text("two"), "two");
  t.is((await followed.next()).value?.seq, 2);
  pass(400);
  await bus.flush();
  t.is(created.count, 1, "1,400 ms after its start, but only 400 ms after it was last heard");
  const second = created.next();
  pass(1_300);
  await second;
  await log.append(subject, text("three"), "three");
  t.is((await followed.next()).value?.seq, 3);
  await followed.return?.();
});

test("a slow follower holds at most two fetches", async (t) => {
  const { log, stream, subject } = await open(t);
  for (let index = 1; index <= 100; index += 1) await log.append(subject, text(`${index}`), `${index}`);
  const followed = log
    .follow(stream, { fromSeq: 1, signal: AbortSignal.timeout(20_000), batch: 8 })
    [Symbol.asyncIterator]();
  const first = await followed.next();
  t.is(first.value?.seq, 1);
  // The server knows how many it delivered: what it still has is what was not fetched ahead.
  t.true((first.value?.pending ?? 0) >= 100 - 16);
  await followed.return?.();
});

test("across kill -9 of the broker a follower misses nothing and repeats nothing, and no acknowledged append is lost (S2-35)", async (t) => {
  const { cluster, log, stream, subject } = await open(t);
  const total = 400;
  const ended = new AbortController();
  const seen: string[] = [];
  const following = (async () => {
    for await (const message of log.follow(stream, { fromSeq: 1, signal: ended.signal })) {
      seen.push(`${message.seq}:${said(message.bytes)}`);
      if (said(message.bytes) === `${total}`) return;
    }
  })();
  const appended: string[] = [];
  const kills: Promise<void>[] = [];
  for (let index = 1; index <= total; index += 1) {
    if (index === 100 || index === 250) kills.push(cluster.killAndRestart());
    const outcome = await log.append(subject, text(`${index}`), `${index}`);
    if (outcome.kind === "appended") appended.push(`${outcome.seq}:${index}`);
  }
  await Promise.all(kills);
  await following;
  t.is(appended.length, total);
  t.deepEqual(seen, appended);
});

test("a full stream refuses by name and keeps what it has (S0-31)", async (t) => {
  const { log, stream, subject } = await open(t, { experienceMaxBytes: 4_096 });
  let full = false;
  for (let index = 0; index < 10 && !full; index += 1) {
    const outcome = await log.append(subject, new Uint8Array(1_000), `${index}`);
    full = outcome.kind === "unavailable" && outcome.why === "full";
  }
  t.true(full);
  const state = await log.state(stream);
  t.is(state.kind === "state" ? state.state.firstSeq : -1, 1);
  const purged = await log.purgeUpTo(stream, 2);
  t.deepEqual(purged, { kind: "purged", messages: 2 });
  t.is((await log.append(subject, text("again"), "again")).kind, "appended");
  const gone = await log.get(stream, 1);
  t.is(gone.kind, "none");
  const last = await log.last(stream, subject);
  t.is(last.kind === "found" ? said(last.message.bytes) : "", "again");
});

test("an append with the broker down fails by name within its deadline (S2-13)", async (t) => {
  const { cluster, bus, subject } = await open(t);
  const log = openLog(bus, systemClock, { settings: { tryMs: 100, deadlineMs: 400, pauseMs: 10 } });
  const died = new Promise<void>((resolve) => void cluster.broker.onExit(() => resolve()));
  process.kill(cluster.broker.pid, "SIGKILL");
  await died;
  const startedMs = systemClock.monotonicMs();
  t.deepEqual(await log.append(subject, text("x"), "x"), { kind: "unavailable", why: "timeout" });
  t.true(systemClock.monotonicMs() - startedMs < 1_000);
});

test("the control: a request that may not be sent again waits out its time, also when the broker has long been back", async (t) => {
  const { cluster, bus, subject } = await open(t);
  process.kill(cluster.broker.pid, "SIGSTOP");
  const asked = bus.request(subject, text("x"), { timeoutMs: 2_000 });
  await cluster.killAndRestart();
  t.deepEqual(await asked, { kind: "timeout" });
});

test("an append whose acknowledgement died with the broker is sent again once it is back, and stored once (S2-35, S2-55)", async (t) => {
  const { cluster, bus, subject, stream, log } = await open(t);
  const patient = openLog(bus, systemClock, { settings: { tryMs: 60_000, deadlineMs: 60_000, pauseMs: 10 } });
  process.kill(cluster.broker.pid, "SIGSTOP");
  const append = patient.append(subject, text("x"), "x");
  await cluster.killAndRestart();
  t.like(await append, { kind: "appended", seq: 1 });
  t.like(await patient.append(subject, text("x"), "x"), { kind: "appended", seq: 1, duplicate: true });
  const state = await log.state(stream);
  t.is(state.kind === "state" ? state.state.messages : undefined, 1);
});

test("streams can be ensured again, with other limits", async (t) => {
  const { cluster, bus, log, stream, subject } = await open(t);
  await log.append(subject, text("x"), "x");
  t.is((await ensureStreams(bus, cluster.subjects, model, { experienceMaxBytes: 1_000_000 })).kind, "ready");
  const state = await log.state(stream);
  t.is(state.kind === "state" ? state.state.messages : -1, 1);
});

async function failureOf(followed: AsyncIterator<Followed>): Promise<unknown> {
  return followed.next().then(
    () => undefined,
    (error: unknown) => error,
  );
}

test("a follower of a log that was wiped below its place hears of it by name, and does not wait", async (t) => {
  const { log, stream, subject } = await open(t);
  await log.append(subject, text("1"), "1");
  const signal = AbortSignal.timeout(20_000);
  const beyond = log.follow(stream, { fromSeq: 5, signal })[Symbol.asyncIterator]();
  const error = await failureOf(beyond);
  t.true(error instanceof LogWipedError);
  t.regex(String(error), /driftmend-experience-digits was wiped: it ends at 1, and 4 was read from it/);
});

test("a follower of a log that was made anew hears of it, also where the new one is longer", async (t) => {
  const { cluster, bus, log, stream, subject } = await open(t);
  for (const id of ["1", "2"]) await log.append(subject, text(id), id);
  const followed = log.follow(stream, { fromSeq: 1, signal: AbortSignal.timeout(30_000) })[Symbol.asyncIterator]();
  await followed.next();
  await followed.next();
  const waiting = failureOf(followed);
  t.is((await ask(await cluster.keeper(), `$JS.API.STREAM.DELETE.${stream}`, undefined)).kind, "ok");
  await ensureStreams(bus, cluster.subjects, model);
  for (const id of ["a", "b", "c", "d"]) await log.append(subject, text(id), id);
  t.regex(String(await waiting), /LogWipedError.*made anew/);
});

test("a follower of a log that is gone for good hears of it; one of a log that is still to be made waits for it", async (t) => {
  const { cluster, bus, log, stream, subject } = await open(t);
  await log.append(subject, text("1"), "1");
  const signal = AbortSignal.timeout(30_000);
  const early = take(log.follow(cluster.subjects.stream("experience", "later"), { fromSeq: 1, signal }), 1);
  const followed = log.follow(stream, { fromSeq: 1, signal })[Symbol.asyncIterator]();
  await followed.next();
  const waiting = failureOf(followed);
  t.is((await ask(await cluster.keeper(), `$JS.API.STREAM.DELETE.${stream}`, undefined)).kind, "ok");
  t.regex(String(await waiting), /LogWipedError.*not there any more/);
  await ensureStreams(bus, cluster.subjects, "later");
  await log.append(cluster.subjects.experience("later"), text("x"), "x");
  t.is((await early)[0]?.seq, 1);
});

test("(S2-34) many producers at the bound: each is told at once, what was acknowledged is there, and room lets all of them go on", async (t) => {
  const { log, stream, subject } = await open(t, { experienceMaxBytes: 64 * 1024 });
  const payload = new Uint8Array(2_000);
  const acknowledged: number[] = [];
  const produce = async (producer: number, from: number): Promise<string> => {
    for (let index = from; ; index += 1) {
      const startedAtMs = systemClock.monotonicMs();
      const outcome = await log.append(subject, payload, `${producer}.${index}`);
      if (outcome.kind === "appended") acknowledged.push(outcome.seq);
      else return `${outcome.why} ${systemClock.monotonicMs() - startedAtMs < 10_000}`;
    }
  };
  const ends = await Promise.all(Array.from({ length: 8 }, (_, producer) => produce(producer, 0)));
  t.deepEqual(new Set(ends), new Set(["full true"]));
  const full = await log.state(stream);
  if (full.kind !== "state") return t.fail(full.why);
  t.is(full.state.messages, acknowledged.length);
  t.is(new Set(acknowledged).size, acknowledged.length);
  await log.purgeUpTo(stream, full.state.lastSeq - 2);
  const again = await Promise.all(
    Array.from({ length: 8 }, (_, producer) => log.append(subject, payload, `${producer}.again`)),
  );
  t.true(again.every((outcome) => outcome.kind === "appended"));
});

test("the bound of the experience log decides that of the update stream", (t) => {
  t.is(limitsFor(undefined), streamLimits);
  t.like(limitsFor(64 * 1024 * 1024), { experienceMaxBytes: 64 * 1024 * 1024, updateMaxBytes: 8 * 1024 * 1024 });
  t.is(limitsFor(1).updateMaxBytes, 64 * 1024);
});

/** How many acknowledged messages are no longer there once a stream of such messages is full. */
async function lostAtTheBound(cluster: Cluster, size: number, isKept: boolean): Promise<number> {
  const bus = await cluster.bus();
  const { subjects } = cluster;
  const name = `m${size}${isKept}`;
  const bound = 64 * 1024;
  const limits = { ...streamLimits, experienceMaxBytes: bound, updateMaxBytes: bound, weightsMaxBytes: bound };
  await ensureStreams(bus, subjects, name, isKept ? withHeadroom(limits) : limits);
  const log = isKept
    ? openLog(bus, systemClock, { boundOf: boundsOf(subjects, name, limits) })
    : openLog(bus, systemClock);
  let acknowledged = 0;
  while ((await log.append(subjects.updates(name), new Uint8Array(size), `${acknowledged}`)).kind === "appended")
    acknowledged += 1;
  const state = await log.state(subjects.stream("update", name));
  await bus.close();
  return acknowledged - (state.kind === "state" ? state.state.messages : 0);
}

test("(S0-31, S2-34) nothing that was acknowledged is lost at the bound, whatever its size; left to the server, some is", async (t) => {
  const cluster = await startCluster({ storeMaxBytes: 2 ** 42 });
  t.teardown(cluster.end);
  const lost = { kept: 0, left: 0 };
  for (let size = 180; size < 200; size += 1) {
    lost.kept += await lostAtTheBound(cluster, size, true);
    lost.left += await lostAtTheBound(cluster, size, false);
  }
  t.is(lost.kept, 0);
  if ((await cluster.bus()).serverVersion.startsWith("2.9.")) t.true(lost.left > 0, "the negative control");
});

test("a server with too little room for the streams says so by name", async (t) => {
  const cluster = await startCluster({ storeMaxBytes: 1024 * 1024 });
  t.teardown(cluster.end);
  t.deepEqual(await ensureStreams(await cluster.bus(), cluster.subjects, model), { kind: "unavailable", why: "full" });
});
