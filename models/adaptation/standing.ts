// Standing: how well each way of looking at an input has served each domain, without labels.
//
// A look is one pass over one form of the input: as it came (plain), through one of the model's views, or through the source model. Of each
// look, in each domain, three running means are kept: the density k of its embeddings, the entropy of its answers, and its answers' mean.
//   score = k + 0.115 (H(mean answer) - mean H(answer)) / ln classes
// The second part is the mutual information between input and answer (Bridle, Heading and MacKay, NeurIPS 1991; SHOT, Liang et al., ICML 2020,
// eq. 4): it is high when answers are sure and differ from each other. Density alone is fooled by views that turn everything into one dense
// class; over 18 drifts and 24 views the sum always named the best view, or one within .02 of it.
//
// Owns: the running means, what follows from them: whether to roll out, over which views, whether to return to the source.
// Does not own: the passes (looking.ts), the choice between the looks of one request (rollout.ts).
//
// T1. Pure and deterministic, a fold over what the log says of each row.
// T2. Another drift may come in a domain that looks the same to the first layer. Then the leading look is less dense than it used to be, and
//     what is known of the views is forgotten: without this, the views that undid one drift answered for the next (.33 where plain had .51).

import type { Calibration } from "../calibration.js";
import { at } from "../numbers/softmax.js";
import { domainsMax } from "./domains.js";

/** Plain state. `kinds` looks are the plain one, one per view, the source's, and the plain one beside each of the source's. */
export interface Standing {
  /** [domains] running density of plain looks. */
  readonly running: Float32Array;
  /** [domains, kinds] looks so far. */
  readonly looks: Float64Array;
  /** [domains, kinds] */
  readonly densities: Float32Array;
  /** [domains, kinds] nats. */
  readonly entropies: Float32Array;
  /** [domains, kinds, classes] */
  readonly answers: Float32Array;
  /** [domains] running mean of how much denser the leading look was than its own running mean. */
  readonly surprise: Float32Array;
  /** [domains] 1 = the source serves it better: it answers. */
  readonly floored: Uint8Array;
  /** [3]: times a domain returned to the source, times one came back, times what was known of views was forgotten. */
  readonly counts: Float64Array;
}

/** The kinds of look a model with so many views has. The plain look is 0, its views follow; the floor is judged by the last two. */
export function kindsOf(views: number): { readonly source: number; readonly beside: number; readonly count: number } {
  return { source: views + 1, beside: views + 2, count: views + 3 };
}

export const plain = 0;

/** What a serving node needs to know of one domain. */
export interface DomainStanding {
  /** Requests of this domain are worth more than one look. */
  readonly open: boolean;
  /** Every view has been seen often enough: the best ones do. */
  readonly surveyed: boolean;
  /** The best views by score, at most `bestMax`. */
  readonly best: readonly number[];
  /** [views + 1] score of the plain look and of each view; NaN for one hardly seen. */
  readonly scores: readonly number[];
  readonly floored: boolean;
  /** The source has been compared often enough to tell which does better. */
  readonly proven: boolean;
}

const rate = 0.03;
const runningRate = 0.05;
/** Deviations that the running density lies under the clean mean from which views are tried. */
const openDeviations = 1;
const surveyLooks = 40;
const surpriseRate = 0.1;
/** Three deviations of that running mean where nothing changes. */
const surpriseMax = 0.04;
const bestMax = 2;
/** Looks from which a score says something: with half as many, a view that makes every 8 a 1 answered for a burst of 8s. */
const looksMin = 8;
/** Weight of mutual information, as a share of ln classes. */
const informationWeight = 0.115;
/**
 * From so many looks on, the source answers where it lies denser by the lead, and until it lies denser no more. Density alone: over requests of nearly one
 * class, which look best without any adaptation, sure answers that differ from each other are the sign of the worse model.
 */
const floorLooksMin = 8;
const floorLead = 0.02;
/** Until so many looks every request of a domain is compared. */
const provenLooks = 24;

export function emptyStanding({ classes, density }: Calibration, views: number): Standing {
  const { count } = kindsOf(views);
  return {
    running: new Float32Array(domainsMax).fill(density.mean),
    looks: new Float64Array(domainsMax * count),
    densities: new Float32Array(domainsMax * count),
    entropies: new Float32Array(domainsMax * count),
    answers: new Float32Array(domainsMax * count * classes),
    surprise: new Float32Array(domainsMax),
    floored: new Uint8Array(domainsMax),
    counts: new Float64Array(3),
  };
}

/** A domain begins anew in this place. */
export function forget(standing: Standing, { classes, density }: Calibration, domain: number): void {
  const kinds = kindsIn(standing);
  standing.running[domain] = density.mean;
  for (const column of [standing.looks, standing.densities, standing.entropies])
    column.fill(0, domain * kinds, (domain + 1) * kinds);
  standing.answers.fill(0, domain * kinds * classes, (domain + 1) * kinds * classes);
  standing.surprise[domain] = 0;
  standing.floored[domain] = 0;
}

/** Takes the plain density of one row in. */
export function foldDensity(standing: Standing, domain: number, density: number): void {
  const running = at(standing.running, domain);
  standing.running[domain] = running + runningRate * (density - running);
}

export interface LookRow {
  readonly kind: number;
  readonly density: number;
  /** [classes], sums to 1. */
  readonly answer: Float32Array;
}

/** Takes the looks of one row in. */
export function foldLooks(standing: Standing, domain: number, looks: readonly LookRow[], classes: number): void {
  const kinds = kindsIn(standing);
  if (looks.length > 0) {
    const leading = leaderOf(standing, domain, classes);
    const lead = looks.find(({ kind }) => kind === leading);
    if (lead !== undefined && at(standing.looks, domain * kinds + leading) >= looksMin) {
      const expected = at(standing.densities, domain * kinds + leading);
      move(standing.surprise, domain, lead.density - expected, surpriseRate);
    }
    for (const { kind, density, answer } of looks) foldLook(standing, domain, kind, density, answer);
  }
  if (at(standing.surprise, domain) >= -surpriseMax) return;
  standing.looks.fill(0, domain * kinds, domain * kinds + viewsIn(standing) + 1);
  standing.surprise[domain] = 0;
  standing.counts[2] = at(standing.counts, 2) + 1;
}

/** The look with the highest score; the plain one while none is known. */
function leaderOf(standing: Standing, domain: number, classes: number): number {
  let leader = plain;
  let most = Number.NEGATIVE_INFINITY;
  for (let kind = plain; kind <= viewsIn(standing); kind++) {
    const score = scoreOf(standing, domain, kind, classes);
    if (!(score > most)) continue;
    leader = kind;
    most = score;
  }
  return leader;
}

/** Takes one look in. answer [classes], sums to 1. */
function foldLook(standing: Standing, domain: number, kind: number, density: number, answer: Float32Array): void {
  const cell = domain * kindsIn(standing) + kind;
  const looks = at(standing.looks, cell) + 1;
  standing.looks[cell] = looks;
  const share = Math.max(1 / looks, rate);
  move(standing.densities, cell, density, share);
  move(standing.entropies, cell, entropy(answer), share);
  for (let c = 0; c < answer.length; c++) move(standing.answers, cell * answer.length + c, at(answer, c), share);
}

/** Decides anew whether the source serves a domain better. True when that has changed. */
export function judgeFloor(standing: Standing, domain: number): boolean {
  const kinds = kindsIn(standing);
  const { source, beside } = kindsOf(viewsIn(standing));
  if (at(standing.looks, domain * kinds + source) < floorLooksMin) return false;
  const lead = at(standing.densities, domain * kinds + source) - at(standing.densities, domain * kinds + beside);
  const before = standing.floored[domain] === 1;
  const now = before ? lead > 0 : lead > floorLead;
  if (now === before) return false;
  standing.floored[domain] = now ? 1 : 0;
  standing.counts[now ? 0 : 1] = at(standing.counts, now ? 0 : 1) + 1;
  return true;
}

export function standingOf(standing: Standing, calibration: Calibration, domain: number): DomainStanding {
  const kinds = kindsIn(standing);
  const views = viewsIn(standing);
  const { source } = kindsOf(views);
  const { classes } = calibration;
  const scores = Array.from({ length: views + 1 }, (_, kind) => scoreOf(standing, domain, kind, classes));
  const best = scores
    .flatMap((score, kind) => (kind === plain || Number.isNaN(score) ? [] : [kind]))
    .sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b)
    .slice(0, bestMax);
  return {
    open: isOpen(standing, calibration, domain, views),
    surveyed: at(standing.looks, domain * kinds + plain) >= surveyLooks,
    best,
    scores,
    floored: standing.floored[domain] === 1,
    proven: at(standing.looks, domain * kinds + source) >= provenLooks,
  };
}

/** Requests of this domain are worth more than one look: all that a row without a second look can change of a standing. */
export function isOpen(standing: Standing, { density }: Calibration, domain: number, views: number): boolean {
  return views > 0 && at(standing.running, domain) < density.mean - openDeviations * density.deviation;
}

/** NaN where there were hardly any looks. */
export function scoreOf(standing: Standing, domain: number, kind: number, classes: number): number {
  const cell = domain * kindsIn(standing) + kind;
  if (at(standing.looks, cell) < looksMin) return Number.NaN;
  const information = entropyAt(standing.answers, cell * classes, classes) - at(standing.entropies, cell);
  return at(standing.densities, cell) + (informationWeight * information) / Math.log(classes);
}

/** Nats. */
export function entropy(answer: Float32Array | Float64Array): number {
  return entropyAt(answer, 0, answer.length);
}

/** The same of `length` values from `start` on. */
function entropyAt(answers: Float32Array | Float64Array, start: number, length: number): number {
  let sum = 0;
  for (let i = start; i < start + length; i++) {
    const share = at(answers, i);
    if (share > 0) sum -= share * Math.log(share);
  }
  return sum;
}

function kindsIn(standing: Standing): number {
  return standing.looks.length / domainsMax;
}

function viewsIn(standing: Standing): number {
  return kindsIn(standing) - kindsOf(0).count;
}

function move(values: Float32Array, index: number, target: number, share: number): void {
  const value = values[index] ?? Number.NaN;
  values[index] = value + share * (target - value);
}
