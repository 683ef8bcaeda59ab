// The same inputs by NATS and by HTTP, in JSON and as tritonclient's bytes, in one cluster: one answer. The tests are one story in order;
// the first are in the cold phase, where the source model answers and nothing that was answered before matters.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { chooseAddress } from "../../operations/http/http-address.js";
import { makeTokens } from "../../operations/http/http-tokens.js";
import { systemClock } from "../../supervision/clock.js";
import type { ClientOutcome } from "../../transport/client.js";
import type { InferenceReply } from "../../transport/messages/wire.js";
import { type TritonAnswer, type TritonWish, tritonAnswer, tritonRequest } from "../operations/http/triton-bytes.js";
import { type Picture, someDigits, tensorOf } from "./pictures.js";
import { experiencesIn, nodeOf, type Running, startRunning } from "./running.js";

const tokens = makeTokens();
const readyWithinMs = 30_000;
let running: Running;
let url: string;
let pictures: readonly Picture[];

test.before(async () => {
  const address = await chooseAddress({ host: "127.0.0.1", port: 0 });
  [running, pictures] = await Promise.all([startRunning({ http: { address, tokens } }), someDigits(12, 5)]);
  url = running.context.httpUrl;
  await served();
});

test.after.always(() => running?.stop());

/** Asks again until the model can be asked: nobody is told when. */
async function served(): Promise<void> {
  const untilMs = systemClock.monotonicMs() + readyWithinMs;
  for (let last = "nothing"; ; await systemClock.delay(50)) {
    const answer = await fetch(`${url}/v2/models/digits/ready`).catch((error: Error) => error);
    if (!(answer instanceof Error) && answer.status === 200) return;
    last = answer instanceof Error ? answer.message : `${answer.status}`;
    if (systemClock.monotonicMs() > untilMs) throw new Error(`the model is not ready over HTTP: ${last}`);
  }
}

async function post(body: string | Uint8Array, headers: Record<string, string>) {
  const answer = await fetch(`${url}/v2/models/digits/infer`, {
    method: "POST",
    headers,
    body: typeof body === "string" ? body : new Uint8Array(body),
  });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return { status: answer.status, bytes, length: answer.headers.get("inference-header-content-length") ?? undefined };
}

async function byJson(batch: readonly Picture[], id: string): Promise<TritonAnswer> {
  const data = batch.map(({ ink }) => Array.from(ink));
  const inputs = [{ name: "input", datatype: "FP32", shape: [batch.length, 28, 28], data }];
  const { status, bytes, length } = await post(JSON.stringify({ id, inputs }), { "content-type": "application/json" });
  if (status !== 200) throw new Error(`${status} ${Buffer.from(bytes)}`);
  return tritonAnswer(bytes, length);
}

async function byBytes(batch: readonly Picture[], wish: TritonWish): Promise<TritonAnswer> {
  const raw = Buffer.concat(batch.map(({ ink }) => new Uint8Array(ink.buffer, ink.byteOffset, ink.byteLength)));
  const shape = [batch.length, 1, 28, 28];
  const request = tritonRequest({ name: "input", shape, datatype: "FP32", raw }, wish);
  const { status, bytes, length } = await post(request.body, request.headers);
  if (status !== 200) throw new Error(`${status} ${Buffer.from(bytes)}`);
  return tritonAnswer(bytes, length);
}

async function byNats({ ink }: Picture, id: string): Promise<InferenceReply> {
  const outcome: ClientOutcome<InferenceReply> = await running.client.infer("digits", tensorOf(ink), { id });
  if (outcome.kind !== "reply") throw new Error(JSON.stringify(outcome));
  return outcome.reply;
}

/** What both have of a row, confidence as a float32. */
function rowOf(answer: TritonAnswer, index: number) {
  const { mode = "", model_version = "", experience = "", trace_id = "" } = answer.parameters;
  const at = (words: string): string | undefined => words.split(",")[index];
  return {
    label: answer.values("label")[index],
    index: answer.values("index")[index],
    confidence: answer.values("confidence")[index],
    ...{ mode: at(mode), version: at(model_version), experience: at(experience), traceId: at(trace_id) },
  };
}

function asRow({ answer, confidence, mode, modelVersion, experience, traceId }: InferenceReply) {
  const place = experience === null ? "" : `${experience.seq}.${experience.index}`;
  return {
    ...{ label: answer.label, index: answer.index, confidence: Math.fround(confidence), mode },
    ...{ version: `${modelVersion}`, experience: place, traceId },
  };
}

test.serial("each row of a batch is answered as the same picture over NATS, in JSON and as bytes (S2-2)", async (t) => {
  const json = await byJson(pictures, "json");
  const bytes = await byBytes(pictures, { id: "bytes" });
  for (const [index, picture] of pictures.entries()) {
    const nats = asRow(await byNats(picture, `nats.${index}`));
    for (const answer of [json, bytes]) {
      const { label, index: number, confidence, mode } = rowOf(answer, index);
      t.deepEqual([label, number, mode], [nats.label, nats.index, nats.mode]);
      t.true(Math.abs(Number(confidence) - nats.confidence) < 1e-6, `${confidence} for ${nats.confidence}`);
    }
  }
  t.is(json.parameters.mode, pictures.map(() => "cold").join(","));
});

test.serial(
  "one id is one request whichever way it comes: the same answer, the same place in the log (S2-2)",
  async (t) => {
    const batch = pictures.slice(0, 3);
    const first = await Promise.all(batch.map((picture, index) => byNats(picture, `same/${index}`)));
    const before = (await experiencesIn(running)).length;
    const placeOf = ({ label, index, confidence, mode, experience }: ReturnType<typeof rowOf>) => ({
      ...{ label, index, confidence, mode, experience },
    });
    for (const answer of [await byJson(batch, "same"), await byBytes(batch, { id: "same" })])
      for (const [index, reply] of first.entries()) t.deepEqual(placeOf(rowOf(answer, index)), placeOf(asRow(reply)));
    t.is((await experiencesIn(running)).length, before, "nothing was remembered twice");
  },
);

test.serial("what the cluster refuses it refuses in the same words (S2-2)", async (t) => {
  const data = new Float32Array(784).fill(2);
  const nats = await running.client.infer("digits", tensorOf(data), { id: "bad" });
  if (nats.kind !== "refusal") return t.fail(nats.kind);
  const inputs = [{ name: "input", datatype: "FP32", shape: [1, 28, 28], data: Array.from(data) }];
  const { status, bytes } = await post(JSON.stringify({ id: "bad", inputs }), {
    "content-type": "application/json",
  });
  const said: { error: string; code: string } = JSON.parse(Buffer.from(bytes).toString());
  t.is(status, 400);
  t.is(said.code, nats.refusal.code);
  t.true(said.error.includes(nats.refusal.message), `${said.error} for ${nats.refusal.message}`);
});

test.serial(
  "what tritonclient asks, in its order: live, ready, metadata, inference, each as it asks (S2-2)",
  async (t) => {
    for (const path of ["/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready"])
      t.is((await fetch(`${url}${path}`)).status, 200, path);
    const metadata = (await (await fetch(`${url}/v2/models/digits`)).json()) as {
      versions: string[];
      inputs: object[];
    };
    t.deepEqual(metadata.inputs, [{ name: "input", datatype: "FP32", shape: [-1, 1, 28, 28] }]);
    const wish = {
      outputs: [
        { name: "label", binary: false },
        { name: "confidence", binary: true },
      ],
    };
    const answer = await byBytes(pictures.slice(0, 1), wish);
    t.deepEqual([answer.model_version], metadata.versions);
    t.is(answer.values("label")[0], `${pictures[0]?.source.answer}`);
  },
);

test.serial("what comes by HTTP goes on as the user `client`, over a connection of its own (S2-65)", async (t) => {
  const connections = await connectionsOf(running.store);
  const users = connections.filter(({ name }) => name === "driftmend-http").map((each) => each.authorized_user);
  t.deepEqual(users, ["client"]);
  const { pid } = await nodeOf(running, "operations-1");
  const environment = await readFile(`/proc/${pid}/environ`, "utf8");
  const { operator } = running.context.users;
  const secret = "nkey" in operator ? operator.nkey : operator.password;
  t.true(secret.length > 20);
  t.false(environment.includes(secret), "the node knows no operator's secret");
});

interface Connection {
  readonly name?: string;
  readonly authorized_user?: string;
}

/** As the broker itself lists them; where it listens for that is in its file of ports. */
async function connectionsOf(store: string): Promise<readonly Connection[]> {
  const file = (await readdir(store, { recursive: true })).find((name) => name.endsWith(".ports"));
  if (file === undefined) throw new Error("the broker wrote no ports");
  const { monitoring } = JSON.parse(await readFile(join(store, file), "utf8")) as { monitoring: readonly string[] };
  const answer = await fetch(`${monitoring[0]}/connz?auth=1`);
  return ((await answer.json()) as { connections: readonly Connection[] }).connections;
}
