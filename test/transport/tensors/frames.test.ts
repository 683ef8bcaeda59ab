// What is on the wire for a tensor of a client, captured as the keeper of a real nats-server sees it.

import test from "ava";
import { systemClock } from "../../../supervision/clock.js";
import { DriftmendClient } from "../../../transport/client.js";
import { decodeMessage } from "../../../transport/messages/codec.js";
import { encodeInferenceReply, type InferenceReply, parseInferenceRequest } from "../../../transport/messages/wire.js";
import { chunkIdOf, header } from "../../../transport/subjects.js";
import { inlineBytesMax } from "../../../transport/tensors/bounds.js";
import { startCluster } from "../fixture.js";
import { never, openExchange, patterned } from "./exchange.js";

interface Frame {
  readonly subject: string;
  readonly data: Buffer;
  readonly offset: number | undefined;
}

const reply: Omit<InferenceReply, "id"> = {
  answer: { index: 3, label: "3" },
  ...{ confidence: 0.5, mode: "cold", modelVersion: 0, traceId: "t", node: "serving-1" },
  experience: { seq: 1, index: 0 },
};

/** Of msgpack: a map of up to 15 pairs; bytes with a length of 32 bits. */
const isSmallMap = (frame: Buffer): boolean => ((frame[0] ?? 0) & 0xf0) === 0x80;
const binHead = (length: number): Buffer => Buffer.from([0xc6, ...[24, 16, 8, 0].map((by) => (length >>> by) & 0xff)]);

test("(S2-17) a float32 tensor of 1 MB goes to the model and its answer comes back as msgpack and raw bytes: inline at 512 KiB, by reference and in raw chunks above", async (t) => {
  const cluster = await startCluster();
  t.teardown(() => cluster.end());
  const { subjects, broker, credentials } = cluster;
  const frames: Frame[] = [];
  const keeper = await cluster.keeper();
  keeper.subscribe(">", {}, ({ subject, data, headers }) => {
    const offset = headers.get(header.offset);
    frames.push({ subject, data: Buffer.from(data), offset: offset === undefined ? undefined : Number(offset) });
  });
  await keeper.flush();
  const { receiver, buses } = await openExchange(t, cluster);
  const arrived: Uint8Array[] = [];
  buses.node.subscribe(subjects.infer("digits"), {}, async (message) => {
    const parsed = parseInferenceRequest(message.data);
    if (parsed.kind !== "ok") return t.fail(JSON.stringify(parsed));
    const { id = "", input } = parsed.value;
    if ("ref" in input) {
      const fetched = await receiver.fetch(input.ref, { bytes: input.ref.bytes, offset: 0 }, never());
      if (fetched.kind === "fetched") arrived.push(fetched.held.bytes);
    } else arrived.push(new Uint8Array(input.data.buffer, input.data.byteOffset, input.data.byteLength));
    message.respond(encodeInferenceReply({ ...reply, id }));
  });
  await buses.node.flush();
  const at = { cluster: "driftmend", url: broker.url, ...credentials.client, clock: systemClock, shm: "off" };
  const client = await DriftmendClient.connect(at);
  t.teardown(() => client.close());
  const sent = [inlineBytesMax, 1_000_000].map((bytes) => patterned(bytes, bytes));
  for (const bytes of sent) {
    const data = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    t.like(await client.infer("digits", { dt: "<f4", sh: [data.length], data }), { kind: "reply", tries: 1 });
  }
  await keeper.flush();
  const [small, large] = sent.map((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  if (small === undefined || large === undefined) return t.fail();
  t.deepEqual(arrived.map(Buffer.from), [small, large]);

  const [inline, byRef, ...again] = frames.filter(({ subject }) => subject === subjects.infer("digits"));
  if (inline === undefined || byRef === undefined) return t.fail("two requests");
  t.deepEqual(again, []);
  const rawAt = inline.data.indexOf(small);
  t.true(rawAt > 0, "the tensor's bytes stand in the message as they are, in one piece");
  t.deepEqual(inline.data.subarray(rawAt - 5, rawAt), binHead(small.length));
  t.true(inline.data.length < small.length + 400, `${inline.data.length}`);
  t.true(byRef.data.length < 400, `${byRef.data.length}`);

  const chunks = frames.filter(({ offset }) => offset !== undefined);
  t.true(chunks.length > 0 && chunks.every(({ subject }) => chunkIdOf(subject) !== ""));
  chunks.sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0));
  t.true(Buffer.concat(chunks.map(({ data }) => data)).equals(large), "chunks are the tensor's bytes and nothing else");

  const messages = frames.filter(({ offset, data }) => offset === undefined && data.length > 0);
  t.true(messages.length >= 4, "two requests, two answers");
  for (const { subject, data } of messages) {
    t.true(isSmallMap(data), subject);
    t.is(decodeMessage(data).kind, "message", subject);
    t.throws(() => JSON.parse(data.toString()), undefined, subject);
  }
  const spelled = [small, large].map((bytes) => bytes.subarray(0, 30).toString("base64"));
  for (const { subject, data } of frames) for (const word of spelled) t.false(data.includes(word), subject);
});
