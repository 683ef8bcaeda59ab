// Requests whose input is sent by reference, at the door of a node: a real intake, receiver and sender over a bus in this process.

import test, { type ExecutionContext } from "ava";
import { Arrivals } from "../../actors/serving/arrivals.js";
import { Desk, deskDefaults, type OpenRequest } from "../../actors/serving/desk.js";
import { intake, type Served } from "../../actors/serving/intake.js";
import type { BufferMessage, InferenceMessage } from "../../actors/serving/messages.js";
import type { Manifest } from "../../models/manifest.js";
import { numbersIn } from "../../models/serving/sent-input.js";
import { InferMeter } from "../../operations/metrics/infer-meter.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import { systemClock } from "../../supervision/clock.js";
import type { RemoteTensor } from "../../transport/messages/codec.js";
import type { TensorRef } from "../../transport/messages/tensor-ref.js";
import { encodeInferenceRequest, parseInferenceReply, type Refusal } from "../../transport/messages/wire.js";
import { TensorBuffers } from "../../transport/tensors/buffers.js";
import { TensorReceiver } from "../../transport/tensors/receiver.js";
import { TensorSender } from "../../transport/tensors/sender.js";
import { actor, smallTree } from "../supervision/small-tree.js";
import { inbox, RecordingBus, settle, smallModel, subjects } from "./small-node.js";

const elements = 200_000;
const soon = { expiresAtMs: Number.MAX_SAFE_INTEGER, about: "test" };

/** What is published reaches whoever is subscribed, unless it is held back. */
class LoopBus extends RecordingBus {
  holdBack: (subject: string) => boolean = () => false;
  readonly #held: (() => void)[] = [];
  override inbox = (): string => "_INBOX.client.1";

  override publish(subject: string, data: Uint8Array, { headers = {} }: { headers?: Record<string, string> } = {}) {
    const copy = data.slice();
    const deliver = (): void => void this.deliver(subject, copy, headers);
    if (this.holdBack(subject)) this.#held.push(deliver);
    else setImmediate(deliver);
    return super.publish(subject, data);
  }

  letGo(): void {
    this.holdBack = () => false;
    for (const deliver of this.#held.splice(0)) deliver();
  }
}

interface SceneOptions {
  readonly input?: Partial<Manifest["input"]>;
  readonly heldMax?: number;
  readonly openMax?: number;
}

async function scene(t: ExecutionContext, { input = {}, heldMax = 10_000_000, openMax = 10 }: SceneOptions = {}) {
  const [bus, counters, clock] = [new LoopBus(), new Counters(), systemClock];
  const telemetry = new Telemetry(bus, subjects, "node-a", counters, clock);
  const desk = new Desk(clock, () => undefined, { ...deskDefaults, openMax });
  const buffers = new TensorBuffers(clock, { heldMax, waitingMax: 0, spareMs: 1 });
  const receiver = new TensorReceiver({ bus, subjects, node: "node-a", clock, buffers });
  t.teardown(() => receiver.close());
  const arrivals = new Arrivals(receiver, clock);
  let made = 0;
  const sender = new TensorSender({ bus, subjects, clock, newId: () => `${++made}`.padStart(32, "0") });
  const small = smallModel();
  const shape = { ...small.manifest.input, shape: [elements], ...input };
  const model = { ...small, manifest: { ...small.manifest, input: shape } };
  const inference = inbox<InferenceMessage>();
  const deps = { node: "node-a", bus, subjects, telemetry, arrivals, deadlineMs: 60_000 };
  const { tree } = await smallTree([
    actor<BufferMessage>("buffer", { receive: () => undefined }),
    inference.child("inference"),
    {
      id: "intake",
      restart: "permanent",
      behaviour: (refs) => {
        const served: Served = {
          ...{ model, desk, counters },
          inference: refs.ref<InferenceMessage>("inference"),
          buffer: refs.ref<BufferMessage>("buffer"),
          meter: new InferMeter("small", telemetry, clock),
          appendLabel: async () => "new",
          appendReward: async () => "new",
        };
        return intake({ ...deps, models: new Map([["small", served]]) });
      },
    },
  ]);
  const ask = (remote: RemoteTensor, given: { readonly id?: string; readonly deadlineMs?: number } = {}): void => {
    bus.deliver(subjects.infer("small"), encodeInferenceRequest({ id: "a", ...given, input: remote }));
  };
  return { bus, counters, tree, desk, receiver, arrivals, sender, inference, ask };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Refusals on the way back, in order; an answer is its first byte. */
function said({ bus }: Scene): (Partial<Refusal> | number)[] {
  return bus.published
    .filter(({ subject }) => subject === "reply")
    .map(({ data }) => {
      const parsed = parseInferenceReply(data);
      return parsed.kind === "ok" && parsed.value.kind === "refusal" ? parsed.value.refusal : (data[0] ?? -1);
    });
}

const values = Float32Array.from({ length: elements }, (_, i) => (i % 1000) / 1000);
const bytes = new Uint8Array(values.buffer);

async function remoteOf({ sender }: Scene, of: Uint8Array = bytes): Promise<RemoteTensor> {
  return { dt: "<f4", sh: [elements], ref: (await sender.offer(of, soon)).ref };
}

function opened({ inference }: Scene): OpenRequest {
  const [message] = inference.messages;
  if (message?.kind !== "request") throw new Error("nothing was opened");
  return message.request;
}

test("an input by reference is at the desk with the values that were sent, and its memory is let go when the request is closed", async (t) => {
  const s = await scene(t);
  s.ask(await remoteOf(s));
  await s.inference.until(1);
  const request = opened(s);
  t.deepEqual(Float32Array.from(numbersIn(request.input)), values);
  t.is(s.receiver.figures.heldBytes, bytes.byteLength);
  request.held?.retain();
  s.desk.settle(request, Uint8Array.of(7));
  t.is(s.receiver.figures.heldBytes, bytes.byteLength, "the model may still read it");
  request.held?.release();
  t.is(s.receiver.figures.heldBytes, 0);
  t.deepEqual(said(s), [7]);
  await s.tree.stop();
});

test("integers are brought to the model's scale where they lie; a small input by reference is like every other at the desk", async (t) => {
  const s = await scene(t, { input: { accepts: [{ dt: "|u1", scale: 1 / 255 }], shape: [3] } });
  const { ref } = await s.sender.offer(Uint8Array.of(0, 51, 255), soon);
  s.ask({ dt: "|u1", sh: [3], ref });
  await s.inference.until(1);
  t.deepEqual([...opened(s).input], [0, Math.fround(51 / 255), 1]);
  t.is(opened(s).held, undefined);
  t.is(s.receiver.figures.heldBytes, 0);
  s.desk.settle(opened(s), Uint8Array.of(1));
  await s.tree.stop();
});

const ref: TensorRef = { id: "f".repeat(32), bytes: bytes.byteLength, crc: 0, ask: "_INBOX.client.9" };
const remote: RemoteTensor = { dt: "<f4", sh: [elements], ref };
const unfetched: Readonly<Record<string, readonly [SceneOptions, RemoteTensor, Partial<Refusal>]>> = {
  "another type": [{}, { ...remote, dt: "<i4" }, { code: "bad_tensor", field: "input.dt" }],
  "another shape": [{}, { ...remote, sh: [2, elements / 2] }, { code: "bad_tensor", field: "input.sh" }],
  "another number of bytes than type and shape have": [
    {},
    { ...remote, ref: { ...ref, bytes: 4 } },
    { code: "bad_tensor", field: "input.ref.n" },
  ],
  "more bytes than the node ever holds": [{ heldMax: 700_000 }, remote, { code: "too_large", field: "input.ref.n" }],
  "a full desk": [{ openMax: 0 }, remote, { code: "overloaded" }],
};
for (const [what, [options, given, refusal]] of Object.entries(unfetched)) {
  test(`(S2-34) ${what} is refused by name before a byte is asked for`, async (t) => {
    const s = await scene(t, options);
    s.ask(given);
    await settle();
    t.like(said(s), [refusal]);
    t.is(s.bus.published.filter(({ subject }) => subject === ref.ask).length, 0, "its sender heard of nobody");
    t.is(s.arrivals.size, 0);
    await s.tree.stop();
  });
}

test("an input for which nobody may wait any more is refused `overloaded`, with a hint when to come back (S2-34)", async (t) => {
  const s = await scene(t, { heldMax: 1_000_000 });
  s.bus.holdBack = (subject) => subject.includes(".chunk.");
  s.ask(await remoteOf(s), { id: "first" });
  s.ask(await remoteOf(s), { id: "second" });
  await s.bus.until("reply");
  t.like(said(s), [{ id: "second", code: "overloaded", retryAfterMs: 250 }]);
  s.arrivals.refuseAll("not_ready", "leaving");
  t.like(said(s)[1], { id: "first", code: "not_ready" });
  await settle();
  t.like(s.receiver.figures, { heldBytes: 0, fetching: 0 });
  await s.tree.stop();
});

test("bytes that do not come are waited for until the request's deadline, and then it is refused by that name", async (t) => {
  const s = await scene(t);
  s.bus.holdBack = (subject) => subject.includes(".chunk.");
  s.ask(await remoteOf(s), { deadlineMs: 150 });
  await s.bus.until("reply");
  t.like(said(s), [{ code: "deadline" }]);
  t.like(s.receiver.figures, { heldBytes: 0, fetching: 0, pulling: 0 });
  await s.tree.stop();
});

test("a second delivery of a request that is arriving joins it: one fetch, both answered", async (t) => {
  const s = await scene(t);
  s.bus.holdBack = (subject) => subject.includes(".chunk.");
  const given = await remoteOf(s);
  s.ask(given);
  s.ask(given);
  await settle();
  t.is(s.arrivals.size, 1);
  s.bus.letGo();
  await s.inference.until(1);
  s.ask(given);
  await settle();
  s.desk.settle(opened(s), Uint8Array.of(7));
  t.deepEqual(said(s), [7, 7, 7], "the third came when it was open");
  t.is(s.inference.messages.length, 1);
  await s.tree.stop();
});

test("the same id at another model is another request: it neither joins what arrives here nor takes its place", async (t) => {
  const s = await scene(t);
  s.bus.holdBack = (subject) => subject.includes(".chunk.");
  s.ask(await remoteOf(s));
  await settle();
  const nobody = { answer: () => t.fail(), refuse: () => t.fail() };
  t.is(s.arrivals.join("other", "a", nobody), undefined);
  const other = { ...smallModel().manifest, name: "other" };
  const elsewhere = { id: "a", manifest: other, remote: await remoteOf(s), scale: 1, deadlineAtMs: 0 };
  const ends: string[] = [];
  await s.arrivals.fetch(elsewhere, nobody, ({ kind }) => ends.push(kind));
  t.deepEqual([ends, s.arrivals.size], [["refused"], 1], "the other's deadline was over, this one goes on");
  s.bus.letGo();
  await s.inference.until(1);
  t.is(opened(s).id, "a");
  await s.tree.stop();
});

test("whoever waits until nothing arrives any more is told, also when what was to become of the last one breaks", async (t) => {
  const s = await scene(t);
  const arriving = { id: "a", manifest: smallModel().manifest, remote: await remoteOf(s), scale: 1, deadlineAtMs: 0 };
  const broken = s.arrivals.fetch(arriving, { answer: () => undefined, refuse: () => undefined }, () => {
    throw new Error("a bug");
  });
  const drained = s.arrivals.drained();
  await t.throwsAsync(broken, { message: "a bug" });
  await drained;
  t.is(s.arrivals.size, 0);
  await s.tree.stop();
});

test("the same tensor for two requests is refused for the second one: each offers its own", async (t) => {
  const s = await scene(t);
  s.bus.holdBack = (subject) => subject.includes(".chunk.");
  const given = await remoteOf(s);
  s.ask(given, { id: "one" });
  s.ask(given, { id: "two" });
  await s.bus.until("reply");
  t.like(said(s), [{ id: "two", code: "bad_tensor", field: "input.ref.id" }]);
  s.arrivals.refuseAll("not_ready", "leaving");
  await s.tree.stop();
});

test("a value outside the model's range is found when the bytes are here, and their memory is free again", async (t) => {
  const s = await scene(t);
  const wrong = values.slice();
  wrong[150_000] = 3;
  s.ask(await remoteOf(s, new Uint8Array(wrong.buffer)));
  await s.bus.until("reply");
  t.like(said(s), [{ code: "bad_tensor", field: "input.d" }]);
  t.is(s.receiver.figures.heldBytes, 0);
  await s.tree.stop();
});

test("a door that closes lets in what is on its way", async (t) => {
  const s = await scene(t);
  s.bus.holdBack = (subject) => subject.includes(".chunk.");
  s.ask(await remoteOf(s));
  await settle();
  const stopped = s.tree.stop();
  await settle();
  s.bus.letGo();
  await s.inference.until(1);
  s.desk.settle(opened(s), Uint8Array.of(7));
  await stopped;
  t.deepEqual(said(s), [7]);
});

test("where users have inboxes of their own, a tensor is asked for in the inbox of whoever asks and in nobody else's", async (t) => {
  const s = await scene(t);
  Object.assign(s.bus, { hasUsers: true });
  // The test's bus brings requests with the reply subject "reply".
  s.ask(remote);
  await settle();
  t.like(said(s), [{ code: "bad_tensor", field: "input.ref.ask" }]);
  t.is(s.bus.published.filter(({ subject }) => subject === ref.ask).length, 0);
  await s.tree.stop();
});
