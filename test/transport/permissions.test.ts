// Permissions, asked of the real nats-server: what each role may and may not do (S2-65).

import anyTest, { type TestFn } from "ava";
import type { Bus, BusEvent } from "../../transport/bus.js";
import type { Role } from "../../transport/credentials.js";
import { ensureStreams } from "../../transport/streams.js";
import { bucketKey, inboxPrefixOf, jetStreamApi, subjectsOf } from "../../transport/subjects.js";
import { type Cluster, startCluster, text } from "./fixture.js";

const test = anyTest as TestFn<{ cluster: Cluster }>;
const s = subjectsOf("driftmend");
const log = s.stream("experience", "digits");

test.before(async (t) => {
  t.context.cluster = await startCluster();
  await ensureStreams(await t.context.cluster.bus(), s, "digits");
});
test.after.always((t) => t.context.cluster.end());

/** Whether the server objects: it reports a violation before it answers the flush that follows. */
async function isDenied(bus: Bus, attempt: () => void): Promise<boolean> {
  const violations: BusEvent[] = [];
  const stop = bus.onEvent((event) => {
    if (event.kind === "denied") violations.push(event);
  });
  attempt();
  await bus.flush();
  // Statuses are handed over by an async iterator: another round trip lets it run.
  await bus.flush();
  stop();
  return violations.length > 0;
}

type Deed = readonly [verb: "publish" | "subscribe", subject: string];
const publish = (subject: string): Deed => ["publish", subject];
const subscribe = (subject: string): Deed => ["subscribe", subject];

const logWriting = [
  publish(s.experience("digits")),
  publish(s.updates("digits")),
  publish(s.weights("digits")),
  publish(s.snapshots("digits")),
  publish(jetStreamApi.streamPurge(log)),
  publish(`$JS.API.STREAM.DELETE.${log}`),
  publish(jetStreamApi.streamUpdate(log)),
  publish(`$JS.API.STREAM.MSG.DELETE.${log}`),
  publish(`$JS.API.CONSUMER.DELETE.${log}.x`),
  publish("$JS.ACK.a.b.c.1.2.3.4"),
  publish(bucketKey(s.leaseBucket, "digits")),
];
const operating = [
  publish(s.chaos("n1")),
  publish(s.order("n1", "drain")),
  publish(s.order("n1", "profile")),
  publish(s.alertOrders),
  publish(s.actor("n1", "serving/inference")),
];
const asking = [publish(s.infer("digits")), publish(s.feedback("digits")), publish("$SRV.PING")];
const watching = [subscribe(s.all.telemetry), subscribe(s.all.alert)];
const reports = [publish(s.report("metrics")), publish(s.report("health"))];
const readingLog = [
  publish(jetStreamApi.streamInfo(log)),
  publish(jetStreamApi.messageGet(log)),
  publish(jetStreamApi.consumerCreate(log, "x")),
  publish(jetStreamApi.consumerNext(log, "x")),
];
const eavesdropping = (role: Role): Deed[] =>
  (["client", "telemetry", "operator", "node"] as const)
    .filter((other) => other !== role)
    .map((other) => subscribe(`${inboxPrefixOf(other)}.>`));

const rules: Readonly<Record<Role, { readonly allowed: readonly Deed[]; readonly denied: readonly Deed[] }>> = {
  client: {
    allowed: asking,
    denied: [
      ...logWriting,
      ...operating,
      ...readingLog,
      ...watching,
      ...eavesdropping("client"),
      subscribe(s.all.infer),
      subscribe(s.all.log),
      subscribe(">"),
      publish(s.event("vote")),
      publish(s.event("scored")),
      ...reports,
    ],
  },
  telemetry: {
    allowed: [...watching, ...reports],
    denied: [
      publish(s.event("scored")),
      publish(s.observed("kept")),
      ...asking,
      ...logWriting,
      ...operating,
      ...readingLog,
      ...eavesdropping("telemetry"),
      subscribe(s.all.infer),
      subscribe(">"),
    ],
  },
  operator: {
    allowed: [...asking, ...operating, ...readingLog, ...watching, ...reports, publish(s.event("scored"))],
    denied: [
      publish(s.observed("kept")),
      ...logWriting,
      ...eavesdropping("operator"),
      subscribe(s.all.log),
      subscribe(s.all.infer),
      publish(s.event("vote")),
    ],
  },
  node: {
    allowed: [publish(s.experience("digits")), subscribe(s.infer("digits")), publish(s.event("vote"))],
    denied: [],
  },
};

for (const [role, { allowed, denied }] of Object.entries(rules) as [Role, (typeof rules)[Role]][]) {
  for (const [deeds, wanted] of [
    [allowed, false],
    [denied, true],
  ] as const) {
    if (deeds.length === 0) continue;
    test(`${role} is ${wanted ? "denied" : "allowed"} ${deeds.length} deeds (S2-65)`, async (t) => {
      const bus = await t.context.cluster.bus(role);
      for (const [verb, subject] of deeds) {
        const found = await isDenied(bus, () => {
          if (verb === "publish") bus.publish(subject, text("{}"));
          else bus.subscribe(subject, {}, () => undefined);
        });
        t.is(found, wanted, `${role} ${verb} ${subject}`);
      }
    });
  }
}

test("a denied request fails at once and by name, and the violation is an event (S2-65)", async (t) => {
  const bus = await t.context.cluster.bus("client");
  const outcome = await bus.request(s.chaos("n1"), text("x"), { timeoutMs: 2_000 });
  t.is(outcome.kind, "denied");
});

test("a client gets its reply on its own inbox", async (t) => {
  const node = await t.context.cluster.bus("node");
  const client = await t.context.cluster.bus("client");
  node.subscribe(s.infer("echo"), {}, (message) => void message.respond(text(message.replyTo ?? "")));
  await node.flush();
  const outcome = await client.request(s.infer("echo"), text("x"), { timeoutMs: 2_000 });
  t.regex(outcome.kind === "reply" ? new TextDecoder().decode(outcome.data) : outcome.kind, /^_INBOX\.client\./);
});

test("a client cannot have a node's answer written into the log, a lease or an order (S2-65)", async (t) => {
  const node = await t.context.cluster.bus("node");
  const client = await t.context.cluster.bus("client");
  const closed = [s.updates("small"), bucketKey(s.leaseBucket, "small"), s.chaos("n2"), s.order("n2", "drain")];
  const heard: string[] = [];
  for (const subject of closed) node.subscribe(subject, {}, () => void heard.push(subject));
  const answered: boolean[] = [];
  node.subscribe(s.infer("astray"), {}, (message) => void answered.push(message.respond(text("x"))));
  await node.flush();
  for (const subject of closed) client.publish(s.infer("astray"), text("x"), { replyTo: subject });
  // Comes behind them.
  t.is((await client.request(s.infer("astray"), text("x"), { timeoutMs: 30_000 })).kind, "reply");
  await node.flush();
  t.deepEqual(heard, []);
  t.deepEqual(answered, [...closed.map(() => false), true]);
});

test("a connection without credentials is refused (S2-65)", async (t) => {
  const { connectBus } = await import("../../transport/bus.js");
  const { systemClock } = await import("../../supervision/clock.js");
  await t.throwsAsync(connectBus({ url: t.context.cluster.broker.url, name: "stranger", clock: systemClock }), {
    message: /refused these credentials/,
  });
});
