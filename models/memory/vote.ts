// The temporal ensemble: the model and its past, as voices with weights.
//
// Owns: who votes under which strategy, the weights, the verdict. Does not own: finding the neighbours (memory.ts),
// what follows from the confidence (gate.ts).
//
//   majority     every voice 1
//   weighted     memory: similarity x recency x confidence; model: its confidence
//   confidence   every voice its confidence
//   ensemble     the model's whole softmax, plus the labelled neighbours: weight x recency x min(8, e^(sharpness (s - k)))  (default)
//
// The labelled neighbours are the nearest 5 among the experiences with a verified label and the anchors; s is the cosine, k the mean
// cosine to the 5 nearest anchors; an anchor counts half. A label counts by how much nearer it is than what was known before, after the key-value cache of
// Tip-Adapter (Zhang et al., ECCV 2022, eq. 3); the anchors beside it keep clean inputs as they were. Measured in docs/learning.md.
//
// Unverified neighbours do not vote in the ensemble: measured over drifting streams, a memory of the model's own answers
// confirms its own mistakes (0.555 against 0.566 for the model alone). In the other strategies they do, for whoever wants them.
//
// V1. Without a voice beside it the model's verdict is its own softmax, bit for bit. Anchors have no voice where no verified label has one.
// V2. Equal shares: the model's own answer wins if it is among them, else the lowest class.
// V3. Where neighbours are the voters, fewer than 3 voices halve the confidence.
import { type Anchor, densityOf } from "../adaptation/density.js";
import type { Position } from "../experience.js";
import { argmax, at, softmax, softmaxInto } from "../numbers/softmax.js";
import type { LearningSettings, VoteStrategy } from "../settings.js";
import type { Neighbours } from "./memory.js";

export interface Neighbour {
  readonly position: Position;
  /** Cosine, -1..1. */
  readonly similarity: number;
  readonly answer: number;
  readonly confidence: number;
  readonly atMs: number;
  readonly verified: boolean;
}

/** One voice, as `explain` reports it: neighbours that may not vote appear with weight 0. */
export type Vote =
  | { readonly from: "model"; readonly answer: number; readonly weight: number }
  | ({ readonly from: "memory"; readonly weight: number } & Neighbour)
  | ({ readonly from: "anchor"; readonly weight: number; readonly answer: number } & Anchor);

export interface Verdict {
  readonly answer: number;
  /** Share of the answer in all weight, halved under V3. 0..1. */
  readonly confidence: number;
  /** Voices with weight above 0. */
  readonly voters: number;
  /** [classes], sums to 1. */
  readonly shares: Float64Array;
  readonly votes: readonly Vote[];
}

export interface Ballot {
  /** [classes] of the model as it is served. */
  readonly logits: Float32Array;
  /** Nearest first. */
  readonly neighbours: readonly Neighbour[];
  /** The nearest anchors of the input; asked only when a verified neighbour is there to be compared with them. */
  readonly anchors: () => readonly Anchor[];
  readonly nowMs: number;
}

export type VoteSettings = Pick<LearningSettings, "strategy" | "recencyMs" | "labelled">;

/** Every strategy by name, with the words a list shows. */
export const strategies: Readonly<Record<VoteStrategy, string>> = {
  majority: "every voice counts one; fewer than 3 voices halve the confidence",
  weighted: "similarity x recency x confidence; fewer than 3 voices halve the confidence",
  confidence: "every voice counts its confidence; fewer than 3 voices halve the confidence",
  ensemble:
    "the model's softmax and the nearest true labels, by recency and by how much nearer they are than the anchors",
};

const fullVoice = 3;

export function castVotes(ballot: Ballot, settings: VoteSettings): Verdict {
  const probabilities = softmax(ballot.logits);
  const own = argmax(probabilities);
  const ownConfidence = at(probabilities, own);
  const { strategy } = settings;
  const memory =
    strategy === "ensemble"
      ? labelledVotes(ballot, settings)
      : ballot.neighbours.map((neighbour): Vote => {
          const weight = neighbourWeight(neighbour, ballot.nowMs, strategy, settings.recencyMs);
          return ofMemory(neighbour, weight);
        });
  const modelWeight = strategy === "majority" || strategy === "ensemble" ? 1 : ownConfidence;
  const votes: Vote[] = [{ from: "model", answer: own, weight: modelWeight }, ...memory];
  const sums =
    strategy === "ensemble" ? Float64Array.from(probabilities) : oneHot(probabilities.length, own, modelWeight);
  let total = modelWeight;
  for (const { answer, weight } of memory) {
    sums[answer] = at(sums, answer) + weight;
    total += weight;
  }
  const shares = total === 1 ? sums : sums.map((sum) => sum / total);
  const voters = votes.filter((vote) => vote.weight > 0).length;
  const answer = winner(shares, own);
  const halved = strategy !== "ensemble" && voters < fullVoice;
  return { answer, confidence: at(shares, answer) * (halved ? 0.5 : 1), voters, shares, votes };
}

/** One voice: the model's own softmax. What cold requests get, whatever the strategy. */
export function ownVerdict(logits: Float32Array): Verdict {
  const shares = softmax(logits);
  const answer = argmax(shares);
  return { answer, confidence: at(shares, answer), voters: 1, shares, votes: [{ from: "model", answer, weight: 1 }] };
}

/**
 * The verdict of a row [classes] of logits that begins at `start`, where nobody has a voice beside the model: its own softmax. Its shares and
 * votes are made when they are asked for, which is for an explanation only. `beside`: the neighbours that were found all the same.
 */
export function loneVerdict(
  logits: Float32Array,
  start: number,
  classes: number,
  beside: { readonly found: Neighbours; readonly row: number } | undefined = undefined,
): Verdict {
  const answer = loneAnswer(logits, start, classes);
  return new LoneVerdict(answer, at(scratch, answer), logits, start, classes, beside);
}

/** Its answer alone. */
export function loneAnswer(logits: Float32Array, start: number, classes: number): number {
  if (scratch.length !== classes) scratch = new Float64Array(classes);
  // Of the shares, not of the logits: two of these may be one share.
  return argmax(softmaxInto(logits, start, scratch));
}

/** Shares of the row that was looked at last: written and read within one call. */
let scratch = new Float64Array(0);

class LoneVerdict implements Verdict {
  readonly answer: number;
  readonly confidence: number;
  readonly voters = 1;
  readonly #logits: Float32Array;
  readonly #start: number;
  readonly #classes: number;
  readonly #beside: { readonly found: Neighbours; readonly row: number } | undefined;

  constructor(
    answer: number,
    confidence: number,
    logits: Float32Array,
    start: number,
    classes: number,
    beside: { readonly found: Neighbours; readonly row: number } | undefined,
  ) {
    this.answer = answer;
    this.confidence = confidence;
    this.#logits = logits;
    this.#start = start;
    this.#classes = classes;
    this.#beside = beside;
  }

  get shares(): Float64Array {
    return softmaxInto(this.#logits, this.#start, new Float64Array(this.#classes));
  }

  get votes(): readonly Vote[] {
    const own: Vote = { from: "model", answer: this.answer, weight: 1 };
    if (this.#beside === undefined) return [own];
    const { found, row } = this.#beside;
    return [own, ...neighboursOf(found, row).map((neighbour) => ofMemory(neighbour, 0))];
  }
}

/** Whether the neighbours of a row leave the ensemble's verdict to the model alone (V1): none of them has a verified label that counts. */
export function areSilent(
  { k, found, verified }: Neighbours,
  row: number,
  { strategy, labelled }: VoteSettings,
): boolean {
  if (strategy !== "ensemble") return false;
  if (labelled.weight === 0) return true;
  for (let cell = row * k; cell < row * k + at(found, row); cell++) if (verified[cell] === 1) return false;
  return true;
}

/** The neighbours of one row, nearest first. */
export function neighboursOf(columns: Neighbours, row: number): Neighbour[] {
  const { k } = columns;
  const neighbours: Neighbour[] = [];
  for (let cell = row * k; cell < row * k + at(columns.found, row); cell++)
    neighbours.push({
      position: { seq: at(columns.seqs, cell), index: at(columns.indexes, cell) },
      similarity: at(columns.similarities, cell),
      answer: at(columns.answers, cell),
      confidence: at(columns.confidences, cell),
      atMs: at(columns.atMs, cell),
      verified: columns.verified[cell] === 1,
    });
  return neighbours;
}

/** Of the weight that a label of the same nearness would have: anchors are of clean inputs, and the labels came from where the drift is. */
const anchorShare = 0.5;
/** The highest of e^(sharpness (s - k)): one label must not drown all others. */
const nearnessMax = 8;

/** Every neighbour, those without a voice with weight 0, then the anchors that vote beside them. */
function labelledVotes({ neighbours, anchors, nowMs }: Ballot, { labelled, recencyMs }: VoteSettings): Vote[] {
  const silent = neighbours.map((neighbour) => ofMemory(neighbour, 0));
  if (labelled.weight === 0 || !neighbours.some(({ verified }) => verified)) return silent;
  const known = anchors();
  const k = densityOf(known);
  const weightOf = (similarity: number): number =>
    labelled.weight * Math.min(nearnessMax, Math.exp(labelled.sharpness * (similarity - k)));
  // Of two that are equally near, the one that was verified in traffic goes first.
  const nearest = [...neighbours.filter(({ verified }) => verified), ...known]
    .sort((a, b) => b.similarity - a.similarity)
    .slice(0, labelled.neighbours);
  if (!nearest.some((each) => "verified" in each)) return silent;
  return [
    ...neighbours.map((neighbour): Vote => {
      const weight = nearest.includes(neighbour)
        ? weightOf(neighbour.similarity) * recency(neighbour, nowMs, recencyMs) * neighbour.confidence
        : 0;
      return ofMemory(neighbour, weight);
    }),
    ...known
      .filter((anchor) => nearest.includes(anchor))
      .map(
        (anchor): Vote => ({
          from: "anchor",
          ...anchor,
          answer: anchor.label,
          weight: anchorShare * weightOf(anchor.similarity),
        }),
      ),
  ];
}

/** Spelled out: to spread the neighbour costs ten times as much, and every request has five of them. */
function ofMemory(neighbour: Neighbour, weight: number): Vote {
  const { position, similarity, answer, confidence, atMs, verified } = neighbour;
  return { from: "memory", position, similarity, answer, confidence, atMs, verified, weight };
}

function neighbourWeight(
  neighbour: Neighbour,
  nowMs: number,
  strategy: Exclude<VoteStrategy, "ensemble">,
  recencyMs: number,
): number {
  switch (strategy) {
    case "majority":
      return 1;
    case "confidence":
      return neighbour.confidence;
    case "weighted":
      return Math.max(0, neighbour.similarity) * recency(neighbour, nowMs, recencyMs) * neighbour.confidence;
    default:
      return strategy satisfies never;
  }
}

/** A clock that jumped back must not make the past weigh more than the present. */
function recency({ atMs }: Neighbour, nowMs: number, recencyMs: number): number {
  return Math.exp(-Math.max(0, nowMs - atMs) / recencyMs);
}

function oneHot(classes: number, answer: number, weight: number): Float64Array {
  const sums = new Float64Array(classes);
  sums[answer] = weight;
  return sums;
}

function winner(shares: Float64Array, own: number): number {
  const best = argmax(shares);
  return at(shares, own) === at(shares, best) ? own : best;
}
