// The temporal ensemble: the model and its past, as voices with weights.
//
// Owns: who votes under which strategy, the weights, the verdict. Does not own: finding the neighbours (memory.ts),
// what follows from the confidence (gate.ts).
//
//   majority     every voice 1
//   weighted     memory: similarity x recency x confidence; model: its confidence
//   confidence   every voice its confidence
//   ensemble     the model's whole softmax, plus verified neighbours: similarity x recency x confidence each  (default)
//
// Unverified neighbours do not vote in the ensemble: measured over drifting streams, a memory of the model's own answers
// confirms its own mistakes (0.555 against 0.566 for the model alone). In the other strategies they do, for whoever wants them.
//
// V1. Without a voice beside it the model's verdict is its own softmax, bit for bit.
// V2. Equal shares: the model's own answer wins if it is among them, else the lowest class.
// V3. Where neighbours are the voters, fewer than 3 voices halve the confidence.
import type { Position } from "./experience.js";
import type { Neighbours } from "./memory.js";
import type { LearningSettings, VoteStrategy } from "./settings.js";
import { argmax, at, softmax } from "./softmax.js";

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
  | ({ readonly from: "memory"; readonly weight: number } & Neighbour);

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
  readonly neighbours: readonly Neighbour[];
  readonly nowMs: number;
}

/** Every strategy by name, with the words a list shows. */
export const strategies: Readonly<Record<VoteStrategy, string>> = {
  majority: "every voice counts one; fewer than 3 voices halve the confidence",
  weighted: "similarity x recency x confidence; fewer than 3 voices halve the confidence",
  confidence: "every voice counts its confidence; fewer than 3 voices halve the confidence",
  ensemble: "the model's softmax and its verified neighbours by similarity x recency x confidence",
};

const fullVoice = 3;

export function castVotes(ballot: Ballot, settings: Pick<LearningSettings, "strategy" | "recencyMs">): Verdict {
  const probabilities = softmax(ballot.logits);
  const own = argmax(probabilities);
  const ownConfidence = at(probabilities, own);
  const { strategy } = settings;
  const memory = ballot.neighbours.map((neighbour): Vote => {
    const weight = neighbourWeight(neighbour, ballot.nowMs, settings);
    return { from: "memory", ...neighbour, weight };
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

/** The neighbours of one row, nearest first. */
export function neighboursOf(columns: Neighbours, row: number): Neighbour[] {
  const { k } = columns;
  return Array.from({ length: at(columns.found, row) }, (_, place) => {
    const cell = row * k + place;
    return {
      position: { seq: at(columns.seqs, cell), index: at(columns.indexes, cell) },
      similarity: at(columns.similarities, cell),
      answer: at(columns.answers, cell),
      confidence: at(columns.confidences, cell),
      atMs: at(columns.atMs, cell),
      verified: columns.verified[cell] === 1,
    };
  });
}

function neighbourWeight(
  neighbour: Neighbour,
  nowMs: number,
  { strategy, recencyMs }: Pick<LearningSettings, "strategy" | "recencyMs">,
): number {
  switch (strategy) {
    case "majority":
      return 1;
    case "confidence":
      return neighbour.confidence;
    case "ensemble":
      if (!neighbour.verified) return 0;
      break;
    case "weighted":
      break;
    default:
      strategy satisfies never;
  }
  // A clock that jumped back must not make the past weigh more than the present.
  const recency = Math.exp(-Math.max(0, nowMs - neighbour.atMs) / recencyMs);
  return Math.max(0, neighbour.similarity) * recency * neighbour.confidence;
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
