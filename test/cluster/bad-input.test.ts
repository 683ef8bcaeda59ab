// Everything a stranger may send to a whole cluster by mistake or on purpose: each gets its refusal by name, within its deadline, and the
// good request behind it is answered. One cluster, in its cold phase until the last tests.

import { connect } from "node:net";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../supervision/clock.js";
import { type BusEvent, ConnectError, connectBus, type RequestOutcome } from "../../transport/bus/bus.js";
import { encodeMessage, type Tensor } from "../../transport/messages/codec.js";
import { encodeInferenceRequest, parseInferenceReply, type Refusal } from "../../transport/messages/wire.js";
import { header, inboxPrefixOf, jetStreamApi } from "../../transport/subjects.js";
import { type Picture, someDigits, tensorOf } from "./pictures.js";
import { busAs, experiencesIn, Heard, model, nodeOf, nodeReady, type Running, startRunning } from "./running.js";

let running: Running;
let good: Picture;
let goodSent = 0;

test.before(async () => {
  const [started, digits] = await Promise.all([startRunning(), someDigits(1)]);
  running = started;
  good = digits[0] as Picture;
});

test.after.always(() => running?.stop());

/** The next good request is answered, at its first try. */
async function stillAnswers(t: ExecutionContext): Promise<void> {
  const id = `good.${goodSent++}`;
  const outcome = await running.client.infer("digits", tensorOf(good.ink), { id });
  t.is(outcome.kind, "reply", JSON.stringify(outcome));
  t.is(outcome.tries, 1);
}

function send(bytes: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<RequestOutcome> {
  return running.client.bus.request(running.subjects.infer("digits"), bytes, { timeoutMs: 3_000, headers });
}

async function refusalOf(t: ExecutionContext, sending: Promise<RequestOutcome>): Promise<Refusal | undefined> {
  const outcome = await sending;
  if (outcome.kind !== "reply") return void t.fail(`no reply but ${outcome.kind}`);
  const parsed = parseInferenceReply(outcome.data);
  if (parsed.kind !== "ok" || parsed.value.kind !== "refusal") return void t.fail(JSON.stringify(parsed));
  const { refusal } = parsed.value;
  t.is(outcome.headers.get(header.errorCode), refusal.code);
  t.truthy(outcome.headers.get(header.error));
  t.regex(refusal.traceId ?? "", /^[0-9a-f]{32}$/);
  return refusal;
}

const tensors: Readonly<Record<string, readonly [Tensor, string]>> = {
  "a dtype the model does not take": [{ dt: "<f8", sh: [28, 28], data: new Float64Array(784) }, "input.dt"],
  "half floats": [{ dt: "<f2", sh: [28, 28], data: new Uint16Array(784) }, "input.dt"],
  "another shape": [{ dt: "<f4", sh: [28, 27], data: new Float32Array(756) }, "input.sh"],
  "the right size in one row": [{ dt: "<f4", sh: [784], data: new Float32Array(784) }, "input.sh"],
  "a batch dimension": [{ dt: "<f4", sh: [1, 1, 28, 28], data: new Float32Array(784) }, "input.sh"],
  "two pictures": [{ dt: "<f4", sh: [2, 28, 28], data: new Float32Array(1568) }, "input.sh"],
  "an empty tensor (S2-32)": [{ dt: "<f4", sh: [0, 28, 28], data: new Float32Array(0) }, "input.sh"],
  "a scalar (S2-33)": [{ dt: "<f4", sh: [], data: new Float32Array(1) }, "input.sh"],
  NaN: [{ dt: "<f4", sh: [28, 28], data: new Float32Array(784).fill(Number.NaN) }, "input.d"],
  infinity: [{ dt: "<f4", sh: [28, 28], data: new Float32Array(784).fill(Number.POSITIVE_INFINITY) }, "input.d"],
  "ink below 0": [{ dt: "<f4", sh: [28, 28], data: new Float32Array(784).fill(-0.01) }, "input.d"],
  "ink above 1": [{ dt: "<f4", sh: [28, 28], data: new Float32Array(784).fill(1.01) }, "input.d"],
};

for (const [what, [input, field]] of Object.entries(tensors))
  test.serial(`${what} is refused as bad_tensor in ${field} (S2-31)`, async (t) => {
    const refusal = await refusalOf(t, send(encodeInferenceRequest({ input, id: "bad" })));
    t.like(refusal, { code: "bad_tensor", field, id: "bad" });
    await stillAnswers(t);
  });

const whole = encodeInferenceRequest({ input: tensorOf(new Float32Array(784)), id: "whole" });
const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
/** {v: 1, input: ...} with `input` given as raw msgpack. */
const withInput = (...input: readonly number[]): Uint8Array =>
  bytes(0x82, 0xa1, 0x76, 0x01, 0xa5, 0x69, 0x6e, 0x70, 0x75, 0x74, ...input);
const payloads: Readonly<Record<string, Uint8Array>> = {
  "an empty payload": bytes(),
  text: new TextEncoder().encode("hello"),
  JSON: new TextEncoder().encode('{"v": 1, "input": [0, 0]}'),
  "msgpack that is no map": bytes(0x93, 1, 2, 3),
  "an empty map": bytes(0x80),
  "a map of another version": encodeMessage({ v: 2 }),
  "a request without input": encodeMessage({ v: 1, id: "x" }),
  "a request cut in half": whole.subarray(0, whole.length / 2),
  "a request without its last byte": whole.subarray(0, whole.length - 1),
  "a request with a byte too many": Buffer.concat([whole, bytes(0)]),
  "bytes that claim 4 GB": withInput(0xc6, 0xff, 0xff, 0xff, 0xff),
  "a string that claims 4 GB": withInput(0xdb, 0xff, 0xff, 0xff, 0xff),
  "an array that claims 4 billion items": withInput(0xdd, 0xff, 0xff, 0xff, 0xff),
  "a map that claims 4 billion entries": withInput(0xdf, 0xff, 0xff, 0xff, 0xff),
  "100,000 arrays inside each other": withInput(...new Array<number>(100_000).fill(0x91), 0xc0),
  "an extension type": withInput(0xd4, 0x72, 0x00),
  "the same key twice": bytes(0x82, 0xa1, 0x76, 0x01, 0xa1, 0x76, 0x01),
  "a key that is no string": bytes(0x81, 0x01, 0x01),
  "a deadline of no length": encodeInferenceRequest({ input: tensorOf(new Float32Array(784)), deadlineMs: 0 }),
  "a priority of 11": encodeInferenceRequest({ input: tensorOf(new Float32Array(784)), priority: 11 }),
  "an id of 129 characters": encodeInferenceRequest({ input: tensorOf(new Float32Array(784)), id: "x".repeat(129) }),
};

for (const [what, payload] of Object.entries(payloads))
  test.serial(`${what} is refused by name (S2-31)`, async (t) => {
    const refusal = await refusalOf(t, send(payload));
    t.true(["bad_request", "bad_tensor"].includes(refusal?.code ?? ""), refusal?.code);
    await stillAnswers(t);
  });

test.serial("a shape that does not fit its bytes is refused before anything is allocated for it", async (t) => {
  for (const sh of [[28, 28], [2 ** 31, 2 ** 31], [-1, 784], [0.5], new Array<number>(9).fill(1)]) {
    const input = { v: 1, dt: "<f4", sh, d: "no bytes" };
    t.like(await refusalOf(t, send(encodeMessage({ v: 1, input }))), { code: "bad_tensor" });
  }
  await stillAnswers(t);
});

test.serial("random bytes, 300 times, are refused 300 times", async (t) => {
  let state = 1;
  const random = (): number => {
    state = Math.imul(state, 48_271) >>> 0;
    return (state >>> 8) % 256;
  };
  const outcomes = await Promise.all(
    Array.from({ length: 300 }, () => send(Uint8Array.from({ length: 1 + random() }, random))),
  );
  for (const outcome of outcomes) {
    const parsed = outcome.kind === "reply" ? parseInferenceReply(outcome.data) : undefined;
    t.is(parsed?.kind === "ok" ? parsed.value.kind : outcome.kind, "refusal");
  }
  await stillAnswers(t);
});

test.serial("a request that is changed in one byte is answered or refused, always", async (t) => {
  const outcomes = await Promise.all(
    Array.from({ length: 64 }, (_, index) => {
      const changed = Uint8Array.from(whole);
      changed[index] = (changed[index] ?? 0) ^ 0x55;
      return send(changed);
    }),
  );
  for (const outcome of outcomes) t.is(outcome.kind, "reply");
  await stillAnswers(t);
});

test.serial("2 MB are refused as too_large before anything is decoded (S2-31)", async (t) => {
  const input: Tensor = { dt: "<f4", sh: [512, 1024], data: new Float32Array(524_288) };
  const refusal = await refusalOf(t, send(encodeInferenceRequest({ input, id: "bad" })));
  t.is(refusal?.code, "too_large");
  await stillAnswers(t);
});

test.serial(
  "9 MB go by reference and are refused by their shape, before a byte is fetched; the client stays connected (S2-31)",
  async (t) => {
    const input: Tensor = { dt: "<f4", sh: [2_359_296], data: new Float32Array(2_359_296) };
    const outcome = await running.client.infer("digits", input, { deadlineMs: 3_000 });
    t.like(outcome, { kind: "refusal", refusal: { code: "bad_tensor", field: "input.sh" } }, JSON.stringify(outcome));
    await stillAnswers(t);
  },
);

test.serial("a socket that announces 9 MB is cut off by the broker; nobody else notices", async (t) => {
  const { hostname, port } = new URL(running.context.natsUrl);
  const { user, password: pass } = running.context.users.client;
  const socket = connect(Number(port), hostname);
  let said = "";
  socket.on("data", (data) => {
    said += data.toString("latin1");
  });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => undefined);
  socket.write(`CONNECT ${JSON.stringify({ verbose: false, user, pass })}\r\n`);
  socket.write(`PUB ${running.subjects.infer("digits")} 9437184\r\n`);
  await closed;
  t.regex(said, /-ERR 'Maximum Payload Violation'/);
  await stillAnswers(t);
});

test.serial("a model that nobody serves is refused as unknown_model, and a name that is none too", async (t) => {
  const bad = await running.client.infer("letters", tensorOf(good.ink), { deadlineMs: 3_000 });
  t.is(bad.kind === "refusal" ? bad.refusal.code : bad.kind, "unknown_model", JSON.stringify(bad));
  for (const subject of ["driftmend.infer.digits.more", "driftmend.infer.no model".replace(" ", "$")]) {
    const sending = running.client.bus.request(subject, whole, { timeoutMs: 3_000 });
    t.like(await refusalOf(t, sending), { code: "unknown_model" });
  }
  const feedback = await running.client.feedback("letters", "good.0", "1", { deadlineMs: 3_000 });
  t.is(feedback.kind === "refusal" ? feedback.refusal.code : feedback.kind, "unknown_model");
  await stillAnswers(t);
});

for (const [role, subject] of [
  ["client", "driftmend.chaos.serving-1"],
  ["client", "driftmend.wal.experience.digits"],
  ["client", "driftmend.wal.update.digits"],
  ["client", "driftmend.wal.weights.digits"],
  ["client", "driftmend.control.serving-1"],
  ["client", "driftmend.actor.serving-1.status"],
  ["client", jetStreamApi.streamPurge("driftmend-experience-digits")],
  ["client", jetStreamApi.streamInfo("driftmend-experience-digits")],
  ["client", "$KV.driftmend-leases.digits"],
  ["telemetry", "driftmend.infer.digits"],
  ["telemetry", "driftmend.telemetry.event.vote"],
  ["operator", jetStreamApi.streamPurge("driftmend-experience-digits")],
  ["operator", "driftmend.wal.update.digits"],
] as const)
  test.serial(`the ${role} user may not publish to ${subject}, and is told so`, async (t) => {
    const bus = await busAs(running.context, role);
    const { lastSeq } = await running.log.state("experience");
    const denied = new Promise<BusEvent>((resolve) =>
      bus.onEvent((event) => event.kind === "denied" && resolve(event)),
    );
    const outcome = await bus.request(subject, whole, { timeoutMs: 3_000 });
    t.is(outcome.kind, "denied");
    t.like(await denied, { operation: "publish", subject });
    t.is((await running.log.state("experience")).lastSeq, lastSeq);
    await bus.close();
    await stillAnswers(t);
  });

test.serial("nobody listens to the requests or the inbox of others", async (t) => {
  for (const [role, subject] of [
    ["client", "driftmend.infer.>"],
    ["client", "driftmend.wal.>"],
    ["client", `${inboxPrefixOf("operator")}.>`],
    ["telemetry", `${inboxPrefixOf("client")}.>`],
    ["operator", "_INBOX.>"],
  ] as const) {
    const bus = await busAs(running.context, role);
    const denied = new Promise<BusEvent>((resolve) =>
      bus.onEvent((event) => event.kind === "denied" && resolve(event)),
    );
    bus.subscribe(subject, {}, () => t.fail("heard what is not for it"));
    t.like(await denied, { operation: "subscription", subject });
    await bus.close();
  }
  await stillAnswers(t);
});

test.serial("a wrong password, or none, does not get in", async (t) => {
  const url = running.context.natsUrl;
  for (const user of [{ user: "client", password: "wrong" }, { user: "node", password: "" }, {}]) {
    const error = await t.throwsAsync(connectBus({ url, name: "stranger", clock: systemClock, ...user }), {
      instanceOf: ConnectError,
    });
    t.is(error?.why, "denied");
  }
  await stillAnswers(t);
});

test.serial("a client that is gone before its reply costs nobody anything; its experience stays", async (t) => {
  const votes = await Heard.on(running.operator, running.subjects.event("vote"));
  const leaving = await busAs(running.context, "client");
  const request = encodeInferenceRequest({ input: tensorOf(good.ink), id: "left" });
  leaving.publish(running.subjects.infer("digits"), request, { replyTo: leaving.inbox() });
  await leaving.flush();
  await leaving.close();
  await votes.find("the vote of whoever left", ({ items }) => items.some(({ id }) => id === "left"));
  votes.stop();
  t.is((await experiencesIn(running)).filter(({ id }) => id === "left").length, 1);
  await stillAnswers(t);
});

test.serial("what is refused leaves no experience: the log holds the good requests and nothing else", async (t) => {
  const ids = (await experiencesIn(running)).map(({ id }) => id);
  t.is(new Set(ids).size, ids.length);
  t.deepEqual(
    Array.from({ length: goodSent }, (_, index) => `good.${index}`).filter((id) => !ids.includes(id)),
    [],
  );
  t.is((await nodeOf(running, "serving-1")).generation, 1);
  t.is(running.cluster.restarts, 0);
});

test.serial("asking again for the same request does not end the cold phase early (S0-2)", async (t) => {
  const { coldStart } = model.manifest.learning;
  for (let time = 0; time < coldStart; time += 1)
    await running.client.infer("digits", tensorOf(good.ink), { id: "good.0" });
  const count = (await experiencesIn(running)).length;
  t.true(count < coldStart, `${count}`);
  const outcome = await running.client.infer("digits", tensorOf(good.ink), { id: "after-repeats" });
  t.like(outcome, { kind: "reply", reply: { mode: "cold" } });
});

test.serial("an id that only the header brings is checked like any other: what follows stays readable", async (t) => {
  const before = (await experiencesIn(running)).length;
  const request = encodeInferenceRequest({ input: tensorOf(good.ink) });
  for (const id of ["", "y".repeat(129), "z".repeat(4_096)]) {
    const outcome = await send(request, { [header.messageId]: id });
    t.is(outcome.kind, "reply", id.slice(0, 3));
  }
  await stillAnswers(t);
  // Refused or answered under another id, but never a record that nobody can read.
  t.true((await experiencesIn(running)).length > before);
});

test.serial("after all of it the serving node still starts again from its log (S0-6)", async (t) => {
  const heard = await Heard.on(running.operator, running.subjects.event("node_ready"));
  process.kill((await nodeOf(running, "serving-1")).pid, "SIGKILL");
  await nodeReady(heard, "serving-1", 2);
  // The root may not have heard yet that the node is ready, and say `not_ready` once more.
  const outcome = await running.client.infer("digits", tensorOf(good.ink), { id: "restarted" });
  t.is(outcome.kind, "reply");
});
