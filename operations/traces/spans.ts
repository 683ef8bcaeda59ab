// Spans on the wire, the reading side: what a `spans` event says, spelled out.
//
// Owns: the expansion of the compact items. Does not own: their writing (span-items.ts), the envelope (transport/messages/events.ts).
//
// S1. The phases of a job follow each other without a gap: what lies between two stations is waiting, and is called `queue`. So their sum is
//     the job's duration.
// S2. Every span is closed. What was under way when the job failed ends with it, as an error.
// S3. Items of strangers that do not fit are passed by.

import type { EventItem, EventValue, TelemetryEvent } from "../../transport/messages/events.js";
import { phases, type Section } from "../metrics/catalogue.js";
import { type StationName, stationNames } from "../timings/batch-timings.js";
import type { Span } from "./span.js";
import { brokenOutcome, spansEvent } from "./span-items.js";
import { isTraceId, requestSpanId, spanIdOf, updateSpanId } from "./trace-context.js";

export const sections: readonly Section[] = ["transport", "compute", "serialize", "store"];
const sectionOfPhase: Readonly<Record<string, Section>> = { ...phases.infer, ...phases.update };

/** The spans that an event tells of: a job's own, then its phases, in order. */
export function spansOf(event: TelemetryEvent): Span[] {
  const [batch] = event.items;
  if (event.kind !== spansEvent || batch === undefined) return [];
  return event.items.slice(1).flatMap((row) => spansOfRow(event, batch, row));
}

/** The same for one job of the event. */
export function spansOfRow(event: TelemetryEvent, batch: EventItem, row: EventItem): Span[] {
  const beganAtMs = numberIn(batch.beganAtMs);
  if (beganAtMs === undefined || typeof row.traceId !== "string" || !isTraceId(row.traceId)) return [];
  const of: Reading = { event, batch, row, beganAtMs, traceId: row.traceId };
  if (batch.job === "infer") return inferSpans(of);
  return batch.job === "update" ? updateSpans(of) : [];
}

interface Reading {
  readonly event: TelemetryEvent;
  readonly batch: EventItem;
  readonly row: EventItem;
  readonly beganAtMs: number;
  readonly traceId: string;
}

/** A stretch of a job. */
interface Stretch {
  readonly phase: string;
  readonly fromUs: number;
  readonly toUs: number;
  readonly failed: boolean;
  readonly actor: string;
  readonly incarnation: number;
  /** Of a wait: the phase that it was for. */
  readonly before?: string;
}

const workers: Readonly<Record<StationName, string>> = {
  model: "inference",
  retrieve: "buffer",
  vote: "voter",
  remember: "voter",
};

function inferSpans(of: Reading): Span[] {
  const { batch, row, traceId, event } = of;
  const [fromUs, openUs, toUs] = [numberIn(row.fromUs), numberIn(row.openUs), numberIn(row.toUs)];
  if (fromUs === undefined || openUs === undefined || toUs === undefined || typeof row.id !== "string") return [];
  const model = textIn(batch.model);
  const failed = typeof row.code === "string";
  const node = { actor: event.actor, incarnation: event.incarnation };
  const receive = { phase: "receive", fromUs, toUs: openUs, failed: failed && toUs <= openUs, ...node };
  const stations = stationNames.flatMap((name) => stretchesAt(batch, name, model, toUs));
  const hasLeft = typeof batch.rememberToUs === "number" && batch.rememberToUs <= toUs;
  const replyFailed = failed && batch.rememberFailed !== true;
  const reply = hasLeft
    ? [{ phase: "reply", fromUs: Number(batch.rememberToUs), toUs, failed: replyFailed, ...node }]
    : [];
  const stretches = gapless([receive, ...stations, ...reply], toUs, failed, node);
  const attributes = {
    id: row.id,
    model,
    ...(failed ? { code: textIn(row.code) } : {}),
    ...numbers(batch, "rows", "version"),
    ...(typeof batch.cold === "boolean" ? { mode: batch.cold ? "cold" : "ensemble" } : {}),
  };
  const job: Job = { name: "infer", spanId: requestSpanId(traceId, row.id), fromUs, toUs, failed, attributes };
  return spansOfJob(of, job, stretches);
}

/** What the batch did at one station, as far as it is before the job's end: an earlier try that was lost, and the one that counts. */
function stretchesAt(batch: EventItem, name: StationName, model: string, endUs: number): Stretch[] {
  const at = (what: string): number | undefined => numberIn(batch[`${name}${what}`]);
  const [fromUs, lostFromUs] = [at("FromUs"), at("LostFromUs")];
  const actor = `${model}/${workers[name]}`;
  const stretch = (from: number, to: number, failed: boolean, incarnation: number): Stretch[] =>
    from >= endUs ? [] : [{ phase: name, fromUs: from, toUs: Math.min(to, endUs), failed, actor, incarnation }];
  const lost = lostFromUs === undefined ? [] : stretch(lostFromUs, fromUs ?? endUs, true, at("LostBy") ?? 0);
  if (fromUs === undefined) return lost;
  const toUs = at("ToUs");
  const failed = toUs === undefined || toUs > endUs || batch[`${name}Failed`] === true;
  return [...lost, ...stretch(fromUs, toUs ?? endUs, failed, at("By") ?? 0)];
}

function updateSpans(of: Reading): Span[] {
  const { batch, row, traceId, event } = of;
  const [seq, index, storedUs] = [numberIn(row.seq), numberIn(row.index), numberIn(row.storedUs)];
  if (seq === undefined || index === undefined || storedUs === undefined) return [];
  const node = { actor: event.actor, incarnation: event.incarnation };
  const laps = [...lapsIn(batch, node), ...lapsIn(row, node)].sort((a, b) => a.fromUs - b.fromUs);
  const toUs = laps.reduce((latest, lap) => Math.max(latest, lap.toUs), storedUs);
  const isBroken = row.outcome === brokenOutcome;
  const failed = isBroken || laps.some((lap) => lap.failed);
  const attributes = {
    model: textIn(batch.model),
    ...(typeof row.outcome === "string" ? { outcome: row.outcome } : {}),
    ...(typeof row.guard === "string" ? { guard: row.guard } : {}),
    experience: `${seq}.${index}`,
    ...numbers(row, "updateSeq"),
    ...numbers(batch, "rows"),
  };
  const fromUs = Math.min(storedUs, laps[0]?.fromUs ?? storedUs);
  // The try that is committed later is another one.
  const spanId = isBroken
    ? spanIdOf(traceId, `update/${seq}.${index}/${event.node}/${event.incarnation}/${event.atMs}`)
    : updateSpanId(traceId, { seq, index });
  const stretches = gapless(laps, toUs, false, node, fromUs);
  return spansOfJob(of, { name: "update", spanId, fromUs, toUs, failed, attributes }, stretches);
}

const updatePhases = ["claim", "load", "step", "verify", "publish"] as const;

function lapsIn(item: EventItem, node: Pick<Stretch, "actor" | "incarnation">): Stretch[] {
  return updatePhases.flatMap((phase) => {
    const [fromUs, toUs] = [numberIn(item[`${phase}FromUs`]), numberIn(item[`${phase}ToUs`])];
    if (fromUs === undefined || toUs === undefined) return [];
    return [{ phase, fromUs, toUs, failed: item[`${phase}Failed`] === true, ...node }];
  });
}

/** From one line of code to the next is no waiting: it counts as the beginning of the phase. */
const handoverUs = 10;

/** The stretches in order, with what lies between them as `queue` (S1), up to the end of the job. */
function gapless(
  given: readonly Stretch[],
  endUs: number,
  failed: boolean,
  node: Pick<Stretch, "actor" | "incarnation">,
  fromUs = given[0]?.fromUs ?? endUs,
): Stretch[] {
  const whole: Stretch[] = [];
  let atUs = fromUs;
  for (const stretch of [...given].sort((a, b) => a.fromUs - b.fromUs)) {
    const isWait = stretch.fromUs - atUs > handoverUs;
    const wait = { phase: "queue", fromUs: atUs, toUs: stretch.fromUs, failed: false, before: stretch.phase, ...node };
    if (isWait) whole.push(wait);
    const begins = isWait ? stretch.fromUs : atUs;
    whole.push({ ...stretch, fromUs: begins, toUs: Math.max(begins, stretch.toUs) });
    atUs = Math.max(atUs, stretch.toUs);
  }
  // The job ended while it waited.
  if (atUs < endUs) whole.push({ phase: "queue", fromUs: atUs, toUs: endUs, failed, ...node });
  return whole;
}

interface Job {
  readonly name: "infer" | "update";
  readonly spanId: string;
  readonly fromUs: number;
  readonly toUs: number;
  readonly failed: boolean;
  readonly attributes: Span["attributes"];
}

function spansOfJob(
  { event, batch, row, beganAtMs, traceId }: Reading,
  job: Job,
  stretches: readonly Stretch[],
): Span[] {
  const atMs = (us: number): number => beganAtMs + us / 1_000;
  const { node, actor, incarnation } = event;
  const own: Span = {
    ...{ traceId, spanId: job.spanId, parentSpanId: typeof row.parent === "string" ? row.parent : null },
    ...{ name: job.name, node, actor, incarnation, startMs: atMs(job.fromUs), endMs: atMs(job.toUs) },
    ...{ status: job.failed ? "error" : "ok", attributes: job.attributes },
  };
  const pool = poolOf(batch);
  const phases = stretches.map((stretch, place): Span => {
    const section = sectionOfPhase[stretch.phase] ?? "compute";
    return {
      ...{ traceId, spanId: spanIdOf(traceId, `${job.spanId}/${place}`), parentSpanId: job.spanId, node },
      ...{ name: `${job.name}.${stretch.phase}`, actor: stretch.actor, incarnation: stretch.incarnation },
      ...{ startMs: atMs(stretch.fromUs), endMs: atMs(stretch.toUs), status: stretch.failed ? "error" : "ok" },
      attributes: { section, ...(stretch.before === undefined ? {} : { before: stretch.before }), ...pool },
    };
  });
  return [own, ...phases];
}

/** How full the node's desk was at the end of the batch. */
function poolOf(batch: EventItem): Span["attributes"] {
  const [active, slots] = [numberIn(batch.active), numberIn(batch.slots)];
  if (active === undefined || slots === undefined || slots <= 0) return {};
  return { active, slots, utilisation: active / slots };
}

function numbers(item: EventItem, ...names: readonly string[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const name of names) {
    const value = numberIn(item[name]);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** Within what a moment, a place in a stream or a count can be: sums of two are still finite, and can be written as whole nanoseconds. */
function numberIn(value: EventValue | undefined): number | undefined {
  return typeof value === "number" && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? value : undefined;
}

function textIn(value: EventValue | undefined): string {
  return typeof value === "string" ? value : "";
}

/** From when to when a job ran, and how it ended, without spelling its spans out; undefined for what is none. */
export function extentOf(batch: EventItem, row: EventItem): Extent | undefined {
  const beganAtMs = numberIn(batch.beganAtMs);
  if (beganAtMs === undefined || typeof row.traceId !== "string" || !isTraceId(row.traceId)) return undefined;
  const isInfer = batch.job === "infer";
  const fromUs = numberIn(isInfer ? row.fromUs : row.storedUs);
  const ends = isInfer
    ? [numberIn(row.toUs)]
    : updatePhases.flatMap((phase) => [numberIn(batch[`${phase}ToUs`]), numberIn(row[`${phase}ToUs`])]);
  const toUs = ends.reduce(
    (latest: number | undefined, end) => (end === undefined ? latest : Math.max(latest ?? end, end)),
    undefined,
  );
  if (fromUs === undefined || toUs === undefined) return undefined;
  const failed = isInfer ? typeof row.code === "string" : row.outcome === brokenOutcome;
  return {
    traceId: row.traceId,
    name: isInfer ? "infer" : "update",
    startMs: beganAtMs + fromUs / 1_000,
    endMs: beganAtMs + toUs / 1_000,
    failed,
  };
}

export interface Extent {
  readonly traceId: string;
  readonly name: "infer" | "update";
  readonly startMs: number;
  readonly endMs: number;
  readonly failed: boolean;
}
