// The reward of one answer, without a label.
//
// Owns: its parts and their sum. Does not own: the verdict (vote.ts), the loss of a step (head-gradient.ts).
//
// The parts follow test-time reinforcement learning (TTRL, Zuo et al. 2025): the reference is a vote. The task part
// compares the model alone with the vote; compared with itself a vote would always be right.
import type { Verdict } from "./vote.js";

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
  readonly verdict: Pick<Verdict, "answer" | "votes">;
  /** k: mean cosine to the 5 nearest anchors. */
  readonly density: number;
  /** First-layer moment distance and its 99th percentile on clean data (models/domains.ts). */
  readonly momentDistance: number;
  readonly momentDistance99: number;
}

const curiosityWeight = 0.3;
const coherenceWeight = 0.2;
const rewardMax = 10;

export function reward(evidence: Evidence): Reward {
  const task = evidence.own === evidence.verdict.answer ? 1 : 0;
  const sparse = Math.min(1, Math.max(0, 1 - evidence.density));
  const shifted = evidence.momentDistance / (evidence.momentDistance + evidence.momentDistance99);
  const novelty = (sparse + shifted) / 2;
  const coherence = agreement(evidence.verdict);
  const sum = task + curiosityWeight * novelty + coherenceWeight * coherence;
  return { task, novelty, coherence, total: Math.min(rewardMax, Math.max(-rewardMax, sum)) };
}

function agreement({ answer, votes }: Evidence["verdict"]): number {
  let same = 0;
  let all = 0;
  for (const vote of votes) {
    if (vote.from !== "memory") continue;
    const similarity = Math.max(0, vote.similarity);
    all += similarity;
    if (vote.answer === answer) same += similarity;
  }
  return all === 0 ? 0 : same / all;
}
