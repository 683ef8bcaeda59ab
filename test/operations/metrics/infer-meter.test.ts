// The meter of requests: planted jobs under a virtual clock, in front of a real desk.

import test from "ava";
import { Desk, type OpenRequest } from "../../../actors/serving/desk.js";
import { InferMeter } from "../../../operations/metrics/infer-meter.js";
import { Instruments } from "../../../operations/metrics/instruments.js";
import { PercentileSketch } from "../../../operations/metrics/percentile-sketch.js";
import { Counters, Telemetry } from "../../../operations/metrics/telemetry.js";
import { begin, end, newTimings, type StationName } from "../../../operations/timings/batch-timings.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { Askers, openAt, RecordingBus, subjects } from "../../actors/small-node.js";

function scene(isOn = true) {
  const clock = new VirtualClock(1_700_000_000_000);
  const counters = new Counters();
  const instruments = new Instruments(isOn);
  const telemetry = new Telemetry(new RecordingBus(), subjects, "node-a", counters, clock, instruments);
  const meter = new InferMeter("small", telemetry, clock);
  const desk = new Desk(clock, ({ request, code, tookMs }) => meter.closed(request, code === undefined, tookMs));
  const askers = new Askers();
  const worker = { clock, incarnation: 1 };
  meter.provide(64);
  return {
    clock,
    counters,
    instruments,
    meter,
    desk,
    open: (id: string, receivedAtMs = clock.monotonicMs()) => {
      const request = openAt(desk, askers, id, { receivedAtMs });
      meter.opened(request);
      return request;
    },
    /** As the inference actor does it. */
    run: (requests: readonly OpenRequest[]) => {
      const ran = meter.run(requests);
      const timings = newTimings({ rows: requests.length, cold: false, version: 1 }, requests[0]?.timings);
      for (const request of requests) request.timings = timings;
      begin(timings.stations.model, worker);
      return () => {
        ran();
        end(timings.stations.model, worker);
      };
    },
    /** The batch of a request comes to a station; the returned function ends it. */
    enter: (name: Exclude<StationName, "model">, { timings }: OpenRequest) => {
      const station = timings?.stations[name];
      if (station === undefined) throw new Error("the model comes first");
      begin(station, worker);
      return (failed = false) => end(station, worker, failed);
    },
    sketch: (name: string): PercentileSketch => {
      const bytes = instruments.sketches()[name];
      const sketch = bytes === undefined ? new PercentileSketch() : PercentileSketch.decode(bytes);
      if (sketch === undefined) throw new Error(`${name} is no sketch`);
      return sketch;
    },
  };
}

const reply = new Uint8Array([1]);

test("(S1-2) who waits while every slot is held for 500 ms has waited 500 ms for a slot", async (t) => {
  const { clock, run, open, desk, instruments, sketch } = scene();
  const held = Array.from({ length: 64 }, (_, n) => open(`h${n}`));
  const ran = run(held);
  const waiter = open("waiter");
  t.like(instruments.gauges(clock.monotonicMs()), { pool_infer_slots: 64, pool_infer_waiting: 1 });
  await clock.advance(500);
  ran();
  run([waiter])();
  for (const request of [...held, waiter]) desk.settle(request, reply);
  t.is(sketch("slot_wait_infer_ms").max, 500);
  t.is(sketch("slot_wait_infer_ms").quantile(0.5), 0);
  t.is(sketch("queue_infer_ms").max, 0);
  t.like(instruments.gauges(clock.monotonicMs()), {
    pool_infer_active: 64,
    pool_infer_waiting: 0,
    pool_infer_peak: 64,
  });
});

test("(S1-6) a job's queue time and slot wait together are the time from its acceptance to its start", async (t) => {
  const { clock, run, open, desk, sketch } = scene();
  const waits: number[] = [];
  for (let job = 1; job <= 40; job += 1) {
    const request = open(`j${job}`);
    await clock.advance(job);
    waits.push(job);
    const ran = run([request]);
    await clock.advance(3);
    ran();
    desk.settle(request, reply);
  }
  const mean = waits.reduce((sum, ms) => sum + ms) / waits.length;
  const [queue, slots, phase] = [
    sketch("queue_infer_ms"),
    sketch("slot_wait_infer_ms"),
    sketch("phase_infer_queue_ms"),
  ];
  t.true(Math.abs((queue.mean ?? 0) - mean) < 1);
  t.is(slots.max, 0, "nobody else was at work");
  t.is(queue.sum + slots.sum, phase.sum);
});

test("(S1-17, S1-26) with 80 jobs under way at once the durations are those that were planted, each at least its queue time and slot wait", async (t) => {
  const { clock, run, enter, open, desk, sketch, counters } = scene();
  const planted: number[] = [];
  const runs = Array.from({ length: 80 }, async (_, n) => {
    await clock.delay(n % 7);
    const request = open(`c${n}`);
    const fromMs = clock.monotonicMs();
    await clock.delay(1 + (n % 5));
    const ran = run([request]);
    await clock.delay(10 + n);
    ran();
    const done = enter("remember", request);
    await clock.delay(2);
    done();
    desk.settle(request, reply);
    planted.push(clock.monotonicMs() - fromMs);
  });
  await clock.advance(1_000);
  await Promise.all(runs);
  const sorted = planted.sort((a, b) => a - b);
  const jobs = sketch("job_infer_ms");
  for (const q of [0.5, 0.95, 0.99]) {
    const truth = sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
    t.true(Math.abs(jobs.quantile(q) - truth) <= Math.max(1, 0.01 * truth), `p${q * 100}`);
  }
  t.is(counters.get("jobs_infer_finished"), 80);
  t.true(jobs.sum >= sketch("queue_infer_ms").sum + sketch("slot_wait_infer_ms").sum);
  t.is(sketch("phase_infer_remember_ms").max, 2);
});

test("(S1-10) when the log takes nothing for 30 of 100 jobs, remember fails in 0.3 of them, and nothing else does", (t) => {
  const { run, enter, open, desk, counters } = scene();
  for (let job = 0; job < 100; job += 1) {
    const request = open(`f${job}`);
    run([request])();
    const isFull = job % 10 < 3;
    for (const phase of ["retrieve", "vote", "remember"] as const)
      enter(phase, request)(isFull && phase === "remember");
    if (isFull) desk.refuse(request, "log_unavailable", "full");
    else desk.settle(request, reply);
  }
  const rate = (phase: string): number =>
    counters.get(`phase_infer_${phase}_failed`) / counters.get(`phase_infer_${phase}_started`);
  t.is(rate("remember"), 0.3);
  for (const phase of ["queue", "model", "retrieve", "vote", "reply"]) t.is(rate(phase), 0, phase);
  t.is(counters.get("phase_infer_reply_started"), 70);
  t.deepEqual([counters.get("jobs_infer_finished"), counters.get("jobs_infer_failed")], [70, 30]);
});

test("a job that is delivered again after a crash reaches its phases once, and waits once", async (t) => {
  const { clock, run, enter, open, desk, counters, instruments, sketch } = scene();
  const request = open("again");
  await clock.advance(5);
  for (let delivery = 0; delivery < 3; delivery += 1) {
    run([request])();
    enter("retrieve", request);
  }
  desk.settle(request, reply);
  t.is(counters.get("phase_infer_model_started"), 1);
  t.is(counters.get("phase_infer_retrieve_started"), 1);
  t.is(sketch("queue_infer_ms").count, 1);
  t.is(instruments.gauges(0).pool_infer_waiting, 0);
});

test("a job that is refused while it waits, waits no more, and has failed in the queue", (t) => {
  const { open, desk, counters, instruments } = scene();
  desk.refuse(open("late"), "deadline", "too late");
  t.is(instruments.gauges(0).pool_infer_waiting, 0);
  t.is(counters.get("phase_infer_queue_failed"), 1);
});

test("jobs of one batch that end at different moments are each counted as far as the batch had come by then", async (t) => {
  const { clock, run, enter, open, desk, counters, sketch } = scene();
  const requests = ["late", "waiting", "answered"].map((id) => open(id));
  const [late, waiting, answered] = requests;
  if (late === undefined || waiting === undefined || answered === undefined) throw new Error("three were opened");
  const ran = run(requests);
  await clock.advance(4);
  desk.refuse(late, "deadline", "too late");
  await clock.advance(6);
  ran();
  await clock.advance(1);
  desk.refuse(waiting, "deadline", "too late");
  for (const name of ["retrieve", "vote", "remember"] as const) enter(name, answered)(name === "retrieve");
  await clock.advance(5);
  desk.settle(answered, reply);
  const counts = (phase: string): number[] =>
    ["started", "failed"].map((what) => counters.get(`phase_infer_${phase}_${what}`));
  t.deepEqual(counts("model"), [3, 1], "the first ended in the model");
  t.deepEqual([sketch("phase_infer_model_ms").sum, sketch("phase_infer_model_ms").max], [24, 10]);
  t.deepEqual(counts("queue"), [3, 1], "the second behind it");
  t.deepEqual(counts("retrieve"), [1, 1], "the search of the third failed, and it was answered all the same");
  t.deepEqual(counts("reply"), [1, 0]);
  t.is(sketch("phase_infer_reply_ms").max, 5);
});

test("a reply that could not leave any more has failed as a reply, and what it took to take a request in is told", async (t) => {
  const { clock, run, enter, open, desk, counters, sketch } = scene();
  await clock.advance(10);
  const request = open("unsent", clock.monotonicMs() - 3);
  run([request])();
  for (const name of ["retrieve", "vote", "remember"] as const) enter(name, request)();
  desk.refuse(request, "deadline", "too late");
  t.is(sketch("phase_infer_receive_ms").max, 3);
  t.deepEqual(
    ["remember", "reply", "queue"].map((phase) => counters.get(`phase_infer_${phase}_failed`)),
    [0, 1, 0],
  );
});

test("(S1-13) with the instruments off jobs are still counted, and nothing is timed", (t) => {
  const { run, open, desk, counters, instruments } = scene(false);
  const request = open("off");
  run([request])();
  desk.settle(request, reply);
  t.is(counters.get("jobs_infer_finished"), 1);
  t.deepEqual(instruments.sketches(), {});
  t.is(counters.get("phase_infer_model_started"), 0);
});

test("(S1-24) jobs that are answered together are measured as each of them closed at that moment", async (t) => {
  const told = async (together: boolean) => {
    const { clock, run, open, enter, meter, counters, instruments } = scene();
    const early = open("early");
    await clock.advance(3);
    const batch = [early, open("a"), open("b")];
    const ran = run(batch);
    await clock.advance(4);
    ran();
    for (const [name, ms] of [
      ["retrieve", 2],
      ["vote", 1],
      ["remember", 5],
    ] as const) {
      const over = enter(name, early);
      await clock.advance(ms);
      over(name === "retrieve");
    }
    // One of another batch, and one that no batch took.
    const other = open("other");
    run([other])();
    const jobs = [...batch, other, open("alone")];
    await clock.advance(7);
    const nowMs = clock.monotonicMs();
    if (together) meter.answeredTogether(jobs, nowMs);
    else for (const job of jobs) meter.closed(job, true, nowMs - job.acceptedAtMs);
    return { counters: counters.all(), gauges: instruments.gauges(nowMs), sketches: instruments.sketches() };
  };
  t.deepEqual(await told(true), await told(false));
  t.is((await told(true)).counters.jobs_infer_finished, 5);
});
