// The report of a stability run as data: what --json prints and report.json holds.
//
// Owns: its shape, the spreads. Does not own: the facts, the judgement (assertions.ts), how it is shown (text.ts, page.ts).
//
// D1. Short and long runs have the same shape; the figures over time are a document of their own (series.json).

import type { Assertion } from "../assertions.js";
import type { Facts, Point } from "../facts.js";
import type { AppliedIn, Crash } from "../learning-watch.js";
import { judgeMemory, type MemoryVerdict } from "../memory.js";
import type { PunctualityFigures } from "../punctuality.js";

export interface Spread {
  readonly n: number;
  /** Null when n is 0. */
  readonly p50: number | null;
  readonly p95: number | null;
  readonly max: number | null;
}

export interface StabilityReport {
  readonly v: 1;
  readonly id: string;
  /** Null: it was interrupted, so some of it was not run; what could be judged is in the assertions. */
  readonly passed: boolean | null;
  readonly interrupted: boolean;
  readonly startedAtMs: number;
  readonly elapsedMs: number;
  readonly planned: Facts["planned"];
  readonly seed: number;
  /** What to type to run the same again. */
  readonly command: string;
  readonly model: string;
  readonly machine: Machine;
  readonly assertions: readonly Assertion[];
  readonly requests: PunctualityFigures & {
    readonly refused: Readonly<Record<string, number>>;
    readonly retried: number;
  };
  readonly accuracy: Facts["accuracy"];
  readonly chaos: Facts["chaos"] & {
    readonly count: number;
    readonly kills: readonly Crash[];
    /** From a kill to the next applied update. */
    readonly recoveryMs: Spread;
    /** From a kill until updates came at 80 % of the pace before it. */
    readonly backToPaceMs: Spread;
  };
  readonly cleanups: {
    readonly deaths: number;
    readonly confirmed: number;
    readonly overdue: number;
    readonly tookMs: Spread;
  };
  readonly updates: Facts["evidence"]["updates"];
  readonly modelVersion: number;
  readonly log: Facts["evidence"]["log"] & { readonly snapshots: number };
  readonly replay: Facts["evidence"]["replay"];
  readonly memory: readonly MemoryVerdict[];
  readonly looks: { readonly answered: number; readonly missed: number };
}

export interface Machine {
  readonly cpus: number;
  readonly cpuModel: string;
  readonly memoryBytes: number;
  readonly node: string;
}

/** What series.json holds, and the page draws. */
export interface StabilitySeries {
  readonly v: 1;
  readonly id: string;
  readonly startedAtMs: number;
  readonly points: readonly Point[];
  readonly appliedBySecond: readonly AppliedIn[];
  readonly lives: Facts["lives"];
}

export interface ReportHead {
  readonly id: string;
  readonly command: string;
  readonly machine: Machine;
}

export function reportOf(head: ReportHead, facts: Facts, assertions: readonly Assertion[]): StabilityReport {
  const { evidence, cleanups, crashes, punctuality, refused, retried, interrupted, elapsedMs, planned, seed } = facts;
  const failed = assertions.some(({ passed }) => passed === false);
  return {
    v: 1,
    id: head.id,
    passed: interrupted ? null : !failed,
    ...{ interrupted, startedAtMs: facts.startedAtMs, elapsedMs, planned, seed },
    ...{ command: head.command, model: facts.model, machine: head.machine, assertions },
    requests: { ...punctuality, refused, retried },
    accuracy: facts.accuracy,
    chaos: {
      ...facts.chaos,
      count: crashes.length,
      kills: crashes,
      recoveryMs: spreadOf(crashes.map(({ recoveryMs }) => recoveryMs)),
      backToPaceMs: spreadOf(crashes.map(({ backToPaceMs }) => backToPaceMs)),
    },
    cleanups: {
      deaths: cleanups.deaths,
      confirmed: cleanups.pairs.length,
      overdue: cleanups.overdue.length,
      tookMs: spreadOf(cleanups.pairs.map(({ tookMs }) => tookMs)),
    },
    updates: evidence.updates,
    modelVersion: evidence.modelVersion,
    log: { ...evidence.log, snapshots: facts.snapshots },
    replay: evidence.replay,
    memory: judgeMemory(facts.lives),
    looks: { answered: facts.points.length, missed: facts.pointsMissed },
  };
}

export function seriesOf({ id }: ReportHead, { startedAtMs, points, appliedBySecond, lives }: Facts): StabilitySeries {
  return { v: 1, id, startedAtMs, points, appliedBySecond, lives };
}

/** Of what was measured, by nearest rank. */
export function spreadOf(values: readonly (number | null)[]): Spread {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  const at = (share: number): number | null => known[Math.max(0, Math.ceil(share * known.length) - 1)] ?? null;
  return { n: known.length, p50: at(0.5), p95: at(0.95), max: known.at(-1) ?? null };
}
