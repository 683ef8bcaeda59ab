// Large tensors in chunks over a link that loses, doubles, reorders and changes messages; time passes when it is told to.

import test from "ava";
import { header } from "../../../transport/subjects.js";
import { chunkBytesMax, windowBytes } from "../../../transport/tensors/bounds.js";
import { encodeSenderOrder, parseSenderOrder } from "../../../transport/tensors/chunk-messages.js";
import { Assembly } from "../../../transport/tensors/chunks.js";
import { type TensorCount, TensorReceiver } from "../../../transport/tensors/receiver.js";
import { checksumOf } from "../../../transport/tensors/slices.js";
import { timeoutDefaults } from "../../../transport/timeouts.js";
import { never, patterned, soon } from "./exchange.js";
import type { Message, Weather } from "./link.js";
import { isChunk, isWhole, offsetOf, scene, settled, subjects } from "./scene.js";

const { chunks: giveUpMs, chunkTry: tryMs } = timeoutDefaults;

/** The chunk at an offset, the first time that it comes, meets this; everything else arrives. */
function once(offset: number, fate: (message: Message) => readonly Message[]): Weather {
  let isOver = false;
  return (message) => {
    if (isOver || !isChunk(message) || offsetOf(message) !== offset) return [message];
    isOver = true;
    return fate(message);
  };
}

const large = patterned(20 * chunkBytesMax + 17);

test("(S2-22) a tensor arrives with equal bytes, and never more than a window of it is on its way", async (t) => {
  const { link, clock, sender, fetch } = scene();
  let [asked, received, most] = [0, 0, 0];
  link.weather = (message) => {
    if (isChunk(message)) received = offsetOf(message) + message.data.byteLength;
    const order = parseSenderOrder(message.data);
    if (!isChunk(message) && order.kind === "ok" && order.value.kind === "pull")
      asked = Math.max(asked, order.value.from + order.value.credit);
    most = Math.max(most, asked - received);
    return [message];
  };
  const offer = await sender.offer(large, soon);
  isWhole(t, await settled(fetch(offer.ref), clock), large);
  t.is(link.published.filter(isChunk).length, 21, "every chunk once");
  t.true(link.published.every(({ data }) => data.byteLength <= chunkBytesMax));
  // The orders that ask for more are on their way themselves.
  t.true(most <= windowBytes + 2 * chunkBytesMax, `${most}`);
});

const fates: Readonly<Record<string, readonly [Weather, Partial<Record<TensorCount, number>>]>> = {
  "a lost chunk": [once(3 * chunkBytesMax, () => []), {}],
  "a lost first chunk": [once(0, () => []), {}],
  "a lost last chunk": [once(20 * chunkBytesMax, () => []), { tensor_pulls_repeated: 1 }],
  "a chunk that comes twice": [once(3 * chunkBytesMax, (chunk) => [chunk, chunk]), { tensor_chunks_duplicate: 1 }],
};
for (const [what, [weather, counts]] of Object.entries(fates)) {
  test(`(S2-27) ${what} costs time and changes nothing`, async (t) => {
    const { link, clock, sender, fetch, counted } = scene();
    link.weather = weather;
    const offer = await sender.offer(large, soon);
    isWhole(t, await settled(fetch(offer.ref), clock), large);
    for (const [name, times] of Object.entries(counts)) t.is(counted.get(name as TensorCount), times, name);
  });
}

test("(S2-27) chunks in a wrong order are asked for again once, whatever came ahead", async (t) => {
  const { link, clock, sender, fetch, counted } = scene();
  let late: Message | undefined;
  link.weather = (message) => {
    if (isChunk(message) && late === undefined && offsetOf(message) === 2 * chunkBytesMax) {
      late = message;
      return [];
    }
    if (isChunk(message) && late !== undefined && offsetOf(message) === 4 * chunkBytesMax) return [message, late];
    return [message];
  };
  const offer = await sender.offer(large, soon);
  isWhole(t, await settled(fetch(offer.ref), clock), large);
  t.true((counted.get("tensor_chunks_ahead") ?? 0) >= 2);
  const again = link.published.filter(({ data }) => {
    const order = parseSenderOrder(data);
    return order.kind === "ok" && order.value.kind === "pull" && order.value.from === 2 * chunkBytesMax;
  });
  t.is(again.length, 1);
});

/** A message to the receiver that nobody sent. */
const forged = (of: Message, offset: string | undefined, data: Uint8Array): Message => ({
  ...of,
  data,
  headers: offset === undefined ? {} : { [header.offset]: offset },
});
const broken: Readonly<Record<string, readonly [(of: Message) => Message, string, RegExp]>> = {
  "bytes behind the end": [(of) => forged(of, `${large.byteLength}`, Uint8Array.of(1)), "ref.n", /behind the end/],
  "no offset": [(of) => forged(of, undefined, Uint8Array.of(1)), "ref.n", /names no offset/],
  "an offset that is no number": [(of) => forged(of, "-1e3", Uint8Array.of(1)), "ref.n", /names no offset/],
  "a chunk of more than 2 MiB": [
    (of) => forged(of, "0", new Uint8Array(chunkBytesMax + 1)),
    "ref",
    /2097152 bytes at most/,
  ],
  "bytes that were not asked for": [
    (of) => forged(of, `${15 * chunkBytesMax}`, Uint8Array.of(1)),
    "ref",
    /more than was asked/,
  ],
  "other bytes than announced": [
    (of) => ({ ...of, data: of.data.map((byte) => byte ^ 1) }),
    "ref.crc",
    /CRC-32 is another/,
  ],
};
for (const [what, [forge, field, says]] of Object.entries(broken)) {
  test(`(S2-27) ${what}: the tensor is refused by name and its sender is told`, async (t) => {
    const { link, clock, sender, fetch, receiver } = scene();
    link.weather = once(chunkBytesMax, (of) => [forge(of)]);
    const offer = await sender.offer(large, soon);
    const fetched = await settled(fetch(offer.ref), clock);
    t.like(fetched, { kind: "refused", code: "bad_tensor", field });
    t.regex(fetched.kind === "refused" ? fetched.message : "", says);
    const orders = link.published.map(({ data }) => parseSenderOrder(data));
    t.true(orders.some((order) => order.kind === "ok" && order.value.kind === "abandon"));
    t.like(receiver.figures, { heldBytes: 0, fetching: 0, pulling: 0 });
  });
}

test("(S2-27) chunks of a tensor that nobody fetches are dropped and counted", async (t) => {
  const { link, clock, counted } = scene();
  link.publish(subjects.chunk("n1", "f".repeat(32)), Uint8Array.of(1), { headers: { [header.offset]: "0" } });
  await clock.advance(1);
  t.is(counted.get("tensor_chunks_foreign"), 1);
});

test("(S2-27) a sender that dies in the middle is asked a few times more and given up after the timeout `chunks`", async (t) => {
  const { link, clock, sender, fetch, counted, receiver } = scene();
  link.weather = (message) => (isChunk(message) && offsetOf(message) >= 5 * chunkBytesMax ? [] : [message]);
  const offer = await sender.offer(large, soon);
  const fetched = await settled(fetch(offer.ref), clock, 10);
  t.like(fetched, { kind: "refused", code: "bad_tensor", field: "ref.ask" });
  t.regex(fetched.kind === "refused" ? fetched.message : "", /nothing for 4000 ms, with 10485760 of 41943057 bytes/);
  t.true(Math.abs(clock.monotonicMs() - giveUpMs) < 100, `${clock.monotonicMs()} ms`);
  t.is(counted.get("tensor_pulls_repeated"), Math.floor(Math.log2(giveUpMs / tryMs)), "after 500, 1500, 3500 ms");
  t.is(receiver.figures.heldBytes, 0);
});

test("(S2-27) a receiver that died is followed by another: the same offer is handed out again, until it is released", async (t) => {
  const { link, clock, sender, fetch } = scene();
  const offer = await sender.offer(large, soon);
  const dead = new AbortController();
  link.weather = (message) => {
    if (isChunk(message) && offsetOf(message) === 4 * chunkBytesMax) dead.abort();
    return [message];
  };
  t.like(await settled(fetch(offer.ref, dead.signal), clock), { kind: "refused", code: "deadline" });
  isWhole(t, await settled(fetch(offer.ref), clock), large);
  offer.release();
  const gone = await settled(fetch(offer.ref), clock);
  t.like(gone, { kind: "refused", code: "bad_tensor", field: "ref.id" }, "negative control: let go early, it is lost");
  t.true(clock.monotonicMs() < giveUpMs, "and nobody waits for it");
});

test("a sender that lets go in the middle says so", async (t) => {
  const { link, clock, sender, fetch } = scene();
  const offer = await sender.offer(large, soon);
  link.weather = once(3 * chunkBytesMax, (chunk) => {
    offer.release();
    return [chunk];
  });
  t.like(await settled(fetch(offer.ref), clock, 1), { kind: "refused", field: "ref.id" });
  t.true(clock.monotonicMs() < tryMs);
});

test("(S2-27) a number or a checksum that lies is found out before a byte is handed on", async (t) => {
  const { clock, sender, fetch } = scene();
  const bytes = patterned(700_000);
  const { ref } = await sender.offer(bytes, soon);
  t.like(await settled(fetch({ ...ref, crc: (ref.crc ?? 0) ^ 1 }), clock), { kind: "refused", field: "ref.crc" });
  const long = await settled(fetch({ ...ref, bytes: ref.bytes + 1 }), clock);
  t.like(long, { kind: "refused", field: "ref.ask" }, "the sender has no more");
  const short = await settled(fetch({ ...ref, bytes: ref.bytes - 1 }), clock);
  t.is(short.kind, "refused");
});

test("a tensor of no bytes is there at once", async (t) => {
  const { clock, sender, fetch } = scene();
  const offer = await sender.offer(new Uint8Array(), soon);
  isWhole(t, await settled(fetch(offer.ref), clock), new Uint8Array());
});

test("(S2-22) where the server takes less in a message, chunks are smaller", async (t) => {
  const { link, clock, sender, fetch } = scene();
  link.payloadMaxBytes = 1024 * 1024;
  const offer = await sender.offer(large, soon);
  isWhole(t, await settled(fetch(offer.ref), clock), large);
  t.true(link.published.every(({ data }) => data.byteLength <= 1023 * 1024));
});

test("while the connection is down nothing is lost: what is missing is asked for when it is back", async (t) => {
  const { link, clock, sender, fetch } = scene();
  const offer = await sender.offer(large, soon);
  link.weather = once(6 * chunkBytesMax, () => {
    link.connected = false;
    return [];
  });
  const fetched = fetch(offer.ref);
  await clock.advance(1_200);
  link.connected = true;
  isWhole(t, await settled(fetched, clock), large);
});

test("a sender sends to chunk subjects of its cluster, of the tensor that is asked for, and nowhere else", async (t) => {
  const { link, clock, sender } = scene();
  const { ref } = await sender.offer(patterned(100), soon);
  const pull = { kind: "pull", id: ref.id, from: 0, credit: 100 } as const;
  for (const to of [
    "test.wal.experience.m",
    `other.chunk.n1.${ref.id}`,
    "test.chunk.n1.else",
    "$JS.API.INFO",
    `test.chunk.>.${ref.id}`,
  ])
    link.publish(ref.ask, encodeSenderOrder({ ...pull, to }));
  link.publish(ref.ask, Uint8Array.of(0xc1));
  await clock.advance(1);
  t.is(link.published.filter(isChunk).length, 0);
  link.publish(ref.ask, encodeSenderOrder({ ...pull, to: subjects.chunk("n9", ref.id), credit: 1e15 }));
  await clock.advance(1);
  t.is(link.published.filter(isChunk).length, 1);
});

test("a receiver that asks for everything at once gets a window of it", async (t) => {
  const { link, clock, sender } = scene();
  const { ref } = await sender.offer(large, soon);
  const to = subjects.chunk("n1", ref.id);
  link.publish(ref.ask, encodeSenderOrder({ kind: "pull", id: ref.id, to, from: 0, credit: 1e15 }));
  for (let i = 0; i < 4; i++) await clock.advance(1);
  t.is(link.published.filter(isChunk).length, windowBytes / chunkBytesMax);
});

test("a chunk that was cut elsewhere than before gives its new part", async (t) => {
  const bytes = patterned(1000);
  const into = new Uint8Array(1000);
  const assembly = new Assembly(into, await checksumOf(bytes));
  t.deepEqual(assembly.again(), { from: 0, credit: 1000 });
  t.is(assembly.take(0, bytes.subarray(0, 600)).kind, "taken");
  t.is(assembly.take(100, bytes.subarray(100, 300)).kind, "duplicate");
  t.is(assembly.take(400, bytes.subarray(400)).kind, "complete");
  t.deepEqual(into, bytes);
});

test("while a tensor waits for its turn, and while it is in use, its sender hears that it is wanted; silence is noticed", async (t) => {
  const { link, clock, sender, buffers } = scene();
  const blocking = await buffers.take(512 * 1024 * 1024, never());
  const { receiver } = { receiver: new TensorReceiver({ bus: link, subjects, node: "n2", clock, buffers }) };
  receiver.listen();
  const offer = await sender.offer(patterned(100), soon);
  offer.handOver();
  const unanswered = new Promise<never>(() => undefined);
  let isSilent = false;
  const listening = offer.unlessSilent(unanswered, 1_000).then(() => {
    isSilent = true;
  });
  const fetched = receiver.fetch(offer.ref, { bytes: 100, offset: 0 }, never());
  await clock.advance(10_000);
  t.false(isSilent, "ten seconds, and it is still wanted");
  if (blocking.kind === "room") blocking.held.release();
  const outcome = await settled(fetched, clock);
  await clock.advance(10_000);
  t.false(isSilent, "and while it is in use");
  if (outcome.kind === "fetched") outcome.held.release();
  await settled(listening, clock);
  t.true(isSilent, "nobody says anything after that");
});
