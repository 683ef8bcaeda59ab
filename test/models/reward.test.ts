import test from "ava";
import { reward } from "../../models/reward.js";
import type { Vote } from "../../models/vote.js";

const voice = {
  position: { seq: 1, index: 0 },
  confidence: 1,
  atMs: 0,
  verified: false,
  from: "memory",
  weight: 0,
} as const;

test("the task part asks whether the model alone answers as the vote does", (t) => {
  const quiet = { density: 1, momentDistance: 0, momentDistance99: 1 };
  t.is(reward({ own: 1, verdict: { answer: 1, votes: [] }, ...quiet }).task, 1);
  t.is(reward({ own: 0, verdict: { answer: 1, votes: [] }, ...quiet }).task, 0);
});

test("novelty rises with an empty neighbourhood and with shifted moments, and stays within 0..1", (t) => {
  const verdict = { answer: 0, votes: [] };
  const at = (density: number, momentDistance: number): number =>
    reward({ own: 0, verdict, density, momentDistance, momentDistance99: 1 }).novelty;
  t.is(at(1, 0), 0);
  t.is(at(0.5, 0), 0.25);
  t.is(at(1, 1), 0.25);
  t.true(at(-1, 1e9) <= 1);
});

test("coherence is the share of similarity that answers the same; the sum weighs the parts 1, 0.3 and 0.2", (t) => {
  const votes: Vote[] = [
    { from: "model", answer: 0, weight: 1 },
    { ...voice, answer: 0, similarity: 0.75 },
    { ...voice, answer: 2, similarity: 0.25 },
    { ...voice, answer: 2, similarity: -1 },
  ];
  const found = reward({ own: 0, verdict: { answer: 0, votes }, density: 0.5, momentDistance: 0, momentDistance99: 1 });
  t.is(found.coherence, 0.75);
  t.is(found.total, 1 + 0.3 * 0.25 + 0.2 * 0.75);
});
