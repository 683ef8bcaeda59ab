// The embedded broker with a real nats-server: readiness, death and restart on the same port, the lock, and its end with its owner.

import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test from "ava";
import type { Clock } from "../../models/clock.js";
import { systemClock } from "../../supervision/clock.js";
import { makeCredentials } from "../../transport/access/credentials.js";
import { type BusEvent, ConnectError, connectBus } from "../../transport/bus/bus.js";
import { identify, isAlive } from "../../transport/process-identity.js";
import { BrokerError, startBroker } from "../../transport/server/broker.js";
import { findServer, NoServerBinary } from "../../transport/server/server-binary.js";
import { subjectsOf } from "../../transport/subjects.js";
import { withTimeouts } from "../../transport/timeouts.js";
import { next, startCluster, text } from "./fixture.js";

test("a broker is ready when startBroker returns, and its config is for the owner's eyes only", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const health = await fetch(`${cluster.broker.monitorUrl}/healthz`);
  t.true(health.ok);
  const { mode } = await stat(join(cluster.store, "nats", "server.conf"));
  t.is(mode & 0o777, 0o600);
  const bus = await cluster.bus();
  t.regex(bus.serverVersion, /^\d+\.\d+/);
  t.is(bus.payloadMaxBytes, 8 * 1024 * 1024);
});

test("a killed broker comes back on the same port and its clients find it again (S2-55)", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const { url, pid } = cluster.broker;
  const bus = await cluster.bus();
  bus.subscribe(`${cluster.subjects.cluster}.echo`, {}, (message) => void message.respond(message.data));
  const back = next<BusEvent>(
    (listener) => bus.onEvent(listener),
    (event) => event.kind === "reconnected",
  );
  await cluster.killAndRestart();
  const event = await back;
  t.not(cluster.broker.pid, pid);
  t.is(cluster.broker.url, url);
  t.true(event.kind === "reconnected" && event.outageMs < 2_000);
  t.log(event);
  t.is((await bus.request(`${cluster.subjects.cluster}.echo`, text("x"), { timeoutMs: 1_000 })).kind, "reply");
});

test("a server that does not become ready in time is ended, though it never said who it is", async (t) => {
  const store = await mkdtemp(join(tmpdir(), "driftmend-test-"));
  t.teardown(() => rm(store, { recursive: true, force: true }));
  const binary = join(store, "silent-server");
  const pidFile = join(store, "pid");
  await writeFile(binary, `#!/bin/sh\necho $$ > ${pidFile}\nexec sleep 600\n`, { mode: 0o700 });
  const timeouts = withTimeouts({ brokerReady: 1_000 });
  const of = { binary, store, subjects: subjectsOf("driftmend"), credentials: makeCredentials() };
  const error = await t.throwsAsync(startBroker({ ...of, clock: systemClock, timeouts }), { instanceOf: BrokerError });
  t.is(error?.why, "not_ready");
  t.is(await identify(Number(await readFile(pidFile, "utf8"))), undefined, "and the store is free for the next one");
});

test("a server that outlives its SIGKILL is waited for so long and named, and its store stays locked", async (t) => {
  const store = await mkdtemp(join(tmpdir(), "driftmend-test-"));
  t.teardown(() => rm(store, { recursive: true, force: true }));
  const binary = join(store, "stuck-server");
  await writeFile(binary, "#!/bin/sh\nexec sleep 600\n", { mode: 0o700 });
  const timeouts = withTimeouts({ brokerReady: 300, brokerKill: 7_777 });
  // No process outlives a SIGKILL at will, so the time it has is over at once.
  const delay: Clock["delay"] = (ms, signal) => (ms === 7_777 ? Promise.resolve() : systemClock.delay(ms, signal));
  const clock = { ...systemClock, delay };
  const of = { binary, store, subjects: subjectsOf("driftmend"), credentials: makeCredentials(), clock, timeouts };
  const error = await t.throwsAsync(startBroker(of), { instanceOf: BrokerError });
  t.is(error?.why, "stuck");
  t.is((await t.throwsAsync(startBroker(of), { instanceOf: BrokerError }))?.why, "store_busy");
});

test("one store has one broker", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const { subjects, credentials, store } = cluster;
  const binary = await findServer({ mayFetch: false });
  const error = await t.throwsAsync(startBroker({ binary, store, subjects, credentials, clock: systemClock }), {
    instanceOf: BrokerError,
  });
  t.regex(error?.message ?? "", new RegExp(`in use by process ${process.pid}`));
});

test("a lock whose owner is gone is taken over, a reused pid included", async (t) => {
  const cluster = await startCluster();
  await cluster.broker.stop();
  t.teardown(() => rm(cluster.store, { recursive: true, force: true }));
  const self = await identify(process.pid);
  await writeFile(
    join(cluster.store, "broker.lock"),
    JSON.stringify({ pid: process.pid, started: `${self?.started}0` }),
  );
  const { subjects, credentials, store } = cluster;
  const binary = await findServer({ mayFetch: false });
  const broker = await startBroker({ binary, store, subjects, credentials, clock: systemClock });
  t.true(broker.alive);
  await broker.stop();
  t.false(broker.alive);
});

test("the server ends when its owner is killed with SIGKILL (S2-48)", async (t) => {
  const store = await mkdtemp(join(tmpdir(), "driftmend-test-"));
  t.teardown(() => rm(store, { recursive: true, force: true }));
  const owner = spawn(process.execPath, [new URL("broker-owner.js", import.meta.url).pathname, store], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise<string>((resolve) => createInterface({ input: owner.stdout }).once("line", resolve));
  const server = await identify(Number(line));
  if (server === undefined) return t.fail(`no server ${line}`);
  const startedMs = systemClock.monotonicMs();
  owner.kill("SIGKILL");
  while (await isAlive(server)) await systemClock.delay(2);
  const tookMs = systemClock.monotonicMs() - startedMs;
  t.log(`the server was gone ${tookMs.toFixed(0)} ms after its owner`);
  t.true(tookMs < 2_000);
  return undefined;
});

test("a server that an earlier owner left in the store is ended before another one opens it (S2-36)", async (t) => {
  const cluster = await startCluster();
  await cluster.broker.stop();
  const directory = join(cluster.store, "nats");
  const { subjects, credentials, store } = cluster;
  const binary = await findServer({ mayFetch: false });
  const orphan = spawn(binary, ["-c", join(directory, "server.conf"), "--ports_file_dir", join(directory, "ports")], {
    stdio: "ignore",
  });
  const ended = new Promise<string | null>((resolve) => orphan.once("exit", (_, signal) => resolve(signal)));
  while (!(await readdir(join(directory, "ports"))).some((name) => name.includes(`${orphan.pid}`)))
    await systemClock.delay(5);
  const broker = await startBroker({ binary, store, subjects, credentials, clock: systemClock });
  t.teardown(async () => {
    await broker.stop();
    await rm(store, { recursive: true, force: true });
  });
  t.is(await ended, "SIGKILL");
  t.not(broker.pid, orphan.pid);
});

test("a missing binary gives one line that says what to type", async (t) => {
  const nowhere = await mkdtemp(join(tmpdir(), "driftmend-test-"));
  t.teardown(() => rm(nowhere, { recursive: true, force: true }));
  const searching = findServer({ searchPath: nowhere, cacheDir: nowhere, mayFetch: false });
  const message = (await t.throwsAsync(searching, { instanceOf: NoServerBinary }))?.message ?? "";
  t.regex(message, /apt install nats-server.*brew install nats-server.*--nats URL/);
  t.false(message.includes("\n"));
  await t.throwsAsync(findServer({ explicit: join(nowhere, "no-such"), mayFetch: false }), {
    instanceOf: NoServerBinary,
  });
});

test("wrong credentials and an absent server are told apart", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const to = (url: string) => connectBus({ url, user: "client", password: "wrong", name: "t", clock: systemClock });
  const denied = await t.throwsAsync(to(cluster.broker.url), { instanceOf: ConnectError });
  t.is(denied?.why, "denied");
  const absent = await t.throwsAsync(to("nats://127.0.0.1:1"), { instanceOf: ConnectError });
  t.is(absent?.why, "unreachable");
});
