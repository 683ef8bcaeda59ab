// Rounds of the fuzzer: the same inputs against whatever is given, and what was found wrong with it, in words. A round that finds nothing says
// something only because the same round finds what is wrong with a reader or a server whose protection was taken away (fuzz.test.ts).

import { connect } from "node:net";
import { getHeapStatistics } from "node:v8";
import { type Random, seededRandom } from "../../../models/clock.js";
import type { InferBody, ReadBody } from "../../../operations/http/kserve/infer-body.js";
import { cutRows } from "../../../operations/http/kserve/rows.js";
import { errorSchema, inferenceErrorSchema } from "../../../operations/http/route.js";
import type { HttpServer } from "../../../operations/http/server.js";
import { systemClock } from "../../../supervision/clock.js";
import { garbage, methods, pick, strangeBody, strangeHeaders, strangePath, types } from "./fuzz-inputs.js";
import { asOperator } from "./http-scene.js";
import { pairs } from "./made-up-cluster.js";

/** What one body may make, on the heap and beside it: the largest that is sent has 6 KiB. */
const madeMaxBytes = 16 * 1024 * 1024;

export interface Round {
  readonly findings: readonly string[];
  /** How often the good side was reached. */
  readonly taken: number;
}

const held = (): number => getHeapStatistics().used_heap_size + process.memoryUsage().arrayBuffers;

/** Bodies over a reader: each is taken or refused by name, and none pollutes or hoards. */
export function bodyRound(read: (bytes: Uint8Array, length: string | undefined) => ReadBody, bodies: number): Round {
  const random = seededRandom(11);
  const findings: string[] = [];
  let taken = 0;
  for (let index = 0; index < bodies; index += 1) {
    const { bytes, length } = strangeBody(random);
    const before = held();
    try {
      const found = read(bytes, length);
      if (found.kind === "body") {
        taken += 1;
        useRows(found.body);
      } else if (![400, 413].includes(found.status) || found.message.length > 1_000)
        findings.push(`refused oddly: ${found.status} ${found.message}`);
    } catch (error) {
      findings.push(`threw: ${error}`);
    }
    const made = held() - before;
    if (made > madeMaxBytes) findings.push(`hoards: ${bytes.length} bytes made ${made}`);
  }
  if (Reflect.get({}, "polluted") !== undefined) findings.push("polluted: every object has a property more");
  return { findings, taken };
}

function useRows(body: InferBody): void {
  const cut = cutRows(pairs, body, "id");
  if (cut.kind === "rows") for (const row of cut.rows) row.tensor();
}

/** Requests of every kind: an answer in the shape of its kind, no 500, and nothing for whoever may not have it. */
export async function requestRound(
  { inject }: Pick<HttpServer, "inject">,
  requests: number,
): Promise<Round & { readonly seen: Readonly<Record<string, number>> }> {
  const random = seededRandom(12);
  const findings: string[] = [];
  const seen: Record<string, number> = {};
  for (let index = 0; index < requests; index += 1) {
    const { bytes, length } = strangeBody(random);
    const method = random() < 0.5 ? "POST" : pick(methods, random);
    const url = strangePath(random);
    const from = strangeHeaders(random);
    if (method === "GET" && url.includes("/api/events")) continue;
    const { statusCode: status, body } = await inject({
      ...{ method, url },
      headers: {
        ...from,
        ...(random() < 0.7 ? { "content-type": pick(types, random) } : {}),
        ...(length === undefined ? {} : { "inference-header-content-length": length }),
      },
      ...(method === "POST" || random() < 0.1 ? { payload: bytes } : {}),
    });
    seen[status] = (seen[status] ?? 0) + 1;
    const wrong = wrongWith({ method, url, from, status, body });
    if (wrong !== undefined)
      findings.push(`${wrong}: ${index}: ${method} ${url.slice(0, 80)} -> ${status} ${body.slice(0, 200)}`);
  }
  if (Reflect.get({}, "polluted") !== undefined) findings.push("polluted: every object has a property more");
  return { findings, seen, taken: seen[200] ?? 0 };
}

interface Answered {
  readonly method: string;
  readonly url: string;
  readonly from: Readonly<Record<string, string>>;
  readonly status: number;
  readonly body: string;
}

/** How somebody is kept out who may not give orders: before anything of the body is looked at. */
const keptOut = [
  ...["token_needed", "operator_only", "wrong_token", "too_many_tries"],
  ...["bad_host", "foreign_host", "foreign_origin"],
];
const orders = ["/api/chaos", "/api/alerts/ack", "/api/dlq/1/requeue"];

function wrongWith({ method, url, from, status, body }: Answered): string | undefined {
  if (status === 500 || status > 504) return "failed";
  if (/node_modules|\.js:\d|ENOENT|"polluted"/.test(body) && !url.startsWith("/docs")) return "tells of itself";
  const { host, origin, authorization } = from;
  if (status === 200 && (host === "evil.example" || origin === "http://evil.example" || origin === "null"))
    return "answers a foreign page";
  const code = codeIn(body);
  if (
    method === "POST" &&
    orders.includes(url) &&
    authorization !== asOperator.authorization &&
    !keptOut.includes(code)
  )
    return "looks at an order of somebody who gives none";
  if (status < 400 || method === "HEAD" || (status === 503 && /"(ready|status)"/.test(body))) return undefined;
  const shape = /^\/v2(?:[/?]|$)/.test(url) ? inferenceErrorSchema : errorSchema;
  return shape.safeParse(jsonIn(body)).success ? undefined : "an error of another shape";
}

function codeIn(body: string): string {
  const read = errorSchema.safeParse(jsonIn(body));
  return read.success ? read.data.error.code : "";
}

function jsonIn(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** Sockets that speak no HTTP, or a broken one: each is ended `withinMs`, and none is told of anything inside. */
export async function socketRound(port: number, sockets: number, withinMs: number): Promise<Round> {
  const random: Random = seededRandom(13);
  const findings: string[] = [];
  const over = new AbortController();
  const late = systemClock.delay(withinMs, over.signal).then(() => undefined);
  const answers = await Promise.all(
    Array.from({ length: sockets }, () => {
      const socket = talk(port, garbage(port, random));
      return Promise.race([socket.ended, late]).finally(socket.end);
    }),
  );
  over.abort();
  const ended = answers.filter((answer) => answer !== undefined);
  if (ended.length < sockets) findings.push(`held: ${sockets - ended.length} of ${sockets}`);
  for (const answer of ended)
    if (/^HTTP\/1\.1 500|node_modules|\.js:\d/m.test(answer)) findings.push(`failed: ${answer.slice(0, 200)}`);
  return { findings, taken: ended.filter((answer) => answer.startsWith("HTTP/1.1 ")).length };
}

function talk(port: number, bytes: Buffer): { readonly ended: Promise<string>; end(): void } {
  let text = "";
  const socket = connect(port, "127.0.0.1");
  socket
    .on("error", () => undefined)
    .on("data", (part) => {
      text += part.toString("latin1");
    });
  socket.write(bytes);
  const ended = new Promise<string>((resolve) => {
    socket.once("close", () => resolve(text));
  });
  return { ended, end: () => void socket.destroy() };
}
