// What anybody may send and how often: rates by asker, headers by number, bodies by size, one by one and together; slow senders of
// inferences; and that no token is ever said back.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { inspect } from "node:util";
import test, { type ExecutionContext } from "ava";
import { nodeSpecs } from "../../../operations/cluster/node-specs.js";
import { BodyBudget } from "../../../operations/http/body-budget.js";
import { clientEnvironment, clientIn, tokensIn } from "../../../operations/http/http-tokens.js";
import { networkOf, RateWindows } from "../../../operations/http/rate-windows.js";
import { type HttpBounds, httpBounds } from "../../../operations/http/server.js";
import { pulse } from "../../../supervision/clock.js";
import { loggerTo } from "../../../supervision/logger.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { asClient, asOperator, asViewer, local, scene, tokens } from "./http-scene.js";

const inference = { inputs: [{ name: "input", shape: [2], datatype: "FP32", data: [1, 2] }] };
const infer = { method: "POST", url: "/v2/models/pairs/infer", payload: inference } as const;

async function listening(t: ExecutionContext, options: Parameters<typeof scene>[0] = {}) {
  const stage = await scene(options);
  t.teardown(() => stage.server.close());
  const outcome = await stage.server.listen({ host: "127.0.0.1", port: 0 });
  if (outcome.kind === "refused") throw new Error(outcome.why);
  return { ...stage, port: outcome.address.port };
}

/** What a socket says until it ends. */
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

test("who asks more often than a minute takes hears 429 and when to come back; others are not slowed (S2-65)", async (t) => {
  const clock = new VirtualClock(1_750_000_000_000);
  const { server } = await scene({ clock, perMinute: 5 });
  const ask = (headers: Record<string, string> = {}, url = "/v2") =>
    server.inject({ url, headers: { ...local, ...headers } });
  for (let index = 0; index < 5; index += 1) t.is((await ask()).statusCode, 200);
  await clock.advance(20_000);
  const refused = await ask();
  t.is(refused.statusCode, 429);
  t.is(refused.headers["retry-after"], "40");
  t.like(refused.json(), { code: "too_many_requests" });
  t.is(
    (await ask({}, "/api/tree")).json().error.code,
    "too_many_requests",
    "all addresses together, each in its own form",
  );
  t.is((await server.inject({ ...infer, headers: local })).statusCode, 429);
  t.is((await ask(asClient)).statusCode, 200, "a token's holder is counted by itself");
  t.is((await server.inject({ url: "/v2", headers: local, remoteAddress: "192.0.2.9" })).statusCode, 200);
  for (let index = 0; index < 20; index += 1)
    t.is((await ask({}, "/v2/health/live")).statusCode, 200, "probes do not count");
  await clock.advance(40_000);
  t.is((await ask()).statusCode, 200);
});

test("windows are counted by asker, bounded in number, and an address of IPv6 is its network", async (t) => {
  const clock = new VirtualClock();
  const windows = new RateWindows(clock);
  t.deepEqual(windows.take("a", 1_000), { count: 1, leftMs: 1_000 });
  await clock.advance(400);
  t.deepEqual(windows.take("a", 1_000), { count: 2, leftMs: 600 });
  t.deepEqual(windows.take("b", 1_000), { count: 1, leftMs: 1_000 });
  for (let other = 0; other < 5_000; other += 1) windows.take(`o${other}`, 1_000);
  t.is(windows.take("a", 1_000).count, 1, "who was not heard of for long is forgotten first");
  t.is(networkOf("192.0.2.1"), "192.0.2.1");
  t.is(networkOf("::ffff:192.0.2.1"), "192.0.2.1");
  t.is(networkOf("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  t.is(networkOf("2001:db8::5"), "2001:db8:0:0::/64");
  t.is(networkOf("::1"), "0:0:0:0::/64");
});

test("all bodies together have a bound, and each gives its part back once", (t) => {
  const budget = new BodyBudget(100);
  const first = budget.take(60);
  t.is(budget.take(41), undefined);
  const second = budget.take(40);
  first?.();
  first?.();
  t.is(budget.heldBytes, 40);
  second?.();
  t.is(budget.heldBytes, 0);
});

test("a body larger than its route takes is a 413 that says how much it takes (S2-65)", async (t) => {
  const { server } = await scene();
  const order = await server.inject({
    method: "POST",
    url: "/api/chaos",
    headers: { ...local, ...asOperator },
    payload: { node: "x".repeat(70_000) },
  });
  t.is(order.statusCode, 413);
  t.regex(order.json().error.message, /64 KiB/);
  const large = await server.inject({ ...infer, headers: local, payload: Buffer.alloc(32 * 1024 * 1024 + 1) });
  t.is(large.statusCode, 413);
  t.regex(large.json().error, /32 MiB/);
  const head = await server.inject({ ...infer, headers: local, payload: `{"id":"${"x".repeat(4 * 1024 * 1024)}"}` });
  t.is(head.statusCode, 413, "the JSON has a bound of its own");
  const json = { ...local, "content-type": "application/json" };
  t.regex(
    (await server.inject({ ...infer, headers: json, payload: `{"id":"${"x".repeat(4 * 1024 * 1024)}"}` })).json().error,
    /binary data/,
  );
});

test("a request with very many headers is refused", async (t) => {
  const { server } = await scene();
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`x-${index}`, "a"]));
  const answer = await server.inject({ url: "/healthz", headers: { ...local, ...many } });
  t.is(answer.statusCode, 431);
  t.is(answer.json().error.code, "too_many_headers");
});

const narrow: HttpBounds = {
  ...httpBounds,
  bodiesMaxBytes: 1_000,
  requestWithinMs: 500,
  headWithinMs: 300,
  lookEveryMs: 50,
};
const headOf = (port: number, length: number): string =>
  `POST /v2/models/pairs/infer HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-length: ${length}\r\n\r\n`;

test("a body without room beside the others is refused before it is read, and has room when they are gone", async (t) => {
  const { port } = await listening(t, { bounds: { ...narrow, requestWithinMs: 20_000, headWithinMs: 10_000 } });
  const slow = connect(port, "127.0.0.1");
  slow.on("error", () => undefined);
  slow.write(`${headOf(port, 900)}{`);
  const ask = async (): Promise<string> => {
    const socket = connect(port, "127.0.0.1");
    socket.end(`${headOf(port, 200).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")}${" ".repeat(200)}`);
    return said(socket);
  };
  let answer = await ask();
  while (!answer.includes("503")) answer = await ask();
  t.regex(answer, /^HTTP\/1\.1 503 [\s\S]*retry-after: 1[\s\S]*"code":"overloaded"/i);
  slow.destroy();
  while (answer.includes("503")) answer = await ask();
  t.regex(answer, /^HTTP\/1\.1 400 [\s\S]*not JSON/, "it is read then, and is no request");
});

test("a body of an inference that drips in is ended, however patiently it drips (S2-65)", async (t) => {
  const { port, cluster } = await listening(t, { bounds: narrow });
  const socket = connect(port, "127.0.0.1");
  const ending = said(socket);
  await once(socket, "connect");
  socket.write(headOf(port, 500));
  t.teardown(pulse(20, () => void (socket.writable && socket.write(" "))));
  t.regex(await ending, /^HTTP\/1\.1 408 /);
  t.deepEqual(cluster.asked, []);
});

test("an inference whose client went away asks for no more rows", async (t) => {
  const { port, cluster } = await listening(t);
  let release = (): void => undefined;
  cluster.holding = new Promise<void>((resolve) => {
    release = resolve;
  });
  const body = JSON.stringify({
    inputs: [{ name: "input", shape: [200, 2], datatype: "UINT8", data: Array(400).fill(1) }],
  });
  const socket = connect(port, "127.0.0.1");
  socket.write(`${headOf(port, body.length)}${body}`);
  while (cluster.asked.length < 32) await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  await once(socket, "close");
  // The server sees the end of the connection before it is asked on it again.
  const other = connect(port, "127.0.0.1");
  other.write(`GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: close\r\n\r\n`);
  await said(other);
  release();
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  t.is(cluster.asked.length, 32);
});

test("no token and no password is said back, neither in an answer nor in a log line, whatever is asked with it (S2-65)", async (t) => {
  const lines: string[] = [];
  const log = loggerTo({
    wants: () => true,
    take: (level, message, fields) => void lines.push(`${level} ${message} ${inspect(fields, { depth: 9 })}`),
  });
  const broken = () => Promise.reject(new Error(`denied for ${"nobody"}`));
  const { server } = await scene({ log, sources: { tree: broken }, access: { reach: "network" } });
  const wrong = "a-wrong-token-that-is-secret-too";
  const secrets = [...Object.values(tokens), wrong];
  const answers: string[] = [];
  for (const token of secrets)
    for (const [method, url] of [
      ["GET", "/api/tree"],
      ["GET", "/"],
      ["GET", "/docs/"],
      ["GET", "/docs/json"],
      ["GET", "/docs/static/swagger-initializer.js"],
      ["GET", "/openapi.json"],
      ["GET", "/v2"],
      ["POST", "/v2/models/pairs/infer"],
      ["POST", "/api/chaos"],
      ["DELETE", "/nope"],
      ["GET", `/api/traces?limit=${token}`],
      ["GET", `/nope?token=${token}`],
    ] as const) {
      const answer = await server.inject({
        method,
        url,
        headers: { ...local, authorization: `Bearer ${token}` },
        ...(method === "POST" ? { payload: { ...inference, parameters: { secret: token } } } : {}),
      });
      answers.push(`${JSON.stringify(answer.headers)} ${answer.body}`);
    }
  t.true(lines.length > 0, "something was logged");
  for (const secret of secrets) {
    t.false(
      lines.some((line) => line.includes(secret)),
      "in a log line",
    );
    t.false(
      answers.some((answer) => answer.includes(secret)),
      answers.find((answer) => answer.includes(secret)),
    );
  }
});

test("a client's token and password travel in the environment, and a node that was told of none has none (S2-65)", (t) => {
  const { viewer, operator, client } = tokens;
  const two = { DRIFTMEND_HTTP_VIEWER: viewer, DRIFTMEND_HTTP_OPERATOR: operator };
  t.deepEqual(tokensIn(two), { kind: "tokens", tokens: { viewer, operator } });
  t.deepEqual(tokensIn({ ...two, DRIFTMEND_HTTP_CLIENT: client }), {
    kind: "tokens",
    tokens: { viewer, operator, client },
  });
  t.is(tokensIn({ ...two, DRIFTMEND_HTTP_CLIENT: viewer }).kind, "refused");
  t.is(tokensIn({ ...two, DRIFTMEND_HTTP_CLIENT: "short" }).kind, "refused");
  t.is(tokensIn({ DRIFTMEND_HTTP_CLIENT: client }).kind, "refused");
  const credential = { user: "client", password: "p" };
  t.deepEqual(clientIn(clientEnvironment(credential)), credential);
  t.deepEqual(clientIn({ DRIFTMEND_CLIENT_PASSWORD: "p" }), credential);
  t.is(clientIn({ DRIFTMEND_CLIENT_USER: "client" }), undefined);
});

test("of all nodes the operations node alone is given the client's password and the tokens, and none on its command line (S2-65)", (t) => {
  const client = { user: "client", password: "password-of-the-client" };
  const specs = nodeSpecs(
    {
      ...{ cluster: "c", serving: 1, models: [], store: "/s", entry: "cli.js", env: {} },
      http: { address: { host: "127.0.0.1", port: 1 }, tokens, ratePerMinute: 77 },
    },
    { url: "nats://127.0.0.1:1", node: undefined, client, run: "r" },
  );
  const secrets = [client.password, ...Object.values(tokens)];
  for (const { role, args = [], env = {} } of specs) {
    const told = secrets.filter((secret) => Object.values(env).includes(secret));
    t.deepEqual(told, role === "operations" ? secrets : [], role);
    t.false(secrets.some((secret) => args.join(" ").includes(secret)));
    t.is(args.includes("--http-rate"), role === "operations");
  }
});

test("an address beyond loopback takes a viewer's, a client's or the operator's token for what is each one's (S2-65)", async (t) => {
  const { server } = await scene({ access: { reach: "network" } });
  const statuses = async (headers: Record<string, string>) => {
    const all = { ...local, ...headers };
    const infers = (await server.inject({ ...infer, headers: all })).statusCode;
    const looks = (await server.inject({ url: "/api/tree", headers: all })).statusCode;
    const reads = (await server.inject({ url: "/v2/models/pairs", headers: all })).statusCode;
    return [infers, looks, reads, (await server.inject({ url: "/v2/health/ready", headers: all })).statusCode];
  };
  t.deepEqual(await statuses({}), [401, 401, 401, 200]);
  t.deepEqual(await statuses(asClient), [200, 403, 200, 200]);
  t.deepEqual(await statuses(asViewer), [403, 200, 200, 200]);
  t.deepEqual(await statuses(asOperator), [200, 200, 200, 200]);
});
