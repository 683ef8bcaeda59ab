// Substrate: a real nats-server with the cluster's own credentials, answerers on the cluster's subjects that play its nodes, and the command
// line as a real process that finds it all by a context file.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { writeContext } from "../../transport/access/context.js";
import { makeCredentials } from "../../transport/access/credentials.js";
import { type Bus, connectBus, type Incoming } from "../../transport/bus/bus.js";
import { announceService } from "../../transport/bus/service.js";
import { encodeChaosReceipt, parseChaosOrder } from "../../transport/messages/chaos-orders.js";
import { encodeMessage } from "../../transport/messages/codec.js";
import { encodeEvent } from "../../transport/messages/events.js";
import { encodeTree, type TreeNode } from "../../transport/messages/look-orders.js";
import {
  encodeFeedbackReply,
  encodeInferenceReply,
  encodeRefusal,
  parseFeedbackRequest,
  parseInferenceRequest,
} from "../../transport/messages/wire.js";
import { type Broker, startBroker } from "../../transport/server/broker.js";
import { findServer } from "../../transport/server/server-binary.js";
import { inboxPrefixOf, subjectsOf } from "../../transport/subjects.js";

const cli = fileURLToPath(new URL("../../cli.js", import.meta.url));
const subjects = subjectsOf("driftmend");
const credentials = makeCredentials();
let folder = "";
let broker: Broker;
let bus: Bus;

const runs = { generation: 1, state: "running", restarts: 0 } as const;
const actor = (name: string): TreeNode => ({ name, kind: "actor", ...runs, children: [] });
const node = (name: string, children: readonly TreeNode[]): TreeNode => {
  return { name, kind: "node", pid: 1, ...runs, children };
};
const serving: TreeNode = {
  ...actor("digits"),
  kind: "supervisor",
  strategy: "one_for_one",
  children: [actor("inference"), actor("buffer")],
};
const cluster: TreeNode = {
  ...node("driftmend", [node("serving-1", [serving]), node("learning-1", [actor("digits-updater"), actor("lossy")])]),
  kind: "root",
};

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "driftmend-verbs-"));
  const binary = await findServer({ searchPath: process.env.PATH ?? "", mayFetch: false });
  broker = await startBroker({ binary, store: folder, subjects, credentials, clock: systemClock });
  const { client, telemetry, operator } = credentials;
  await writeContext(folder, {
    cluster: "driftmend",
    natsUrl: broker.url,
    httpUrl: "",
    pid: process.pid,
    users: { client, telemetry, operator },
  });
  bus = await connectBus({
    url: broker.url,
    name: "test",
    clock: systemClock,
    ...credentials.node,
    inboxPrefix: inboxPrefixOf(credentials.node.user),
  });
  playNodes();
  await bus.flush();
});

test.after.always(async () => {
  await bus.close();
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

function playNodes(): void {
  announceService(
    bus,
    {
      name: "driftmend",
      id: "a1",
      version: "0.1.0",
      description: "",
      metadata: { cluster: "driftmend", node: "serving-1" },
    },
    [],
    0,
  );
  announceService(bus, { name: "other", id: "b2", version: "1.0.0", description: "", metadata: {} }, [], 0);
  bus.subscribe(subjects.infer("digits"), {}, answer);
  bus.subscribe(subjects.feedback("digits"), {}, (message) => {
    const parsed = parseFeedbackRequest(message.data);
    if (parsed.kind === "ok")
      message.respond(
        encodeFeedbackReply({
          id: parsed.value.id,
          label: parsed.value.label === undefined ? null : { index: 7, label: String(parsed.value.label) },
          reward: parsed.value.reward ?? null,
          of: { seq: 5, index: 2 },
          traceId: "ab",
        }),
      );
  });
  bus.subscribe(subjects.actor("root", "tree"), {}, (message) => void message.respond(encodeTree(cluster)));
  bus.subscribe(subjects.actor("serving-1", "status"), {}, (message) => {
    message.respond(
      encodeMessage({
        v: 1,
        status: { state: "ready", requests: 1_234, models: { digits: { version: 9, memory: 100 } } },
      }),
    );
  });
  bus.subscribe(subjects.chaos("learning-1"), {}, giveReceipt);
  bus.subscribe(subjects.chaos("root"), {}, giveReceipt);
}

function answer(message: Incoming): void {
  const parsed = parseInferenceRequest(message.data);
  if (parsed.kind === "refused") return;
  const { input, id = "none", explain } = parsed.value;
  if (input.dt !== "|u1") {
    const refusal = encodeRefusal({ id, code: "bad_tensor", message: "takes |u1", field: "input.dt" });
    message.respond(refusal.bytes, refusal.headers);
    return;
  }
  const neighbours = [{ id: "n1", similarity: 0.91, label: "7", weight: 0 }];
  message.respond(
    encodeInferenceReply({
      id,
      answer: { index: 7, label: "7" },
      confidence: 0.83,
      mode: "ensemble",
      modelVersion: 9,
      experience: { seq: 5, index: 2 },
      traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
      node: "serving-1",
      explain: explain ? { own: [1], model: [1], domain: 0, looks: [], neighbours, weights: [1] } : undefined,
    }),
  );
}

function giveReceipt(message: Incoming): void {
  const parsed = parseChaosOrder(message.data);
  if (parsed.kind === "refused") return;
  const order = parsed.value;
  if (order.kind !== "fault") throw new Error(`a fault was to be asked for, not ${order.kind}`);
  const { target, mode } = order;
  const counts = {
    inFlight: 2,
    redelivered: 2,
    refused: 0,
    lost: target === "lossy" ? 1 : 0,
    leasesCleaned: 1,
  };
  message.respond(
    encodeChaosReceipt({
      target,
      mode,
      generationBefore: 1,
      generationAfter: 2,
      ...counts,
      detectMs: 1.5,
      repairMs: 40,
      cause: "killed: chaos kill",
    }),
  );
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(
  words: readonly string[],
  address: readonly string[] = ["--context", join(folder, "context.json")],
  env: NodeJS.ProcessEnv = {},
): {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly read: { stdout: string; stderr: string };
} {
  const child = spawn(process.execPath, [cli, ...words, ...address], {
    stdio: "pipe",
    env: { ...process.env, ...env },
  });
  const read = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      read[stream] += text;
      child.emit("heard");
    });
  const ended = once(child, "close").then(([code]: (number | null)[]) => ({ code: code ?? null, ...read }));
  return { child, ended, read };
}

async function driftmend(...words: readonly string[]): Promise<Ended> {
  const { child, ended } = start(words);
  child.stdin?.end();
  return ended;
}

function npyFile(dt: string, bytes: number): Buffer {
  const header = `{'descr': '${dt}', 'fortran_order': False, 'shape': (${bytes},), }\n`;
  const head = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
  return Buffer.concat([head, Buffer.from(header), Buffer.alloc(bytes * (dt === "<f4" ? 4 : 1), 1)]);
}

test("infer prints label, confidence, mode, version, trace and id", async (t) => {
  const file = join(folder, "seven.npy");
  await writeFile(file, npyFile("|u1", 4));
  const { code, stdout, stderr } = await driftmend("infer", "digits", file, "--id", "request-1");
  t.is(code, 0, stderr);
  for (const shown of [
    /^ {2}7 {2}83\.0 %$/m,
    /mode +ensemble/,
    /version +9/,
    /trace +4bf92f35/,
    /id +request-1/,
    /experience +5\/2/,
  ])
    t.regex(stdout, shown);
});

test("infer reads .npy from stdin, and --explain shows the neighbours", async (t) => {
  const { child, ended } = start(["infer", "digits", "-", "--explain"]);
  child.stdin?.end(npyFile("|u1", 4));
  const { code, stdout } = await ended;
  t.is(code, 0);
  t.regex(stdout, /7 +0\.910 +no vote +n1/);
});

test("infer --json prints the reply and nothing else (S2-2)", async (t) => {
  const { child, ended } = start(["infer", "digits", "-", "--json", "--id", "r2"]);
  child.stdin?.end(npyFile("|u1", 4));
  const reply = JSON.parse((await ended).stdout);
  t.like(reply, {
    v: 1,
    id: "r2",
    answer: { index: 7, label: "7" },
    confidence: 0.83,
    experience: { seq: 5, index: 2 },
  });
});

test("a refusal is exit code 1, its code and message on stderr; with --json the cluster's own document on stdout (S2-31)", async (t) => {
  const { child, ended } = start(["infer", "digits", "-", "--json"]);
  child.stdin?.end(npyFile("<f4", 4));
  const { code, stdout, stderr } = await ended;
  t.is(code, 1);
  t.like(JSON.parse(stdout), { v: 1, error: { code: "bad_tensor", field: "input.dt", message: "takes |u1" } });
  t.regex(stderr, /digits refused: bad_tensor \(input\.dt\): takes \|u1\n {2}-> /);
});

test("a model that nobody serves is exit code 1 within the deadline", async (t) => {
  const { child, ended } = start(["infer", "letters", "-", "--deadline", "4s"]);
  child.stdin?.end(npyFile("|u1", 4));
  const { code, stderr, stdout } = await ended;
  t.is(code, 1);
  t.is(stdout, "");
  t.regex(stderr, /letters: no node serves this model\n {2}-> driftmend status/);
});

test("feedback says what an answer was worth, and takes one word about it (S2-64)", async (t) => {
  const { code, stdout } = await driftmend("feedback", "digits", "request-1", "--reward", "-1");
  t.is(code, 0);
  t.regex(stdout, /request-1 was worth -1 \(experience 5\/2\)/);
  for (const words of [[], ["7", "--reward", "1"], ["7", "--show"], ["--reward", "2"]]) {
    const wrong = await driftmend("feedback", "digits", "request-1", ...words);
    t.is(wrong.code, 2, wrong.stdout);
  }
});

test("feedback says what it labelled", async (t) => {
  const { code, stdout } = await driftmend("feedback", "digits", "request-1", "7");
  t.is(code, 0);
  t.is(stdout, "  request-1 is 7 (experience 5/2)\n");
});

test("tree shows the root's tree, and --json its contract shape (S0-40)", async (t) => {
  t.regex((await driftmend("tree")).stdout, /├─ serving-1 +running.*\n│ {2}└─ digits +running.* one_for_one/);
  t.deepEqual(JSON.parse((await driftmend("tree", "--json")).stdout), JSON.parse(JSON.stringify(cluster)));
});

test("status asks the cluster's nodes and no other service", async (t) => {
  const { code, stdout } = await driftmend("status", "--json");
  t.is(code, 0);
  t.deepEqual(JSON.parse(stdout), {
    cluster: "driftmend",
    nodes: { "serving-1": { state: "ready", requests: 1_234, models: { digits: { version: 9, memory: 100 } } } },
    ...{ atMs: null, modes: null, vitals: null },
  });
  t.regex(
    (await driftmend("status")).stdout,
    /serving-1\n {2}state +ready\n {2}requests +1,234\n {2}models\n {4}digits\n {6}version +9/,
  );
});

test("chaos kill finds an actor by its last word and prints the receipt", async (t) => {
  const { code, stdout } = await driftmend("chaos", "kill", "updater");
  t.is(code, 0);
  for (const shown of [
    /digits-updater {2}kill/,
    /1 to 2/,
    /2 in flight, 2 redelivered, 0 refused, 0 lost/,
    /noticed +after 1\.5 ms/,
    /mended +after 40 ms/,
  ])
    t.regex(stdout, shown);
});

test("a fault that lost messages shows its receipt and ends with 1", async (t) => {
  const { code, stdout, stderr } = await driftmend("chaos", "kill", "learning-1/lossy");
  t.is(code, 1);
  t.regex(stdout, /1 lost/);
  t.regex(stderr, /1 messages were lost/);
});

test("chaos kill of a node is asked of the root, with sigkill", async (t) => {
  const { code, stdout } = await driftmend("chaos", "kill", "serving-1", "--json");
  t.is(code, 0);
  t.like(JSON.parse(stdout), {
    target: "serving-1",
    mode: "sigkill",
    generationBefore: 1,
    generationAfter: 2,
    lost: 0,
  });
});

test("chaos kill of what is not in the tree names what is", async (t) => {
  const { code, stdout, stderr } = await driftmend("chaos", "kill", "nobody");
  t.is(code, 1);
  t.is(stdout, "");
  t.regex(stderr, /no "nobody" in the tree\n {2}-> one of serving-1, .*serving-1\/digits\/inference/);
});

test("watch prints an event's items as they come, and Ctrl-C ends it with 130 (S2-47)", async (t) => {
  const { child, ended, read } = start(["watch"]);
  while (!read.stderr.includes("watching")) await once(child, "heard");
  bus.publish(
    subjects.event("request_answered"),
    encodeEvent({
      kind: "request_answered",
      node: "serving-1",
      actor: "voter",
      incarnation: 3,
      atMs: 40_000_000,
      items: [{ traceId: "4bf92f3577b34da6", confidence: 0.8312345, label: "7\u001b[2J" }],
    }),
  );
  while (!read.stdout.includes("4bf92f35")) await once(child, "heard");
  child.kill("SIGINT");
  const { code, stdout } = await ended;
  t.is(code, 130);
  t.regex(
    stdout,
    /^11:06:40\.000 {2}request_answered +serving-1\/voter#3 +confidence 0\.8312 {2}label 7�\[2J {2}trace 4bf92f35$/m,
  );
});

test("watch --json prints one JSON document a line, with the subject", async (t) => {
  const { child, ended, read } = start(["watch", subjects.event("vote"), "--json"]);
  while (!read.stderr.includes("watching")) await once(child, "heard");
  const event = { kind: "vote", node: "serving-1", actor: "voter", incarnation: 1, atMs: 1, items: [] };
  bus.publish(subjects.event("vote"), encodeEvent(event));
  while (!read.stdout.includes("\n")) await once(child, "heard");
  child.kill("SIGTERM");
  await ended;
  t.deepEqual(JSON.parse(read.stdout), { subject: subjects.event("vote"), v: 1, ...event });
});

test("watch of a subject that telemetry users may not see ends with 1", async (t) => {
  const { code, stdout, stderr } = await driftmend("watch", subjects.all.chaos);
  t.is(code, 1);
  t.is(stdout, "");
  t.regex(stderr, /may not listen to driftmend\.chaos\.>/);
});

for (const [user, typed] of [
  ["client", ["tree"]],
  ["client", ["chaos", "ls"]],
  ["telemetry", ["status"]],
  ["telemetry", ["drain", "serving-1"]],
] as const)
  test(`(S2-65) ${typed.join(" ")} with the rights of ${user} is denied by name, says whose rights it needs, and claims nothing of the cluster`, async (t) => {
    const secret = { DRIFTMEND_PASSWORD: credentials[user].password };
    const { code, stdout, stderr } = await start(typed, ["--nats", broker.url, "--user", user], secret).ended;
    t.is(code, 1, stderr);
    t.is(stdout, "");
    t.regex(stderr, new RegExp(`denied: user "${user}" may not publish to .*: this needs the rights of .*an operator`));
    t.notRegex(stderr, /no node|no fault is active|does not answer|there is no/);
  });
