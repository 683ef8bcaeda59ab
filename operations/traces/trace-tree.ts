// A trace as a tree, the path through it that its duration hangs on, and where the time of many jobs went.
//
// Owns: these three views of spans. Does not own: the spans (spans.ts), how they are drawn (terminal/trace.ts).

import type { Section } from "../metrics/catalogue.js";
import type { Span } from "./span.js";
import { sections } from "./spans.js";

export interface TraceNode {
  readonly span: Span;
  readonly children: readonly TraceNode[];
}

/** Spans below the one they name as their parent, in order of time; those whose parent is not among them are roots. */
export function treeOfSpans(spans: readonly Span[]): TraceNode[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const below = grouped(spans);
  const inOrder = (some: readonly Span[]): Span[] => [...some].sort((a, b) => a.startMs - b.startMs);
  const nodeOf = (span: Span): TraceNode => ({ span, children: inOrder(below.get(span.spanId) ?? []).map(nodeOf) });
  return inOrder(spans.filter(({ parentSpanId }) => parentSpanId === null || !ids.has(parentSpanId))).map(nodeOf);
}

function grouped(spans: readonly Span[]): Map<string, Span[]> {
  const below = new Map<string, Span[]>();
  for (const span of spans) {
    const siblings = below.get(span.parentSpanId ?? "");
    if (siblings === undefined) below.set(span.parentSpanId ?? "", [span]);
    else siblings.push(span);
  }
  return below;
}

/** Clocks of two machines, and rounding to microseconds. */
const touchMs = 0.01;

/**
 * Ids of the spans on the critical path: from the last piece of work to end, back to the one that ended before it began, and so on. Shortening
 * any of them shortens the trace. Only pieces without parts of their own are on it, and the jobs they belong to.
 */
export function criticalPath(spans: readonly Span[]): ReadonlySet<string> {
  const parents = new Set(spans.map(({ parentSpanId }) => parentSpanId));
  const leaves = spans
    .filter(({ spanId }) => !parents.has(spanId))
    .sort((a, b) => b.endMs - a.endMs || b.startMs - a.startMs);
  const path = new Set<string>();
  let beforeMs = Number.POSITIVE_INFINITY;
  for (const leaf of leaves) {
    if (leaf.endMs > beforeMs + touchMs) continue;
    path.add(leaf.spanId);
    if (leaf.parentSpanId !== null) path.add(leaf.parentSpanId);
    beforeMs = leaf.startMs;
  }
  return path;
}

export interface PhaseRow {
  /** `infer.model`. */
  readonly phase: string;
  readonly section: Section;
  /** Jobs that came to it. */
  readonly jobs: number;
  /** Of all jobs together, milliseconds. */
  readonly totalMs: number;
  readonly meanMs: number;
  readonly maxMs: number;
  /** Of the jobs' whole time. */
  readonly share: number;
}

/** Where the time of the jobs of one name went. */
export interface PhaseTable {
  readonly job: string;
  readonly jobs: number;
  /** Mean duration of a job, and of its phases together: alike, for phases leave no gap. */
  readonly jobMs: number;
  readonly phasesMs: number;
  readonly phases: readonly PhaseRow[];
  /** Milliseconds a job, by nature of the work. */
  readonly sections: Readonly<Record<Section, number>>;
}

/** One table for each kind of job. A phase that a job comes to more than once counts once, with all its time. */
export function phaseTables(jobs: Iterable<readonly Span[]>): PhaseTable[] {
  const tallies = new Map<string, Tally>();
  for (const [job, ...phases] of jobs) {
    if (job === undefined) continue;
    const tally = tallies.get(job.name) ?? { jobs: 0, totalMs: 0, phases: new Map() };
    tallies.set(job.name, tally);
    tally.jobs += 1;
    tally.totalMs += job.endMs - job.startMs;
    for (const [name, ms] of timeByPhase(phases)) {
      const phase = tally.phases.get(name) ?? { section: sectionOf(phases, name), jobs: 0, totalMs: 0, maxMs: 0 };
      tally.phases.set(name, phase);
      phase.jobs += 1;
      phase.totalMs += ms;
      phase.maxMs = Math.max(phase.maxMs, ms);
    }
  }
  return [...tallies].map(([job, tally]) => tableOf(job, tally));
}

interface Tally {
  jobs: number;
  totalMs: number;
  readonly phases: Map<string, { readonly section: Section; jobs: number; totalMs: number; maxMs: number }>;
}

function timeByPhase(phases: readonly Span[]): Map<string, number> {
  const time = new Map<string, number>();
  for (const { name, startMs, endMs } of phases) time.set(name, (time.get(name) ?? 0) + endMs - startMs);
  return time;
}

function sectionOf(phases: readonly Span[], name: string): Section {
  const given = phases.find((span) => span.name === name)?.attributes.section;
  return sections.find((section) => section === given) ?? "compute";
}

function tableOf(job: string, { jobs, totalMs, phases }: Tally): PhaseTable {
  const rows = [...phases].map(([phase, tally]): PhaseRow => {
    const share = totalMs === 0 ? 0 : tally.totalMs / totalMs;
    return { phase, ...tally, meanMs: tally.totalMs / jobs, share };
  });
  const inSection = (section: Section): number =>
    rows.reduce((sum, row) => (row.section === section ? sum + row.totalMs : sum), 0) / jobs;
  return {
    job,
    jobs,
    jobMs: totalMs / jobs,
    phasesMs: rows.reduce((sum, row) => sum + row.totalMs, 0) / jobs,
    phases: rows,
    sections: {
      transport: inSection("transport"),
      compute: inSection("compute"),
      serialize: inSection("serialize"),
      store: inSection("store"),
    },
  };
}
