// Starting while the broker is away.

import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { ConnectError, connectBus } from "../../transport/bus/bus.js";
import { connectPatiently } from "../../transport/bus/patient-connection.js";
import { withTimeouts } from "../../transport/timeouts.js";
import { startCluster } from "./fixture.js";

test("a node that starts while the broker restarts waits for it; who does not wait is told at once (S2-55)", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const given = { url: cluster.broker.url, ...cluster.credentials.node, name: "starting", clock: systemClock };
  const died = new Promise<void>((resolve) => {
    cluster.broker.onExit(() => resolve());
  });
  process.kill(cluster.broker.pid, "SIGKILL");
  await died;
  await t.throwsAsync(connectBus(given), { instanceOf: ConnectError });
  const connecting = connectPatiently(given);
  await cluster.broker.restart();
  const bus = await connecting;
  t.true(await bus.flush());
  await bus.close();
});

test("a broker that stays away, and one that refuses the credentials, is an error by name (S2-54)", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const timeouts = withTimeouts({ comeback: 300 });
  const given = { url: "nats://127.0.0.1:1", name: "starting", clock: systemClock, timeouts };
  t.like(await t.throwsAsync(connectPatiently(given)), { name: "ConnectError", why: "unreachable" });
  const stranger = { ...given, url: cluster.broker.url, user: "node", password: "wrong" };
  t.like(await t.throwsAsync(connectPatiently({ ...stranger, timeouts: withTimeouts({ comeback: 60_000 }) })), {
    why: "denied",
  });
});
