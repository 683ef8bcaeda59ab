// Trace context: which trace a job belongs to, whose child it is, and whether it is traced at all.
//
// Owns: reading and writing `traceparent` (W3C Trace Context, level 1), span ids, the choice what is traced.
// Does not own: fresh trace ids (actors/serving/identifiers.ts), what a span holds (span.ts).
//
// X1. A span id follows from its trace and from what the span is about. So whoever knows a request's ids knows its span, in any process,
//     and no record has to carry it; the same job told twice is one span.
// X2. Head sampling: the caller's flag counts where there is a caller, else the trace id decides, alike on every node.

import { createHash } from "node:crypto";

export interface TraceContext {
  /** 32 hex digits, not all zero. */
  readonly traceId: string;
  /** 16 hex digits: the span of whoever asks. */
  readonly parentSpanId: string;
  readonly sampled: boolean;
}

const traceparentPattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const sampledFlag = 1;

/** Undefined for what the specification tells to ignore: no such form, version ff, ids of zeros only, more than version 00 has. */
export function parseTraceparent(text: string): TraceContext | undefined {
  const [, version, traceId, parentSpanId, flags, more] = traceparentPattern.exec(text.trim()) ?? [];
  if (version === undefined || traceId === undefined || parentSpanId === undefined || flags === undefined)
    return undefined;
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(parentSpanId)) return undefined;
  return { traceId, parentSpanId, sampled: (Number.parseInt(flags, 16) & sampledFlag) === sampledFlag };
}

export function formatTraceparent({ traceId, parentSpanId, sampled }: TraceContext): string {
  return `00-${traceId}-${parentSpanId}-${sampled ? "01" : "00"}`;
}

export function isTraceId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text) && !/^0+$/.test(text);
}

/** 16 hex digits that follow from the trace and from what the span is about: a request's id, an update's position, a phase. */
export function spanIdOf(traceId: string, about: string): string {
  return createHash("sha256").update(`${traceId}/${about}`).digest("hex").slice(0, 16);
}

/** The span of a request. */
export function requestSpanId(traceId: string, requestId: string): string {
  return spanIdOf(traceId, `infer/${requestId}`);
}

/** The span of the update that an experience asked for. */
export function updateSpanId(traceId: string, position: { readonly seq: number; readonly index: number }): string {
  return spanIdOf(traceId, `update/${position.seq}.${position.index}`);
}

/** What is traced: `ratio` of all traces, and of these all jobs or only those that failed. */
export interface TracePolicy {
  readonly ratio: number;
  readonly only: "all" | "errors";
}

export const traceNothing: TracePolicy = { ratio: 0, only: "all" };
export const traceAll: TracePolicy = { ratio: 1, only: "all" };

/** Whether a job is traced; `sampled` is the caller's word, undefined without one. */
export function isTraced(policy: TracePolicy, traceId: string, sampled: boolean | undefined, failed: boolean): boolean {
  if (policy.ratio === 0 || (policy.only === "errors" && !failed)) return false;
  if (sampled !== undefined) return sampled;
  return policy.ratio === 1 || Number.parseInt(traceId.slice(-8), 16) < policy.ratio * 2 ** 32;
}

/** "off", "errors", "all", or the part of all traces, as in 0.1. Undefined for anything else. */
export function tracePolicyOf(word: string): TracePolicy | undefined {
  if (word === "off") return traceNothing;
  if (word === "all") return traceAll;
  if (word === "errors") return { ratio: 1, only: "errors" };
  const ratio = /^(0|1|0?\.\d{1,9}|1\.0+)$/.test(word) ? Number(word) : Number.NaN;
  return Number.isNaN(ratio) ? undefined : { ratio, only: "all" };
}
