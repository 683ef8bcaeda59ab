// A real nats-server, looked at from outside: what can be learnt of it, and that nothing is left behind.

import anyTest, { type TestFn } from "ava";
import { serverChecks } from "../../operations/verbs/doctor-server.js";
import { systemClock } from "../../supervision/clock.js";
import type { Role } from "../../transport/access/credentials.js";
import { ask } from "../../transport/log/jetstream.js";
import { ensureStreams } from "../../transport/log/streams.js";
import { rightsNeeded, tryRights } from "../../transport/server/rights-trial.js";
import { lookAtAccount, lookAtMonitor } from "../../transport/server/server-look.js";
import { tryStoring } from "../../transport/server/storing-trial.js";
import { subjectsOf } from "../../transport/subjects.js";
import { type Cluster, startCluster } from "./fixture.js";

const test = anyTest as TestFn<{ cluster: Cluster }>;
const subjects = subjectsOf("driftmend");
const delay = (ms: number) => systemClock.delay(ms);

test.before(async (t) => {
  t.context.cluster = await startCluster();
  await ensureStreams(await t.context.cluster.bus(), subjects, "digits");
});
test.after.always((t) => t.context.cluster.end());

async function streamsOf(cluster: Cluster): Promise<unknown> {
  const outcome = await ask(await cluster.keeper(), "$JS.API.STREAM.LIST", undefined);
  if (outcome.kind !== "ok") throw new Error(outcome.kind);
  const { streams } = outcome.body as { streams: { config: { name: string }; state: { last_seq: number } }[] };
  return streams.map(({ config, state }) => [config.name, state.last_seq]).sort();
}

for (const role of ["client", "telemetry", "operator", "node"] as const satisfies readonly Role[])
  test.serial(`the permissions of a ${role} are enough for a ${role}, by trial (S2-65)`, async (t) => {
    const tried = await tryRights(await t.context.cluster.bus(role), rightsNeeded(role, subjects), delay);
    t.like(tried, { kind: "tried", denied: [] });
    t.true(tried.kind === "tried" && tried.tried > 0);
  });

test.serial(
  "a client that is to be a node is told what it may not do, and no stream takes in what was tried",
  async (t) => {
    const { cluster } = t.context;
    const before = await streamsOf(cluster);
    const asClient = await tryRights(await cluster.bus("client"), rightsNeeded("node", subjects), delay);
    const denied = asClient.kind === "tried" ? asClient.denied.map(({ pattern }) => pattern) : [];
    t.true(denied.includes(`$KV.${subjects.leaseBucket}.>`), denied.join(" "));
    t.true(denied.some((pattern) => pattern.startsWith("$JS.API.")));
    const asked = { operation: "publish", pattern: subjects.all.infer } as const;
    t.like(await tryRights(await cluster.bus("client"), [asked], delay), { denied: [] }, "asking is a client's right");
    const served = { operation: "subscription", pattern: subjects.all.infer } as const;
    t.like(await tryRights(await cluster.bus("client"), [served], delay), { denied: [served] }, "serving is not");
    await tryRights(await cluster.bus("node"), rightsNeeded("node", subjects), delay);
    t.deepEqual(await streamsOf(cluster), before);
  },
);

test.serial(
  "a few appends tell how quick the server stores and what time it has, and leave no stream behind",
  async (t) => {
    const { cluster } = t.context;
    const before = await streamsOf(cluster);
    const bus = await cluster.bus("node");
    const tried = await tryStoring(bus, subjects, 1, systemClock);
    if (tried.kind !== "stored") return t.fail(JSON.stringify(tried));
    const { aheadMs, uncertainMs, medianMs } = tried.appends;
    t.true(medianMs > 0);
    t.true(
      Math.abs(aheadMs) <= uncertainMs + 1,
      `one machine has one clock: ${aheadMs} ms apart, give or take ${uncertainMs}`,
    );
    t.like(await tryStoring(bus, subjects, 3, systemClock), { kind: "too_few_servers" });
    t.like(await tryStoring(await cluster.bus("client"), subjects, 1, systemClock), {
      kind: "unavailable",
      why: "denied",
    });
    t.deepEqual(await streamsOf(cluster), before);
  },
);

test.serial("the account and the monitoring port say what they say", async (t) => {
  const { cluster } = t.context;
  const account = await lookAtAccount(await cluster.bus("node"));
  t.like(account, { kind: "account" });
  t.true(account.kind === "account" && account.account.streams >= 4);
  t.like(await lookAtAccount(await cluster.bus("client")), { kind: "unavailable", why: "denied" });
  const seen = await lookAtMonitor(cluster.broker.monitorUrl, 5_000, systemClock);
  t.true(seen.kind === "seen" && (seen.facts.storageMaxBytes ?? 0) > 0);
  t.like(await lookAtMonitor("http://127.0.0.1:1", 5_000, systemClock), { kind: "unseen" });
});

test.serial("a doctor finds nothing missing on the server that a cluster starts for itself", async (t) => {
  const { broker, bus } = t.context.cluster;
  // Of several servers those are tried that are there.
  const wishes = { url: `${broker.url},nats://localhost:1`, user: "node", monitor: broker.monitorUrl };
  const rest = { role: undefined, replicas: undefined, acceptKnownHoles: undefined };
  const checks = await serverChecks(await bus("node"), subjects, { ...wishes, ...rest }, systemClock);
  t.deepEqual(
    checks.filter(({ status }) => status === "missing"),
    [],
  );
  t.deepEqual(
    checks.map(({ name }) => name),
    [
      "version",
      "users",
      "tls",
      "round trip",
      "max_payload",
      "jetstream",
      "replicas",
      "append",
      "sync",
      "clocks",
      "rights",
    ],
  );
  const asClient = await serverChecks(
    await bus("client"),
    subjects,
    { ...wishes, ...rest, user: "client", role: "node" },
    systemClock,
  );
  t.deepEqual(
    asClient.filter(({ status }) => status === "missing").map(({ name }) => name),
    ["rights"],
  );
});
