// Adaptation: what a model has learned of its inputs, as a fold over the rows that were answered: domains and the standing of looks in them.
//
// Owns: what one row does to both, and what serving is given of them. Does not own: the head (policy.ts), the order of rows (the log).
//
// A1. A fold: the same rows in the same order give the same bits, on every node and in the writer's policy.
// A2. What serving is given never changes afterwards; the next one is another object.

import type { Calibration } from "../calibration.js";
import { allFinite } from "../learning/guardrails.js";
import type { Subject } from "../manifest.js";
import type { BlockArray } from "../numbers/blocks.js";
import { at } from "../numbers/softmax.js";
import { AdaptedDraft, nowhere, writeTableRow } from "./adapted-draft.js";
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
import type { Parameters } from "./pass.js";
import { closedPlan } from "./rollout.js";
import {
  type DomainStanding,
  emptyStanding,
  foldDensity,
  foldLooks,
  forget,
  isOpen,
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
  /** The source model alone looked at it: its deeper layers' moments are those behind the source's normalisation. */
  readonly bySource: boolean;
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
  /** The domain that ended with it: it made room, or came home. */
  readonly ended: number | undefined;
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
  const { domain, begun, ended } = place(domains, calibration, row.moments);
  if (begun) forget(standing, calibration, domain);
  // What the source's layers made of the input is no ground to normalise by: with a hundred such rows the first warm answers were worse
  // than the source's by .2 (inverted halves), for a domain's layers find their statistics together.
  if (row.bySource) return { domain, begun, ended, floor: undefined };
  foldDensity(standing, domain, row.density);
  if (learning.stages.moments) foldMoments(domains, calibration, domain, row.slot, row.moments);
  foldLooks(standing, domain, row.looks, calibration.classes);
  const changed = row.looks.length > 0 && judgeFloor(standing, domain);
  return { domain, begun, ended, floor: changed ? (standing.floored[domain] === 1 ? "source" : "adapted") : undefined };
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
  let live = 0;
  let floored = 0;
  for (let domain = 0; domain < domainsMax; domain++) {
    if (!isLive(domains, domain)) continue;
    live += 1;
    if (standing.floored[domain] === 1) floored += 1;
  }
  return {
    domains: live,
    begun: at(domains.counts, 1),
    dropped: at(domains.counts, 2),
    switched: at(domains.counts, 3),
    floored,
    toSource: at(standing.counts, 0),
    fromSource: at(standing.counts, 1),
    forgotten: at(standing.counts, 2),
  };
}

/** What the graph and the looks take of an adaptation; the head comes from the chain of commits. */
export type Adapted = Omit<Parameters, "head">;

/** Rows of the graph's table: the source's, then one for each domain. */
export const tableRows = domainsMax + 1;
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

/**
 * Keeps what serving is given up to date: only domains that moved are computed anew, and of those that only grew denser or less dense, not
 * what is known of their looks. Rows at home mostly change no bit: then serving keeps what it has, and nothing is sent to its thread.
 */
export class AdaptedView {
  readonly #subject: Subject;
  readonly #adaptation: Adaptation;
  /** Domains that moved since; true where what is known of its looks did too. */
  readonly #stale = new Map<number, boolean>();
  readonly #standings = new Map<number, DomainStanding>();
  #adapted: Adapted;

  constructor(subject: Subject, adaptation: Adaptation) {
    this.#subject = subject;
    this.#adaptation = adaptation;
    this.#adapted = sourceAdapted(subject);
    for (let domain = 0; domain < domainsMax; domain++) if (isLive(adaptation.domains, domain)) this.moved(domain);
  }

  /** After each row. `looked`: the row had more than one look. */
  folded({ domain, begun, ended }: Folded, looked = true): void {
    this.moved(domain, begun || looked);
    if (ended !== undefined) this.moved(ended);
  }

  /** `looked`: what is known of the domain's looks moved too. */
  moved(domain: number, looked = true): void {
    this.#stale.set(domain, looked || this.#stale.get(domain) === true);
  }

  /** The same object as long as nothing that serving is given changed. */
  get adapted(): Adapted {
    if (this.#stale.size === 0) return this.#adapted;
    const draft = new AdaptedDraft(this.#adapted);
    for (const [domain, looked] of this.#stale) this.#write(draft, domain, looked);
    this.#stale.clear();
    this.#adapted = draft.adapted;
    return this.#adapted;
  }

  #write(draft: AdaptedDraft, domain: number, looked: boolean): void {
    const { domains } = this.#adaptation;
    const { calibration, manifest } = this.#subject;
    const { stages } = manifest.learning;
    const { size } = calibration.signature;
    if (!isLive(domains, domain)) return void draft.setNowhere(domain);
    draft.setSignature(domain, domains.signatures.subarray(domain * size, (domain + 1) * size));
    if (stages.moments) {
      const { scale, shift } = normalisation(domains, calibration, domain);
      draft.setNormalisation(domain + 1, scale, shift);
    }
    const known = this.#standing(domain, looked);
    draft.setPlan(domain + 1, { ...known, open: known.open && stages.views }, stages.floor);
  }

  #standing(domain: number, looked: boolean): DomainStanding {
    const { standing } = this.#adaptation;
    const { calibration, manifest } = this.#subject;
    const before = looked ? undefined : this.#standings.get(domain);
    const known =
      before === undefined
        ? standingOf(standing, calibration, domain)
        : { ...before, open: isOpen(standing, calibration, domain, manifest.views.length) };
    this.#standings.set(domain, known);
    return known;
  }
}
