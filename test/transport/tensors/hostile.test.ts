// Senders that mean harm, or are only broken: what they can take of a node, and for how long. Time passes when it is told to.

import test from "ava";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import type { TensorRef } from "../../../transport/messages/tensor-ref.js";
import { header } from "../../../transport/subjects.js";
import { chunkBytesMax, heldBytesMax, pullsMax, waitingMax } from "../../../transport/tensors/bounds.js";
import { TensorBuffers } from "../../../transport/tensors/buffers.js";
import { parseSenderOrder } from "../../../transport/tensors/chunk-messages.js";
import { type Fetched, TensorReceiver } from "../../../transport/tensors/receiver.js";
import { timeoutDefaults } from "../../../transport/timeouts.js";
import { never, patterned, soon } from "./exchange.js";
import { isChunk, isWhole, offsetOf, scene, settled, subjects } from "./scene.js";
import { sharedMemory } from "./shared-memory.js";

const mib = 1024 * 1024;
const { chunks: giveUpMs } = timeoutDefaults;

/** A reference that nobody stands behind. */
const lie = (n: number, bytes: number): TensorRef => ({
  id: n.toString(16).padStart(32, "0"),
  bytes,
  crc: 1,
  ask: "_INBOX.client.nobody",
});

test("(S2-23, S0-41) a thousand references at once that nobody stands behind: bounded memory, each refused by name, nothing left", async (t) => {
  const { link, clock, receiver, fetch } = scene();
  const all = Array.from({ length: 1_000 }, (_, n) => fetch(lie(n, 16 * mib)));
  await clock.advance(1);
  const { heldBytes, waiting, pulling, fetching } = receiver.figures;
  t.deepEqual([heldBytes, waiting, pulling], [heldBytesMax, waitingMax, pullsMax]);
  t.is(fetching, heldBytesMax / (16 * mib) + waitingMax);
  const fetched = await settled(Promise.all(all), clock, 500);
  const codes = fetched.map((each) => (each.kind === "refused" ? each.code : each.kind));
  t.is(codes.filter((code) => code === "overloaded").length, 1_000 - fetching);
  t.is(codes.filter((code) => code === "bad_tensor").length, fetching, "its sender sent nothing");
  // Each holds a turn for `chunks`, a few at once.
  t.true(clock.monotonicMs() <= (fetching / pullsMax + 1) * giveUpMs + 1_000, `${clock.monotonicMs()} ms`);
  t.like(receiver.figures, { heldBytes: 0, fetching: 0, pulling: 0, waiting: 0 });
  const before = link.published.length;
  await clock.advance(10_000);
  t.is(link.published.length, before, "and nothing is said any more");
});

test("(S2-27) a sender that sends drops holds no place while others wait for it, and may take its time while nobody does", async (t) => {
  const { link, clock, sender, fetch } = scene();
  const slow = Array.from({ length: pullsMax }, async () => (await sender.offer(patterned(64 * mib), soon)).ref);
  const refs = await Promise.all(slow);
  const nextAtMs = new Map(refs.map(({ id }) => [id, 0]));
  // One byte a second.
  link.weather = (message) => {
    const id = message.subject.split(".")[3] ?? "";
    const atMs = nextAtMs.get(id);
    if (!isChunk(message) || atMs === undefined) return [message];
    if (clock.monotonicMs() < atMs || offsetOf(message) >= chunkBytesMax) return [];
    nextAtMs.set(id, clock.monotonicMs() + 1_000);
    return [{ ...message, data: message.data.subarray(0, 1) }];
  };
  let refused = 0;
  const dripping = refs.map((ref) =>
    fetch(ref).then((outcome) => {
      if (outcome.kind === "refused") refused += 1;
      return outcome;
    }),
  );
  for (let ms = 0; ms < 3 * giveUpMs; ms += 100) await clock.advance(100);
  t.is(refused, 0, "negative control: nobody waits, so they may");
  const honest = await sender.offer(patterned(3 * mib), soon);
  const beganAtMs = clock.monotonicMs();
  isWhole(t, await settled(fetch(honest.ref), clock), patterned(3 * mib));
  t.true(clock.monotonicMs() - beganAtMs <= 2 * giveUpMs, `${clock.monotonicMs() - beganAtMs} ms`);
  const first = await Promise.race(dripping);
  t.regex(first.kind === "refused" ? first.message : "", /sent next to nothing for 4000 ms/);
  t.like(first, { code: "bad_tensor", field: "ref.ask" });
});

test("(S2-27) a receiver that closes lets go of what is on its way at once", async (t) => {
  const { clock, receiver, fetch, buffers } = scene();
  const fetching = fetch(lie(1, 16 * mib));
  await clock.advance(1);
  receiver.close();
  t.is((await fetching).kind, "refused");
  t.is(buffers.figures.heldBytes, 0);
});

test("memory that the system does not have is a refusal, and nothing counts as held afterwards", async (t) => {
  const buffers = new TensorBuffers(new VirtualClock(), { heldMax: 2 ** 52 });
  t.deepEqual(await buffers.take(2 ** 51, never()), { kind: "full" });
  t.like(buffers.figures, { heldBytes: 0, made: 0 });
  t.is((await buffers.take(1_000, never())).kind, "room");
});

test("(S2-22) where a receiver cannot open the segment, the checksum that the message went ahead of comes with the last chunk", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  const { link, clock, sender, fetch } = scene(segments);
  const bytes = patterned(3 * chunkBytesMax + 5);
  const offer = await sender.offer(bytes, soon);
  t.true(offer.ref.file !== undefined && offer.ref.crc === undefined);
  isWhole(t, await settled(fetch(offer.ref), clock), bytes);
  const named = link.published.filter(({ headers }) => headers[header.checksum32] !== undefined);
  t.deepEqual(named.map(offsetOf), [3 * chunkBytesMax], "once");
  link.weather = (message) => {
    const { [header.checksum32]: dropped, ...headers } = message.headers;
    return [dropped === undefined ? message : { ...message, headers }];
  };
  const unnamed = await settled(fetch(offer.ref), clock);
  t.like(
    unnamed,
    { kind: "refused", code: "bad_tensor", field: "ref.crc" },
    "negative control: without it nothing is taken",
  );
  link.weather = (message) => [
    isChunk(message) && offsetOf(message) === 0 ? { ...message, data: bytes.subarray(1, 1 + chunkBytesMax) } : message,
  ];
  t.like(await settled(fetch(offer.ref), clock), { kind: "refused", field: "ref.crc" }, "other bytes are found out");
  offer.release();
});

test("(S2-27) bytes that change after they were offered are refused, by whichever node asks for them later", async (t) => {
  const memory = sharedMemory(t);
  const { clock, sender, fetch, link, buffers } = scene(await memory.open());
  const bytes = patterned(3 * mib);
  const offer = await sender.offer(bytes, soon);
  isWhole(t, await settled(fetch(offer.ref), clock), bytes);
  bytes[1_000_000] = (bytes[1_000_000] ?? 0) ^ 1;
  const later = new TensorReceiver({ bus: link, subjects, node: "n2", clock, buffers });
  later.listen();
  const outcome: Fetched = await settled(later.fetch(offer.ref, { bytes: offer.ref.bytes, offset: 0 }, never()), clock);
  t.like(outcome, { kind: "refused", code: "bad_tensor", field: "ref.crc" });
});

test("what nobody asked a sender for is not sent, whatever is said to it: other ids, other places, nonsense", async (t) => {
  const { link, clock, sender } = scene();
  const { ref } = await sender.offer(patterned(mib), soon);
  for (const data of [new Uint8Array(), Uint8Array.of(0xc1), Uint8Array.of(0x80), patterned(1_000)])
    link.publish(ref.ask, data);
  await clock.advance(1);
  t.true(link.published.every(({ data }) => parseSenderOrder(data).kind === "refused"));
  t.is(link.published.filter(isChunk).length, 0);
});
