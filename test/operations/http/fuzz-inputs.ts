// What a fuzzer sends to the HTTP interface: strange bodies of inferences, strange requests around them, and bytes that are no HTTP.
// Everything follows from the random numbers, so that what is found is found again.

import type { Random } from "../../../models/clock.js";
import { asClient, asOperator, asViewer, local } from "./http-scene.js";

export const pick = <T>(list: readonly T[], random: Random): T => list[Math.floor(random() * list.length)] as T;
export const upTo = (most: number, random: Random): number => Math.floor(random() * most);
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

export function strangeBody(random: Random): { readonly bytes: Buffer; readonly length: string | undefined } {
  const chance = random();
  if (chance < 0.05) return { bytes: noise(upTo(200, random), random), length: lengths(10, random) };
  const isBinary = random() < 0.5;
  const json = Buffer.from(strangeHead(isBinary, random));
  const behind = random() < 0.8 ? (isBinary ? 16 : 0) : pick([0, 15, 17, 400], random);
  const bytes = Buffer.concat([json, noise(behind, random)]);
  if (chance < 0.2) bytes[upTo(bytes.length, random)] = upTo(256, random);
  return { bytes, length: lengths(json.length, random) };
}

export const methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"] as const;
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
export const types = [
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
export const strangeHeaders = (random: Random): Record<string, string> => ({
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

export function strangePath(random: Random): string {
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

export const garbage = (port: number, random: Random): Buffer => {
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
