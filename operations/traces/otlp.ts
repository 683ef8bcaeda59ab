// OTLP over HTTP, in JSON: spans on their way to an OpenTelemetry collector.
//
// Owns: the export request, the queue in front of it, what is tried again. Does not own: who feeds and drives it (actors/operations/exporter.ts).
// Source: OpenTelemetry protocol 1.x, "OTLP/HTTP" and "JSON Protobuf Encoding": ids in hex, 64-bit numbers as text, enums as numbers.
//
// O1. Bounded: at most `queueMax` spans wait; what comes beyond is dropped and counted (`otlp_dropped`). Nobody waits for the collector.
// O2. What the protocol calls passing (429, 502, 503, 504, no answer) is sent again, later and not before Retry-After; anything else is
//     dropped and counted.

import type { Clock } from "../../models/clock.js";
import { nextBackoff } from "../../supervision/tree/backoff.js";
import { abortedAfter } from "../../transport/aborted-after.js";
import type { Counters } from "../metrics/telemetry.js";
import type { Span } from "./span.js";

export interface Posted {
  /** Of HTTP; undefined when there was no answer in time. */
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
}
export type Post = (url: string, body: string, timeoutMs: number) => Promise<Posted>;

export interface OtlpDeps {
  readonly url: string;
  readonly cluster: string;
  readonly version: string;
  readonly clock: Clock;
  readonly post: Post;
  readonly counters: Pick<Counters, "add">;
  readonly queueMax?: number;
  readonly batchMax?: number;
}

const queueDefault = 8_192;
const batchDefault = 512;
const postMs = 5_000;
const retry = { initialMs: 500, factor: 2, maxMs: 30_000, jitter: 0.2, resetAfterMs: 1 } as const;
const passing: readonly number[] = [429, 502, 503, 504];

export class OtlpSink {
  readonly #deps: OtlpDeps;
  readonly #queueMax: number;
  readonly #batchMax: number;
  readonly #queue: Span[] = [];
  #failures = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(deps: OtlpDeps) {
    this.#deps = deps;
    this.#queueMax = deps.queueMax ?? queueDefault;
    this.#batchMax = deps.batchMax ?? batchDefault;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  offer(spans: readonly Span[]): void {
    const room = Math.max(0, this.#queueMax - this.#queue.length);
    this.#queue.push(...spans.slice(0, room));
    if (spans.length > room) this.#deps.counters.add("otlp_dropped", spans.length - room);
  }

  /** Sends what waits, batch by batch, until nothing waits or the collector takes no more for now. */
  async flush(random: () => number): Promise<void> {
    const { clock, counters, post, url, cluster, version } = this.#deps;
    while (this.#queue.length > 0 && clock.monotonicMs() >= this.#notBeforeMs) {
      const batch = this.#queue.slice(0, this.#batchMax);
      const body = JSON.stringify(exportRequest(batch, { cluster, version }));
      const { status, retryAfterMs } = await post(url, body, postMs);
      if (status === undefined || passing.includes(status)) {
        const { failures, delayMs } = nextBackoff(Math.max(1, this.#failures), 0, retry, random);
        this.#failures = failures;
        this.#notBeforeMs = clock.monotonicMs() + Math.max(delayMs, retryAfterMs ?? 0);
        return;
      }
      this.#queue.splice(0, batch.length);
      this.#failures = 0;
      counters.add(status >= 200 && status < 300 ? "otlp_exported" : "otlp_dropped", batch.length);
    }
  }
}

/** One resource for each node. */
export function exportRequest(
  spans: readonly Span[],
  { cluster, version }: { readonly cluster: string; readonly version: string },
) {
  const nodes = [...new Set(spans.map(({ node }) => node))];
  return {
    resourceSpans: nodes.map((node) => ({
      resource: {
        attributes: [
          attribute("service.name", "driftmend"),
          attribute("service.namespace", cluster),
          attribute("service.instance.id", node),
          attribute("service.version", version),
        ],
      },
      scopeSpans: [
        { scope: { name: "driftmend", version }, spans: spans.filter((span) => span.node === node).map(otlpSpan) },
      ],
    })),
  };
}

/** INTERNAL, SERVER, CONSUMER of the specification: a phase, a request, an update that a queue brought. */
const spanKinds: Readonly<Record<string, number>> = { infer: 2, update: 5 };
const internalKind = 1;
const statusCodes = { ok: 1, error: 2 } as const;

function otlpSpan(span: Span) {
  const { traceId, spanId, parentSpanId, name, startMs, endMs, status, actor, incarnation, attributes } = span;
  const { code } = attributes;
  return {
    traceId,
    spanId,
    ...(parentSpanId === null ? {} : { parentSpanId }),
    name,
    kind: spanKinds[name] ?? internalKind,
    startTimeUnixNano: nanosOf(startMs),
    endTimeUnixNano: nanosOf(endMs),
    attributes: [
      attribute("driftmend.actor", actor),
      attribute("driftmend.incarnation", incarnation),
      ...Object.entries(attributes).map(([key, value]) => attribute(`driftmend.${key}`, value)),
    ],
    status: { code: statusCodes[status], ...(typeof code === "string" ? { message: code } : {}) },
  };
}

/** Whole microseconds are what a span's times are exact to. */
function nanosOf(ms: number): string {
  return (BigInt(Math.round(ms * 1_000)) * 1_000n).toString();
}

function attribute(key: string, value: string | number | boolean) {
  if (typeof value === "string") return { key, value: { stringValue: value } };
  if (typeof value === "boolean") return { key, value: { boolValue: value } };
  return { key, value: Number.isSafeInteger(value) ? { intValue: `${value}` } : { doubleValue: value } };
}

/** Its body is read to the end, so that the connection is used again. */
export function postJsonBy(clock: Clock): Post {
  return async (url, body, timeoutMs) => {
    const headers = { "content-type": "application/json" };
    try {
      return await abortedAfter(clock, timeoutMs, async (signal) => {
        const response = await fetch(url, { method: "POST", headers, body, signal });
        await response.arrayBuffer();
        return { status: response.status, retryAfterMs: secondsIn(response.headers.get("retry-after")) };
      });
    } catch (error) {
      // Refused, cut off, or silent: whatever it was, there is no answer. Anything else is ours.
      if (error instanceof Error) return { status: undefined, retryAfterMs: undefined };
      throw error;
    }
  };
}

const retryAfterMaxMs = 300_000;

function secondsIn(header: string | null): number | undefined {
  const seconds = header === null || !/^\d{1,6}$/.test(header) ? Number.NaN : Number(header);
  return Number.isNaN(seconds) ? undefined : Math.min(seconds * 1_000, retryAfterMaxMs);
}
