// Rollouts: which looks one request gets beside the plain one, and how much each of them counts in its answer.
//
// TTRL's majority over samples (Zuo et al. 2025) becomes a vote over views of the input, weighted by how well a view has served the domain
// and by how much denser this input's embedding lies in it. Views that are not known to be better than the plain look do not vote:
// ungated, they cost up to two points on clean data.
//
// Owns: the gate, the choice of views, the weights. Does not own: running means (standing.ts), the passes (looking.ts).
//
// L1. Pure: a function of the plan, the plain look and one source of chance.
// L2. A request whose embedding is dense enough gets one look, and so does every request of a domain whose answers are as dense as clean ones.
import type { Random } from "../clock.js";
import { at } from "../numbers/softmax.js";
import { type DomainStanding, plain } from "./standing.js";

/** What serving knows of every domain's standing; row 0 is for inputs of no known domain, row d + 1 for domain d. */
export interface LookPlan {
  /** [domains + 1] a sum of the flags below. */
  readonly flags: Uint8Array;
  /** [domains + 1, 2] the best views, 0 = none. */
  readonly best: Uint8Array;
  /** [domains + 1, views + 1] */
  readonly scores: Float32Array;
}

const openFlag = 1;
const surveyedFlag = 2;
const flooredFlag = 4;
const unprovenFlag = 8;
/** Rows of the table whose normalisation is the source's: inputs of no known domain, and home. There is nothing to compare. */
const sourceRows = 2;
const bestPlaces = 2;
/** Chance that a request of a surveyed domain is looked at through every view once more: drifts change. */
const surveyChance = 0.1;
/** Chance that the source and the adapted model both look: what the floor is judged by. */
const comparedChance = 1 / 8;
/** A view must have served the domain better than the plain look by so much. */
const leadMin = 0.02;
/** Weight of a view's standing against the density of this one look, and the softness of their sum. */
const standingWeight = 2;
const softness = 0.015;

/** Every domain closed: one look each. */
export function closedPlan(rows: number, views: number): LookPlan {
  return {
    flags: new Uint8Array(rows),
    best: new Uint8Array(rows * bestPlaces),
    scores: new Float32Array(rows * (views + 1)).fill(Number.NaN),
  };
}

/** One look each again. In place, as `plan`. */
export function closeRow({ flags, best, scores }: LookPlan, row: number): void {
  const kinds = scores.length / flags.length;
  flags[row] = 0;
  best.fill(plain, row * bestPlaces, (row + 1) * bestPlaces);
  scores.fill(Number.NaN, row * kinds, (row + 1) * kinds);
}

/** Writes one domain's standing into its row. In place: for a plan that nobody has been given yet. */
export function plan(into: LookPlan, row: number, standing: DomainStanding, floor: boolean): void {
  const { open, surveyed, best, scores, floored, proven } = standing;
  into.flags[row] =
    (proven ? 0 : unprovenFlag) |
    (open ? openFlag : 0) |
    (surveyed ? surveyedFlag : 0) |
    (floor && floored ? flooredFlag : 0);
  for (let place = 0; place < bestPlaces; place++) into.best[row * bestPlaces + place] = best[place] ?? plain;
  into.scores.set(scores, row * scores.length);
}

export interface Looks {
  /** Views to look through. */
  readonly views: readonly number[];
  /** The source and the adapted model both look. */
  readonly compared: boolean;
}

/** False where `looksFor` gives no look whatever chance says: what most rows of clean traffic are, and chance is not drawn for them. */
export function mayLookAgain(known: LookPlan, row: number, density: number, high: number, floor: boolean): boolean {
  if (floor && !isNormalisedAsSource(row)) return true;
  return row > 0 && (at(known.flags, row) & openFlag) !== 0 && !(density >= high);
}

/** `high`: density from which a request of its own needs no second look. */
export function looksFor(
  known: LookPlan,
  row: number,
  density: number,
  high: number,
  floor: boolean,
  random: Random,
): Looks {
  const flags = at(known.flags, row);
  const isDrawn = random() < comparedChance;
  const compared = floor && !isNormalisedAsSource(row) && (isDrawn || (flags & unprovenFlag) !== 0);
  // Chance is drawn for every request, so that what one gets does not depend on those before it.
  const survey = random() < surveyChance;
  if (row === 0 || (flags & openFlag) === 0 || density >= high) return { views: [], compared };
  const views = known.scores.length / known.flags.length - 1;
  if ((flags & surveyedFlag) === 0 || survey)
    return { views: Array.from({ length: views }, (_, i) => i + 1), compared };
  const best = Array.from(known.best.subarray(row * bestPlaces, (row + 1) * bestPlaces));
  return { views: best.filter((view) => view > plain), compared };
}

/** What the graph normalises in this row is normalised as in the source, to the bit. */
export function isNormalisedAsSource(row: number): boolean {
  return row < sourceRows;
}

/** Whether the source answers in this row, and would not anyway. */
export function isFloored(known: LookPlan, row: number): boolean {
  return !isNormalisedAsSource(row) && (at(known.flags, row) & flooredFlag) !== 0;
}

/** One look at one request. */
export interface Seen {
  /** 0 = plain, then the views. */
  readonly kind: number;
  readonly density: number;
}

/**
 * Weight of each look in the answer, summing to 1. May vote: the plain look, and views with a known score above the plain look's by `leadMin`
 * in which this input lies denser; weight exp((k + 2 (score - the plain look's)) / 0.015).
 */
export function weigh(known: LookPlan, row: number, seen: readonly Seen[]): readonly number[] {
  const kinds = known.scores.length / known.flags.length;
  const scoreOf = (kind: number): number => at(known.scores, row * kinds + kind);
  const own = seen.find(({ kind }) => kind === plain)?.density ?? Number.NaN;
  const powers = seen.map(({ kind, density }) => {
    const lead = scoreOf(kind) - scoreOf(plain);
    if (kind === plain) return density / softness;
    return lead > leadMin && density > own ? (density + standingWeight * lead) / softness : Number.NEGATIVE_INFINITY;
  });
  const top = Math.max(...powers);
  const weights = powers.map((power) => Math.exp(power - top));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
