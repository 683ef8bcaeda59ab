// The spans of one trace in the order in which they are read: parents before children, children by their start. Pure.
//
// Owns: order, depth, place on the time axis. Does not own: the drawing (trace-view.ts).

import type { Span } from "../traces/span.js";

export interface Bar {
  readonly span: Span;
  readonly depth: number;
  /** Of the whole trace, 0..1. */
  readonly from: number;
  readonly length: number;
}

export interface Waterfall {
  readonly startMs: number;
  readonly durationMs: number;
  readonly bars: readonly Bar[];
}

/** A span whose parent is not among them (a caller's, or one that was lost) is a root; a circle of parents is shown once. */
export function waterfallOf(spans: readonly Span[]): Waterfall {
  const startMs = Math.min(...spans.map((span) => span.startMs));
  const durationMs = Math.max(0, ...spans.map((span) => span.endMs)) - startMs;
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const bars: Bar[] = [];
  const drawn = new Set<string>();
  const draw = (span: Span, depth: number): void => {
    if (drawn.has(span.spanId)) return;
    drawn.add(span.spanId);
    const part = (ms: number): number => (durationMs === 0 ? 0 : ms / durationMs);
    bars.push({ span, depth, from: part(span.startMs - startMs), length: part(span.endMs - span.startMs) });
    for (const child of inOrder(spans.filter(({ parentSpanId }) => parentSpanId === span.spanId)))
      draw(child, depth + 1);
  };
  const roots = spans.filter(({ parentSpanId }) => parentSpanId === null || !ids.has(parentSpanId));
  for (const root of inOrder(roots)) draw(root, 0);
  for (const rest of inOrder(spans)) draw(rest, 0);
  return { startMs, durationMs, bars };
}

function inOrder(spans: readonly Span[]): readonly Span[] {
  return [...spans].sort((a, b) => a.startMs - b.startMs || b.endMs - a.endMs);
}
