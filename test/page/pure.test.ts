// What the page decides without a browser: addresses, figures, the fold of what it is told, the shape of a trace, the trend of memory.

import test from "ava";
import fc from "fast-check";
import { seededRandom } from "../../models/clock.js";
import { EventLines } from "../../operations/page/event-lines.js";
import { age, bytes, count, decimal, points, share, span, unknown } from "../../operations/page/figures.js";
import { growthOf } from "../../operations/page/growth.js";
import { deathsIn, freshnessOf, learn, nothingKnown, queueKey } from "../../operations/page/live.js";
import { addressOf, handedToken, readRoute, viewNames } from "../../operations/page/route.js";
import { readRun } from "../../operations/page/stability-run.js";
import { rowsOf } from "../../operations/page/tree-rows.js";
import { waterfallOf } from "../../operations/page/waterfall.js";
import { busyWorld } from "./world.js";
import { traceId, traceOf } from "./world-jobs.js";
import { pointAt } from "./world-metrics.js";
import { treeAt } from "./world-tree.js";

const nowMs = 1_790_000_000_000;
const hourMs = 3_600_000;

test("every view has an address that leads to it, and an unknown one leads to none", (t) => {
  for (const view of viewNames) t.deepEqual(readRoute(addressOf(view)), { kind: "view", view });
  t.deepEqual(readRoute(""), { kind: "view", view: "overview" });
  t.deepEqual(readRoute(`#/traces/${traceId(1)}`), { kind: "trace", traceId: traceId(1) });
  t.deepEqual(readRoute("#/traces/../tree"), { kind: "unknown", address: "traces/../tree" });
});

test("a token in the address is taken out of it, and the view behind it stays", (t) => {
  t.deepEqual(handedToken("#operator=abc%2Fd"), { token: "abc/d", fragment: "#/" });
  t.deepEqual(handedToken("#operator=abc&/tree"), { token: "abc", fragment: "#/tree" });
  t.is(handedToken("#/tree"), undefined);
  t.deepEqual(handedToken("#viewer=%E0%A4%A"), { token: "%E0%A4%A", fragment: "#/" });
});

test("events are whole whatever pieces their bytes come in", (t) => {
  const text =
    ': hello\n\nevent: metrics\ndata: {"a":1}\n\nretry: 5\nevent: tree\r\ndata: one\r\ndata: two\r\n\r\ndata: bare\n\n';
  const whole = [
    { event: "metrics", data: '{"a":1}' },
    { event: "tree", data: "one\ntwo" },
    { event: "message", data: "bare" },
  ];
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: text.length - 1 })), (cuts) => {
      const at = [0, ...new Set(cuts)].sort((a, b) => a - b);
      const lines = new EventLines();
      const events = at.flatMap((from, index) => lines.take(text.slice(from, at[index + 1])));
      t.deepEqual(events, whole);
    }),
  );
});

test("figures keep what matters: unknown is not zero, nearly all is not all", (t) => {
  t.is(decimal(null), unknown);
  t.is(share(null), unknown);
  t.is(decimal(0), "0");
  t.is(decimal(0.04217), "0.042");
  t.is(decimal(1_280.4), "1,280");
  t.is(share(0.99999, 2), "> 99.99 %");
  t.is(share(1, 2), "100.00 %");
  t.is(share(0.00001, 2), "< 0.01 %");
  t.is(share(0, 2), "0.00 %");
  t.is(points(0.123), "+12.3 points");
  t.is(points(-0.02), "−2.0 points");
  t.is(span(0.214), "0.21 ms");
  t.is(span(2_140), "2.1 s");
  t.is(age(65_000), "1 min");
  t.is(age(11_100_000), "3 h 05 m");
  t.is(bytes(182_400_000), "182 MB");
  t.is(bytes(-4_200_000), "-4.2 MB");
  t.is(count(2_410_000), "2.4M");
});

function held(perHour: number, sawBytes: number, minutes = 60) {
  const random = seededRandom(3);
  return Array.from({ length: minutes * 12 }, (_, index) => {
    const atMs = nowMs + index * 5_000;
    return { atMs, bytes: 200e6 + (perHour * index * 5_000) / hourMs + sawBytes * random() };
  });
}

test("a leak is called growth, with its slope within a tenth; a saw of garbage collection is not (S0-37)", (t) => {
  const leak = growthOf(held(60e6, 8e6));
  t.is(leak.kind, "growing");
  if (leak.kind !== "unknown") t.true(Math.abs(leak.bytesPerHour - 60e6) < 6e6, `${leak.bytesPerHour}`);
  t.is(growthOf(held(0, 40e6)).kind, "steady");
  t.is(growthOf(held(4e6, 1e6)).kind, "steady", "four megabytes an hour are no leak yet");
  t.is(growthOf(held(-80e6, 4e6)).kind, "shrinking");
  t.is(growthOf(held(60e6, 0, 2)).kind, "unknown", "two minutes say nothing");
  t.is(growthOf([]).kind, "unknown");
});

test("a process that only warms up does not grow", (t) => {
  const warming = held(0, 2e6).map((each, index) => ({
    ...each,
    bytes: each.bytes - (index < 100 ? 90e6 * (1 - index / 100) : 0),
  }));
  t.is(growthOf(warming).kind, "steady");
});

test("the page knows the newest of everything, an hour of points, and how old its knowledge is", (t) => {
  const world = busyWorld(nowMs);
  let live = learn(nothingKnown, { kind: "metrics", metrics: world.metrics, atMs: nowMs - 5_000 });
  t.is(live.aheadMs, 5_000, "the browser's clock is 5 s behind");
  live = learn(live, { kind: "point", point: pointAt(nowMs, 1, () => 0.5) });
  t.is(live.series, null, "a point without its past waits for the series");
  live = learn(live, { kind: "series", series: world.series });
  const before = live.series?.points.length ?? 0;
  live = learn(live, { kind: "point", point: pointAt(nowMs, 1, () => 0.5) });
  t.is(live.series?.points.length, before, "the same moment is not drawn twice");
  live = learn(live, { kind: "point", point: pointAt(nowMs + hourMs / 2, 1, () => 0.5) });
  t.is(live.series?.points.at(-1)?.atMs, nowMs + hourMs / 2);
  t.true(live.series?.points.every(({ atMs }) => atMs >= nowMs - hourMs / 2));
  const updates = world.metrics.queues.find(({ name }) => name === "update");
  t.is(updates && live.depths[queueKey(updates)]?.length, 1);
  live = learn(live, { kind: "heard", atMs: nowMs });
  t.is(freshnessOf(live, nowMs + 2_000).kind, "fresh");
  t.deepEqual(freshnessOf(live, nowMs + 60_000), { kind: "stale", ageMs: 60_000 });
});

test("a plot of figures marks deaths and not the restarts that follow at once", (t) => {
  const { series } = busyWorld(nowMs);
  const back = { atMs: nowMs, kind: "node_restarted" as const, about: "learning-1", label: "learning-1 is back" };
  t.is(deathsIn({ ...series, marks: [...series.marks, back] }).length, series.marks.length);
  t.deepEqual(deathsIn(null), []);
});

test("spans are read parents first, each under the one that caused it, at its place in time", (t) => {
  const { spans } = traceOf(traceId(1), nowMs);
  const { bars, durationMs } = waterfallOf([...spans].reverse());
  t.is(durationMs.toFixed(3), "18.200");
  t.is(bars.length, spans.length);
  t.deepEqual(
    bars.slice(0, 3).map(({ span: { name }, depth }) => [name, depth]),
    [
      ["infer", 0],
      ["infer.receive", 1],
      ["infer.queue", 1],
    ],
  );
  const update = bars.find(({ span: { name } }) => name === "update.step");
  t.is(update?.depth, 2);
  t.true(bars.every(({ from, length }) => from >= 0 && from + length <= 1.000_001));
});

test("a circle of parents ends, and a span without its parent is shown", (t) => {
  const [first, second] = traceOf(traceId(1), nowMs).spans;
  if (first === undefined || second === undefined) throw new Error("no spans");
  const circle = [
    { ...first, parentSpanId: second.spanId },
    { ...second, parentSpanId: first.spanId },
  ];
  t.is(waterfallOf(circle).bars.length, 2);
  t.is(waterfallOf([{ ...second, parentSpanId: "gone" }]).bars.length, 1);
});

test("a fault is asked of the root for a process and of its node for what is inside", (t) => {
  const rows = rowsOf(treeAt({ "serving-1/digits/voter": 3 }));
  const at = (path: string) => rows.find((row) => row.path === path)?.target;
  t.is(at("driftmend"), null);
  t.like(at("learning-1"), { node: "root", target: "learning-1", kind: "node" });
  t.like(at("nats-server"), { node: "root", target: "nats-server", kind: "broker" });
  t.like(at("serving-1/digits"), { node: "serving-1", target: "digits", kind: "supervisor" });
  t.like(at("serving-1/digits/voter"), { node: "serving-1", target: "digits/voter", kind: "actor", generation: 3 });
});

test("a run under way is read by what it tells, and what it does not tell is unknown", (t) => {
  const run = readRun(busyWorld(nowMs).stability.running ?? {});
  t.is(run.phase, "running");
  t.is(Math.round(100 * run.progress), 41);
  t.is(run.leftMs, 4_800_000);
  t.deepEqual(run.figures[0], ["Worker crashes", "5"]);
  const bare = readRun({
    progress: 7,
    assertions: [{ name: "memory_stable", passed: false, measured: "44 MB/h", allowed: "10 MB/h" }, 3],
  });
  t.is(bare.progress, 1);
  t.is(bare.leftMs, null);
  t.deepEqual(bare.assertions, [{ name: "memory_stable", state: "broken", message: "44 MB/h; allowed: 10 MB/h" }]);
});
