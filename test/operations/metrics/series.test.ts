// An hour of vital signs: its pace, its bounds, its marks.

import test from "ava";
import { encodeKept, readKept } from "../../../operations/metrics/kept-figures.js";
import { Series, seriesSchema } from "../../../operations/metrics/series.js";
import { decodeMessage, encodeMessage } from "../../../transport/messages/codec.js";
import { cleanup, freshAggregate, lookedAt, startMs, Telling } from "./nodes-telling.js";

function hours(count: number, nodes = 1): { readonly series: Series; readonly endMs: number } {
  const aggregate = freshAggregate();
  const series = new Series();
  const processes = Array.from({ length: nodes }, (_, n) => new Telling(`serving-${n}`, startMs));
  for (const process of processes) process.values.rssBytes = 100;
  let atMs = startMs;
  for (; atMs < startMs + count * 3_600_000; atMs += 2_500) {
    for (const process of processes) {
      process.count("requests", 25);
      aggregate.take(process.sample(atMs), atMs);
    }
    series.take(aggregate.view(atMs, lookedAt({ lastSeq: 3 })));
  }
  return { series, endMs: atMs };
}

test("an hour of points five seconds apart is kept, and no more", (t) => {
  const { series, endMs } = hours(1.5);
  const { points, stepSeconds } = series.report();
  t.is(stepSeconds, 5);
  t.true(points.length >= 719 && points.length <= 721, `${points.length}`);
  t.true((points[0]?.atMs ?? 0) > endMs - 3_610_000);
  t.is(points.at(-1)?.requestsPerSecond, 10);
  t.deepEqual(points.at(-1)?.rssBytes, { "serving-0": 100 });
  t.is(points.at(-1)?.queueSize, 3);
});

test("a report fits into one message, however many nodes there are", (t) => {
  const { series } = hours(1, 40);
  const decoded = decodeMessage(encodeMessage({ v: 1, report: series.report() }));
  t.is(decoded.kind, "message");
  if (decoded.kind === "message") t.true(seriesSchema.safeParse(decoded.fields.report).success);
  t.true(series.report().points.length > 100);
});

test("a killed learning node is a Worker Crash; others died, and all come back (S1-40)", (t) => {
  const { series, endMs } = hours(0.01);
  series.mark(cleanup("died", "learning-1", 1, endMs), ["learning"]);
  series.mark(cleanup("started", "learning-1", 2, endMs), ["learning"]);
  series.mark(cleanup("died", "serving-1", 1, endMs), ["serving"]);
  series.mark(cleanup("started", "serving-1", 1, endMs), ["serving"]);
  t.deepEqual(
    series.report().marks.map(({ kind, about, label }) => `${kind} ${about}: ${label}`),
    [
      "worker_crash learning-1: Worker Crash",
      "node_restarted learning-1: learning-1 is back, incarnation 2",
      "node_died serving-1: serving-1 died",
    ],
  );
});

test("the next observer goes on behind the last kept point (S1-40)", (t) => {
  const { series } = hours(0.5);
  const { points } = series.report();
  const kept = readKept(encodeKept({ atMs: startMs, figures: freshAggregate().kept(), points, frozen: { base: 2 } }));
  t.deepEqual(kept?.points, points);
  t.deepEqual(kept?.frozen, { base: 2 });
  const next = new Series();
  next.restore(kept?.points ?? []);
  const newestMs = points.at(-1)?.atMs ?? 0;
  t.is(next.take(freshAggregate().view(newestMs - 60_000)), undefined, "the past again");
  t.truthy(next.take(freshAggregate().view(newestMs + 5_000)));
  t.is(next.report().points.length, points.length + 1);
});

test("a clock that is set back does not end the curve: it goes on from where the clock is now (S1-40)", (t) => {
  const { series, endMs } = hours(0.5);
  const backMs = endMs - 600_000;
  const aggregate = freshAggregate();
  t.truthy(series.take(aggregate.view(backMs + 9_500)));
  for (let atMs = backMs + 14_500; atMs <= backMs + 59_500; atMs += 5_000) t.truthy(series.take(aggregate.view(atMs)));
  const { points } = series.report();
  t.deepEqual(
    points.map(({ atMs }) => atMs),
    points.map(({ atMs }) => atMs).sort((a, b) => a - b),
  );
  t.is(points.at(-1)?.atMs, backMs + 59_500);
  t.true(points.every(({ requestsPerSecond }) => Number.isFinite(requestsPerSecond)));
});
