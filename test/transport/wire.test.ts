// Requests, replies, orders and events: there and back, and what is said about wrong ones.

import test from "ava";
import { encodeChaosReceipt, parseChaosOrder, parseChaosReceipt } from "../../transport/messages/chaos-orders.js";
import { decodeMessage, encodeMessage, type PlainMap, type Tensor } from "../../transport/messages/codec.js";
import {
  encodeAlert,
  encodeEvent,
  encodeMetrics,
  parseAlert,
  parseEvent,
  parseMetrics,
} from "../../transport/messages/events.js";
import { encodeTree, parseTree, type TreeNode } from "../../transport/messages/look-orders.js";
import {
  encodeFeedbackReply,
  encodeFeedbackRequest,
  encodeInferenceReply,
  encodeInferenceRequest,
  encodeRefusal,
  type InferenceReply,
  parseFeedbackReply,
  parseFeedbackRequest,
  parseInferenceReply,
  parseInferenceRequest,
  refusalCodes,
} from "../../transport/messages/wire.js";
import { header, NameError, subjectsOf } from "../../transport/subjects.js";

const picture: Tensor = { dt: "<f4", sh: [2, 2], data: Float32Array.of(0, 0.5, 1, 0.25) };

test("a request needs only its input; the rest has defaults", (t) => {
  const parsed = parseInferenceRequest(encodeInferenceRequest({ input: picture }));
  t.like(parsed, {
    kind: "ok",
    value: { id: undefined, priority: 5, deadlineMs: undefined, explain: false, input: picture },
  });
});

const wrongRequests: Readonly<Record<string, { readonly head: PlainMap; readonly field: string }>> = {
  "no version": { head: {}, field: "v" },
  "another version": { head: { v: 2 }, field: "v" },
  "a priority of 11": { head: { v: 1, priority: 11 }, field: "priority" },
  "a priority of 2.5": { head: { v: 1, priority: 2.5 }, field: "priority" },
  "a deadline of 0": { head: { v: 1, deadlineMs: 0 }, field: "deadlineMs" },
  "a deadline of NaN": { head: { v: 1, deadlineMs: Number.NaN }, field: "deadlineMs" },
  "a number as id": { head: { v: 1, id: 7 }, field: "id" },
  "a line break in its id": { head: { v: 1, id: "a\r\nb" }, field: "id" },
  "an endless id": { head: { v: 1, id: "x".repeat(129) }, field: "id" },
  "text as explain": { head: { v: 1, explain: "yes" }, field: "explain" },
};
for (const [what, { head, field }] of Object.entries(wrongRequests)) {
  test(`a request with ${what} is a bad_request that names ${field}`, (t) => {
    t.like(parseInferenceRequest(encodeMessage(head, { input: picture })), {
      kind: "refused",
      code: "bad_request",
      field,
    });
  });
}

test("a request without input is refused, one with unknown fields is understood", (t) => {
  t.like(parseInferenceRequest(encodeMessage({ v: 1 })), { kind: "refused", code: "bad_tensor", field: "input" });
  t.is(parseInferenceRequest(encodeMessage({ v: 1, later: { a: [1] } }, { input: picture, more: picture })).kind, "ok");
});

test("a reply with and without an explanation comes back as it was", (t) => {
  const reply: InferenceReply = {
    id: "r1",
    answer: { index: 7, label: "7" },
    confidence: 0.93,
    mode: "ensemble",
    modelVersion: 12,
    experience: { seq: 4, index: 2 },
    traceId: "0".repeat(32),
    node: "n1",
    explain: {
      own: [0.1, 0.9],
      model: [0.1, 0.9],
      domain: 3,
      looks: [
        { view: "plain", density: 0.9, label: "1", weight: 0.25 },
        { view: "source", density: 0.95, label: "7", weight: 0 },
      ],
      neighbours: [{ id: "r0", similarity: 0.99, label: "7", weight: 0.4 }],
      weights: [0.1, 1.3],
    },
  };
  t.deepEqual(parseInferenceReply(encodeInferenceReply(reply)), { kind: "ok", value: { kind: "reply", reply } });
  const nowhere = {
    ...reply,
    explain: { own: [1], model: [1], domain: null, looks: [], neighbours: [], weights: [1] },
  };
  t.deepEqual(parseInferenceReply(encodeInferenceReply(nowhere)), {
    kind: "ok",
    value: { kind: "reply", reply: nowhere },
  });
  const { explain: _, ...short } = { ...reply, experience: null, mode: "cold" as const };
  t.like(parseInferenceReply(encodeInferenceReply(short)), { kind: "ok", value: { kind: "reply", reply: short } });
});

test("every refusal comes back with its code, also in the headers (S2-31)", (t) => {
  for (const code of refusalCodes) {
    const framed = encodeRefusal({
      id: "r1",
      code,
      message: "why\r\nNats-Injected: 1",
      field: "input.d",
      retryAfterMs: 50,
    });
    t.is(framed.headers[header.errorCode], code);
    t.false(/[\r\n]/.test(framed.headers[header.error] ?? ""));
    const parsed = parseInferenceReply(framed.bytes);
    t.like(parsed, {
      kind: "ok",
      value: { kind: "refusal", refusal: { id: "r1", code, field: "input.d", retryAfterMs: 50 } },
    });
  }
});

test("a refusal says what the contract names, and nothing that its maker knew besides", (t) => {
  const refused = parseInferenceRequest(encodeMessage({ v: 1, input: 5 }));
  if (refused.kind !== "refused") return t.fail("five is no tensor");
  const { bytes } = encodeRefusal({ ...refused, traceId: "t" });
  const decoded = decodeMessage(bytes);
  t.deepEqual(decoded.kind === "message" ? decoded.fields : decoded, {
    v: 1,
    error: { code: "bad_tensor", field: "input", message: refused.message, traceId: "t" },
  });
});

test("a refusal that says too much is cut, not taken for garbage", (t) => {
  const { bytes } = encodeRefusal({ code: "bad_request", message: "x".repeat(10_000) });
  t.like(parseInferenceReply(bytes), { kind: "ok", value: { kind: "refusal", refusal: { code: "bad_request" } } });
});

test("feedback takes a label by name or by index", (t) => {
  for (const label of ["7", 7]) {
    t.deepEqual(parseFeedbackRequest(encodeFeedbackRequest({ id: "r1", label })), {
      kind: "ok",
      value: { id: "r1", label, reward: undefined },
    });
  }
  t.like(parseFeedbackRequest(encodeMessage({ v: 1, id: "r1", label: -1 })), { kind: "refused", field: "label" });
  const reply = { id: "r1", label: { index: 7, label: "7" }, reward: null, of: { seq: 1, index: 0 }, traceId: "t" };
  t.deepEqual(parseFeedbackReply(encodeFeedbackReply(reply)), { kind: "ok", value: { kind: "reply", reply } });
});

test("feedback takes a reward from -1 to 1 instead of a label, or neither for a look, and never both (S2-64)", (t) => {
  t.like(parseFeedbackRequest(encodeFeedbackRequest({ id: "r1", reward: -0.5 })), {
    value: { id: "r1", reward: -0.5 },
  });
  t.like(parseFeedbackRequest(encodeFeedbackRequest({ id: "r1" })), { kind: "ok", value: { id: "r1" } });
  for (const wrong of [{ reward: 1.5 }, { reward: -2 }, { reward: Number.NaN }, { reward: 1, label: "7" }])
    t.like(parseFeedbackRequest(encodeFeedbackRequest({ id: "r1", ...wrong })), { kind: "refused", field: "reward" });
  const head = { id: "r1", of: { seq: 1, index: 0 }, traceId: "t" };
  const kept = { label: { index: 7, label: "7" }, confidence: 1, priority: 1, verified: true };
  for (const reply of [
    { ...head, label: null, reward: -1 },
    { ...head, label: null, reward: null, kept },
    { ...head, label: null, reward: null, kept: null },
  ])
    t.deepEqual(parseFeedbackReply(encodeFeedbackReply(reply)), { kind: "ok", value: { kind: "reply", reply } });
});

test("faults, receipts and trees come back as they were", (t) => {
  t.like(parseChaosOrder(encodeMessage({ v: 1, target: "n1", mode: "explode" })), { kind: "refused", field: "mode" });
  const receipt = {
    target: "serving/inference",
    mode: "kill",
    generationBefore: 1,
    generationAfter: 2,
    inFlight: 3,
    redelivered: 3,
    refused: 0,
    lost: null,
    leasesCleaned: 0,
    detectMs: 0.2,
    repairMs: null,
    cause: "killed: chaos kill",
  };
  t.deepEqual(parseChaosReceipt(encodeChaosReceipt(receipt)), { kind: "ok", value: { kind: "reply", reply: receipt } });
  const leaf: TreeNode = {
    name: "buffer",
    kind: "actor",
    generation: 2,
    state: "running",
    restarts: 1,
    mailbox: { depth: 0, capacity: 64 },
    children: [],
  };
  const tree: TreeNode = {
    name: "n1",
    kind: "node",
    pid: 42,
    generation: 1,
    state: "running",
    restarts: 0,
    children: [leaf],
  };
  const parsed = parseTree(encodeTree(tree));
  t.like(parsed, { kind: "ok", value: { kind: "reply", reply: { name: "n1", pid: 42 } } });
  t.like(parsed.kind === "ok" && parsed.value.kind === "reply" ? parsed.value.reply.children[0] : {}, leaf);
});

test("events, samples and alerts come back as they were", (t) => {
  const event = {
    kind: "vote",
    node: "n1",
    actor: "serving/voter",
    incarnation: 1,
    atMs: 5,
    items: [{ id: "r1", learn: true, none: null }],
  };
  t.deepEqual(parseEvent(encodeEvent(event)), { kind: "ok", value: event });
  const sample = { node: "n1", incarnation: 1, atMs: 5, values: { requests: 3 } };
  t.deepEqual(parseMetrics(encodeMetrics(sample)), { kind: "ok", value: sample });
  const alert = {
    name: "kl",
    severity: "warning",
    state: "fired",
    node: "n1",
    atMs: 5,
    message: "m",
    value: 1,
    threshold: 2,
  } as const;
  t.deepEqual(parseAlert(encodeAlert(alert)), { kind: "ok", value: alert });
});

test("names that would change a subject are refused", (t) => {
  for (const name of ["", "a.b", "*", ">", "a b", "x".repeat(33), "ä"]) {
    t.throws(() => subjectsOf(name), { instanceOf: NameError });
    t.throws(() => subjectsOf("c").infer(name), { instanceOf: NameError });
  }
  for (const path of ["", "*", "a/>", "a//b", "/a", "a b"]) {
    t.throws(() => subjectsOf("c").actor("n1", path), { instanceOf: NameError });
  }
  t.is(subjectsOf("c").actor("n1", "serving/inference"), "c.actor.n1.serving.inference");
});
