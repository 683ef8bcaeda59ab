// The HTTP interface under a fuzzer: bodies of inferences over their parser, whole requests over the server, garbage over raw sockets.
// Seeded, so that what is found is found again. Nothing may crash, hang, be a 500, or be kept; and each round finds what it is there for in a
// reader or a server that has one protection less.

import test, { type ExecutionContext } from "ava";
import { Access, type Verdict } from "../../../operations/http/access.js";
import { readInferBody } from "../../../operations/http/kserve/infer-body.js";
import { type HttpBounds, httpBounds } from "../../../operations/http/server.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { bodyRound, requestRound, socketRound } from "./fuzz-rounds.js";
import { scene } from "./http-scene.js";
import { tritonRequest } from "./triton-bytes.js";

const bodies = 40_000;
const requests = 2_500;
const sockets = 150;
/** A control finds what is wrong long before that. */
const controlBodies = 2_000;
const controlRequests = 600;

const kindsOf = (findings: readonly string[]): readonly string[] =>
  [...new Set(findings.map((finding) => finding.split(":")[0] ?? ""))].sort();

test(`${bodies} bodies of inferences: each is taken or refused by name, and none pollutes or hoards`, (t) => {
  const good = tritonRequest({ name: "input", shape: [2], datatype: "FP32", raw: new Uint8Array(8) }, { id: "g" });
  t.is(readInferBody(good.body, good.headers["Inference-Header-Content-Length"]).kind, "body");
  const { findings, taken } = bodyRound(readInferBody, bodies);
  t.deepEqual(findings, []);
  t.true(taken > bodies / 20, `${taken} were taken, so the good side is reached too`);
});

/** As JSON reads it: with whatever name. */
function claimedSize(bytes: Uint8Array, length: string | undefined): number {
  const text = Buffer.from(bytes.subarray(0, Number(length ?? bytes.length))).toString();
  return Number(/"binary_data_size":(\d{1,9})/.exec(text)?.[1] ?? 0);
}

/** A merge of a kind that many programs have. */
function merge(into: object, from: object): void {
  for (const key of Object.keys(from)) {
    const value: unknown = Reflect.get(from, key);
    const old: unknown = Reflect.get(into, key);
    if (typeof value === "object" && value !== null && typeof old === "object" && old !== null) merge(old, value);
    else Reflect.set(into, key, value);
  }
}

test("the same bodies find a reader that trusts a length, one that merges what it reads, and one that lets the parser throw (control)", (t) => {
  const trusting = bodyRound((bytes, length) => {
    new Uint8Array(Math.min(claimedSize(bytes, length), 2 ** 26)).fill(1);
    return readInferBody(bytes, length);
  }, controlBodies);
  t.deepEqual(kindsOf(trusting.findings), ["hoards"]);
  const throwing = bodyRound((bytes, length) => {
    JSON.parse(Buffer.from(bytes).toString());
    return readInferBody(bytes, length);
  }, controlBodies);
  t.deepEqual(kindsOf(throwing.findings), ["threw"]);
  const merging = bodyRound((bytes, length) => {
    const read = readInferBody(bytes, length);
    if (read.kind === "body")
      merge({}, JSON.parse(Buffer.from(bytes.subarray(0, Number(length ?? bytes.length))).toString()));
    return read;
  }, controlBodies);
  Reflect.deleteProperty(Object.prototype, "polluted");
  t.deepEqual(kindsOf(merging.findings), ["polluted"]);
});

test(`${requests} requests of every kind: an answer in the shape of its kind, and no 500`, async (t) => {
  t.timeout(120_000);
  const { server, report } = await scene({ access: { reach: "loopback" } });
  report();
  const { findings, seen, taken } = await requestRound(server, requests);
  t.deepEqual(findings, []);
  t.true(taken > 40 && (seen[400] ?? 0) > 100, JSON.stringify(seen));
});

/** Lets everybody in, as the operator. */
class OpenDoor extends Access {
  override judge(): Verdict {
    return { kind: "granted", as: "operator" };
  }
}

test("the same requests find a server without its door, and one where a source throws (control)", async (t) => {
  t.timeout(120_000);
  const open = await scene({ door: new OpenDoor({ reach: "loopback", tokens: undefined }, new VirtualClock()) });
  open.report();
  t.deepEqual(kindsOf((await requestRound(open.server, controlRequests)).findings), [
    "answers a foreign page",
    "looks at an order of somebody who gives none",
  ]);
  const broken = () => Promise.reject(new Error("at /srv/node_modules/x.js:1"));
  const throwing = await scene({ sources: { tree: broken } });
  throwing.report();
  t.deepEqual(kindsOf((await requestRound(throwing.server, controlRequests)).findings), ["failed"]);
});

const quick: HttpBounds = {
  ...httpBounds,
  headWithinMs: 1_500,
  requestWithinMs: 1_500,
  keepAliveMs: 500,
  lookEveryMs: 50,
};

async function listening(t: ExecutionContext, bounds: HttpBounds): Promise<number> {
  const { server } = await scene({ bounds });
  t.teardown(() => server.close());
  const outcome = await server.listen({ host: "127.0.0.1", port: 0 });
  if (outcome.kind === "refused") throw new Error(outcome.why);
  return outcome.address.port;
}

test(`${sockets} sockets that speak no HTTP, or a broken one: each is ended, and the server answers the next`, async (t) => {
  t.timeout(120_000);
  const port = await listening(t, quick);
  const before = process.memoryUsage().external;
  const { findings, taken } = await socketRound(port, sockets, 60_000);
  t.deepEqual(findings, []);
  t.true(taken > sockets / 4, `${taken} were answered`);
  t.true(process.memoryUsage().external - before < 64 * 1024 * 1024);
  t.is((await fetch(`http://127.0.0.1:${port}/v2/health/live`)).status, 200);
});

test("the same sockets find a server that waits for ever (control)", async (t) => {
  t.timeout(120_000);
  const forEver = { headWithinMs: 200_000, requestWithinMs: 200_000, keepAliveMs: 200_000 };
  const port = await listening(t, { ...quick, ...forEver });
  t.deepEqual(kindsOf((await socketRound(port, sockets, 3_000)).findings), ["held"]);
});
