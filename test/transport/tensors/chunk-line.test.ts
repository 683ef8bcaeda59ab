// Lines of chunks against a real nats-server: signing in by password and by key, TLS, rights, a server that is killed or vanishes.

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import test from "ava";
import { systemClock } from "../../../supervision/clock.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { pingEveryMs } from "../../../transport/bus/server-list.js";
import { type ChunkLine, openChunkLine } from "../../../transport/tensors/chunk-line.js";
import type { ChunkSink } from "../../../transport/tensors/chunk-source.js";
import { withTimeouts } from "../../../transport/timeouts.js";
import { makeCertificates } from "../certificates.js";
import { type Cluster, patient, startCluster } from "../fixture.js";
import { patterned } from "./exchange.js";

let cluster: Cluster;
test.before(async () => {
  cluster = await startCluster();
});
test.after.always(() => cluster?.end());

const at = (offset: number) => ({ offset, crc: undefined });

/** Collects chunks; `came(n)` resolves once so many bytes are there. */
function collecting() {
  const chunks: { readonly subject: string; readonly offset: number; bytes: Uint8Array }[] = [];
  let [count, wanted] = [0, Number.POSITIVE_INFINITY];
  let tell: () => void = () => undefined;
  const sink: ChunkSink = {
    begins: (subject, { offset }) => void chunks.push({ subject, offset, bytes: new Uint8Array() }),
    piece: (bytes) => {
      const last = chunks.at(-1);
      if (last !== undefined) last.bytes = Buffer.concat([last.bytes, bytes]);
      count += bytes.byteLength;
      if (count >= wanted) tell();
    },
  };
  const came = (bytes: number): Promise<void> =>
    new Promise((resolve) => {
      wanted = bytes;
      tell = resolve;
      if (count >= wanted) resolve();
    });
  return { sink, chunks, came };
}

type At = Pick<Cluster, "broker" | "credentials">;
function line(t: { teardown(end: () => void): void }, to: At, role: "node" | "client", more: object = {}): ChunkLine {
  const { url } = to.broker;
  const opened = openChunkLine({
    url,
    ...to.credentials[role],
    name: role,
    clock: systemClock,
    timeouts: patient,
    ...more,
  });
  t.teardown(() => opened.close());
  return opened;
}

/** Sends again and again until the receiver has it: a subscription may be on its way, a connection on its way back. */
async function until(done: Promise<void>, send: () => void): Promise<void> {
  let isOver = false;
  const over = done.then(() => {
    isOver = true;
  });
  while (!isOver) {
    send();
    await Promise.race([over, systemClock.delay(20)]);
  }
}

test.serial(
  "a client's chunks reach a node byte by byte, by password on one side and by key on the other",
  async (t) => {
    const { sink, chunks, came } = collecting();
    const [receiver, sender] = [line(t, cluster, "node"), line(t, cluster, "client")];
    await Promise.all([receiver.tried, sender.tried]);
    t.is(sender.payloadMaxBytes, 8 * 1024 * 1024);
    const subject = cluster.subjects.chunk("n1", "a".repeat(32));
    const pattern = cluster.subjects.all.chunksOf("n1");
    const first = collecting();
    const stop = receiver.listen(pattern, first.sink);
    await until(first.came(1), () => sender.send(subject, Uint8Array.of(1), at(0)));
    stop();
    t.throws(() => [receiver.listen(pattern, sink), receiver.listen(pattern, sink)], { message: /one pattern/ });
    const shared = new Uint8Array(new SharedArrayBuffer(1_000_003));
    shared.set(patterned(shared.byteLength, 2));
    await sender.room();
    for (const bytes of [patterned(1_000_000), shared]) t.true(sender.send(subject, bytes, at(77)));
    t.true(sender.send(subject, new Uint8Array(), at(0)));
    t.true(sender.send(subject, Uint8Array.of(9), at(78)));
    await came(2_000_004);
    const [one, two, gone] = chunks.filter(({ bytes }) => bytes.byteLength !== 1);
    t.deepEqual([one?.subject, one?.offset, gone?.offset], [subject, 77, 0]);
    t.is(Buffer.compare(one?.bytes ?? Buffer.alloc(0), patterned(1_000_000)), 0);
    t.is(Buffer.compare(two?.bytes ?? Buffer.alloc(0), shared), 0, "out of memory that is shared too");
  },
);

test.serial(
  "(S2-27) after the death of its server a line is back by itself, and listens to what it listened to",
  async (t) => {
    const { sink, came } = collecting();
    const [receiver, sender] = [line(t, cluster, "node"), line(t, cluster, "client")];
    receiver.listen(cluster.subjects.all.chunksOf("n2"), sink);
    await Promise.all([receiver.tried, sender.tried]);
    await cluster.killAndRestart();
    await until(came(1), () => sender.send(cluster.subjects.chunk("n2", "b".repeat(32)), Uint8Array.of(1), at(0)));
    t.pass();
  },
);

test.serial("a right that it does not have ends no line: what may be sent is sent", async (t) => {
  const { sink, chunks, came } = collecting();
  let onRefused: (message: string) => void = () => undefined;
  const refused = new Promise<string>((resolve) => {
    onRefused = resolve;
  });
  const [receiver, sender] = [line(t, cluster, "node"), line(t, cluster, "client", { onRefused })];
  receiver.listen(cluster.subjects.all.chunksOf("n3"), sink);
  await Promise.all([receiver.tried, sender.tried]);
  sender.send("driftmend.wal.experience.m", Uint8Array.of(1), at(0));
  await until(came(1), () => sender.send(cluster.subjects.chunk("n3", "c".repeat(32)), Uint8Array.of(1), at(0)));
  t.regex(await refused, /Permissions Violation for Publish to "driftmend\.wal\.experience\.m"/);
  t.true(chunks.every(({ subject }) => subject === cluster.subjects.chunk("n3", "c".repeat(32))));
});

test.serial("with a wrong secret there is no line, and nothing is sent", async (t) => {
  const refused = openChunkLine({
    url: cluster.broker.url,
    user: "client",
    password: "wrong",
    name: "x",
    clock: systemClock,
  });
  await refused.tried;
  t.is(refused.payloadMaxBytes, undefined);
  t.false(refused.send("driftmend.chunk.n.a", Uint8Array.of(1), at(0)));
  refused.close();
});

test.serial("(S2-65) over TLS the same bytes come; a server that is not trusted gets no password", async (t) => {
  const certificates = await makeCertificates();
  t.teardown(certificates.remove);
  const trust = { caFile: certificates.at("ca.pem") };
  const tls = { certFile: certificates.at("server.pem"), keyFile: certificates.at("server.key") };
  const secured = await startCluster({ tls, trust });
  t.teardown(secured.end);
  const { sink, chunks, came } = collecting();
  const [receiver, sender] = [line(t, secured, "node", { tls: trust }), line(t, secured, "client", { tls: trust })];
  receiver.listen(secured.subjects.all.chunksOf("n1"), sink);
  await Promise.all([receiver.tried, sender.tried]);
  const bytes = patterned(700_001);
  const subject = secured.subjects.chunk("n1", "d".repeat(32));
  await until(came(bytes.byteLength), () => sender.send(subject, bytes, at(5)));
  t.is(Buffer.compare(chunks[0]?.bytes ?? Buffer.alloc(0), bytes), 0);
  const strange = line(t, secured, "client", { tls: { caFile: certificates.at("other.pem") } });
  await strange.tried;
  t.is(strange.payloadMaxBytes, undefined);
  const halfWritten = line(t, secured, "client", { tls: { ...trust, certFile: import.meta.filename } });
  await halfWritten.tried;
  t.is(halfWritten.payloadMaxBytes, undefined, "files that are no certificates make no line, and end no process");
  const plain = line(t, cluster, "client", { tls: trust });
  await plain.tried;
  t.is(plain.payloadMaxBytes, undefined, "whoever wants TLS talks to no server without it");
});

test.serial(
  "a server that greets and then says nothing, or talks nonsense, is given up within the timeout `connect`",
  async (t) => {
    for (const greeting of [
      'INFO {"max_payload":1048576,"headers":true}\r\n',
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      "INFO {\r\n",
      "",
    ]) {
      const sockets: Socket[] = [];
      const server = createServer((socket) => {
        sockets.push(socket.on("error", () => undefined));
        socket.write(greeting);
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      const url = `nats://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
      const mute = openChunkLine({ url, name: "x", clock: systemClock, timeouts: withTimeouts({ connect: 100 }) });
      await mute.tried;
      t.is(mute.payloadMaxBytes, undefined, greeting);
      mute.close();
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    }
  },
);

for (const [what, answers] of [
  ["is left after three pings without a word, for the next one", false],
  ["is kept as long as it answers (negative control)", true],
] as const) {
  test.serial(`(S2-27) a server that vanished without a word ${what}`, async (t) => {
    const clock = new VirtualClock();
    let [dials, pinged] = [0, 0];
    const server = createServer((socket) => {
      dials += 1;
      let isTaken = false;
      t.teardown(() => socket.destroy());
      socket.on("error", () => undefined);
      socket.write('INFO {"max_payload":1048576,"headers":true}\r\n');
      socket.on("data", (bytes) => {
        if (bytes.includes("PING") && (answers || !isTaken)) socket.write("PONG\r\n");
        isTaken = true;
        pinged += 1;
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.teardown(() => server.close());
    const address = server.address();
    const url = `nats://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
    const watched = openChunkLine({ url, name: "x", clock });
    t.teardown(() => watched.close());
    await watched.tried;
    t.is(watched.payloadMaxBytes, 1_048_576);
    for (let pings = 0; pings < 6; pings += 1) {
      const before = pinged;
      await clock.advance(pingEveryMs([url]));
      // Heard, and a moment for the answer.
      for (let ms = 0; pinged === before && ms < 1_000; ms += 5) await systemClock.delay(5);
      await systemClock.delay(30);
    }
    while (!answers && dials < 2) await systemClock.delay(5);
    t.is(dials > 1, !answers);
  });
}
