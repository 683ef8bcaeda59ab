// The recent past, as an observer needs it to go on: what the telemetry and the cleanup stream hold, in the order in which it was.
//
// Owns: where reading begins and when it is enough. Does not own: what is made of it (aggregate.ts).
//
// R1. It ends at what is there when it is read, or when its time is up: the past must not keep a node from the present.
// R2. Records of the cleanup stream come in between by their moments; those of before the beginning come first.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { type Followed, follow } from "../../transport/log/follow.js";
import { directMessage, storedMessage, streamState } from "../../transport/log/jetstream.js";
import { LogWipedError } from "../../transport/log/read-stream.js";
import {
  type CleanupRecord,
  type MetricsSample,
  parseEvent,
  parseMetrics,
  type TelemetryEvent,
} from "../../transport/messages/events.js";
import type { Subjects } from "../../transport/subjects.js";
import { CleanupLog } from "../cleanup/cleanup-log.js";
import { type Kept, readKept } from "./kept-figures.js";
import { type Looked, readLooked } from "./looked.js";

export type PastItem =
  | { readonly kind: "sample"; readonly sample: MetricsSample; readonly atMs: number }
  | { readonly kind: "event"; readonly event: TelemetryEvent; readonly atMs: number }
  | { readonly kind: "cleanup"; readonly record: CleanupRecord }
  | { readonly kind: "looked"; readonly looked: Looked; readonly atMs: number };

export interface RecentPast {
  readonly kept: Kept | undefined;
  readonly fromMs: number;
  readonly past: AsyncIterable<PastItem>;
  /** The place of the cleanup stream behind the records of the past. */
  readonly cleanupSeq: number;
}

export interface PastOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: Subjects;
  /** Of the event kinds that are wanted. */
  readonly events: readonly string[];
}

/** How far back, and how long reading it may take. */
const bounds = { backMs: 900_000, readMs: 6_000 } as const;

export async function openPast(options: PastOptions, signal: AbortSignal): Promise<RecentPast> {
  const { bus, clock, subjects } = options;
  const stop = new AbortController();
  const end = (): void => stop.abort();
  signal.addEventListener("abort", end, { once: true });
  stop.signal.addEventListener("abort", clock.after(bounds.readMs, end), { once: true });
  const [kept, start, cleanups] = await Promise.all([
    newestKept(bus, subjects),
    beginning(bus, subjects.telemetryStream, clock.nowMs() - bounds.backMs),
    cleanupsSoFar(options, stop.signal),
  ]);
  const records = cleanups.map(({ record }) => record);
  return {
    kept,
    fromMs: start?.atMs ?? Number.POSITIVE_INFINITY,
    past: joined(options, start, records, stop),
    cleanupSeq: (cleanups.at(-1)?.seq ?? 0) + 1,
  };
}

async function newestKept(bus: Bus, subjects: Subjects): Promise<Kept | undefined> {
  const outcome = await directMessage(bus, subjects.telemetryStream, { last_by_subj: subjects.observed("kept") });
  return outcome.kind === "found" ? readKept(outcome.message.bytes) : undefined;
}

interface Beginning {
  readonly seq: number;
  readonly lastSeq: number;
  readonly atMs: number;
}

/** The first message that is not older, found by halving; undefined for an empty stream, or one that cannot be read. */
async function beginning(bus: Bus, stream: string, notBeforeMs: number): Promise<Beginning | undefined> {
  const outcome = await streamState(bus, stream);
  if (outcome.kind === "unavailable" || outcome.state.messages === 0) return undefined;
  const { firstSeq, lastSeq } = outcome.state;
  let [low, high] = [firstSeq, lastSeq];
  let found: Beginning | undefined;
  while (low <= high) {
    const middle = Math.floor((low + high) / 2);
    const message = await storedMessage(bus, stream, { seq: middle });
    if (message.kind === "unavailable") return undefined;
    // What was kept once and is not any more leaves a gap: its neighbour stands for it.
    if (message.kind === "none") {
      low = middle + 1;
    } else if (message.message.atMs >= notBeforeMs) {
      found = { seq: middle, lastSeq, atMs: message.message.atMs };
      high = middle - 1;
    } else low = middle + 1;
  }
  return found;
}

async function* joined(
  options: PastOptions,
  start: Beginning | undefined,
  records: readonly CleanupRecord[],
  stop: AbortController,
): AsyncGenerator<PastItem> {
  const read = readerOf(options);
  let next = 0;
  const until = function* (atMs: number): Generator<PastItem> {
    for (let record = records[next]; record !== undefined && record.atMs <= atMs; record = records[next]) {
      next += 1;
      yield { kind: "cleanup", record };
    }
  };
  for await (const message of start === undefined ? [] : messagesFrom(options, start, stop.signal)) {
    yield* until(message.atMs);
    const item = read(message);
    if (item !== undefined) yield item;
  }
  stop.abort();
  yield* until(Number.POSITIVE_INFINITY);
}

async function* messagesFrom(
  { bus, clock, subjects }: PastOptions,
  { seq: fromSeq, lastSeq }: Beginning,
  signal: AbortSignal,
): AsyncGenerator<Followed> {
  try {
    for await (const message of follow(bus, clock, subjects.telemetryStream, { fromSeq, signal, batch: 512 })) {
      yield message;
      if (message.seq >= lastSeq || message.pending === 0) return;
    }
  } catch (error) {
    // A broker that died has a new stream: what was read of the old one is the past.
    if (!(error instanceof LogWipedError)) throw error;
  }
}

function readerOf({ subjects, events }: PastOptions): (message: Followed) => PastItem | undefined {
  const wanted = new Set(events.map((kind) => subjects.event(kind)));
  const metrics = subjects.all.metrics.slice(0, -1);
  const looks = subjects.observed("looks");
  return ({ subject, bytes, atMs }) => {
    if (subject.startsWith(metrics)) {
      const sample = parseMetrics(bytes);
      return sample.kind === "ok" ? { kind: "sample", sample: sample.value, atMs } : undefined;
    }
    if (subject === looks) {
      const looked = readLooked(bytes);
      return looked === undefined ? undefined : { kind: "looked", looked, atMs };
    }
    if (!wanted.has(subject)) return undefined;
    const event = parseEvent(bytes);
    return event.kind === "ok" ? { kind: "event", event: event.value, atMs } : undefined;
  };
}

async function cleanupsSoFar({ bus, subjects, clock }: PastOptions, signal: AbortSignal) {
  const log = new CleanupLog(bus, subjects, clock);
  const found: { readonly seq: number; readonly record: CleanupRecord }[] = [];
  const count = await log.count();
  if (count.kind === "unavailable" || count.records === 0) return found;
  for await (const { seq, record, pending } of log.follow(1, signal)) {
    if (record !== undefined) found.push({ seq, record });
    if (pending === 0) break;
  }
  return found;
}
