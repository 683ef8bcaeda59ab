// The client, service discovery and the context file, against a real nats-server.

import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { contextFile, readContext, removeContext, writeContext } from "../../transport/access/context.js";
import { announceService } from "../../transport/bus/service.js";
import { DriftmendClient } from "../../transport/client.js";
import type { Tensor } from "../../transport/messages/codec.js";
import { encodeInferenceReply, encodeRefusal, parseInferenceRequest } from "../../transport/messages/wire.js";
import { discovery, header } from "../../transport/subjects.js";
import { timeoutDefaults, withTimeouts } from "../../transport/timeouts.js";
import { type Cluster, said, startCluster } from "./fixture.js";

const input: Tensor = { dt: "|u1", sh: [1], data: Uint8Array.of(3) };

function connect(cluster: Cluster, timeouts = timeoutDefaults): Promise<DriftmendClient> {
  return DriftmendClient.connect({
    cluster: "driftmend",
    url: cluster.broker.url,
    ...cluster.credentials.client,
    clock: systemClock,
    timeouts,
  });
}

async function open(t: { teardown(fn: () => Promise<void>): void }, timeouts = timeoutDefaults) {
  const cluster = await startCluster();
  const client = await connect(cluster, timeouts);
  t.teardown(async () => {
    await client.close();
    await cluster.end();
  });
  return { cluster, client, node: await cluster.bus() };
}

function replyFor(id: string): Uint8Array {
  return encodeInferenceReply({
    id,
    answer: { index: 3, label: "3" },
    confidence: 1,
    mode: "cold",
    modelVersion: 0,
    experience: { seq: 1, index: 0 },
    traceId: "t",
    node: "n1",
  });
}

test("a request that meets a starting cluster is asked again under the same id until it is answered", async (t) => {
  const { cluster, client, node } = await open(t);
  const ids: (string | undefined)[] = [];
  const tries: (string | undefined)[] = [];
  node.subscribe(cluster.subjects.infer("digits"), { queue: cluster.subjects.servingGroup }, (message) => {
    const parsed = parseInferenceRequest(message.data);
    const id = parsed.kind === "ok" ? parsed.value.id : undefined;
    ids.push(id);
    tries.push(message.headers.get(header.attempt));
    if (ids.length === 1) {
      const { bytes, headers } = encodeRefusal({ code: "not_ready", message: "starting" });
      message.respond(bytes, headers);
    } else message.respond(replyFor(id ?? ""));
  });
  await node.flush();
  const outcome = await client.infer("digits", input, { deadlineMs: 3_000 });
  t.like(outcome, { kind: "reply", tries: 2 });
  t.is(ids.length, 2);
  t.is(ids[0], ids[1]);
  t.deepEqual(tries, [undefined, "2"], "a node is told that it may have been answered elsewhere");
});

test("a request that is made while the broker is away waits for it, and is not taken for too large", async (t) => {
  const { cluster, client, node } = await open(t);
  node.subscribe(cluster.subjects.infer("digits"), {}, (message) => {
    const parsed = parseInferenceRequest(message.data);
    message.respond(replyFor(parsed.kind === "ok" ? (parsed.value.id ?? "") : ""));
  });
  await node.flush();
  const gone = new Promise<void>((resolve) => {
    client.bus.onEvent((event) => {
      if (event.kind === "disconnected") resolve();
    });
  });
  const died = new Promise<void>((resolve) => {
    cluster.broker.onExit(() => resolve());
  });
  process.kill(cluster.broker.pid, "SIGKILL");
  await Promise.all([gone, died]);
  const asked = client.infer("digits", input, { deadlineMs: 8_000 });
  await cluster.broker.restart();
  const outcome = await asked;
  t.is(outcome.kind, "reply", JSON.stringify(outcome));
});

test("a cluster that says how long to wait is asked again until the deadline, and no longer", async (t) => {
  const { cluster, client, node } = await open(t);
  let asked = 0;
  node.subscribe(cluster.subjects.infer("digits"), {}, (message) => {
    asked += 1;
    const { bytes, headers } = encodeRefusal({ code: "not_ready", message: "starting", retryAfterMs: 100 });
    message.respond(bytes, headers);
  });
  await node.flush();
  const outcome = await client.infer("digits", input, { deadlineMs: 700 });
  t.like(outcome, { kind: "refusal", refusal: { code: "not_ready" } });
  // Some seven; a client that did not wait would ask hundreds of times.
  t.true(asked >= 2 && asked <= 20, `${asked} tries`);
});

test("a refusal that trying again does not change is given to the caller at once", async (t) => {
  const { cluster, client, node } = await open(t);
  node.subscribe(cluster.subjects.infer("digits"), {}, (message) => {
    const { bytes, headers } = encodeRefusal({ code: "bad_tensor", message: "shape", field: "input.sh" });
    message.respond(bytes, headers);
  });
  await node.flush();
  t.like(await client.infer("digits", input), {
    kind: "refusal",
    tries: 1,
    refusal: { code: "bad_tensor", field: "input.sh" },
  });
});

test("a request that was refused until its last try found nobody is refused, not without an answer", async (t) => {
  const { cluster, client, node } = await open(t);
  const { unsubscribe } = node.subscribe(cluster.subjects.infer("digits"), {}, (message) => {
    unsubscribe();
    const { bytes, headers } = encodeRefusal({ code: "not_ready", message: "starting", retryAfterMs: 10 });
    message.respond(bytes, headers);
  });
  await node.flush();
  const outcome = await client.infer("digits", input, { deadlineMs: 2_000 });
  t.like(outcome, { kind: "refusal", refusal: { code: "not_ready" } });
  t.true(outcome.tries > 2, "and it was asked for again until the deadline");
});

test("an id that would break a header is refused before anything leaves", async (t) => {
  const { client } = await open(t);
  for (const id of ["a\r\nb", "", "x".repeat(129)])
    t.like(await client.infer("digits", input, { id }), {
      kind: "refusal",
      tries: 0,
      refusal: { code: "bad_request", field: "id" },
    });
});

test("a request ends within its deadline when nobody serves, and when nobody answers (S2-54)", async (t) => {
  const { cluster, client, node } = await open(t);
  const startedMs = systemClock.monotonicMs();
  t.like(await client.infer("digits", input, { deadlineMs: 2_000 }), { kind: "failed", why: "no_responders" });
  node.subscribe(cluster.subjects.infer("silent"), {}, () => undefined);
  await node.flush();
  t.like(await client.infer("silent", input, { deadlineMs: 300 }), { kind: "failed", why: "timeout" });
  t.true(systemClock.monotonicMs() - startedMs < 15_000);
});

test("a request outlives a broker that is killed and restarted (S2-55)", async (t) => {
  const { cluster, client, node } = await open(t);
  node.subscribe(cluster.subjects.infer("digits"), {}, (message) => void message.respond(replyFor("x")));
  await node.flush();
  const killing = cluster.killAndRestart();
  t.like(await client.infer("digits", input, { deadlineMs: 8_000 }), { kind: "reply" });
  await killing;
});

test("a request that was on its way when the broker died is asked again once it is back, not after its whole try (S2-55)", async (t) => {
  const { cluster, client, node } = await open(t, withTimeouts({ clientTry: 600_000 }));
  const attempts: (string | undefined)[] = [];
  const taken = new Promise<void>((resolve) => {
    node.subscribe(cluster.subjects.infer("digits"), {}, (message) => {
      attempts.push(message.headers.get(header.attempt));
      // What it would have answered died with the broker.
      if (attempts.length > 1) message.respond(replyFor("x"));
      else resolve();
    });
  });
  await node.flush();
  const outcome = client.infer("digits", input, { deadlineMs: 60_000 });
  await taken;
  await cluster.killAndRestart();
  t.like(await outcome, { kind: "reply" });
  t.is(attempts[0], undefined);
  t.truthy(attempts[1], "a node is told that it may have been answered elsewhere");
});

test("services answer discovery in the standard form, to clients too", async (t) => {
  const { cluster, client, node } = await open(t);
  const stop = announceService(
    node,
    {
      name: "driftmend",
      id: "n1-1",
      version: "0.1.0",
      description: "d",
      metadata: { node: "n1", role: "serving", incarnation: "1", model: "digits" },
    },
    [
      {
        name: "infer",
        subject: cluster.subjects.infer("digits"),
        queueGroup: cluster.subjects.servingGroup,
        stats: () => ({ requests: 2, errors: 1, lastError: "e", processingMs: 3 }),
      },
    ],
    systemClock.nowMs(),
  );
  await node.flush();
  const asked = async (subject: string): Promise<Record<string, unknown>[]> => {
    const replies = await client.bus.requestMany(subject, new Uint8Array(), { waitMs: 1_000, stallMs: 100 });
    return replies.map(({ data }) => JSON.parse(said(data)) as Record<string, unknown>);
  };
  const [ping] = await asked(discovery.ping);
  t.like(ping, { type: "io.nats.micro.v1.ping_response", name: "driftmend", id: "n1-1", metadata: { node: "n1" } });
  const [info] = await asked(`${discovery.info}.driftmend`);
  t.like(info, {
    type: "io.nats.micro.v1.info_response",
    endpoints: [{ name: "infer", queue_group: "driftmend-serving" }],
  });
  const [stats] = await asked(`${discovery.stats}.driftmend.n1-1`);
  t.like(stats, {
    endpoints: [{ num_requests: 2, num_errors: 1, processing_time: 3_000_000, average_processing_time: 1_500_000 }],
  });
  stop();
  await node.flush();
  t.deepEqual(await asked(discovery.ping), []);
});

test("a handler that throws is an event, and its subscription goes on", async (t) => {
  const { node } = await open(t);
  const failures: string[] = [];
  node.onEvent((event) => {
    if (event.kind === "handler_failed") failures.push(event.error.message);
  });
  node.subscribe("driftmend.work", {}, (message) => {
    if (message.data.length === 0) throw new Error("at once");
    if (message.data.length === 1) return Promise.reject(new Error("later"));
    message.respond(message.data);
    return undefined;
  });
  node.publish("driftmend.work", new Uint8Array(0));
  node.publish("driftmend.work", new Uint8Array(1));
  t.is((await node.request("driftmend.work", new Uint8Array(2), { timeoutMs: 1_000 })).kind, "reply");
  t.deepEqual(failures, ["at once", "later"]);
});

test("a context file is readable by its owner only, and one whose cluster is gone is stale", async (t) => {
  const store = await mkdtemp(join(tmpdir(), "driftmend-test-"));
  t.teardown(() => rm(store, { recursive: true, force: true }));
  const file = contextFile(store);
  t.is((await readContext(file)).kind, "missing");
  const user = (name: string) => ({ user: name, password: "p" });
  const context = {
    cluster: "driftmend",
    natsUrl: "nats://127.0.0.1:1",
    httpUrl: "",
    pid: process.pid,
    users: { client: user("client"), telemetry: user("telemetry"), operator: user("operator") },
  };
  await writeContext(store, context);
  t.is((await stat(file)).mode & 0o777, 0o600);
  t.deepEqual(await readContext(file), { kind: "found", context, file });
  await removeContext(store, process.pid + 1);
  t.is((await readContext(file)).kind, "found");
  await removeContext(store, process.pid);
  t.is((await readContext(file)).kind, "missing");
  await writeContext(store, { ...context, pid: 2 ** 22 + 1 });
  t.like(await readContext(file), { kind: "stale", pid: 2 ** 22 + 1 });
  await writeFile(file, "{");
  t.is((await readContext(file)).kind, "damaged");
});
