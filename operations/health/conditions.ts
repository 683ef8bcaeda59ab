// A rule held against the figures of one moment: for each thing it is about, the value, the level, and whether the one is beyond the other.
//
// Owns: joining the comparisons of a condition, least samples, baselines. Does not own: what follows over time (checks.ts).
//
// J1. The lead names what the rule is about. Another comparison is asked about the same thing, or about the whole cluster when its measure
//     has nothing else.
// J2. A figure that is not known, or that is made of too few samples, is not beyond anything.

import type { ClusterMetrics } from "../metrics/cluster-metrics.js";
import { Baseline } from "./baseline.js";
import { type Comparison, holds } from "./expression.js";
import type { History } from "./history.js";
import { type MeasureName, measureOf, type Reading, wholeCluster } from "./measures.js";
import type { Rule } from "./rules.js";

/** The limit in nats that a model's settings name; undefined: not known here. */
export type KlLimitOf = (model: string) => number | undefined;

export interface Finding {
  readonly about: string;
  /** In the measure's unit; for a baseline, how many times what is usual. Null when it is not known. */
  readonly value: number | null;
  readonly level: number;
  /** What the lead reads; differs from `value` for a baseline only. */
  readonly reading: number | null;
  /** What is usual; null when the rule does not ask, or it is not known yet. */
  readonly usual: number | null;
  readonly isKnown: boolean;
  readonly isBeyond: boolean;
  readonly isCleared: boolean;
}

/** The figures of one moment, each read once however many rules ask for it. */
export class Figures {
  readonly #metrics: ClusterMetrics;
  readonly #history: History;
  readonly #read = new Map<MeasureName, readonly Reading[]>();

  constructor(metrics: ClusterMetrics, history: History) {
    this.#metrics = metrics;
    this.#history = history;
  }

  get(measure: MeasureName): readonly Reading[] {
    const known = this.#read.get(measure);
    if (known !== undefined) return known;
    const readings = measureOf(measure).read(this.#metrics, this.#history);
    this.#read.set(measure, readings);
    return readings;
  }
}

/** More than the rules compare at once; what is beyond is about models and nodes that are gone. */
export const baselinesMax = 4_096;

/** What is usual, for each measure about each thing that some rule compares with it. */
export class Baselines {
  readonly #baselines = new Map<string, Baseline>();
  readonly #remembered: ReadonlyMap<string, number>;

  /** `remembered`: frozen references that were found before a restart, by their keys. */
  constructor(remembered: Readonly<Record<string, number>> = {}) {
    this.#remembered = new Map(Object.entries(remembered));
  }

  /** Takes the reading in and says what is usual now. */
  take(rule: Rule, about: string, reading: number | null, atMs: number): number | null {
    const { overMs, afterMs } = rule.baseline;
    const key = `${rule.condition.lead.measure}:${about}:${overMs}:${afterMs}`;
    const baseline = this.#baselines.get(key) ?? new Baseline(rule.baseline, this.#remembered.get(key) ?? null);
    // Behind the others: the first one is what no rule has asked about for longest.
    this.#baselines.delete(key);
    this.#baselines.set(key, baseline);
    const [oldest] = this.#baselines.keys();
    if (this.#baselines.size > baselinesMax && oldest !== undefined) this.#baselines.delete(oldest);
    if (reading !== null) baseline.take(reading, atMs);
    return baseline.value;
  }

  /** The references that are frozen, to be given back after a restart. */
  frozen(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [...this.#baselines].flatMap(([key, { frozen }]) => (frozen === null ? [] : [[key, frozen]])),
    );
  }
}

export interface Surroundings {
  readonly figures: Figures;
  readonly baselines: Baselines;
  readonly klLimitOf: KlLimitOf;
  readonly klLimitDefault: number;
  readonly atMs: number;
}

/** One finding for each thing that the rule is about; one about the whole cluster when there is nothing yet. */
export function findingsOf(rule: Rule, world: Surroundings): readonly Finding[] {
  const { lead } = rule.condition;
  const readings = world.figures
    .get(lead.measure)
    .filter(
      ({ about, of }) => rule.about === undefined || rule.about.includes(about) || rule.about.includes(of ?? about),
    );
  if (readings.length > 0) return readings.map((reading) => findingOf(rule, reading, world));
  return [findingOf(rule, { about: rule.about?.[0] ?? wholeCluster, value: null, samples: 0 }, world)];
}

function findingOf(rule: Rule, { about, value: read, samples }: Reading, world: Surroundings): Finding {
  const { lead, others } = rule.condition;
  const reading = samples < rule.minSamples ? null : read;
  const usual = lead.level.kind === "baseline" ? world.baselines.take(rule, about, reading, world.atMs) : null;
  const value = lead.level.kind === "baseline" ? timesUsual(reading, usual) : reading;
  const level = levelOf(lead, about, world);
  const holdsOtherwise = others.every((other) => otherHolds(other, about, world));
  const isBeyond = value !== null && holds(value, lead.operator, level) && holdsOtherwise;
  const isCalm = value === null || rule.clear === undefined || holds(value, rule.clear.operator, rule.clear.value);
  return {
    about,
    value,
    level,
    reading,
    usual,
    isKnown: reading !== null,
    isBeyond,
    // Without a clear level the condition itself says when it is over; with one, the other comparisons end it as well.
    isCleared: !isBeyond && (isCalm || !holdsOtherwise),
  };
}

function timesUsual(reading: number | null, usual: number | null): number | null {
  return reading === null || usual === null || usual <= 0 ? null : reading / usual;
}

function levelOf({ level }: Comparison, about: string, { klLimitOf, klLimitDefault }: Surroundings): number {
  switch (level.kind) {
    case "number":
      return level.value;
    case "baseline":
      return level.factor;
    case "kl_alert":
      return klLimitOf(about) ?? klLimitDefault;
  }
}

/** Baselines belong to the lead; another comparison with one is refused by the grammar. */
function otherHolds(other: Comparison, about: string, world: Surroundings): boolean {
  const readings = world.figures.get(other.measure);
  const found = readings.find((each) => each.about === about) ?? readings.find((each) => each.about === wholeCluster);
  return found?.value != null && holds(found.value, other.operator, levelOf(other, about, world));
}
