// Permissions and sign-in, asked of the real nats-server: what each role may and may not do (S2-65).
//
// Substrate: the embedded server of 2.9.10 with the users of a cluster and a second client. The controls are the same server with what is
// tested taken out of its config: the rows must then come out differently.

import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import anyTest, { type TestFn } from "ava";
import { systemClock } from "../../supervision/clock.js";
import {
  type Credential,
  type Credentials,
  identityOf,
  makeCredentials,
  makeNkey,
  makePassword,
  userAs,
} from "../../transport/access/credentials.js";
import { type Bus, ConnectError, connectBus } from "../../transport/bus/bus.js";
import { streamState } from "../../transport/log/jetstream.js";
import { ensureStreams } from "../../transport/log/streams.js";
import { findServer } from "../../transport/server/server-binary.js";
import { bucketKey, inboxPrefixOf, subjectsOf } from "../../transport/subjects.js";
import { type Cluster, patient, startCluster, text } from "./fixture.js";
import { type Row, rows, tried, type Verdict, type Who } from "./permission-matrix.js";

interface Scene {
  readonly cluster: Cluster;
  readonly users: Readonly<Record<Who, Credential>>;
  as(who: Who): Promise<Bus>;
}

const test = anyTest as TestFn<Scene>;
const s = subjectsOf("driftmend");

async function open(binary?: string): Promise<Scene> {
  const credentials = makeCredentials();
  const shop = makePassword("shop");
  const users = { ...credentials, shop };
  const cluster = await startCluster({
    credentials,
    users: [userAs("client", shop, s)],
    ...(binary === undefined ? {} : { binary }),
  });
  await ensureStreams(await cluster.bus(), s, "digits");
  const buses = new Map<Who, Promise<Bus>>();
  const connect = (who: Who): Promise<Bus> =>
    connectBus({
      url: cluster.broker.url,
      ...identityOf(users[who]),
      name: `test-${who}`,
      clock: systemClock,
      timeouts: patient,
    });
  const as = (who: Who): Promise<Bus> => {
    const bus = buses.get(who) ?? connect(who);
    buses.set(who, bus);
    return bus;
  };
  const end = async (): Promise<void> => {
    for (const bus of buses.values()) await (await bus).close();
    await cluster.end();
  };
  return { cluster: { ...cluster, end }, users, as };
}

test.before(async (t) => {
  t.context = await open();
});
test.after.always((t) => t.context.cluster.end());

async function verdicts({ as }: Scene): Promise<readonly Verdict[]> {
  const found: Verdict[] = [];
  for (const row of rows) found.push(await tried(await as(row[0]), row));
  return found;
}

const said = ([who, what, verb, subject]: Row, verdict: Verdict): string =>
  `${who} ${what} (${verb} ${subject}): ${verdict}`;

test.serial(
  `${rows.length} attempts of five users are each allowed or denied as listed, and none that was denied had an effect (S2-65)`,
  async (t) => {
    const { cluster } = t.context;
    const witness = await cluster.bus();
    witness.publish(s.experience("digits"), text("kept"));
    const heard = new Set<string>();
    const hearing = witness.subscribe(s.all.subjects, {}, ({ subject }) => void heard.add(subject));
    await witness.flush();
    const found = await verdicts(t.context);
    await witness.flush();
    hearing.unsubscribe();
    t.deepEqual(
      rows.map((row, at) => said(row, found[at] ?? "allowed")),
      rows.map((row) => said(row, row[4])),
    );
    t.true(rows.filter((row) => row[4] === "denied").length >= 60);
    const isAllowed = new Set(rows.filter((row) => row[4] === "allowed").map((row) => row[3]));
    t.deepEqual(
      [...heard].filter((subject) => !isAllowed.has(subject)),
      [],
    );
    t.true(heard.has(s.infer("digits")), "the witness hears");
    const log = await streamState(witness, s.stream("experience", "digits"));
    t.is(log.kind === "state" ? log.state.messages : 0, 1, "the log is as it was");
  },
);

/** The server, with its config changed by a sed script before it starts. */
async function changedServer(cluster: Cluster, script: string): Promise<string> {
  const file = join(cluster.store, `server-${script.length}`);
  const real = await findServer({ mayFetch: false });
  // Called with -c CONFIG first; --version and the like pass.
  const lines = ["#!/bin/sh", `[ "$1" = -c ] && sed -i '${script}' "$2"`, `exec '${real}' "$@"`, ""];
  await writeFile(file, lines.join("\n"));
  await chmod(file, 0o700);
  return file;
}

test("control: without the allow-lists every attempt that is denied gets through", async (t) => {
  const open_ = await open(await changedServer(t.context.cluster, 's/allow: \\[.*\\]/allow: [">"]/'));
  t.teardown(open_.cluster.end);
  t.regex(await readFile(join(open_.cluster.store, "nats", "server.conf"), "utf8"), /allow: \[">"\]/);
  const denied: string[] = [];
  for (const row of rows) {
    // These would end the stream that the others need, or the connection.
    if (/STREAM\.DELETE|ACCOUNT\.PURGE|SERVER\.REMOVE/.test(row[3])) continue;
    if ((await tried(await open_.as(row[0]), row)) === "denied") denied.push(said(row, "denied"));
  }
  t.deepEqual(denied, []);
});

type SignIn = readonly [what: string, identity: (users: Credentials) => object, verdict: "let in" | "refused"];

const signIns: readonly SignIn[] = [
  ["without credentials", () => ({}), "refused"],
  ["the client with its password", ({ client }) => client, "let in"],
  ["the operator with its key", ({ operator }) => operator, "let in"],
  ["the node with its key", ({ node }) => node, "let in"],
  ["the client with a wrong password", () => ({ user: "client", password: "wrong" }), "refused"],
  ["the client with an empty password", () => ({ user: "client", password: "" }), "refused"],
  ["the client with the listener's password", ({ telemetry }) => ({ ...telemetry, user: "client" }), "refused"],
  ["as node, with the client's password", ({ client }) => ({ ...client, user: "node" }), "refused"],
  ["as operator, with the client's password", ({ client }) => ({ ...client, user: "operator" }), "refused"],
  ["as node, without a password", () => ({ user: "node" }), "refused"],
  [
    "as operator, with its key as a password",
    ({ operator }) => ({ user: "operator", password: seedOf(operator) }),
    "refused",
  ],
  ["with a key that nobody knows", () => makeNkey("node"), "refused"],
  ["as a user that is not there", () => makePassword("root"), "refused"],
  ["as the system's user", () => makePassword("sys"), "refused"],
];

function seedOf(credential: Credential): string {
  return "nkey" in credential ? credential.nkey : credential.password;
}

async function signedIn(url: string, identity: object): Promise<"let in" | "refused"> {
  try {
    const bus = await connectBus({ url, name: "stranger", clock: systemClock, timeouts: patient, ...identity });
    await bus.close();
    return "let in";
  } catch (error) {
    if (error instanceof ConnectError && error.why === "denied") return "refused";
    throw error;
  }
}

test(`${signIns.length} ways to sign in end as listed (S2-65)`, async (t) => {
  for (const [what, identity, verdict] of signIns)
    t.is(await signedIn(t.context.cluster.broker.url, identity(t.context.cluster.credentials)), verdict, what);
});

test("control: a server without users lets in everybody who was refused", async (t) => {
  const open_ = await open(await changedServer(t.context.cluster, "/^accounts {/,$d"));
  t.teardown(open_.cluster.end);
  for (const [what, identity] of signIns)
    t.is(await signedIn(open_.cluster.broker.url, identity(open_.cluster.credentials)), "let in", what);
});

test("a key says who somebody is, whatever he calls himself: an operator's key with a node's names has an operator's rights (S2-65)", async (t) => {
  const { cluster, users } = t.context;
  const { operator } = users;
  const inboxPrefix = inboxPrefixOf("node");
  const bus = await connectBus({
    url: cluster.broker.url,
    ...operator,
    ...{ user: "node", name: "serving-1", inboxPrefix, clock: systemClock, timeouts: patient },
  });
  t.teardown(() => bus.close());
  const row = (verb: Row[2], subject: string): Row => ["operator", "", verb, subject, "denied"];
  t.is(await tried(bus, row("publish", s.experience("digits"))), "denied");
  t.is(await tried(bus, row("subscribe", `${inboxPrefix}.>`)), "denied");
});

test("a connection that calls itself like a node has the rights of its user (S2-65)", async (t) => {
  const { cluster, users } = t.context;
  const identity = identityOf(users.client);
  const bus = await connectBus({
    url: cluster.broker.url,
    ...identity,
    name: "serving-1",
    clock: systemClock,
    timeouts: patient,
  });
  t.teardown(() => bus.close());
  t.is(await tried(bus, ["client", "", "publish", s.metrics("serving-1"), "denied"]), "denied");
});

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
