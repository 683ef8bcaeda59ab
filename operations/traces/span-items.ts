// Jobs as the items of a `spans` event: the writing side.
//
// Owns: the compact items. Does not own: when they are sent (recorder.ts), what a reader makes of them (spans.ts), the envelope
// (transport/messages/events.ts).
//
// The first item tells of the batch, each further one is a job of it. Times are whole microseconds behind `beganAtMs` (epoch milliseconds), so a
// job of a batch of 64 costs some hundred bytes instead of eight spans.

import type { EventItem, EventValue } from "../../transport/messages/events.js";
import { type BatchTimings, type StationName, stationNames } from "../timings/batch-timings.js";
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
  const { active, slots } = fullness;
  const batch = { job: "infer", model: first.model, beganAtMs: since + epochMs, active, slots };
  const rows = jobs.map(({ traceId, id, parentSpanId: parent, receivedAtMs, acceptedAtMs, closedAtMs, code }) => {
    const [fromUs, openUs, toUs] = [us(receivedAtMs), us(acceptedAtMs), us(closedAtMs)];
    // Most have neither: what is not there need not be taken out again before it is sent.
    return parent === undefined && code === undefined
      ? { traceId, id, fromUs, openUs, toUs }
      : { traceId, id, parent, fromUs, openUs, toUs, code };
  });
  return [withTimings(batch, first.timings, us), ...rows];
}

/** Written into `fields`: to spread them costs more than to tell them. */
function withTimings(
  fields: Record<string, EventValue | undefined>,
  timings: BatchTimings | undefined,
  us: (atMs: number | undefined) => number | undefined,
): EventItem {
  if (timings === undefined) return fields;
  const { rows, cold, version, stations } = timings;
  fields.rows = rows;
  fields.cold = cold;
  fields.version = version;
  for (const name of stationNames) {
    const station = stations[name];
    const names = fieldsOf[name];
    if (station.fromMs !== undefined) {
      fields[names.from] = us(station.fromMs);
      fields[names.by] = station.incarnation;
    }
    if (station.toMs !== undefined) fields[names.to] = us(station.toMs);
    if (station.failed) fields[`${name}Failed`] = true;
    if (station.lostFromMs === undefined) continue;
    fields[`${name}LostFromUs`] = us(station.lostFromMs);
    fields[`${name}LostBy`] = station.lostIncarnation;
  }
  return fields;
}

/** What every batch has of every station, put together once. */
const fieldsOf = {
  model: namesOf("model"),
  retrieve: namesOf("retrieve"),
  vote: namesOf("vote"),
  remember: namesOf("remember"),
} as const;

function namesOf(station: StationName) {
  return { from: `${station}FromUs`, to: `${station}ToUs`, by: `${station}By` };
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
