// Alerts over the death of the process that tells of them: a real broker, a real webhook, kill -9.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import test from "ava";
import type { AlertList } from "../../operations/alerts/alert-list.js";
import { savedAlertsSchema } from "../../operations/alerts/alert-record.js";
import { askReport } from "../../operations/ask-report.js";
import { systemClock } from "../../supervision/clock.js";
import { openAlertBucket } from "../../transport/log/alert-bucket.js";
import { ask } from "../../transport/log/jetstream.js";
import { type AlertOrder, encodeAlertOrder, parseAlertReceipt } from "../../transport/messages/alert-orders.js";
import { encodeEvent } from "../../transport/messages/events.js";
import { bucketStream, jetStreamApi } from "../../transport/subjects.js";
import { startCluster } from "../transport/fixture.js";
import { until } from "../until.js";

const script = fileURLToPath(new URL("alerter-process.js", import.meta.url));
const cluster = await startCluster();
const { subjects, credentials } = cluster;
const [node, operator, telemetry] = [
  await cluster.bus("node"),
  await cluster.bus("operator"),
  await cluster.bus("telemetry"),
];
const posts: string[] = [];
const server = createServer(async (request, response) => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  posts.push(JSON.parse(Buffer.concat(parts).toString("utf8")).text);
  response.end("ok");
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const webhook = `http://127.0.0.1:${(server.address() as AddressInfo).port}/services/secret`;
const running = new Set<ChildProcess>();

test.after.always(async () => {
  for (const child of running) child.kill("SIGKILL");
  server.close();
  await cluster.end();
});

function start(incarnation: number, named = "operations-1"): ChildProcess {
  const given = { url: cluster.broker.url, identity: credentials.node, webhook, node: named, incarnation };
  const child = spawn(process.execPath, [script, JSON.stringify(given)], { stdio: "inherit" });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

const boundMs = 60_000;

/** The list of whoever leads now. */
function listed(wanted: (list: AlertList) => boolean): Promise<AlertList> {
  return until("a list", boundMs, async () => {
    const asked = await askReport({ bus: telemetry, subjects }, "alerts", 1_000);
    return asked.kind === "report" && wanted(asked.report) ? asked.report : undefined;
  });
}

function tell(kind: string): void {
  const item = { about: "serving-1", cause: "exit code 1" };
  const event = { kind, node: "root", actor: "serving-1", incarnation: 1, atMs: systemClock.nowMs(), items: [item] };
  node.publish(subjects.event(kind), encodeEvent(event));
}

async function order(wanted: AlertOrder) {
  const outcome = await operator.request(subjects.alertOrders, encodeAlertOrder(wanted), { timeoutMs: 10_000 });
  return outcome.kind === "reply" ? parseAlertReceipt(outcome.data) : outcome;
}

/** Until so many alerts stand in the bucket as told. A kill before that says the message again: at least once is the promise. */
const kept = (told: number) =>
  until("the bucket knows that it was told", boundMs, async () => {
    const found = await openAlertBucket(node, systemClock, subjects).read();
    if (found.kind !== "found") return undefined;
    const saved = savedAlertsSchema.parse(JSON.parse(Buffer.from(found.bytes).toString("utf8")));
    return saved.alerts.filter((alert) => alert.told.length > 0).length === told ? saved : undefined;
  });

test.serial(
  "after kill -9 of the one that tells, the next neither repeats a message nor forgets a resolution, an acknowledgement or a silence (S0-16)",
  async (t) => {
    const first = start(1);
    await listed(() => true);
    tell("node_died");
    await until("a first message", boundMs, () => posts[0]);
    await kept(1);
    t.like(await order({ kind: "ack", fingerprint: "node_died:serving-1", note: "on it" }), { kind: "ok" });
    t.like(await order({ kind: "silence", matches: "knn_failing", forMs: 3_600_000, note: "" }), {
      value: { kind: "reply", reply: { firing: 0 } },
    });
    await kill(first);
    const second = start(2);
    const list = await listed(() => true);
    t.like(list.alerts[0], { fingerprint: "node_died:serving-1", state: "firing", acknowledged: { by: "operator" } });
    t.like(list.silences[0], { matches: "knn_failing", by: "operator" });
    tell("node_died");
    await listed(({ alerts }) => alerts[0]?.count === 2);
    tell("node_ready");
    await until("the word that it is over", boundMs, () => posts[1]);
    t.deepEqual(posts, ["critical node_died: serving-1", "resolved: critical node_died: serving-1"]);
    await kept(0);
    await kill(second);
  },
);

test.serial("the control: with the bucket emptied in between, the message is repeated", async (t) => {
  posts.splice(0);
  const third = start(3);
  await listed(() => true);
  tell("node_died");
  await until("a first message", boundMs, () => posts[0]);
  await kept(1);
  await kill(third);
  await ask(node, jetStreamApi.streamPurge(bucketStream(subjects.alertBucket)), {});
  const fourth = start(4);
  await listed(() => true);
  tell("node_died");
  await until("the same message again", boundMs, () => posts[1]);
  t.deepEqual(posts, ["critical node_died: serving-1", "critical node_died: serving-1"]);
  await kill(fourth);
});

test.serial("of two alerters one tells; when it is killed, the other goes on from where it was", async (t) => {
  await ask(node, jetStreamApi.streamPurge(bucketStream(subjects.alertBucket)), {});
  posts.splice(0);
  const one = start(5);
  await listed(() => true);
  const other = start(1, "operations-2");
  await until("the other one is there", boundMs, async () => {
    const heard = await node.request(subjects.actor("operations-2", "alerter"), new Uint8Array(), { timeoutMs: 500 });
    return heard.kind === "reply" ? true : undefined;
  });
  tell("node_died");
  await until("a first message", boundMs, () => posts[0]);
  await kept(1);
  await kill(one);
  tell("node_ready");
  await until("the word that it is over", boundMs, () => posts[1]);
  await kept(0);
  t.deepEqual(posts, ["critical node_died: serving-1", "resolved: critical node_died: serving-1"]);
  await kill(other);
});
