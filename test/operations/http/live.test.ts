// The server on real sockets: live events, other people's hosts and origins, addresses beyond loopback, and senders that mean no good.

import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import test, { type ExecutionContext } from "ava";
import { LiveEvents } from "../../../operations/http/events.js";
import { type HttpBounds, httpBounds } from "../../../operations/http/server.js";
import { systemClock } from "../../../supervision/clock.js";
import { asOperator, asViewer, type Scene, scene } from "./http-scene.js";

type Options = Parameters<typeof scene>[0];

async function listening(
  t: ExecutionContext,
  options: Options = {},
  host = "127.0.0.1",
): Promise<Scene & { readonly port: number }> {
  const stage = await scene(options);
  t.teardown(() => stage.server.close());
  const outcome = await stage.server.listen({ host, port: 0 });
  if (outcome.kind === "refused") throw new Error(outcome.why);
  return { ...stage, port: outcome.address.port };
}

async function get(port: number, path: string, headers: Record<string, string> = {}, host = "127.0.0.1") {
  const asking = request({ host, port, path, headers: { host: `${host}:${port}`, ...headers } });
  asking.end();
  const [answer]: IncomingMessage[] = await once(asking, "response");
  if (answer === undefined) throw new Error("no answer");
  answer.setEncoding("utf8");
  return answer;
}

async function whole(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of answer) text += String(part);
  return text;
}

/** What a socket says until it ends; a reset is an end too. */
function said(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("utf8");
  socket.on("data", (part) => {
    text += String(part);
  });
  socket.on("error", () => undefined);
  return new Promise((resolve) => {
    socket.once("close", () => resolve(text));
  });
}

/** Reads events until enough of them came; ends the reading. */
async function eventsUntil(answer: IncomingMessage, enough: (text: string) => boolean): Promise<string> {
  let text = "";
  for await (const part of answer) {
    text += String(part);
    if (enough(text)) break;
  }
  return text;
}

test("a reader of live events gets the newest state at once and what comes after (S1-40)", async (t) => {
  const { port, events, report } = await listening(t);
  const { metrics, health } = report("degraded");
  events.publish("metrics", metrics);
  events.publish("health", health);
  const answer = await get(port, "/api/events");
  t.is(answer.headers["content-type"], "text/event-stream; charset=utf-8");
  t.is(answer.headers["x-content-type-options"], "nosniff");
  const text = await eventsUntil(answer, (sofar) => {
    if (sofar.includes("event: health") && events.readers === 1 && !sofar.includes("healthy-again"))
      events.publish("health", { ...health, status: "healthy-again" });
    return sofar.includes("healthy-again");
  });
  t.true(text.startsWith("retry: 1000\n\nevent: metrics\ndata: {"));
  const frames = text.split("\n\n").filter((frame) => frame.startsWith("event: "));
  t.deepEqual(
    frames.map((frame) => frame.split("\n")[0]),
    ["event: metrics", "event: health", "event: health"],
  );
  t.deepEqual(JSON.parse(frames[0]?.split("\ndata: ")[1] ?? ""), metrics);
});

test("a reader that leaves is forgotten, and one too many is refused by name", async (t) => {
  const events = new LiveEvents(systemClock, { readersMax: 1, behindMaxBytes: 1_000_000, heartbeatMs: 20 });
  const { port } = await listening(t, { events });
  const first = await get(port, "/api/events");
  const second = await get(port, "/api/events");
  t.is(second.statusCode, 503);
  t.is(JSON.parse(await whole(second)).error.code, "too_many_readers");
  first.destroy();
  while (events.readers > 0) await systemClock.delay(5);
  const third = await get(port, "/api/events");
  t.is(third.statusCode, 200);
  t.regex(await eventsUntil(third, (text) => text.includes(": still here")), /: still here\n\n/);
});

test("a reader that does not read is dropped, and costs the others nothing", async (t) => {
  const events = new LiveEvents(systemClock, { readersMax: 8, behindMaxBytes: 100_000, heartbeatMs: 60_000 });
  const { port } = await listening(t, { events });
  const deaf = connect(port, "127.0.0.1");
  deaf.write(`GET /api/events HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`);
  deaf.pause();
  deaf.on("error", () => undefined);
  const awake = await get(port, "/api/events");
  let heard = 0;
  awake.on("data", (part) => {
    heard += String(part).length;
  });
  while (events.readers < 2) await systemClock.delay(5);
  const state = { text: "x".repeat(50_000) };
  while (events.dropped === 0) {
    events.publish("tree", state);
    await systemClock.delay(1);
  }
  t.is(events.readers, 1);
  while (heard < 1_000_000) {
    events.publish("tree", state);
    await systemClock.delay(1);
  }
  t.pass("the other one reads on");
  deaf.destroy();
});

test("an ended server ends its live connections, and the port is free for the next one", async (t) => {
  const { port, server } = await listening(t);
  const answer = await get(port, "/api/events");
  const ended = new Promise((resolve) => {
    answer.on("error", () => undefined).once("close", resolve);
  });
  answer.resume();
  await server.close();
  await ended;
  const next = await scene();
  t.teardown(() => next.server.close());
  t.is((await next.server.listen({ host: "127.0.0.1", port })).kind, "listening");
});

test("a port that somebody has is said, and nothing is thrown", async (t) => {
  const { port } = await listening(t);
  const second = await scene();
  t.teardown(() => second.server.close());
  t.deepEqual(await second.server.listen({ host: "127.0.0.1", port }), { kind: "refused", why: "this port is taken" });
  t.like(await second.server.listen({ host: "203.0.113.7", port: 0 }), {
    kind: "refused",
    why: "this machine has no such address",
  });
});

test("after a port was refused the same server can listen where it is free", async (t) => {
  const { port, server: holder } = await listening(t);
  const second = await scene();
  t.teardown(() => second.server.close());
  t.is((await second.server.listen({ host: "127.0.0.1", port })).kind, "refused");
  await holder.close();
  t.is((await second.server.listen({ host: "127.0.0.1", port })).kind, "listening");
  t.is((await get(port, "/api/tree")).statusCode, 200);
});

test("a name that was rebound to this machine reads nothing, over a real connection", async (t) => {
  const { port } = await listening(t);
  for (const [headers, status] of [
    [{ host: "evil.example" }, 403],
    [{ host: `evil.example:${port}` }, 403],
    [{ origin: "http://evil.example" }, 403],
    [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }, 403],
    [{ host: `localhost:${port}` }, 200],
  ] as const) {
    const answer = await get(port, "/api/tree", headers);
    t.is(answer.statusCode, status, JSON.stringify(headers));
    answer.resume();
  }
});

const outward = Object.values(networkInterfaces())
  .flatMap((each) => each ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

test("bound beyond loopback everything needs a token but the page and /healthz, by whatever address it is asked (S2-65)", async (t) => {
  const { port, report } = await listening(t, { access: { reach: "network" } }, "0.0.0.0");
  report();
  const addresses = ["127.0.0.1", ...(outward === undefined ? [] : [outward])];
  t.log(`asked by ${addresses.join(" and ")}`);
  for (const host of addresses) {
    for (const path of [
      "/metrics",
      "/api/metrics",
      "/api/health",
      "/api/tree",
      "/api/events",
      "/openapi.json",
      "/nope",
    ]) {
      const without = await get(port, path, {}, host);
      t.is(without.statusCode, 401, `${host}${path}`);
      without.resume();
    }
    for (const path of ["/", "/healthz"]) {
      const open = await get(port, path, {}, host);
      t.is(open.statusCode, 200, `${host}${path}`);
      t.notRegex(await whole(open), /digits|serving-1/);
    }
    t.is((await get(port, "/api/tree", asViewer, host)).statusCode, 200);
    t.is((await get(port, "/api/tree", asOperator, host)).statusCode, 200);
  }
});

const strict: HttpBounds = {
  ...httpBounds,
  headMaxBytes: 8 * 1024,
  headWithinMs: 200,
  requestWithinMs: 400,
  connectionsMax: 4,
  lookEveryMs: 50,
};

test("a head that drips in is ended, however patiently it drips", async (t) => {
  const { port } = await listening(t, { bounds: strict });
  const socket = connect(port, "127.0.0.1");
  const ending = said(socket);
  socket.write("GET /api/tree HTTP/1.1\r\nhost: 127.0.0.1\r\n");
  let isOver = false;
  void ending.then(() => {
    isOver = true;
  });
  while (!isOver) {
    if (socket.writable) socket.write("x-a: b\r\n");
    await systemClock.delay(20);
  }
  t.regex(await ending, /^HTTP\/1\.1 408 [\s\S]*"code":"too_slow"/);
});

test("a body that does not come is not waited for", async (t) => {
  const { port, ordered } = await listening(t, { bounds: strict });
  const socket = connect(port, "127.0.0.1");
  const ending = said(socket);
  socket.write(
    `POST /api/chaos HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: ${asOperator.authorization}\r\ncontent-type: application/json\r\ncontent-length: 60\r\n\r\n{"node":`,
  );
  t.regex(await ending, /^HTTP\/1\.1 408 /);
  t.deepEqual(ordered, []);
});

test("a huge head, a huge body and what is no HTTP are refused in the shape of every error", async (t) => {
  const { port } = await listening(t, { bounds: { ...strict, headWithinMs: 60_000, requestWithinMs: 60_000 } });
  const sent = async (text: string): Promise<string> => {
    const socket = connect(port, "127.0.0.1");
    const ending = said(socket);
    socket.write(text);
    return ending;
  };
  t.regex(
    await sent(`GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: ${"a".repeat(9_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 [\s\S]*"code":"head_too_large"/,
  );
  t.regex(await sent("nonsense\r\n\r\n"), /^HTTP\/1\.1 400 [\s\S]*"code":"bad_request"/);
  t.regex(
    await sent("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"),
    /^HTTP\/1\.1 400 /,
  );
  const head = `POST /api/chaos HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: ${asOperator.authorization}\r\ncontent-type: application/json\r\nconnection: close\r\n`;
  t.regex(await sent(`${head}content-length: 10000000\r\n\r\n{`), /^HTTP\/1\.1 413 [\s\S]*"code":"too_large"/);
});

test("paths that try to get out or around lead nowhere", async (t) => {
  const { port } = await listening(t);
  for (const path of [
    "/../context.json",
    "/..%2f..%2fetc/passwd",
    "//evil.example/",
    "/api/./tree/../../x",
    "/api/tree%00",
    "/.git/config",
    "/page.html",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/api/stability/%2e%2e%2fcontext.json",
  ]) {
    const answer = await get(port, path);
    t.true([400, 404].includes(answer.statusCode ?? 0), `${path}: ${answer.statusCode}`);
    t.notRegex(await whole(answer), /root:|httpTokens/);
  }
});

test("no more connections are held than the bound, and a place that is left is taken again", async (t) => {
  const { port } = await listening(t, { bounds: { ...httpBounds, connectionsMax: 4 } });
  const held = Array.from({ length: 4 }, () => connect(port, "127.0.0.1").on("error", () => undefined));
  await Promise.all(held.map((socket) => once(socket, "connect")));
  const fifth = connect(port, "127.0.0.1");
  fifth.write("GET /api/tree HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  t.is(await said(fifth), "", "it is turned away");
  for (const socket of held) socket.destroy();
  let status: number | undefined;
  while (status !== 200) {
    const socket = connect(port, "127.0.0.1");
    socket.write("GET /api/tree HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    status = Number(/^HTTP\/1\.1 (\d+)/.exec(await said(socket))?.[1] ?? 0);
  }
  t.pass();
});

test("a server that is closed while it is about to listen leaves the port to the next one (S1-40)", async (t) => {
  const [first, next] = [await scene(), await scene()];
  const listening = first.server.listen({ host: "127.0.0.1", port: 0 });
  await first.server.close();
  const outcome = await listening;
  t.deepEqual(outcome, { kind: "refused", why: "it was closed meanwhile" });
  const later = await next.server.listen({ host: "127.0.0.1", port: 0 });
  t.teardown(() => next.server.close());
  t.is(later.kind, "listening");
  if (later.kind !== "listening") return;
  // The same on a port by its name: the one that was closed holds it no more.
  const third = await scene();
  const taken = third.server.listen(later.address);
  t.like(await taken, { kind: "refused", why: "this port is taken" });
  await next.server.close();
  const [fourth, fifth] = [await scene(), await scene()];
  const abandoned = fourth.server.listen(later.address);
  await fourth.server.close();
  t.is((await abandoned).kind, "refused");
  t.teardown(() => fifth.server.close());
  t.is((await fifth.server.listen(later.address)).kind, "listening");
});
