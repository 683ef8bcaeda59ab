// Jobs as a node would tell them, without a node: timings under a virtual clock, recorded, and read back as spans.

import { type BatchTimings, newTimings } from "../../../operations/timings/batch-timings.js";
import { type JobToRecord, SpanRecorder } from "../../../operations/traces/recorder.js";
import type { Span } from "../../../operations/traces/span.js";
import { spansEvent } from "../../../operations/traces/span-items.js";
import { spansOf } from "../../../operations/traces/spans.js";
import { type TracePolicy, traceAll } from "../../../operations/traces/trace-context.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { recorded } from "../../actors/small-node.js";

export const epochMs = 1_700_000_000_000;

/** A batch at its stations: milliseconds from and to of each, as far as it came. */
export function timed(
  stations: Partial<Record<keyof BatchTimings["stations"], readonly [number, number?]>>,
): BatchTimings {
  const timings = newTimings({ rows: 1, cold: false, version: 3 });
  for (const [name, [fromMs, toMs]] of Object.entries(stations))
    Object.assign(timings.stations[name as keyof BatchTimings["stations"]], { fromMs, toMs, incarnation: 1 });
  return timings;
}

export const throughAll = {
  model: [10, 20],
  retrieve: [20.5, 22],
  vote: [24, 25],
  remember: [25, 30],
} as const;

export function jobOf(given: Partial<JobToRecord> = {}): JobToRecord {
  return {
    model: "small",
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    id: "r1",
    parentSpanId: undefined,
    sampled: undefined,
    receivedAtMs: 1,
    acceptedAtMs: 2,
    closedAtMs: 31,
    code: undefined,
    timings: timed(throughAll),
    ...given,
  };
}

/** What a reader makes of what a node tells of these jobs, closed in the same moment. */
export async function spansTold(jobs: readonly JobToRecord[], policy: TracePolicy = traceAll): Promise<Span[]> {
  return (await eventsTold(jobs, policy)).flatMap(spansOf);
}

export async function eventsTold(jobs: readonly JobToRecord[], policy: TracePolicy = traceAll) {
  const clock = new VirtualClock(epochMs);
  const { bus, telemetry } = recorded(clock);
  const recorder = new SpanRecorder(telemetry, clock, 1, policy);
  recorder.askFullness(() => ({ active: 3, slots: 12 }));
  for (const job of jobs) recorder.closed(job);
  // The event is made in a microtask, behind the replies.
  await Promise.resolve();
  return bus.events(spansEvent);
}

/** "infer.model 10..20 ok", in milliseconds of the node's clock; without phases that took no time. */
export function told(spans: readonly Span[], since: number): string[] {
  return spans.map(
    ({ name, startMs, endMs, status }) => `${name} ${ms(startMs - since)}..${ms(endMs - since)} ${status}`,
  );
}

function ms(value: number): string {
  return String(Number(value.toFixed(3)));
}
