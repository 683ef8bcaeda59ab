// Log lines as telemetry: what a node writes to its log is told on `{c}.telemetry.log.{node}` too, so that lines of all nodes can be read
// together and joined by trace.
//
// Owns: which lines are told and how many, and how a line's fields become plain values. Does not own: the line on stderr
// (supervision/logger.ts), the bytes (transport/messages/log-lines.ts).
//
// F1. Best effort: a line that cannot be sent is dropped and counted, and nobody waits.
// F2. Bounded: `ratePerSecond` on average, `burst` at once; the next line that is told says how many were not.
// F3. Never recursive: what happens while a line is told is not told.

import type { Clock } from "../../models/clock.js";
import type { LineSink, LogFields } from "../../supervision/logger.js";
import type { Bus } from "../../transport/bus/bus.js";
import {
  encodeLogLine,
  type LineLevel,
  type LineValue,
  type LogLine,
  lineLevels,
} from "../../transport/messages/log-lines.js";

export interface ForwarderDeps {
  readonly bus: Pick<Bus, "connected" | "publish">;
  readonly subject: string;
  readonly clock: Clock;
  /** Told how many lines were not told. */
  readonly onDropped: (lines: number) => void;
  /** The least level that is told. */
  readonly level?: LineLevel;
  readonly ratePerSecond?: number;
  readonly burst?: number;
}

export class LogForwarder implements LineSink {
  readonly #deps: ForwarderDeps;
  readonly #burst: number;
  readonly #ratePerSecond: number;
  readonly #fromLevel: number;
  #tokens: number;
  #filledAtMs: number;
  #dropped = 0;
  #busy = false;

  constructor(deps: ForwarderDeps) {
    this.#deps = deps;
    this.#burst = deps.burst ?? 200;
    this.#ratePerSecond = deps.ratePerSecond ?? 50;
    this.#fromLevel = lineLevels.indexOf(deps.level ?? "info");
    this.#tokens = this.#burst;
    this.#filledAtMs = deps.clock.monotonicMs();
  }

  wants(level: LineLevel): boolean {
    return !this.#busy && lineLevels.indexOf(level) >= this.#fromLevel;
  }

  take(level: LineLevel, message: string, fields: LogFields): void {
    const { bus, subject, clock, onDropped } = this.#deps;
    this.#busy = true;
    try {
      const dropped = this.#dropped === 0 ? {} : { dropped: this.#dropped };
      const isTold =
        this.#mayTell() &&
        bus.connected &&
        bus.publish(subject, encodeLogLine({ ...lineOf(level, message, fields, clock.nowMs()), ...dropped }));
      this.#dropped = isTold ? 0 : this.#dropped + 1;
      if (!isTold) onDropped(1);
    } finally {
      this.#busy = false;
    }
  }

  #mayTell(): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#filledAtMs) / 1_000) * this.#ratePerSecond);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

export function lineOf(level: LineLevel, message: string, given: LogFields, atMs: number): LogLine {
  const { trace, span, node, actor, incarnation, phase, component, ...rest } = given;
  return {
    ...{ atMs, level, message },
    ...{ trace: textOf(trace), span: textOf(span), node: textOf(node), actor: textOf(actor) },
    incarnation: typeof incarnation === "number" && Number.isSafeInteger(incarnation) ? incarnation : null,
    ...{ phase: textOf(phase), component: textOf(component) },
    fields: plain(rest),
  };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value.length > 0 ? value : null;
}

function plain(fields: LogFields): LogLine["fields"] {
  const values: Record<string, LineValue> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (value instanceof Error) {
      values[name] = `${value.name}: ${value.message}`;
      if (value.stack !== undefined) values[`${name}Stack`] = value.stack;
    } else values[name] = plainValue(value);
  }
  return values;
}

function plainValue(value: unknown): LineValue {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch (error) {
    // A line about a circle, or a bigint, is still a line.
    return `cannot be written: ${String(error)}`;
  }
}
