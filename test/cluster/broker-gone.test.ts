// The broker is away, or gone for good: refusals in time, an event loop that stays awake, nodes that come back by themselves or end.

import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "ava";
import { gaveUpExitCode } from "../../actors/host/host.js";
import { systemClock } from "../../supervision/clock.js";
import { environmentOf, makeCredentials } from "../../transport/access/credentials.js";
import { type MetricsSample, parseMetrics } from "../../transport/messages/events.js";
import { startBroker } from "../../transport/server/broker.js";
import { findServer } from "../../transport/server/server-binary.js";
import { startCluster } from "../transport/fixture.js";
import { startOver } from "./over-broker.js";
import { someDigits, tensorOf } from "./pictures.js";
import { entry, experiencesIn, nodeOf } from "./running.js";
import { Traffic } from "./traffic.js";

const testWithinMs = 180_000;
const names = ["serving-1", "learning-1", "operations-1"];
/** What the event loop may lag, on a machine that is busy with everything else. The aim is 100 ms; the figure is logged. */
const lagMaxMs = 1_500;

test.serial(
  "(S2-13, S2-55) with the broker away requests end in time, the event loops stay awake, and all comes back by itself",
  async (t) => {
    t.timeout(testWithinMs);
    const own = await startCluster();
    t.teardown(own.end);
    const running = await startOver(own);
    t.teardown(running.stop);
    const pids = async () => (await Promise.all(names.map((name) => nodeOf(running, name)))).map(({ pid }) => pid);
    const before = await pids();
    const warm = new Traffic(running, { name: "warm", askers: 2, seed: 1, requests: 60 });
    await warm.done();
    const listening = await own.bus();
    const died = new Promise<void>((resolve) => own.broker.onExit(() => resolve()));
    process.kill(own.broker.pid, "SIGKILL");
    await died;
    const [digit] = await someDigits(1);
    const startedAtMs = systemClock.monotonicMs();
    const away = await running.client.infer("digits", tensorOf(digit?.ink ?? new Float32Array(784)), {
      id: "away",
      deadlineMs: 3_000,
    });
    t.is(away.kind === "failed" ? away.why : away.kind, "timeout");
    t.true(systemClock.monotonicMs() - startedAtMs < 10_000);
    const samples = new Map<string, MetricsSample>();
    const allHeard = new Promise<void>((resolve) => {
      listening.subscribe(running.subjects.all.metrics, {}, ({ data }) => {
        const sample = parseMetrics(data);
        if (sample.kind !== "ok" || samples.has(sample.value.node)) return;
        samples.set(sample.value.node, sample.value);
        if (names.every((name) => samples.has(name))) resolve();
      });
    });
    await own.broker.restart();
    await allHeard;
    const lags = names.map((name) => samples.get(name)?.values.loopDelayMaxMs ?? Number.NaN);
    t.log(`event loop delay while the broker was away, at most: ${lags.map((ms) => ms.toFixed(1)).join(", ")} ms`);
    t.true(lags.every((ms) => ms < lagMaxMs));
    const after = new Traffic(running, { name: "after", askers: 2, seed: 2, requests: 60 });
    await after.done();
    t.deepEqual(after.refused, []);
    t.deepEqual(await pids(), before, "nobody was restarted for it");
    const ids = (await experiencesIn(running)).map(({ id }) => id);
    t.is(ids.filter((id) => /^(warm|after)/.test(id)).length, 120);
  },
);

test.serial("a connection that is closed for good ends the node with exit code 70 (S2-55)", async (t) => {
  t.timeout(testWithinMs);
  const own = await startCluster();
  t.teardown(own.end);
  const { node } = own.credentials;
  const words = ["node", "--role", "serving", "--nats", own.broker.url, "--user", node.user, "--json"];
  const child = spawn(process.execPath, [entry, ...words], {
    env: { PATH: process.env.PATH ?? "", ...environmentOf(node) },
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  await once(child.stdout, "data");
  const port = Number(new URL(own.broker.url).port);
  await own.broker.stop();
  // The same address, but nobody there knows the node any more: no try will ever succeed.
  const stranger = await startBroker({
    binary: await findServer({ mayFetch: false }),
    store: own.store,
    subjects: own.subjects,
    credentials: makeCredentials(),
    clock: systemClock,
    port,
  });
  t.teardown(() => stranger.stop());
  const [code] = await ended;
  t.is(code, gaveUpExitCode);
});
