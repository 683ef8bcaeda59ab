// The HTTP interface under a fuzzer: bodies of inferences over their parser, whole requests over the server, garbage over raw sockets.
// Seeded, so that what is found is found again. Nothing may crash, hang, be a 500, or be kept.

import { connect } from "node:net";
import { getHeapStatistics } from "node:v8";
import test from "ava";
import { type Random, seededRandom } from "../../../models/clock.js";
import { readInferBody } from "../../../operations/http/kserve/infer-body.js";
import { cutRows } from "../../../operations/http/kserve/rows.js";
import { errorSchema, inferenceErrorSchema } from "../../../operations/http/route.js";
import { httpBounds } from "../../../operations/http/server.js";
import { systemClock } from "../../../supervision/clock.js";
import { asClient, asOperator, asViewer, local, scene } from "./http-scene.js";
import { pairs } from "./made-up-cluster.js";
import { tritonRequest } from "./triton-bytes.js";

const bodies = 40_000;
const requests = 2_500;
const sockets = 150;
const heapMaxBytes = 192 * 1024 * 1024;

const pick = <T>(list: readonly T[], random: Random): T => list[Math.floor(random() * list.length)] as T;
const upTo = (most: number, random: Random): number => Math.floor(random() * most);
const noise = (length: number, random: Random): Buffer =>
  Buffer.from(Uint8Array.from({ length }, () => upTo(256, random)));

/** JSON values that nobody wants where they are put. */
const oddities: readonly string[] = [
  ...[
    "null",
    "true",
    "-1",
    "1e999",
    "-1e-999",
    "9007199254740993",
    "1".repeat(400),
    "0.1",
    '""',
    '"\\ud800"',
    '"\\u0000"',
    "[]",
    "{}",
  ],
  ...[
    '"__proto__"',
    '{"__proto__":{"polluted":1}}',
    '{"constructor":{"prototype":{"polluted":1}}}',
    `"${"x".repeat(5_000)}"`,
  ],
  ...[
    "[".repeat(15) + "]".repeat(15),
    "[".repeat(3_000) + "]".repeat(3_000),
    `${'{"a":'.repeat(40)}1${"}".repeat(40)}`,
  ],
  ...[
    "[4294967296,4294967296]",
    "[-1,2]",
    "[2147483647,2147483647,2147483647]",
    `[${"0,".repeat(2_000)}0]`,
    "NaN",
    "Infinity",
    "0x10",
    "01",
  ],
];
const head = {
  id: "fuzz",
  parameters: { priority: 5, timeout: 1_000_000, deadline_ms: 50, binary_data_output: true },
  inputs: [
    { name: "input", shape: [2, 2], datatype: "FP32", parameters: { binary_data_size: 16 }, data: [1, 2, 3, 4] },
  ],
  outputs: [{ name: "label", parameters: { binary_data: true } }, { name: "explain" }],
};

/** A head with some of its values replaced, doubled or left out; every fourth is good. */
function strangeHead(isBinary: boolean, random: Random): string {
  const isGood = random() < 0.25;
  const text = JSON.stringify(head, (key, value: unknown) => {
    if (key === (isBinary ? "data" : "binary_data_size")) return undefined;
    const chance = isGood ? 1 : random();
    if (key === "binary_data_size" && chance < 0.2) return pick([0, 15, 17, 2 ** 31 - 1, -1, 1.5], random);
    if (key === "datatype" && chance < 0.2)
      return pick(["BYTES", "BF16", "INT64", "BOOL", "FP16", "toString", ""], random);
    if (key === "" || chance > 0.06) return value;
    return chance < 0.01 ? undefined : `@${upTo(oddities.length, random)}@`;
  });
  const filled = text.replace(/"@(\d+)@"/g, (_match, index) => oddities[Number(index)] ?? "0");
  if (isGood) return filled;
  if (random() < 0.1) return filled.slice(0, upTo(filled.length, random));
  return random() < 0.1 ? filled.replace("{", '{"__proto__":{"polluted":1},"id":"a","id":"b",') : filled;
}

const lengths = (length: number, random: Random): string | undefined =>
  pick(
    [
      undefined,
      ...Array.from({ length: 16 }, () => `${length}`),
      `${upTo(2 * length + 2, random)}`,
      "0",
      "-1",
      "4294967295",
      "99999999999",
      "1e2",
      "",
      `${length},${length}`,
    ],
    random,
  );

function strangeBody(random: Random): { readonly bytes: Buffer; readonly length: string | undefined } {
  const chance = random();
  if (chance < 0.05) return { bytes: noise(upTo(200, random), random), length: lengths(10, random) };
  const isBinary = random() < 0.5;
  const json = Buffer.from(strangeHead(isBinary, random));
  const behind = random() < 0.8 ? (isBinary ? 16 : 0) : pick([0, 15, 17, 400], random);
  const bytes = Buffer.concat([json, noise(behind, random)]);
  if (chance < 0.2) bytes[upTo(bytes.length, random)] = upTo(256, random);
  return { bytes, length: lengths(json.length, random) };
}

test(`${bodies} bodies of inferences: each is taken or refused by name, and none pollutes or hoards`, (t) => {
  const random = seededRandom(11);
  const good = tritonRequest({ name: "input", shape: [2], datatype: "FP32", raw: new Uint8Array(8) }, { id: "g" });
  t.is(readInferBody(good.body, good.headers["Inference-Header-Content-Length"]).kind, "body");
  let taken = 0;
  for (let index = 0; index < bodies; index += 1) {
    const { bytes, length } = strangeBody(random);
    const before = getHeapStatistics().used_heap_size;
    const read = readInferBody(bytes, length);
    const made = getHeapStatistics().used_heap_size - before;
    if (made > heapMaxBytes / 12) t.fail(`${bytes.length} bytes made ${made}: ${bytes.toString("hex").slice(0, 200)}`);
    if (read.kind === "refused") {
      if (![400, 413].includes(read.status) || read.message.length > 1_000) t.fail(`${read.status} ${read.message}`);
      continue;
    }
    taken += 1;
    const cut = cutRows(pairs, read.body, "id");
    if (cut.kind === "rows") for (const row of cut.rows) row.tensor();
  }
  t.is(Reflect.get({}, "polluted"), undefined);
  t.true(taken > bodies / 20, `${taken} were taken, so the good side is reached too`);
});

const methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"] as const;
const paths = [
  ...[
    "/",
    "/v2",
    "/v2/health/ready",
    "/v2/models/pairs",
    "/v2/models/pairs/ready",
    "/v2/models/pairs/infer",
    "/v2/models/pairs/infer",
  ],
  ...[
    "/v2/models/pairs/versions/1/infer",
    "/api/tree",
    "/api/chaos",
    "/api/alerts/ack",
    "/api/dlq/1/requeue",
    "/api/traces/x",
    "/docs/",
    "/docs/json",
  ],
  ...[
    "/docs/static/%2e%2e/%2e%2e/package.json",
    "/docs/static/index.css",
    "/api/stability/run-1",
    "/openapi.json",
    "/metrics",
    "/healthz",
  ],
];
const types = [
  "application/json",
  "application/json; charset=utf-16",
  "application/octet-stream",
  "text/plain",
  "multipart/form-data; boundary=x",
  "application/x-www-form-urlencoded",
  "",
  ";;",
  "application/json\t",
  "x".repeat(300),
];
const strangeHeaders = (random: Random): Record<string, string> => ({
  ...(random() < 0.8 ? local : { host: pick(["evil.example", "", "127.0.0.1:99999", "[::1", "a b"], random) }),
  ...pick<Record<string, string>>(
    [{}, {}, asClient, asViewer, asOperator, { authorization: `Bearer ${"x".repeat(upTo(300, random))}` }],
    random,
  ),
  ...(random() < 0.2 ? { origin: pick(["null", "http://evil.example", "http://127.0.0.1:7480", "%%"], random) } : {}),
  ...(random() < 0.2 ? { "content-encoding": pick(["gzip", "deflate", "br", "identity", "\u00ff"], random) } : {}),
  ...(random() < 0.2
    ? { accept: noise(20, random).toString("base64"), traceparent: noise(30, random).toString("hex") }
    : {}),
  ...(random() < 0.1
    ? { expect: "100-continue", range: "bytes=0-1", "if-none-match": "*", "x-http-method-override": "DELETE" }
    : {}),
});

function strangePath(random: Random): string {
  const path = pick(paths, random);
  const chance = random();
  if (chance < 0.6) return path;
  const piece = pick(
    [
      "..",
      "%2e%2e",
      "%00",
      "%",
      "%zz",
      "\u00e9",
      "//",
      ";a=b",
      "?limit=-1",
      "?limit=1e9&limit=2",
      "?__proto__[a]=1",
      "x".repeat(600),
    ],
    random,
  );
  const at = upTo(path.length + 1, random);
  return `/${path.slice(1, at)}${piece}${path.slice(Math.max(1, at))}`;
}

test(`${requests} requests of every kind: an answer in the shape of its kind, and no 500`, async (t) => {
  t.timeout(120_000);
  const random = seededRandom(12);
  const { server, report } = await scene({ access: { reach: "loopback" } });
  report();
  const seen: Record<string, number> = {};
  for (let index = 0; index < requests; index += 1) {
    const { bytes, length } = strangeBody(random);
    const method = random() < 0.5 ? "POST" : pick(methods, random);
    const url = strangePath(random);
    if (method === "GET" && url.includes("/api/events")) continue;
    const answer = await server.inject({
      ...{ method, url },
      headers: {
        ...strangeHeaders(random),
        ...(random() < 0.7 ? { "content-type": pick(types, random) } : {}),
        ...(length === undefined ? {} : { "inference-header-content-length": length }),
      },
      ...(method === "POST" || random() < 0.1 ? { payload: bytes } : {}),
    });
    const { statusCode: status, body } = answer;
    seen[status] = (seen[status] ?? 0) + 1;
    const what = `${index}: ${method} ${url.slice(0, 80)} -> ${status} ${body.slice(0, 200)}`;
    if (status === 500 || status > 504) t.fail(what);
    if (status >= 400 && method !== "HEAD" && !(status === 503 && /"(ready|status)"/.test(body))) {
      const shape = /^\/v2(?:[/?]|$)/.test(url) ? inferenceErrorSchema : errorSchema;
      if (!shape.safeParse(JSON.parse(body)).success) t.fail(what);
    }
    if (/node_modules|\.js:\d|ENOENT|"polluted"/.test(body) && !url.startsWith("/docs")) t.fail(what);
  }
  t.is(Reflect.get({}, "polluted"), undefined);
  t.true((seen[200] ?? 0) > 40 && (seen[400] ?? 0) > 100, JSON.stringify(seen));
});

const garbage = (port: number, random: Random): Buffer => {
  const host = `host: 127.0.0.1:${port}\r\n`;
  const line = `POST /v2/models/pairs/infer HTTP/1.1\r\n${host}`;
  const chunked = `${line}transfer-encoding: chunked\r\n\r\n`;
  return pick(
    [
      () => noise(upTo(2_000, random), random),
      () => Buffer.from(`GET ${noise(40, random).toString("latin1")} HTTP/1.1\r\n${host}\r\n`, "latin1"),
      () => Buffer.from(`GET / HTTP/${upTo(9, random)}.${upTo(9, random)}\r\n${host}\r\n`),
      () => Buffer.from(`${line}content-length: -5\r\n\r\n`),
      () => Buffer.from(`${line}content-length: 99999999999999999999\r\n\r\n{}`),
      () => Buffer.from(`${line}content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef`),
      () => Buffer.from(`${line}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
      () => Buffer.from(`${chunked}ffffffffffffffff\r\n{}`),
      () => Buffer.from(`${chunked}zz\r\n{}\r\n0\r\n\r\n`),
      () => Buffer.concat([Buffer.from(`${chunked}5\r\n`), noise(5, random), Buffer.from("\r\n0\r\n\r\n")]),
      () => Buffer.from(`${chunked}2;ext="${"x".repeat(200)}"\r\n{}\r\n0\r\ntrailer: a\r\n\r\n`),
      () => Buffer.from(`GET /v2 HTTP/1.1\r\n${host}x: ${"a".repeat(upTo(40_000, random))}\r\n\r\n`),
      () => Buffer.from(`GET /v2 HTTP/1.1\r\n${host} folded: a\r\n\tb\r\n\r\n`),
      () => Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      () => Buffer.from(`GET /v2 HTTP/1.1\r\n${host}connection: upgrade\r\nupgrade: websocket\r\n\r\n`),
      () => Buffer.from(`${`GET /v2 HTTP/1.1\r\n${host}\r\n`.repeat(20)}`),
      () => Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
    ],
    random,
  )();
};

test(`${sockets} sockets that speak no HTTP, or a broken one: each is ended, and the server answers the next`, async (t) => {
  t.timeout(120_000);
  const random = seededRandom(13);
  const { server } = await scene({
    bounds: { ...httpBounds, headWithinMs: 1_500, requestWithinMs: 1_500, keepAliveMs: 500, lookEveryMs: 50 },
  });
  t.teardown(() => server.close());
  const outcome = await server.listen({ host: "127.0.0.1", port: 0 });
  if (outcome.kind === "refused") return t.fail(outcome.why);
  const { port } = outcome.address;
  const before = process.memoryUsage().external;
  const talk = (bytes: Buffer): Promise<string> => {
    let text = "";
    const socket = connect(port, "127.0.0.1");
    socket
      .on("error", () => undefined)
      .on("data", (part) => {
        text += part.toString("latin1");
      });
    socket.write(bytes);
    return new Promise((resolve) => {
      socket.once("close", () => resolve(text));
    });
  };
  const startedAtMs = systemClock.monotonicMs();
  const answers = await Promise.all(Array.from({ length: sockets }, () => talk(garbage(port, random))));
  t.true(systemClock.monotonicMs() - startedAtMs < 60_000, "none was held");
  for (const answer of answers) t.notRegex(answer, /^HTTP\/1\.1 500|node_modules|\.js:\d/m);
  t.true(process.memoryUsage().external - before < 64 * 1024 * 1024);
  t.is((await fetch(`http://127.0.0.1:${port}/v2/health/live`)).status, 200);
});
