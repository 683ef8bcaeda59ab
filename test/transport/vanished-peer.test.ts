// A server that vanishes without a word, as behind a cut cable: a proxy in front of a real nats-server that stops to read and to write. The
// kernel takes what is sent until its buffer is full, and nothing says that the connection is dead.

import { once } from "node:events";
import { createServer, connect as dial, type Socket } from "node:net";
import test from "ava";
import { systemClock as clock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { identityOf } from "../../transport/access/credentials.js";
import { type BusEvent, connectBus } from "../../transport/bus/bus.js";
import { serversIn } from "../../transport/bus/server-list.js";
import { letGo } from "../../transport/bus/vanished-peer.js";
import { withTimeouts } from "../../transport/timeouts.js";
import { next, startCluster, text } from "./fixture.js";

interface Proxy {
  readonly url: string;
  vanish(): void;
  end(): void;
}

async function proxyTo(url: string): Promise<Proxy> {
  const { hostname, port } = new URL(url);
  const sockets: Socket[] = [];
  let isGone = false;
  const server = createServer((near) => {
    sockets.push(near);
    if (isGone) {
      near.pause();
      return;
    }
    const far = dial(Number(port), hostname);
    sockets.push(far);
    near.pipe(far);
    far.pipe(near);
    for (const socket of [near, far]) socket.on("error", () => socket.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const proxyPort = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `nats://127.0.0.1:${proxyPort}`,
    vanish: () => {
      isGone = true;
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    end: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test("a connection under load to a server that vanishes goes on to the next one of the list, in seconds", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const echo = cluster.subjects.order("n1", "echo");
  const ballast = cluster.subjects.event("ballast");
  const proxy = await proxyTo(cluster.broker.url);
  t.teardown(() => proxy.end());
  const timeouts = withTimeouts({ connect: 300 });
  const url = `${proxy.url}, ${cluster.broker.url}`;
  const bus = await connectBus({ url, ...identityOf(cluster.credentials.node), name: "test", clock, timeouts });
  t.teardown(() => bus.close());
  bus.subscribe(echo, {}, (message) => void message.respond(message.data));
  t.is((await bus.request(echo, text("before"), { timeoutMs: 5_000 })).kind, "reply");
  const back = next<BusEvent>(
    (listener) => bus.onEvent(listener),
    ({ kind }) => kind === "reconnected",
  );
  proxy.vanish();
  // More than the kernel's buffers take: what is left waits in this process, and nothing flushes it.
  for (let sent = 0; sent < 24; sent += 1) bus.publish(ballast, new Uint8Array(1024 * 1024));
  const event = await back;
  t.is(event.kind === "reconnected" ? event.server : "", new URL(cluster.broker.url).host);
  t.is((await bus.request(echo, text("after"), { timeoutMs: 10_000 })).kind, "reply");
});

test("what took the place of a stale connection meanwhile is left alone", async (t) => {
  const clock = new VirtualClock();
  const closed: string[] = [];
  const transport = (name: string) => ({ close: () => void closed.push(name) });
  const connection = { protocol: { transport: transport("first") } };
  letGo(connection, clock, () => true);
  connection.protocol.transport = transport("second");
  await clock.advance(1_000);
  t.deepEqual(closed, [], "the library let go by itself, and has a new one");
  letGo(connection, clock, () => true);
  await clock.advance(1_000);
  t.deepEqual(closed, ["second"], "it is still the stale one");
});

test("servers are tried in the order in which they are given", (t) => {
  t.deepEqual(serversIn("nats://a:1"), ["nats://a:1"]);
  t.deepEqual(serversIn("nats://b:1, nats://a:1"), ["nats://b:1", "nats://a:1"]);
});
