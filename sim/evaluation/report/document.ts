// The report of an evaluation as data: what --json prints and report.json holds.
//
// Owns: its shape, means and spreads over seeds. Does not own: the figures of one run (measures.ts), how they are shown.
import type { Evaluation, RunResult, StreamResult } from "../evaluate.js";
import { type Spread, spreadOf } from "../measures.js";
import type { MethodKind } from "../methods/method.js";

export interface EvaluationReport {
  readonly v: 1;
  readonly model: string;
  /** sha256 of the model's file. */
  readonly sha256: string;
  /** Of each stream and seed. */
  readonly requests: number;
  readonly seeds: readonly number[];
  readonly microBatch: number;
  readonly quick: boolean;
  /** False when it was interrupted: what is missing was not measured. */
  readonly complete: boolean;
  readonly methods: readonly Pick<MethodKind, "name" | "about" | "own" | "batch">[];
  /** Every stream with every seed, and where it drifted. */
  readonly streams: readonly StreamResult[];
  /** One for each method and stream that was measured. */
  readonly summary: readonly Summary[];
  readonly results: readonly RunResult[];
}

export interface Summary {
  readonly method: string;
  readonly stream: string;
  /** Seeds that were measured. */
  readonly seeds: number;
  readonly accuracy: Spread;
  /** Over the source on the same requests. */
  readonly gain: Spread;
  /** The lowest of any seed; null when streams are shorter than a window. */
  readonly worstWindow: { readonly difference: number; readonly from: number; readonly seed: number } | null;
  /** Null where no clean inputs are known. */
  readonly forgotten: Spread | null;
  readonly passesPerRequest: number;
  /** Median of one request, microseconds, on this machine: informative. Mean over seeds. */
  readonly medianUs: number;
  /** Over all seeds. */
  readonly byDrift: readonly { readonly drift: string; readonly n: number; readonly accuracy: number }[];
}

export type ReportHead = Pick<EvaluationReport, "model" | "sha256" | "requests" | "seeds" | "microBatch" | "quick">;

export function reportOf(head: ReportHead, kinds: readonly MethodKind[], evaluation: Evaluation): EvaluationReport {
  const { results, streams, complete } = evaluation;
  return {
    v: 1,
    ...head,
    complete,
    methods: kinds.map(({ name, about, own, batch }) => ({ name, about, own, batch })),
    streams,
    summary: streamNames(streams).flatMap((stream) =>
      kinds.flatMap(({ name }) => {
        const own = results.filter((result) => result.method === name && result.stream === stream);
        return own.length === 0 ? [] : [summaryOf(name, stream, own)];
      }),
    ),
    results,
  };
}

/** In the order in which they were measured. */
export function streamNames(streams: readonly Pick<StreamResult, "stream">[]): readonly string[] {
  return [...new Set(streams.map(({ stream }) => stream))];
}

function summaryOf(method: string, stream: string, runs: readonly RunResult[]): Summary {
  const spread = (figure: (run: RunResult) => number): Spread => spreadOf(runs.map(figure));
  return {
    method,
    stream,
    seeds: runs.length,
    accuracy: spread(({ accuracy }) => accuracy),
    gain: spread(({ gain }) => gain),
    worstWindow: worstOf(runs),
    forgotten: forgottenOf(runs),
    passesPerRequest: spread((run) => run.passesPerRequest).mean,
    medianUs: spread(({ medianUs }) => medianUs).mean,
    byDrift: pooled(runs),
  };
}

function forgottenOf(runs: readonly RunResult[]): Spread | null {
  const known = runs.flatMap(({ clean }) => (clean === null ? [] : [clean.forgotten]));
  return known.length === 0 ? null : spreadOf(known);
}

function worstOf(runs: readonly RunResult[]): Summary["worstWindow"] {
  let worst: Summary["worstWindow"] = null;
  for (const { worstWindow, seed } of runs)
    if (worstWindow !== null && (worst === null || worstWindow.difference < worst.difference))
      worst = { ...worstWindow, seed };
  return worst;
}

function pooled(runs: readonly RunResult[]): Summary["byDrift"] {
  const tallies = new Map<string, { n: number; right: number }>();
  for (const { drift, n, accuracy } of runs.flatMap(({ byDrift }) => byDrift)) {
    const tally = tallies.get(drift) ?? { n: 0, right: 0 };
    tallies.set(drift, { n: tally.n + n, right: tally.right + n * accuracy });
  }
  return [...tallies]
    .map(([drift, { n, right }]) => ({ drift, n, accuracy: right / n }))
    .sort((a, b) => (a.drift < b.drift ? -1 : 1));
}
