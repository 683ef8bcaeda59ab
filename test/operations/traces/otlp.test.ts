// Spans on their way to a collector: the protocol's own shape, against an HTTP server on loopback, bounded whatever the collector does.

import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import test from "ava";
import { z } from "zod";
import { exportRequest, OtlpSink, type Post, postJsonBy } from "../../../operations/traces/otlp.js";
import type { Span } from "../../../operations/traces/span.js";
import { systemClock } from "../../../supervision/clock.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { epochMs, jobOf, spansTold } from "./traced-jobs.js";

// opentelemetry-proto 1.x: trace.proto, common.proto, resource.proto in their JSON encoding. Strict: a misspelled field is an error.
const anyValue = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ boolValue: z.boolean() }),
  z.strictObject({ intValue: z.string().regex(/^-?\d{1,19}$/) }),
  z.strictObject({ doubleValue: z.number() }),
]);
const attributes = z
  .array(z.strictObject({ key: z.string().min(1), value: anyValue }))
  .refine((all) => new Set(all.map(({ key }) => key)).size === all.length, "attribute keys must be unique");
const nanos = z.string().regex(/^\d{1,20}$/);
const span = z
  .strictObject({
    traceId: z.string().regex(/^(?!0+$)[0-9a-f]{32}$/),
    spanId: z.string().regex(/^(?!0+$)[0-9a-f]{16}$/),
    parentSpanId: z
      .string()
      .regex(/^[0-9a-f]{16}$/)
      .optional(),
    name: z.string().min(1),
    kind: z.int().min(0).max(5),
    startTimeUnixNano: nanos,
    endTimeUnixNano: nanos,
    attributes,
    status: z.strictObject({ code: z.int().min(0).max(2), message: z.string().optional() }),
  })
  .refine(({ startTimeUnixNano, endTimeUnixNano }) => BigInt(endTimeUnixNano) >= BigInt(startTimeUnixNano));
const exportTraceServiceRequest = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes }),
      scopeSpans: z.array(
        z.strictObject({ scope: z.strictObject({ name: z.string(), version: z.string() }), spans: z.array(span) }),
      ),
    }),
  ),
});

const service = { cluster: "driftmend", version: "1.2.3" };

test("(S1-62) exported spans are OTLP JSON, and a duration is end less start", async (t) => {
  const spans = await spansTold([
    jobOf({ parentSpanId: "00f067aa0ba902b7", sampled: true }),
    jobOf({ id: "r2", code: "deadline" }),
  ]);
  const request = exportTraceServiceRequest.parse(JSON.parse(JSON.stringify(exportRequest(spans, service))));
  const exported = request.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
  t.is(exported.length, spans.length);
  for (const [n, each] of exported.entries()) {
    const given = spans[n];
    const ms = Number(BigInt(each.endTimeUnixNano) - BigInt(each.startTimeUnixNano)) / 1e6;
    t.true(Math.abs(ms - ((given?.endMs ?? 0) - (given?.startMs ?? 0))) < 0.002);
  }
  t.like(exported[0], { name: "infer", kind: 2, parentSpanId: "00f067aa0ba902b7", status: { code: 1 } });
  t.is(
    exported.filter(({ status }) => status.code === 2).some(({ status }) => status.message === "deadline"),
    true,
  );
  t.is(exported[0]?.startTimeUnixNano, `${BigInt(epochMs + 1) * 1_000_000n}`);
});

test("(S1-62) each node is a resource of its own", async (t) => {
  const [one] = await spansTold([jobOf()]);
  if (one === undefined) return t.fail();
  const request = exportRequest([one, { ...one, node: "learning-1" }], service);
  t.deepEqual(
    request.resourceSpans.map(
      ({ resource }) => resource.attributes.find(({ key }) => key === "service.instance.id")?.value,
    ),
    [{ stringValue: "node-a" }, { stringValue: "learning-1" }],
  );
});

interface Collector {
  readonly server: Server;
  readonly url: string;
  readonly heard: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string }[];
  answer: { status: number; headers?: Record<string, string> };
}

async function collector(): Promise<Collector> {
  const heard: Collector["heard"] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      heard.push({ path: request.url ?? "", headers: request.headers, body });
      response.writeHead(running.answer.status, running.answer.headers).end("{}");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const running: Collector = { server, url: `http://127.0.0.1:${port}/v1/traces`, heard, answer: { status: 200 } };
  return running;
}

function sinkTo(url: string, post: Post, given: { readonly queueMax?: number; readonly batchMax?: number } = {}) {
  const clock = new VirtualClock();
  const counts = new Map<string, number>();
  const counters = { add: (name: string, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by) };
  return { clock, counts, sink: new OtlpSink({ url, ...service, clock, post, counters, ...given }) };
}

const many = async (count: number): Promise<Span[]> => {
  const [one] = await spansTold([jobOf()]);
  return one === undefined ? [] : Array.from({ length: count }, () => one);
};

test("spans arrive at the collector in batches, as JSON, and are counted", async (t) => {
  const at = await collector();
  const { sink, counts } = sinkTo(at.url, postJsonBy(systemClock), { batchMax: 2 });
  sink.offer(await many(5));
  await sink.flush(() => 0);
  at.server.close();
  t.is(sink.waiting, 0);
  t.is(counts.get("otlp_exported"), 5);
  t.deepEqual(
    at.heard.map(({ path, headers }) => [path, headers["content-type"]]),
    Array.from({ length: 3 }, () => ["/v1/traces", "application/json"]),
  );
  for (const { body } of at.heard) t.notThrows(() => exportTraceServiceRequest.parse(JSON.parse(body)));
});

test("a collector that is busy is asked again, later and not before it said; nothing is lost", async (t) => {
  const at = await collector();
  const { sink, clock, counts } = sinkTo(at.url, postJsonBy(systemClock));
  at.answer = { status: 503, headers: { "retry-after": "7" } };
  sink.offer(await many(3));
  await sink.flush(() => 0);
  await sink.flush(() => 0);
  t.is(at.heard.length, 1, "not before its time");
  at.answer = { status: 200 };
  await clock.advance(6_999);
  await sink.flush(() => 0);
  t.is(at.heard.length, 1);
  await clock.advance(1);
  await sink.flush(() => 0);
  at.server.close();
  t.is(counts.get("otlp_exported"), 3);
  t.is(counts.get("otlp_dropped"), undefined);
});

test("what a collector refuses for good is dropped and counted", async (t) => {
  const at = await collector();
  const { sink, counts } = sinkTo(at.url, postJsonBy(systemClock));
  at.answer = { status: 400 };
  sink.offer(await many(4));
  await sink.flush(() => 0);
  at.server.close();
  t.is(sink.waiting, 0);
  t.is(counts.get("otlp_dropped"), 4);
});

test("a collector that is away costs the spans beyond the bound, waits longer each time, and delays nobody", async (t) => {
  const tries: number[] = [];
  const clockOf: { now: () => number } = { now: () => 0 };
  const nobody: Post = async () => {
    tries.push(clockOf.now());
    return { status: undefined, retryAfterMs: undefined };
  };
  const { sink, clock, counts } = sinkTo("http://127.0.0.1:9/v1/traces", nobody, { queueMax: 10 });
  clockOf.now = () => clock.monotonicMs();
  for (let second = 0; second < 40; second += 1) {
    sink.offer(await many(1));
    await sink.flush(() => 0);
    await clock.advance(1_000);
  }
  t.is(sink.waiting, 10);
  t.is(counts.get("otlp_dropped"), 30);
  t.true(tries.length < 10, `${tries.length} tries`);
});

test("nobody at the address, and an address that is none, are no answer and no crash", async (t) => {
  const at = await collector();
  at.server.close();
  await once(at.server, "close");
  t.deepEqual(await postJsonBy(systemClock)(at.url, "{}", 1_000), { status: undefined, retryAfterMs: undefined });
});

test("a collector that takes a batch and says nothing is given up by the clock that was given", async (t) => {
  const silent = createServer();
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  t.teardown(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const taken = once(silent, "request");
  const clock = new VirtualClock();
  const posted = postJsonBy(clock)(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/`, "{}", 600_000);
  await taken;
  await clock.advance(600_000);
  t.deepEqual(await posted, { status: undefined, retryAfterMs: undefined });
});
