// What the embedded server's log says of violations, and how often that is told.

import { appendFile, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { quietMs, ViolationTally, watchViolations } from "../../operations/cluster/violation-watch.js";
import { systemClock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import { makeCredentials } from "../../transport/access/credentials.js";
import { publicKeyOf } from "../../transport/access/nkeys.js";
import type { EventItem } from "../../transport/messages/events.js";
import { followLog, violationIn } from "../../transport/server/server-log.js";
import { startCluster, text } from "../transport/fixture.js";

const pid = 27695;
const line = (rest: string, by = pid): string =>
  `[${by}] 2026/11/22 16:36:01.865950 [ERR] 127.0.0.1:45400 - cid:7 - "v3.3.1:nats.js:somebody" - ${rest}`;
const violation = (user: string, subject: string) =>
  ({ kind: "violation", operation: "publish", user, subject }) as const;

test("the server's lines about violations and refused connections are read, other lines are not", (t) => {
  t.deepEqual(violationIn(line('Publish Violation - User "client", Subject "driftmend.chaos.n1"'), pid), {
    ...violation("client", "driftmend.chaos.n1"),
  });
  t.like(
    violationIn(line('Subscription Violation - Nkey "UABC", Subject "driftmend.infer.>", Queue: "q", SID 2'), pid),
    {
      operation: "subscription",
      user: "UABC",
      subject: "driftmend.infer.>",
    },
  );
  t.like(violationIn(line('authentication error - Nkey ""'), pid), { kind: "refused", from: "127.0.0.1:45400" });
  for (const other of ["", "[1] 2026/11/22 16:36:01 [INF] Server is ready", line("Slow Consumer Detected")])
    t.is(violationIn(other, pid), undefined);
});

test("a line that a client wrote by its name counts for nothing without the server's pid (S2-65)", (t) => {
  const forged = line('Publish Violation - User "operator", Subject "x"', pid + 1);
  t.is(violationIn(forged, pid), undefined);
  t.is(violationIn('- Publish Violation - User "operator", Subject "x"', pid), undefined);
});

test("a user is told of once in a while, with a count; keys are told by their names, and who is unknown is one stranger", (t) => {
  const credentials = makeCredentials();
  const tally = new ViolationTally(credentials);
  t.deepEqual(tally.take(violation("client", "a"), 0), { about: "client", cause: "publish a", count: 1 });
  for (let at = 1; at < 500; at += 1) t.is(tally.take(violation("client", `s${at}`), at), undefined);
  t.like(tally.take(violation("client", "b"), quietMs), { count: 500 });
  t.like(tally.take(violation(publicKeyOf(credentials.operator.nkey) ?? "", "c"), 0), { about: "operator" });
  t.like(tally.take(violation("somebody", "d"), 0), { about: "stranger" });
  t.is(tally.take({ kind: "refused", from: "10.0.0.1:1" }, 1), undefined, "strangers are one");
});

test("a log is followed from its end, over a rotation, and what is rotated away is kept within bounds", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-log-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "server.log");
  await writeFile(file, "before\n");
  const heard: string[] = [];
  let waiting = (): void => undefined;
  const until = async (wanted: string): Promise<void> => {
    while (!heard.includes(wanted))
      await new Promise<void>((resolve) => {
        waiting = resolve;
      });
  };
  const ending = new AbortController();
  const take = (each: string): void => {
    heard.push(each);
    waiting();
  };
  const following = followLog(file, systemClock, take, ending.signal, 5);
  await systemClock.delay(20);
  await appendFile(file, "one\ntw");
  await until("one");
  await appendFile(file, "o\n");
  await until("two");
  for (const old of ["1", "2", "3", "4"]) await writeFile(`${file}.${old}`, "old\n");
  await rename(file, `${file}.5`);
  await writeFile(file, "three\n");
  await until("three");
  ending.abort();
  await following;
  t.deepEqual(heard, ["one", "two", "three"]);
  t.deepEqual((await readdir(folder)).sort(), ["server.log", "server.log.4", "server.log.5"]);
});

test("what a client, an operator and a stranger try at the real server becomes an event for each (S2-65)", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const heard = new Map<string, EventItem>();
  let waiting = (): void => undefined;
  const event = (kind: string, _: unknown, items: () => readonly EventItem[]): void => {
    for (const item of items()) heard.set(`${kind} ${item.about}`, item);
    waiting();
  };
  const ending = new AbortController();
  const { broker, credentials } = cluster;
  const deps = { broker, credentials, clock: systemClock, log: silentLogger, telemetry: { event } };
  const watching = watchViolations(deps, ending.signal);
  const [client, operator] = [await cluster.bus("client"), await cluster.bus("operator")];
  client.publish("driftmend.chaos.n1", text("{}"));
  operator.publish("driftmend.wal.update.digits", text("{}"));
  await Promise.all([client.flush(), operator.flush()]);
  await t.throwsAsync(
    import("../../transport/bus/bus.js").then(({ connectBus }) =>
      connectBus({ url: broker.url, user: "client", password: "wrong", name: "x", clock: systemClock }),
    ),
  );
  while (heard.size < 3)
    await new Promise<void>((resolve) => {
      waiting = resolve;
    });
  ending.abort();
  await watching;
  t.like(heard.get("permission_violation client"), { cause: "publish driftmend.chaos.n1" });
  t.like(heard.get("permission_violation operator"), { cause: "publish driftmend.wal.update.digits" });
  t.true(heard.has("permission_violation stranger"));
});
