// The reward of one answer, without a label.
//
// Owns: its parts and their sum. Does not own: the verdict (vote.ts), the loss of a step (head-gradient.ts).
//
// The parts follow test-time reinforcement learning (TTRL, Zuo et al. 2025): the reference is a vote. The task part
// compares the model alone with the vote; compared with itself a vote would always be right.
import type { Neighbours } from "../memory/memory.js";
import { at } from "../numbers/softmax.js";

export interface Reward {
  /** 1 = the model alone answers as the vote does. */
  readonly task: number;
  /** 0..1, how far from what is known: half from sparse neighbourhood (1 - k), half from shifted first-layer moments. */
  readonly novelty: number;
  /** 0..1, weight by similarity of the neighbours that answer the same; 0 without neighbours. */
  readonly coherence: number;
  /** task + 0.3 novelty + 0.2 coherence, within -10..10. */
  readonly total: number;
}

export interface Evidence {
  /** Answer of the model alone. */
  readonly own: number;
  /** Answer of the vote. */
  readonly answer: number;
  /** How far the neighbours agree with it. */
  readonly coherence: number;
  /** k: mean cosine of the embedding to the 5 nearest anchors. */
  readonly density: number;
  /** First-layer moment distance and its 99th percentile on clean data (models/adaptation/domains.ts). */
  readonly momentDistance: number;
  readonly momentDistance99: number;
}

const curiosityWeight = 0.3;
const coherenceWeight = 0.2;
const rewardMax = 10;

export function reward({ own, answer, coherence, density, momentDistance, momentDistance99 }: Evidence): Reward {
  const task = own === answer ? 1 : 0;
  const sparse = Math.min(1, Math.max(0, 1 - density));
  const shifted = momentDistance / (momentDistance + momentDistance99);
  const novelty = (sparse + shifted) / 2;
  const sum = task + curiosityWeight * novelty + coherenceWeight * coherence;
  return { task, novelty, coherence, total: Math.min(rewardMax, Math.max(-rewardMax, sum)) };
}

/** How far the neighbours found for `row` agree with an answer: their similarity that does, as a share of all; 0 without any. */
export function coherenceAt({ k, found, similarities, answers }: Neighbours, row: number, answer: number): number {
  let same = 0;
  let all = 0;
  for (let cell = row * k; cell < row * k + at(found, row); cell++) {
    const similarity = Math.max(0, at(similarities, cell));
    all += similarity;
    if (at(answers, cell) === answer) same += similarity;
  }
  return all === 0 ? 0 : same / all;
}
