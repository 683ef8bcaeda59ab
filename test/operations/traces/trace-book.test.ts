// Traces put together: bounded, in order, with the path that counts and where the time went.

import test from "ava";
import type { Span } from "../../../operations/traces/span.js";
import { spansEvent, updateItems } from "../../../operations/traces/span-items.js";
import { jobsOfTraceMax, TraceBook } from "../../../operations/traces/trace-book.js";
import { requestSpanId } from "../../../operations/traces/trace-context.js";
import { openTraceShelf } from "../../../operations/traces/trace-shelf.js";
import { criticalPath, phaseTables, treeOfSpans } from "../../../operations/traces/trace-tree.js";
import { encodeEvent } from "../../../transport/messages/events.js";
import { encodeLogLine, type LogLine } from "../../../transport/messages/log-lines.js";
import { subjects, traceOf } from "../../actors/small-node.js";
import { epochMs, eventsTold, jobOf, throughAll, timed } from "./traced-jobs.js";

async function bookOf(jobs: readonly Parameters<typeof jobOf>[0][], jobsMax?: number): Promise<TraceBook> {
  const book = new TraceBook(jobsMax);
  for (const event of await eventsTold(jobs.map(jobOf))) book.take(event);
  return book;
}

const inTrace = (n: number, ms = 29) => ({
  id: `r${n}`,
  traceId: traceOf(`t${n}`),
  closedAtMs: 2 + ms,
  timings: timed(throughAll),
});

test("traces are listed newest first, or slowest first, with what became of them", async (t) => {
  const book = await bookOf([inTrace(1, 200), inTrace(2), { ...inTrace(3, 100), code: "deadline" }]);
  t.deepEqual(
    book.last(2).map(({ traceId }) => traceId),
    [traceOf("t3"), traceOf("t2")],
  );
  t.deepEqual(
    book.slowest(2).map(({ traceId, status }) => ({ traceId, status })),
    [
      { traceId: traceOf("t1"), status: "ok" },
      { traceId: traceOf("t3"), status: "error" },
    ],
  );
  t.like(book.last(1)[0], { name: "infer", startMs: epochMs + 1, durationMs: 101 });
  t.deepEqual(book.withPrefix(traceOf("t2")), [traceOf("t2")]);
});

test("at the bound the oldest trace goes whole, and what is kept stays within it", async (t) => {
  const book = await bookOf(
    Array.from({ length: 50 }, (_, n) => inTrace(n)),
    10,
  );
  t.is(book.size, 10);
  t.deepEqual(book.spans(traceOf("t0")), []);
  t.is(book.last(100).length, 10);
  t.true(book.spans(traceOf("t49")).length > 5);
});

test("lines are kept with the trace they name, in order of time; others are not", (t) => {
  const book = new TraceBook(10, 3);
  const line = (atMs: number, trace: string | null): LogLine => ({
    ...{ atMs, level: "warn", message: "m", trace, span: null, node: "n", actor: null },
    ...{ incarnation: null, phase: null, component: null, fields: {} },
  });
  for (const each of [line(3, "a"), line(1, "a"), line(2, null), line(9, "b")]) book.takeLine(each);
  t.deepEqual(
    book.lines("a").map(({ atMs }) => atMs),
    [1, 3],
  );
  for (let n = 0; n < 100; n += 1) book.takeLine(line(n, "c"));
  t.true(book.lines("c").length <= 7);
});

async function learned(): Promise<readonly Span[]> {
  const book = await bookOf([jobOf()]);
  const { traceId } = jobOf();
  const lap = (phase: string, fromMs: number, toMs: number) => ({
    phase,
    fromMs: epochMs + fromMs,
    toMs: epochMs + toMs,
  });
  const job = {
    ...{ traceId, position: { seq: 1, index: 0 }, parentSpanId: requestSpanId(traceId, "r1"), updateSeq: 1 },
    ...{ storedAtMs: epochMs + 32, guard: undefined, outcome: "applied", laps: [lap("step", 40, 60)] },
  };
  const items = updateItems("small", [job], [lap("publish", 60, 70)]);
  const origin = { node: "learning-1", actor: "small-updater", incarnation: 1, atMs: epochMs + 70 };
  book.take({ kind: spansEvent, ...origin, items });
  return book.spans(traceId);
}

test("(S1-63) request and update of two nodes are one tree: job, phases, and the update below the request", async (t) => {
  const [root, ...more] = treeOfSpans(await learned());
  t.deepEqual(more, []);
  t.is(root?.span.name, "infer");
  const update = root?.children.find(({ span }) => span.name === "update");
  t.deepEqual(
    update?.children.map(({ span }) => span.name),
    ["update.queue", "update.step", "update.publish"],
  );
});

test("spans whose parent nobody told of are roots of their own", async (t) => {
  const spans = (await learned()).filter(({ name }) => name !== "infer");
  t.true(treeOfSpans(spans).length > 3);
});

test("the critical path is what the end of the trace waited for, and leaves out what ran beside it", async (t) => {
  const spans = await learned();
  const whole = criticalPath(spans);
  t.true(
    spans.every(({ spanId }) => whole.has(spanId)),
    "one after the other: all of it counts",
  );
  const [job] = spans;
  if (job === undefined) return t.fail();
  const beside = { ...job, spanId: "beside", parentSpanId: job.spanId, startMs: job.startMs, endMs: job.endMs - 5 };
  t.false(criticalPath([...spans, beside]).has("beside"));
});

test("(S1-68, S1-69) the table of phases adds up to the jobs, and names every section", async (t) => {
  const book = await bookOf([inTrace(1), inTrace(2, 60), { ...inTrace(3), timings: undefined, code: "deadline" }]);
  const [table, ...others] = phaseTables(book.jobs());
  t.deepEqual(others, []);
  if (table === undefined) return t.fail();
  t.is(table.jobs, 3);
  t.true(Math.abs(table.phasesMs - table.jobMs) <= 0.05 * table.jobMs);
  const { transport, compute, serialize, store } = table.sections;
  t.true(Math.abs(transport + compute + serialize + store - table.jobMs) < 0.01);
  for (const ms of [transport, compute, serialize, store]) t.true(ms > 0);
  t.is(table.phases.find(({ phase }) => phase === "infer.model")?.jobs, 2, "one never came to the model");
});

test("a shelf takes messages as they come on its subjects, and passes by what is none of its own", async (t) => {
  const shelf = openTraceShelf(subjects);
  t.deepEqual(shelf.subjects, ["test.telemetry.event.spans", "test.telemetry.log.*"]);
  const { traceId } = jobOf();
  for (const event of await eventsTold([jobOf()])) shelf.take(encodeEvent(event));
  const line: LogLine = {
    ...{ atMs: 5, level: "warn", message: "m", trace: traceId, span: null, node: "n", actor: null },
    ...{ incarnation: null, phase: null, component: null, fields: {} },
  };
  shelf.take(encodeLogLine(line));
  shelf.take(new Uint8Array([0xc1, 1, 2]));
  shelf.take(encodeEvent({ kind: "vote", node: "n", actor: "a", incarnation: 1, atMs: 1, items: [{ traceId }] }));
  t.deepEqual(
    shelf.last(5).map((trace) => trace.traceId),
    [traceId],
  );
  t.true(shelf.spans(traceId).length > 5);
  t.is(shelf.lines(traceId).length, 1);
});

test("of a trace that never ends the first jobs are kept, and the others do not push it or its neighbours out", async (t) => {
  const endless = Array.from({ length: jobsOfTraceMax + 50 }, (_, n) => ({
    ...inTrace(n),
    traceId: traceOf("endless"),
  }));
  const book = await bookOf([inTrace(-1), ...endless, inTrace(-2)], jobsOfTraceMax + 10);
  t.is(book.size, jobsOfTraceMax + 2);
  t.is(book.last(10).length, 3);
  t.is(book.spans(traceOf("endless")).filter(({ name }) => name === "infer").length, jobsOfTraceMax);
});
