// The intake: every message that can be answered is answered, and a closed door lets what is open be finished.

import test from "ava";
import type { Written } from "../../actors/serving/feedback.js";
import { intake, type Served } from "../../actors/serving/intake.js";
import type { BufferMessage, InferenceMessage } from "../../actors/serving/messages.js";
import { InferMeter } from "../../operations/metrics/infer-meter.js";
import { systemClock } from "../../supervision/clock.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import {
  encodeFeedbackRequest,
  encodeInferenceRequest,
  parseFeedbackReply,
  parseInferenceReply,
} from "../../transport/messages/wire.js";
import { header } from "../../transport/subjects.js";
import { actor, smallTree } from "../supervision/small-tree.js";
import { type Inbox, inbox, quietDesk, recorded, settle, smallModel, subjects } from "./small-node.js";

interface Scene {
  readonly tree: ActorTree;
  readonly around: ReturnType<typeof recorded>;
  readonly inference: Inbox<InferenceMessage>;
  readonly desk: Served["desk"];
}

async function scene(onBuffer: (message: BufferMessage) => void, given: Partial<Served> = {}): Promise<Scene> {
  const [around, inference, desk] = [recorded(), inbox<InferenceMessage>(), quietDesk()];
  const model = smallModel();
  const deps = { node: "node-a", bus: around.bus, subjects, telemetry: around.telemetry, deadlineMs: 60_000 };
  const { tree } = await smallTree([
    actor<BufferMessage>("buffer", { receive: (_state, message) => onBuffer(message) }, { maxDeliver: 1 }),
    inference.child("inference"),
    {
      id: "intake",
      restart: "permanent",
      behaviour: (refs) => {
        const [inference, buffer] = [refs.ref<InferenceMessage>("inference"), refs.ref<BufferMessage>("buffer")];
        const served: Served = {
          model,
          desk,
          inference,
          buffer,
          meter: new InferMeter("small", around.telemetry, systemClock),
          counters: around.counters,
          appendLabel: async () => "new",
          appendReward: async () => "new",
          ...given,
        };
        return intake({ ...deps, models: new Map([["small", served]]) });
      },
    },
  ]);
  return { tree, around, inference, desk };
}

const picture = encodeInferenceRequest({ id: "a", input: { dt: "<f4", sh: [2], data: new Float32Array(2) } });
const feedback = encodeFeedbackRequest({ id: "a", label: "b" });

function located(message: BufferMessage): void {
  if (message.kind === "locate") message.reply.answer({ at: { seq: 4, index: 1 }, answer: 1 });
}

/** The refusal's code, or "reply". */
function said(around: Scene["around"]): (string | undefined)[] {
  return around.bus.published
    .filter(({ subject }) => subject === "reply")
    .map(({ data }) => {
      const parsed = parseFeedbackReply(data);
      if (parsed.kind !== "ok") return undefined;
      return parsed.value.kind === "reply" ? "reply" : parsed.value.refusal.code;
    });
}

test("a request is opened at the desk and handed on; what is no request, or no tensor of this model, is refused", async (t) => {
  const { tree, around, inference, desk } = await scene(located);
  around.bus.deliver(subjects.infer("small"), picture);
  await inference.until(1);
  t.is(desk.size, 1);
  around.bus.deliver(subjects.infer("small"), new Uint8Array([193]));
  const wide = encodeInferenceRequest({ id: "w", input: { dt: "<f4", sh: [3], data: new Float32Array(3) } });
  around.bus.deliver(subjects.infer("small"), wide);
  t.deepEqual(said(around), ["bad_request", "bad_tensor"]);
  t.is(around.counters.get("requests"), 3);
  const [message] = inference.messages;
  if (message?.kind === "request") desk.settle(message.request, new Uint8Array([1]));
  await tree.stop();
});

test("a model that nobody serves is refused by name, and so is a late label for it", async (t) => {
  const { tree, around } = await scene(located);
  around.bus.deliver(subjects.infer("other"), picture);
  around.bus.deliver(subjects.feedback("other"), feedback);
  t.deepEqual(said(around), ["unknown_model", "unknown_model"]);
  await tree.stop();
});

test("a late label goes to the log at the position of the answer", async (t) => {
  const labels: unknown[] = [];
  const { tree, around } = await scene(located, {
    appendLabel: async (...label) => {
      labels.push(label);
      return "new";
    },
  });
  around.bus.deliver(subjects.feedback("small"), feedback);
  await around.bus.until("reply");
  t.deepEqual(labels, [["a", 1, { seq: 4, index: 1 }]]);
  t.deepEqual(said(around), ["reply"]);
  await tree.stop();
});

test("(S2-31) a late label is refused by name: unknown label, unknown request, log away, memory away", async (t) => {
  const unknown = (message: BufferMessage): void => {
    if (message.kind === "locate") message.reply.answer(undefined);
  };
  const broken = (): void => {
    throw new Error("the memory is broken");
  };
  const cases = [
    [located, {}, encodeFeedbackRequest({ id: "a", label: "zebra" }), "bad_request"],
    [unknown, {}, feedback, "bad_request"],
    [located, { appendLabel: async (): Promise<Written> => "refused" }, feedback, "log_unavailable"],
    [broken, {}, feedback, "not_ready"],
  ] as const;
  for (const [onBuffer, deps, bytes, code] of cases) {
    const { tree, around } = await scene(onBuffer, deps);
    around.bus.deliver(subjects.feedback("small"), bytes);
    await around.bus.until("reply");
    t.deepEqual(said(around), [code]);
    t.is(tree.tree().children.find(({ name }) => name === "intake")?.restarts, 0, "the door stays open");
    await tree.stop();
  }
});

/** The scene's own kind of figures. */
function figures({ around }: Pick<Scene, "around">, ...names: readonly string[]): number[] {
  return names.map((name) => around.counters.get(name));
}

test("a true label counts once, and as right when the answer was this label", async (t) => {
  const written = ["new", "repeated", "new"] as const;
  let turn = 0;
  const { tree, around } = await scene(located, {
    appendLabel: async () => written[turn++] ?? "refused",
    sourceAnswer: () => 0,
  });
  for (const [index, label] of ["b", "b", "a", "a"].entries()) {
    around.bus.deliver(subjects.feedback("small"), encodeFeedbackRequest({ id: "a", label }));
    await around.bus.until("reply", index + 1);
  }
  t.deepEqual(said(around), ["reply", "reply", "reply", "log_unavailable"]);
  t.deepEqual(figures({ around }, "feedback_labels", "feedback_right"), [2, 1]);
  t.deepEqual(figures({ around }, "feedback_source_labels", "feedback_source_right"), [2, 1]);
  await tree.stop();
});

test("(S1-11) of ten tries that were repeats nine are answered: the retries' success is 0.9; first tries do not count", async (t) => {
  const { tree, around, inference, desk } = await scene(located);
  for (let n = 0; n < 12; n += 1) {
    const request = encodeInferenceRequest({ id: `r${n}`, input: { dt: "<f4", sh: [2], data: new Float32Array(2) } });
    around.bus.deliver(subjects.infer("small"), request, n < 10 ? { [header.attempt]: "2" } : {});
  }
  await inference.until(12);
  t.is(around.counters.get("retried_infer"), 0, "none has ended");
  for (const [index, message] of inference.messages.entries())
    if (message.kind === "request" && index !== 3) desk.settle(message.request, new Uint8Array([1]));
    else if (message.kind === "request") desk.refuse(message.request, "deadline", "too late");
  t.deepEqual(figures({ around }, "retried_infer", "retried_infer_ok"), [10, 9]);
  await tree.stop();
});

test("(S1-10) of a hundred requests that reach the door, thirty are no requests: the phase receive fails in 0.3 of them, others in none", async (t) => {
  const { tree, around, inference, desk } = await scene(located);
  for (let n = 0; n < 100; n += 1) {
    const request = encodeInferenceRequest({ id: `q${n}`, input: { dt: "<f4", sh: [2], data: new Float32Array(2) } });
    around.bus.deliver(subjects.infer("small"), n % 10 < 3 ? new Uint8Array([193]) : request);
  }
  await inference.until(70);
  for (const message of inference.messages)
    if (message.kind === "request") desk.settle(message.request, new Uint8Array([1]));
  t.deepEqual(figures({ around }, "phase_infer_receive_started", "phase_infer_receive_failed"), [100, 30]);
  t.deepEqual(figures({ around }, "phase_infer_queue_started", "phase_infer_queue_failed"), [70, 0]);
  await tree.stop();
});

test("stopping closes the door first and waits until what is open is finished", async (t) => {
  const { tree, around, inference, desk } = await scene(located);
  around.bus.deliver(subjects.infer("small"), picture);
  await inference.until(1);
  let isStopped = false;
  const stopped = tree.stop().then(() => {
    isStopped = true;
  });
  await settle();
  t.false(around.bus.deliver(subjects.infer("small"), picture), "nobody listens any more");
  t.false(isStopped);
  t.is(tree.tree().children.find(({ name }) => name === "inference")?.state, "running");
  const [message] = inference.messages;
  if (message?.kind !== "request") return t.fail("no request");
  desk.settle(message.request, new Uint8Array([1]));
  await stopped;
  t.true(isStopped);
});

test("a killed door does not wait for what is open: it opens again at once", async (t) => {
  const { tree, around, inference, desk } = await scene(located);
  around.bus.deliver(subjects.infer("small"), picture);
  await inference.until(1);
  t.like(await tree.kill("intake", "kill"), { lost: 0 });
  around.bus.deliver(subjects.infer("small"), picture);
  t.is(desk.size, 1, "the second delivery joins the first, which is open still");
  const [message] = inference.messages;
  if (message?.kind === "request") desk.refuse(message.request, "internal", "");
  const refused = around.bus.published
    .filter(({ subject }) => subject === "reply")
    .map(({ data }) => parseInferenceReply(data));
  t.is(refused.length, 2);
  await tree.stop();
});
