// Timeouts by name: what a process was told reaches whoever waits, and an answer that never comes is a typed `timeout` at that time.

import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { type Bus, connectBus } from "../../transport/bus/bus.js";
import { DriftmendClient } from "../../transport/client.js";
import { ask } from "../../transport/log/jetstream.js";
import { openLog } from "../../transport/log/log.js";
import { inboxPrefixOf } from "../../transport/subjects.js";
import { timeoutDefaults, timeoutNames, withTimeouts } from "../../transport/timeouts.js";
import { startCluster } from "./fixture.js";

const cluster = await startCluster();
test.after.always(() => cluster.end());

const toldMs = 300;
/** A machine that has other things to do; the bound below is what is promised, this one only says that there is an end. */
const lateMs = 30_000;

async function busWith(timeouts: Parameters<typeof withTimeouts>[0]): Promise<Bus> {
  return connectBus({
    url: cluster.broker.url,
    ...cluster.credentials.node,
    name: "waiting",
    inboxPrefix: inboxPrefixOf("node"),
    clock: systemClock,
    timeouts: withTimeouts(timeouts),
  });
}

/** A subscriber that takes everything and answers nothing. */
async function blackHole(subject: string): Promise<{ readonly heard: () => number; close(): Promise<void> }> {
  const bus = await busWith({});
  let heard = 0;
  bus.subscribe(subject, {}, () => {
    heard += 1;
  });
  await bus.flush();
  return { heard: () => heard, close: () => bus.close() };
}

async function took<T>(work: () => Promise<T>): Promise<{ readonly outcome: T; readonly ms: number }> {
  const beganAtMs = systemClock.monotonicMs();
  const outcome = await work();
  return { outcome, ms: systemClock.monotonicMs() - beganAtMs };
}

test("an override replaces its default and nothing else, and every timeout is a time", (t) => {
  const told = withTimeouts({ append: 7 });
  t.is(told.append, 7);
  for (const name of timeoutNames) {
    if (name !== "append") t.is(told[name], timeoutDefaults[name]);
    t.true(timeoutDefaults[name] > 0, name);
  }
});

test.serial("(S2-54) a black hole gives a typed timeout at the time that was configured, not before", async (t) => {
  const hole = await blackHole("driftmend.hole.>");
  const bus = await busWith({ jetstream: toldMs });
  const plain = await took(() => bus.request("driftmend.hole.plain", new Uint8Array(), { timeoutMs: toldMs }));
  t.is(plain.outcome.kind, "timeout");
  const api = await took(() => ask(bus, "driftmend.hole.api", {}));
  t.deepEqual(api.outcome, { kind: "unavailable", why: "timeout" });
  for (const { ms } of [plain, api]) t.true(ms >= toldMs * 0.9 && ms < lateMs, `${ms}`);
  t.log(`told ${toldMs} ms, took ${plain.ms.toFixed(0)} and ${api.ms.toFixed(0)} ms`);
  t.is(hole.heard(), 2);
  await bus.close();
  await hole.close();
});

test.serial(
  "(S2-54) an append that nobody acknowledges ends with `timeout` after all its tries together",
  async (t) => {
    const hole = await blackHole("driftmend.hole.log");
    const bus = await busWith({ append: 3 * toldMs, appendTry: toldMs });
    const { outcome, ms } = await took(() =>
      openLog(bus, systemClock).append("driftmend.hole.log", new Uint8Array(1), "one"),
    );
    t.deepEqual(outcome, { kind: "unavailable", why: "timeout" });
    t.true(ms >= 3 * toldMs * 0.9 && ms < lateMs, `${ms}`);
    t.true(hole.heard() >= 2, "it was tried again");
    await bus.close();
    await hole.close();
  },
);

test.serial("(S2-54) a client's request to a black hole fails as `timeout` at its own deadline", async (t) => {
  const hole = await blackHole(cluster.subjects.infer("hole"));
  const client = await DriftmendClient.connect({
    ...cluster.credentials.client,
    cluster: "driftmend",
    url: cluster.broker.url,
    clock: systemClock,
    timeouts: withTimeouts({ client: 4 * toldMs, clientTry: toldMs }),
  });
  const input = { dt: "<f4", sh: [1], data: new Float32Array(1) } as const;
  const { outcome, ms } = await took(() => client.infer("hole", input));
  t.like(outcome, { kind: "failed", why: "timeout" });
  t.true(ms >= 4 * toldMs * 0.9 && ms < lateMs, `${ms}`);
  t.true(hole.heard() >= 3, "it was tried again");
  await client.close();
  await hole.close();
});
