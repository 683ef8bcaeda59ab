// Large tensors between two connections over a real nats-server, with the rights of a client and of a node.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import test from "ava";
import { systemClock } from "../../../supervision/clock.js";
import { DriftmendClient } from "../../../transport/client.js";
import { dtypes, encodeMessage, itemBytes, readTensorOrRef } from "../../../transport/messages/codec.js";
import { encodeRefusal, type InferenceRequest, parseInferenceRequest } from "../../../transport/messages/wire.js";
import { chunkBytesMax, inlineBytesMax, tensorBytesMax } from "../../../transport/tensors/bounds.js";
import type { Fetched } from "../../../transport/tensors/receiver.js";
import { type Cluster, startCluster } from "../fixture.js";
import { type Exchange, never, openExchange, patterned, soon } from "./exchange.js";
import type { Told } from "./receiving-process.js";

const mib = 1024 * 1024;
let cluster: Cluster;

test.before(async () => {
  cluster = await startCluster();
});
test.after.always(() => cluster?.end());

function fetch({ receiver }: Exchange, ref: Parameters<Exchange["receiver"]["fetch"]>[0]): Promise<Fetched> {
  return receiver.fetch(ref, { bytes: ref.bytes, offset: 0 }, never());
}

function isEqual(fetched: Fetched, bytes: Uint8Array): boolean {
  return fetched.kind === "fetched" && Buffer.compare(fetched.held.bytes, bytes) === 0;
}

test.serial(
  "(S2-22) 128 MB have equal bytes at the other end although the server takes 8 MiB in a message",
  async (t) => {
    const exchange = await openExchange(t, cluster);
    const bytes = patterned(128_000_000);
    t.true(bytes.byteLength > 10 * exchange.buses.client.payloadMaxBytes);
    const offer = await exchange.sender.offer(bytes, soon);
    const fetched = await fetch(exchange, offer.ref);
    t.true(isEqual(fetched, bytes), JSON.stringify(fetched.kind === "refused" ? fetched : fetched.by));
    t.is(exchange.counted.get("tensor_bytes_by_chunks"), 128_000_000);
    offer.release();
    t.is(exchange.sender.open, 0);
  },
);

test.serial(
  "(S2-23) eight at once arrive whole while memory for three is there; what is held never passes the bound",
  async (t) => {
    const size = 4 * mib;
    const exchange = await openExchange(t, cluster, { bounds: { heldMax: 3 * size } });
    let most = 0;
    const all = Array.from({ length: 8 }, async (_, i) => {
      const bytes = patterned(size, i);
      const offer = await exchange.sender.offer(bytes, soon);
      const fetched = await fetch(exchange, offer.ref);
      most = Math.max(most, exchange.receiver.figures.heldBytes);
      const equal = isEqual(fetched, bytes);
      if (fetched.kind === "fetched") fetched.held.release();
      offer.release();
      return equal;
    });
    t.deepEqual(await Promise.all(all), Array(8).fill(true));
    t.true(most <= 3 * size, `${most}`);
    t.true(exchange.receiver.figures.made <= 3, "buffers were used again");
  },
);

test.serial("every type of element arrives as it was sent, through the message that names it", async (t) => {
  const exchange = await openExchange(t, cluster);
  for (const dt of dtypes) {
    const bytes = patterned(itemBytes(dt) * 100_001, itemBytes(dt));
    const offer = await exchange.sender.offer(bytes, soon);
    const { bytes: n, ...ref } = offer.ref;
    const map = { v: 1, dt, sh: [100_001], ref: { ...ref, n } };
    const read = readTensorOrRef(map, "input");
    t.is(read.kind, "remote", dt);
    if (read.kind === "remote") t.true(isEqual(await fetch(exchange, read.remote.ref), bytes), dt);
    t.true(encodeMessage(map).byteLength < 400);
    offer.release();
  }
});

test.serial("a steady row of transfers makes one buffer", async (t) => {
  const exchange = await openExchange(t, cluster);
  const bytes = patterned(2 * mib + 5);
  for (let i = 0; i < 25; i++) {
    const offer = await exchange.sender.offer(bytes, soon);
    const fetched = await fetch(exchange, offer.ref);
    t.true(isEqual(fetched, bytes));
    if (fetched.kind === "fetched") fetched.held.release();
    offer.release();
  }
  t.like(exchange.receiver.figures, { made: 1, heldBytes: 0, fetching: 0, pulling: 0 });
});

test.serial(
  "(S2-27) a receiving process that is killed in the middle costs time: the next one gets equal bytes from the same offer",
  async (t) => {
    const exchange = await openExchange(t, cluster);
    const bytes = patterned(24 * chunkBytesMax);
    const offer = await exchange.sender.offer(bytes, soon);
    const program = fileURLToPath(new URL("./receiving-process.js", import.meta.url));
    const child = fork(program, [cluster.broker.url, JSON.stringify(offer.ref)], {
      env: { ...process.env, TEST_CREDENTIAL: JSON.stringify(cluster.credentials.node) },
    });
    const [told]: Told[] = await once(child, "message");
    child.kill("SIGKILL");
    await once(child, "exit");
    t.true(
      (told?.received ?? 0) >= 5 * chunkBytesMax && (told?.received ?? 0) < bytes.byteLength,
      JSON.stringify(told),
    );
    t.true(isEqual(await fetch(exchange, offer.ref), bytes));
    offer.release();
    const early = await fetch(exchange, offer.ref);
    t.like(
      early,
      { kind: "refused", code: "bad_tensor", field: "ref.id" },
      "negative control: let go of early, it is lost",
    );
  },
);

test.serial(
  "(S2-22) the client's call is one: up to 512 KiB in the message, more by reference, and more than 256 MiB refused before anything is sent",
  async (t) => {
    const { subjects, broker, credentials } = cluster;
    const nodeBus = await cluster.bus("node");
    const heard: { readonly bytes: number; readonly input: InferenceRequest["input"] }[] = [];
    nodeBus.subscribe(subjects.infer("digits"), { queue: subjects.servingGroup }, (message) => {
      const parsed = parseInferenceRequest(message.data);
      if (parsed.kind === "ok") heard.push({ bytes: message.data.byteLength, input: parsed.value.input });
      const { bytes, headers } = encodeRefusal({ code: "internal", message: "enough" });
      message.respond(bytes, headers);
    });
    await nodeBus.flush();
    const at = { cluster: "driftmend", url: broker.url, ...credentials.client, clock: systemClock, shm: "off" };
    const client = await DriftmendClient.connect(at);
    t.teardown(() => client.close());
    const ask = (size: number) => client.infer("digits", { dt: "|u1", sh: [size], data: new Uint8Array(size) });
    for (const size of [inlineBytesMax, inlineBytesMax + 1])
      t.like(await ask(size), { kind: "refusal", refusal: { code: "internal" } });
    t.like(await ask(tensorBytesMax + 1), {
      kind: "refusal",
      refusal: { code: "too_large", field: "input" },
      tries: 0,
    });
    const [small, large, ...none] = heard;
    t.deepEqual(none, []);
    t.true(small !== undefined && "data" in small.input && small.bytes > inlineBytesMax);
    if (large === undefined || !("ref" in large.input)) return t.fail("not by reference");
    t.true(large.bytes < 1_000);
    const exchange = await openExchange(t, cluster);
    t.like(await fetch(exchange, large.input.ref), { kind: "refused", field: "ref.id" }, "let go of with the outcome");
  },
);
