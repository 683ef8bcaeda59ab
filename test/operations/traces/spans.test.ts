// Spans as a reader of telemetry sees them: nested, closed, without gaps, whatever became of the job.

import test from "ava";
import fc from "fast-check";
import { begin, end, newTimings, phaseReached, stationNames } from "../../../operations/timings/batch-timings.js";
import { spanSchema } from "../../../operations/traces/span.js";
import { spansEvent, updateItems } from "../../../operations/traces/span-items.js";
import { spansOf } from "../../../operations/traces/spans.js";
import { requestSpanId, updateSpanId } from "../../../operations/traces/trace-context.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { encodeEvent, parseEvent, type TelemetryEvent } from "../../../transport/messages/events.js";
import { epochMs, eventsTold, jobOf, spansTold, throughAll, timed, told } from "./traced-jobs.js";

test("(S1-63, S1-68) a request is a job and its phases, which follow each other without a gap", async (t) => {
  const spans = await spansTold([jobOf()]);
  t.deepEqual(told(spans, epochMs), [
    "infer 1..31 ok",
    "infer.receive 1..2 ok",
    "infer.queue 2..10 ok",
    "infer.model 10..20 ok",
    "infer.queue 20..20.5 ok",
    "infer.retrieve 20.5..22 ok",
    "infer.queue 22..24 ok",
    "infer.vote 24..25 ok",
    "infer.remember 25..30 ok",
    "infer.reply 30..31 ok",
  ]);
  const [job, ...phases] = spans;
  t.is(job?.spanId, requestSpanId(jobOf().traceId, "r1"));
  t.true(phases.every(({ parentSpanId }) => parentSpanId === job?.spanId));
  t.is(new Set(spans.map(({ spanId }) => spanId)).size, spans.length);
  for (const span of spans) t.notThrows(() => spanSchema.parse(span));
});

test("(S1-66, S1-69) each phase says its section, its actor and how full the node was", async (t) => {
  const [, ...phases] = await spansTold([jobOf()]);
  t.deepEqual(
    [...new Set(phases.map(({ name, attributes }) => `${name} ${attributes.section}`))],
    [
      "infer.receive serialize",
      "infer.queue transport",
      "infer.model compute",
      "infer.retrieve compute",
      "infer.vote compute",
      "infer.remember store",
      "infer.reply transport",
    ],
  );
  t.like(phases[2], { actor: "small/inference", incarnation: 1 });
  for (const { attributes } of phases) t.like(attributes, { active: 3, slots: 12, utilisation: 0.25 });
});

test("(S1-61) the job of a caller's request is the child of the caller's span", async (t) => {
  const [job] = await spansTold([jobOf({ parentSpanId: "00f067aa0ba902b7", sampled: true })]);
  t.is(job?.parentSpanId, "00f067aa0ba902b7");
  t.is((await spansTold([jobOf({ sampled: false })])).length, 0, "the caller does not want it traced");
});

test("a micro-batch is one event, its phases once and a row for each request", async (t) => {
  const timings = timed(throughAll);
  const jobs = Array.from({ length: 64 }, (_, n) => jobOf({ id: `r${n}`, timings }));
  const [event, ...others] = await eventsTold(jobs);
  t.deepEqual(others, []);
  t.is(event?.items.length, 65);
  t.is((await eventsTold([...jobs, jobOf({ id: "other" })])).length, 2, "another batch is another event");
});

const failures: readonly (readonly [string, Parameters<typeof jobOf>[0], string])[] = [
  ["its deadline passes while it waits", { timings: undefined, code: "deadline" }, "infer.queue 2..31 error"],
  [
    "its deadline passes while the model runs",
    { timings: timed({ model: [10] }), code: "deadline" },
    "infer.model 10..31 error",
  ],
  [
    "its deadline passes, and the model ends later",
    { timings: timed({ model: [10, 50], retrieve: [50, 60] }), code: "deadline" },
    "infer.model 10..31 error",
  ],
  [
    "the log is not taking it",
    { timings: timed({ ...throughAll, remember: [25] }), code: "log_unavailable" },
    "infer.remember 25..31 error",
  ],
  [
    "it is refused at the door",
    { timings: undefined, code: "bad_tensor", acceptedAtMs: 31 },
    "infer.receive 1..31 error",
  ],
];
for (const [what, given, last] of failures)
  test(`(S1-64) spans are closed, as errors, when ${what}`, async (t) => {
    const spans = await spansTold([jobOf(given)]);
    t.is(told(spans, epochMs)[0], "infer 1..31 error");
    t.is(told(spans, epochMs).at(-1), last);
    t.is(spans[0]?.attributes.code, given?.code);
    t.true(spans.every(({ endMs }) => endMs <= epochMs + 31));
  });

test("(S1-64) the try that a crash ended is a closed span with an error, and the one that counts another", async (t) => {
  const clock = new VirtualClock();
  const first = newTimings({ rows: 1, cold: false, version: 0 });
  await clock.advance(10);
  begin(first.stations.model, { clock, incarnation: 1 });
  await clock.advance(5);
  const again = newTimings({ rows: 1, cold: false, version: 0 }, first);
  begin(again.stations.model, { clock, incarnation: 2 });
  await clock.advance(5);
  end(again.stations.model, { clock, incarnation: 2 });
  const spans = await spansTold([jobOf({ timings: again })]);
  const runs = spans.filter(({ name }) => name === "infer.model");
  t.deepEqual(told(runs, epochMs), ["infer.model 10..15 error", "infer.model 15..20 ok"]);
  t.deepEqual(
    runs.map(({ incarnation }) => incarnation),
    [1, 2],
  );
  t.is(spans[0]?.status, "ok", "the job itself was answered");
});

test("negative control of S1-64: without what the earlier delivery left, the try that a crash ended is told by nobody", async (t) => {
  const clock = new VirtualClock();
  const first = newTimings({ rows: 1, cold: false, version: 0 });
  await clock.advance(10);
  begin(first.stations.model, { clock, incarnation: 1 });
  await clock.advance(5);
  const forgetful = newTimings({ rows: 1, cold: false, version: 0 });
  begin(forgetful.stations.model, { clock, incarnation: 2 });
  end(forgetful.stations.model, { clock, incarnation: 2 });
  const spans = await spansTold([jobOf({ timings: forgetful })]);
  t.deepEqual(
    told(
      spans.filter(({ status }) => status === "error"),
      epochMs,
    ),
    [],
  );
});

test("(S1-68, S1-69) whatever the stations, phases are in order, closed, and together as long as the job", async (t) => {
  const moments = fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { minLength: 0, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(moments, fc.boolean(), async (times, isRefused) => {
      const sorted = [...times].sort((a, b) => a - b).map((atMs) => atMs + 2);
      const at = stationNames.flatMap((name, n) => {
        const [fromMs, toMs] = sorted.slice(2 * n, 2 * n + 2);
        return fromMs === undefined ? [] : [[name, [fromMs, toMs]] as const];
      });
      const timings = at.length === 0 ? undefined : timed(Object.fromEntries(at));
      const job = jobOf({ timings, closedAtMs: 150, code: isRefused ? "deadline" : undefined });
      const [whole, ...phases] = await spansTold([job]);
      if (whole === undefined) return false;
      const sum = phases.reduce((total, { startMs, endMs }) => total + endMs - startMs, 0);
      const inOrder = phases.every(
        ({ startMs, endMs }, n) => startMs <= endMs && startMs >= (phases[n - 1]?.endMs ?? 0),
      );
      return inOrder && Math.abs(sum - (whole.endMs - whole.startMs)) < 0.01;
    }),
    { numRuns: 200 },
  );
  t.pass();
});

const position = { seq: 12, index: 3 };
const { traceId } = jobOf();

function updateEvent(outcome: string, guard?: string): TelemetryEvent {
  const parent = requestSpanId(traceId, "r1");
  const laps = [
    { phase: "load", fromMs: epochMs + 52, toMs: epochMs + 55 },
    { phase: "step", fromMs: epochMs + 55, toMs: epochMs + 70, failed: outcome === "broken" },
  ];
  const shared = [
    { phase: "claim", fromMs: epochMs + 50, toMs: epochMs + 52 },
    ...(outcome === "broken" ? [] : [{ phase: "publish", fromMs: epochMs + 75, toMs: epochMs + 90 }]),
  ];
  const job = { traceId, position, parentSpanId: parent, updateSeq: 7, storedAtMs: epochMs + 33, guard, outcome, laps };
  const items = updateItems("small", [job], shared);
  const origin = { node: "learning-1", actor: "small-updater", incarnation: 4, atMs: epochMs + 91 };
  return { kind: spansEvent, ...origin, items };
}

test("(S1-61, S1-63) an update is a child of the request that asked for it, with phases of its own", (t) => {
  const spans = spansOf(updateEvent("applied"));
  t.deepEqual(told(spans, epochMs), [
    "update 33..90 ok",
    "update.queue 33..50 ok",
    "update.claim 50..52 ok",
    "update.load 52..55 ok",
    "update.step 55..70 ok",
    "update.queue 70..75 ok",
    "update.publish 75..90 ok",
  ]);
  t.like(spans[0], { parentSpanId: requestSpanId(traceId, "r1"), spanId: updateSpanId(traceId, position) });
});

test("a step that a guard refused is told with the guard, and is no error", (t) => {
  const [job] = spansOf(updateEvent("refused", "kl"));
  t.like(job, { status: "ok", attributes: { outcome: "refused", guard: "kl", updateSeq: 7, experience: "12.3" } });
});

test("(S1-64) an update whose writer fails is closed as an error, and is another span than the try that counts", (t) => {
  const spans = spansOf(updateEvent("broken"));
  t.is(told(spans, epochMs)[0], "update 33..70 error");
  t.is(told(spans, epochMs).at(-1), "update.step 55..70 error");
  t.not(spans[0]?.spanId, spansOf(updateEvent("applied"))[0]?.spanId);
});

test("what travelled as msgpack is read as it was", async (t) => {
  const [event] = await eventsTold([jobOf()]);
  if (event === undefined) return t.fail();
  const parsed = parseEvent(encodeEvent(event));
  t.deepEqual(parsed.kind === "ok" ? spansOf(parsed.value) : [], spansOf(event));
});

test("items of strangers that do not fit are passed by, and harm nobody", (t) => {
  const origin = { kind: spansEvent, node: "x", actor: "y", incarnation: 1, atMs: 0 };
  const good = { traceId, id: "r", fromUs: 0, openUs: 1, toUs: 2 };
  t.deepEqual(spansOf({ ...origin, items: [] }), []);
  t.deepEqual(spansOf({ ...origin, kind: "vote", items: [{ job: "infer", beganAtMs: 0 }, good] }), []);
  t.deepEqual(spansOf({ ...origin, items: [{ job: "infer", beganAtMs: "soon" }, good] }), []);
  t.deepEqual(spansOf({ ...origin, items: [{ job: "cooking", beganAtMs: 0 }, good] }), []);
  const rows = [{ ...good, traceId: "short" }, { ...good, toUs: null }, { ...good, id: 7 }, good];
  t.is(
    new Set(spansOf({ ...origin, items: [{ job: "infer", beganAtMs: 0 }, ...rows] }).map(({ traceId: of }) => of)).size,
    1,
  );
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.string(), fc.oneof(fc.double(), fc.string(), fc.constant(null)))),
      (items) => {
        spansOf({ ...origin, items: [{ job: "infer", beganAtMs: 0 }, ...items, good] });
      },
    ),
  );
});

test("(S1-66) the phase that a request was in when it was refused is known", (t) => {
  t.is(phaseReached(timed({})), "queue");
  t.is(phaseReached(timed({ model: [1] })), "model");
  t.is(phaseReached(timed({ model: [1, 2] })), "queue");
  t.is(phaseReached(timed({ model: [1, 2], retrieve: [2] })), "retrieve");
});

test("moments that no clock has are passed by, so that nothing that is made of spans stumbles over them", async (t) => {
  const [event] = await eventsTold([jobOf()]);
  if (event === undefined) return t.fail();
  for (const beganAtMs of [Number.POSITIVE_INFINITY, Number.NaN, 1e300]) {
    const [batch, ...rows] = event.items;
    t.deepEqual(spansOf({ ...event, items: [{ ...batch, beganAtMs }, ...rows] }), [], `${beganAtMs}`);
  }
  const [batch, row] = event.items;
  t.deepEqual(spansOf({ ...event, items: [{ ...batch }, { ...row, toUs: 1e308 }] }), []);
});
