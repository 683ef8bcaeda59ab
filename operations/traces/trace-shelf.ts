// The trace shelf: a trace book that is fed with telemetry messages as they come.
//
// Owns: which messages it is made of, and reading them. Does not own: the book (trace-book.ts), the subscription.

import { parseEvent } from "../../transport/messages/events.js";
import { type LogLine, parseLogLine } from "../../transport/messages/log-lines.js";
import type { Subjects } from "../../transport/subjects.js";
import type { Span } from "./span.js";
import { spansEvent } from "./span-items.js";
import { TraceBook, type TraceSummary } from "./trace-book.js";

export interface TraceShelf {
  /** What to listen to. */
  readonly subjects: readonly string[];
  /** A message on one of these; anything else is passed by. */
  take(bytes: Uint8Array): void;
  /** Newest first. */
  last(limit: number): readonly TraceSummary[];
  /** In order of their beginnings; none for a trace that is not known. */
  spans(traceId: string): readonly Span[];
  lines(traceId: string): readonly LogLine[];
}

export function openTraceShelf(subjects: Subjects): TraceShelf {
  const book = new TraceBook();
  return {
    subjects: [subjects.event(spansEvent), subjects.all.logLines],
    take: (bytes) => {
      const event = parseEvent(bytes);
      if (event.kind === "ok") return book.take(event.value);
      const line = parseLogLine(bytes);
      if (line.kind === "ok") book.takeLine(line.value);
    },
    last: (limit) => book.last(limit),
    spans: (traceId) => book.spans(traceId),
    lines: (traceId) => book.lines(traceId),
  };
}
