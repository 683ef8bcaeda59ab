// Jobs as the items of a `spans` event: the writing side.
//
// Owns: the compact items. Does not own: when they are sent (recorder.ts), what a reader makes of them (spans.ts), the envelope
// (transport/events.ts).
//
// The first item tells of the batch, each further one is a job of it. Times are whole microseconds behind `beganAtMs` (epoch milliseconds), so a
// job of a batch of 64 costs some hundred bytes instead of eight spans.

import type { EventItem, EventValue } from "../../transport/events.js";
import { type BatchTimings, stationNames } from "../timings/batch-timings.js";
import type { Lap } from "../timings/update-laps.js";

export const spansEvent = "spans";

/** A request as it was closed; times are monotonic milliseconds. */
export interface ClosedJob {
  readonly model: string;
  readonly traceId: string;
  readonly id: string;
  readonly parentSpanId: string | undefined;
  readonly receivedAtMs: number;
  readonly acceptedAtMs: number;
  readonly closedAtMs: number;
  /** Of the refusal; undefined when it was answered. */
  readonly code: string | undefined;
  readonly timings: BatchTimings | undefined;
}

/** How full the node was. */
export interface Fullness {
  readonly active: number;
  readonly slots: number;
}

/** The items of jobs that were closed together, of one model and one batch. `epochMs` is what to add to a monotonic time. */
export function inferItems(jobs: readonly ClosedJob[], epochMs: number, fullness: Fullness): readonly EventItem[] {
  const [first] = jobs;
  if (first === undefined) return [];
  const since = jobs.reduce((least, { receivedAtMs }) => Math.min(least, receivedAtMs), first.receivedAtMs);
  const us = (atMs: number | undefined): number | undefined =>
    atMs === undefined ? undefined : Math.round((atMs - since) * 1_000);
  const batch = { job: "infer", model: first.model, beganAtMs: since + epochMs, ...fullness };
  const rows = jobs.map(({ traceId, id, parentSpanId, receivedAtMs, acceptedAtMs, closedAtMs, code }) => ({
    traceId,
    id,
    parent: parentSpanId,
    fromUs: us(receivedAtMs),
    openUs: us(acceptedAtMs),
    toUs: us(closedAtMs),
    code,
  }));
  return [{ ...batch, ...timingFields(first.timings, us) }, ...rows];
}

function timingFields(
  timings: BatchTimings | undefined,
  us: (atMs: number | undefined) => number | undefined,
): EventItem {
  if (timings === undefined) return {};
  const { rows, cold, version, stations } = timings;
  const fields: Record<string, EventValue | undefined> = { rows, cold, version };
  for (const name of stationNames) {
    const station = stations[name];
    fields[`${name}FromUs`] = us(station.fromMs);
    fields[`${name}ToUs`] = us(station.toMs);
    if (station.fromMs !== undefined) fields[`${name}By`] = station.incarnation;
    if (station.failed) fields[`${name}Failed`] = true;
    if (station.lostFromMs === undefined) continue;
    fields[`${name}LostFromUs`] = us(station.lostFromMs);
    fields[`${name}LostBy`] = station.lostIncarnation;
  }
  return fields;
}

/** Of an update that was under way when its writer failed: nothing of it counts. */
export const brokenOutcome = "broken";

/** An update as it was committed; times are epoch milliseconds with fractions. */
export interface UpdateJob {
  readonly traceId: string;
  readonly position: { readonly seq: number; readonly index: number };
  readonly parentSpanId: string | undefined;
  readonly updateSeq: number;
  /** When the stream took the task. */
  readonly storedAtMs: number;
  /** Which guard refused the step, where one did. */
  readonly guard: string | undefined;
  readonly outcome: string;
  /** What the writer did for this update alone, one after the other. */
  readonly laps: readonly Lap[];
}

/** The items of updates that one commit covers. `shared` are the phases of all of them: taking them up, writing the commit. */
export function updateItems(model: string, jobs: readonly UpdateJob[], shared: readonly Lap[]): readonly EventItem[] {
  const times = [...shared, ...jobs.flatMap(({ laps }) => laps)].map(({ fromMs }) => fromMs);
  if (times.length === 0) return [];
  const beganAtMs = Math.min(...times, ...jobs.map(({ storedAtMs }) => storedAtMs));
  const us = (atMs: number): number => Math.round((atMs - beganAtMs) * 1_000);
  const lapFields = (laps: readonly Lap[]): EventItem =>
    Object.fromEntries(
      laps.flatMap(({ phase, fromMs, toMs, failed }) => [
        [`${phase}FromUs`, us(fromMs)],
        [`${phase}ToUs`, us(toMs)],
        ...(failed === true ? [[`${phase}Failed`, true]] : []),
      ]),
    );
  const rows = jobs.map(({ traceId, position, parentSpanId, updateSeq, storedAtMs, outcome, guard, laps }) => {
    const head = { traceId, seq: position.seq, index: position.index, parent: parentSpanId, updateSeq };
    return { ...head, storedUs: us(storedAtMs), outcome, guard, ...lapFields(laps) };
  });
  return [{ job: "update", model, beganAtMs, rows: jobs.length, ...lapFields(shared) }, ...rows];
}
