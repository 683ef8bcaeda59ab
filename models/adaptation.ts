// Adaptation: what a model has learned of its inputs, as a fold over the rows that were answered: domains and the standing of looks in them.
//
// Owns: what one row does to both, and what serving is given of them. Does not own: the head (policy.ts), the order of rows (the log).
//
// A1. A fold: the same rows in the same order give the same bits, on every node and in the writer's policy.
// A2. What serving is given never changes afterwards; the next one is another object.
import type { BlockArray } from "./blocks.js";
import type { Calibration } from "./calibration.js";
import {
  type Domains,
  domainsMax,
  emptyDomains,
  foldMoments,
  isLive,
  normalisation,
  place,
  sourceNormalisation,
} from "./domains.js";
import { allFinite } from "./guardrails.js";
import type { Subject } from "./manifest.js";
import type { Parameters } from "./pass.js";
import { closedPlan, plan } from "./rollout.js";
import { at } from "./softmax.js";
import {
  emptyStanding,
  foldDensity,
  foldLooks,
  forget,
  judgeFloor,
  type LookRow,
  type Standing,
  standingOf,
} from "./standing.js";

export interface Adaptation {
  readonly domains: Domains;
  readonly standing: Standing;
}

/** One answered row, as the log holds it. */
export interface AdaptationRow {
  /** The source model answered it: its deeper layers' moments are those behind the source's normalisation. */
  readonly cold: boolean;
  /** [2C] of the plain look. */
  readonly moments: Float32Array;
  readonly slot: number;
  /** Of the plain look. */
  readonly density: number;
  /** Empty where one look was enough. */
  readonly looks: readonly LookRow[];
}

export interface Folded {
  readonly domain: number;
  /** The row began this domain. */
  readonly begun: boolean;
  /** The domain returned to the source, or came back from it. */
  readonly floor: "source" | "adapted" | undefined;
}

/** All that the source needs to answer. */
type SourceOf = { readonly calibration: Calibration; readonly manifest: Pick<Subject["manifest"], "views"> };

export function emptyAdaptation({ manifest, calibration }: Subject): Adaptation {
  return { domains: emptyDomains(calibration), standing: emptyStanding(calibration, manifest.views.length) };
}

/** In place. Undefined where a value is not finite: one such value would stay in every mean, so the fold leaves the row out. */
export function foldRow(
  { domains, standing }: Adaptation,
  { calibration, manifest }: Subject,
  row: AdaptationRow,
): Folded | undefined {
  const { learning } = manifest;
  if (!allFinite(row.moments) || !Number.isFinite(row.density)) return undefined;
  if (!row.looks.every(({ density, answer }) => Number.isFinite(density) && allFinite(answer))) return undefined;
  const { domain, begun } = place(domains, calibration, row.moments);
  if (begun) forget(standing, calibration, domain);
  // What the source's layers made of the input is no ground to normalise by: with a hundred such rows the first warm answers were worse
  // than the source's by .2 (inverted halves), for a domain's layers find their statistics together.
  if (row.cold) return { domain, begun, floor: undefined };
  foldDensity(standing, domain, row.density);
  if (learning.stages.moments) foldMoments(domains, calibration, domain, row.slot, row.moments);
  foldLooks(standing, domain, row.looks, calibration.classes);
  const changed = row.looks.length > 0 && judgeFloor(standing, domain);
  return { domain, begun, floor: changed ? (standing.floored[domain] === 1 ? "source" : "adapted") : undefined };
}

/** Every bit of it, by name. */
export function adaptationArrays({ domains, standing }: Adaptation): Record<string, BlockArray> {
  return {
    domainSignatures: domains.signatures,
    domainClassShifts: domains.classShifts,
    domainClassRows: domains.classRows,
    domainPooledShifts: domains.pooledShifts,
    domainPooledRows: domains.pooledRows,
    domainRows: domains.rows,
    domainLastUsed: domains.lastUsed,
    domainCounts: domains.counts,
    standingRunning: standing.running,
    standingLooks: standing.looks,
    standingDensities: standing.densities,
    standingEntropies: standing.entropies,
    standingAnswers: standing.answers,
    standingSurprise: standing.surprise,
    standingFloored: standing.floored,
    standingCounts: standing.counts,
  };
}

/** What adaptation has done so far, for people. */
export interface AdaptationTally {
  readonly domains: number;
  readonly begun: number;
  readonly dropped: number;
  readonly switched: number;
  /** Domains that the source model answers for, and how often one went there and came back. */
  readonly floored: number;
  readonly toSource: number;
  readonly fromSource: number;
  /** How often what was known of a domain's views was forgotten. */
  readonly forgotten: number;
}

export function tallyOf({ domains, standing }: Adaptation): AdaptationTally {
  const live = Array.from({ length: domainsMax }, (_, domain) => domain).filter((domain) => isLive(domains, domain));
  return {
    domains: live.length,
    begun: at(domains.counts, 1),
    dropped: at(domains.counts, 2),
    switched: at(domains.counts, 3),
    floored: live.filter((domain) => standing.floored[domain] === 1).length,
    toSource: at(standing.counts, 0),
    fromSource: at(standing.counts, 1),
    forgotten: at(standing.counts, 2),
  };
}

/** What the graph and the looks take of an adaptation; the head comes from the chain of commits. */
export type Adapted = Omit<Parameters, "head">;

/** Rows of the graph's table: the source's, then one for each domain. */
export const tableRows = domainsMax + 1;
/** No signature is near a domain that is not there. */
const nowhere = -1e30;

/** The source model and one look, whatever comes. */
export function sourceAdapted({ calibration, manifest }: SourceOf): Adapted {
  const { channels, signature } = calibration;
  const { scale, shift } = sourceNormalisation(calibration);
  const table = new Float32Array(tableRows * 2 * channels);
  for (let row = 0; row < tableRows; row++) writeTableRow(table, row, scale, shift);
  return {
    signatures: new Float32Array(signature.size * domainsMax),
    limits: new Float32Array(domainsMax).fill(nowhere),
    table,
    plan: closedPlan(tableRows, manifest.views.length),
  };
}

export function sourceParameters(subject: SourceOf): Parameters {
  return { ...sourceAdapted(subject), head: subject.calibration.head };
}

/** Keeps what serving is given up to date: only domains that moved are computed anew. */
export class AdaptedView {
  readonly #subject: Subject;
  readonly #adaptation: Adaptation;
  readonly #stale = new Set<number>();
  #adapted: Adapted;

  constructor(subject: Subject, adaptation: Adaptation) {
    this.#subject = subject;
    this.#adaptation = adaptation;
    this.#adapted = sourceAdapted(subject);
    for (let domain = 0; domain < domainsMax; domain++) if (isLive(adaptation.domains, domain)) this.#stale.add(domain);
  }

  moved(domain: number): void {
    this.#stale.add(domain);
  }

  /** The same object as long as nothing moved. */
  get adapted(): Adapted {
    if (this.#stale.size > 0) this.#adapted = this.#anew();
    this.#stale.clear();
    return this.#adapted;
  }

  #anew(): Adapted {
    const { signatures, limits, table, plan: known } = this.#adapted;
    const next: Adapted = {
      signatures: signatures.slice(),
      limits: limits.slice(),
      table: table.slice(),
      plan: { flags: known.flags.slice(), best: known.best.slice(), scores: known.scores.slice() },
    };
    for (const domain of this.#stale) this.#write(next, domain);
    return next;
  }

  #write({ signatures, limits, table, plan: looks }: Adapted, domain: number): void {
    const { domains, standing } = this.#adaptation;
    const { calibration, manifest } = this.#subject;
    const { stages } = manifest.learning;
    const { size } = calibration.signature;
    let square = 0;
    for (let s = 0; s < size; s++) {
      const value = at(domains.signatures, domain * size + s);
      signatures[s * domainsMax + domain] = value;
      square += value * value;
    }
    limits[domain] = -square / 2;
    if (stages.moments) {
      const { scale, shift } = normalisation(domains, calibration, domain);
      writeTableRow(table, domain + 1, scale, shift);
    }
    const known = standingOf(standing, calibration, domain);
    plan(looks, domain + 1, { ...known, open: known.open && stages.views }, stages.floor);
  }
}

function writeTableRow(table: Float32Array, row: number, scale: Float32Array, shift: Float32Array): void {
  table.set(scale, row * 2 * scale.length);
  table.set(shift, (row * 2 + 1) * scale.length);
}
