// Votes worked out by hand; nothing is measured here.
import test from "ava";
import { emptyNeighbours } from "../../models/memory/packed-memory.js";
import {
  areSilent,
  castVotes,
  loneAnswer,
  loneVerdict,
  type Neighbour,
  neighboursOf,
  ownVerdict,
  strategies,
} from "../../models/memory/vote.js";
import { at, softmax } from "../../models/numbers/softmax.js";

const hourMs = 3_600_000;
/** Softmax of these is exactly 0.6, 0.3, 0.1 up to rounding. */
const logits = Float32Array.from([0.6, 0.3, 0.1], Math.log);

const settings = { recencyMs: hourMs, labelled: { neighbours: 5, weight: 2, sharpness: 20 } };
const none = () => [];

function past(part: Partial<Neighbour>): Neighbour {
  return { position: { seq: 1, index: 0 }, similarity: 1, answer: 1, confidence: 1, atMs: 0, verified: false, ...part };
}

function near(t: { true(value: boolean, message?: string): unknown }, found: number, expected: number): void {
  t.true(Math.abs(found - expected) < 1e-6, `${found} instead of ${expected}`);
}

test("(S2-4) ensemble: true labels join the model's softmax by recency and by how much nearer they are than the anchors", (t) => {
  const recencyMs = 24 * hourMs;
  const neighbours = [
    past({ similarity: 0.99, answer: 2, verified: false }),
    past({ similarity: 0.9, answer: 1, verified: true, atMs: 0 }),
    past({ similarity: 0.5, answer: 2, verified: true, atMs: recencyMs }),
  ];
  const anchors = [0.8, 0.6].map((similarity, anchor) => ({ anchor, label: 0, similarity }));
  const labelled = { neighbours: 3, weight: 2, sharpness: 10 };
  const verdict = castVotes(
    { logits, neighbours, anchors: () => anchors, nowMs: recencyMs },
    { strategy: "ensemble", recencyMs, labelled },
  );
  // k is 0.7. The three nearest labels are b at 0.9, a day old: 2 e^2 e^-1; two anchors of a, half: e^1 and e^-1. The label of c is fourth.
  const [b, near1, near2] = [2 * Math.exp(1), Math.exp(1), Math.exp(-1)];
  const total = 1 + b + near1 + near2;
  near(t, at(verdict.shares, 0), (0.6 + near1 + near2) / total);
  near(t, at(verdict.shares, 1), (0.3 + b) / total);
  near(t, at(verdict.shares, 2), 0.1 / total);
  t.is(verdict.answer, 1);
  near(t, verdict.confidence, (0.3 + b) / total);
  t.is(verdict.voters, 4);
  t.deepEqual(
    verdict.votes.map(({ from, weight }) => [from, Number(weight.toFixed(6))]),
    [
      ["model", 1],
      ["memory", 0],
      ["memory", Number(b.toFixed(6))],
      ["memory", 0],
      ["anchor", Number(near1.toFixed(6))],
      ["anchor", Number(near2.toFixed(6))],
    ],
  );
});

/** Two rows of three neighbours; `verified` says which of the six have a true label. */
function found(verified: readonly number[]) {
  return {
    ...{ rows: 2, k: 3, found: Uint8Array.of(2, 3), verified: Uint8Array.of(...verified) },
    ...{ seqs: Float64Array.of(1, 2, 3, 4, 5, 6), indexes: Uint16Array.of(6, 5, 4, 3, 2, 1) },
    ...{ similarities: Float32Array.of(0.9, 0.8, 0, 0.7, 0.6, 0.5), answers: Uint16Array.of(0, 1, 2, 2, 1, 0) },
    ...{ confidences: new Float32Array(6).fill(0.5), atMs: Float64Array.of(1, 2, 3, 4, 5, 6) },
  };
}

test("(V1) where no neighbour has a voice, the verdict of a row in its column is that of the whole vote, bit for bit", (t) => {
  const columns = Float32Array.of(...logits, Math.log(0.2), 1e-30, 2e-30, -4, 3, 3, Number.NaN, 1, 2);
  for (const labelled of [settings.labelled, { ...settings.labelled, weight: 0 }])
    for (const verified of [
      [0, 0, 0, 0, 0, 0],
      [0, 0, 1, 0, 0, 0],
    ]) {
      const neighbours = found(verified);
      const voting = { strategy: "ensemble", recencyMs: hourMs, labelled } as const;
      for (const row of [0, 1])
        for (let start = 0; start + 3 <= columns.length; start++) {
          t.true(areSilent(neighbours, row, voting), "the third neighbour of the first row was not found");
          const ballot = { logits: columns.slice(start, start + 3), anchors: none, nowMs: 0 };
          const whole = castVotes({ ...ballot, neighbours: neighboursOf(neighbours, row) }, voting);
          const lone = loneVerdict(columns, start, 3, { found: neighbours, row });
          const { answer, confidence, voters, shares, votes } = lone;
          t.deepEqual({ answer, confidence, voters, shares, votes }, whole);
          t.is(loneAnswer(columns, start, 3), ownVerdict(ballot.logits).answer);
          const alone = loneVerdict(columns, start, 3);
          t.deepEqual([alone.answer, alone.shares, alone.votes], [whole.answer, whole.shares, whole.votes.slice(0, 1)]);
        }
    }
});

test("a verified neighbour has a voice, and so has every one where neighbours are the voters", (t) => {
  const neighbours = found([0, 0, 0, 0, 1, 0]);
  const voting = { ...settings, strategy: "ensemble" } as const;
  t.deepEqual([areSilent(neighbours, 0, voting), areSilent(neighbours, 1, voting)], [true, false]);
  for (const strategy of ["majority", "weighted", "confidence"] as const)
    t.false(areSilent(neighbours, 0, { ...settings, strategy }), strategy);
});

test("a true label counts 8 times its weight at most, and none that is farther than all the anchors asked", (t) => {
  const labelled = { neighbours: 2, weight: 0.5, sharpness: 100 };
  const settings = { strategy: "ensemble", recencyMs: hourMs, labelled } as const;
  const anchors = () => [0.9, 0.8].map((similarity, anchor) => ({ anchor, label: 0, similarity }));
  const weights = (similarity: number): number[] =>
    castVotes({ logits, neighbours: [past({ similarity, verified: true })], anchors, nowMs: 0 }, settings).votes.map(
      ({ weight }) => weight,
    );
  t.deepEqual(weights(1).slice(0, 2), [1, 4]);
  t.deepEqual(weights(0.7), [1, 0], "and the anchors are silent with it");
  t.deepEqual(
    castVotes(
      { logits, neighbours: [past({ verified: true })], anchors, nowMs: 0 },
      { ...settings, labelled: { ...labelled, weight: 0 } },
    ).shares,
    softmax(logits),
  );
});

test("(S2-4) weighted: every neighbour votes, the model with its confidence", (t) => {
  const neighbours = [
    past({ similarity: 0.8, confidence: 0.5 }),
    past({ similarity: 0.5, confidence: 0.9, answer: 2 }),
  ];
  const verdict = castVotes({ logits, neighbours, anchors: none, nowMs: 0 }, { ...settings, strategy: "weighted" });
  const total = 0.6 + 0.4 + 0.45;
  t.is(verdict.answer, 0);
  near(t, verdict.confidence, 0.6 / total);
  near(t, at(verdict.shares, 1), 0.4 / total);
});

test("(S2-4) majority: three of four voices win against the model", (t) => {
  const neighbours = [past({}), past({}), past({ answer: 2 })];
  const verdict = castVotes({ logits, neighbours, anchors: none, nowMs: 0 }, { ...settings, strategy: "majority" });
  t.is(verdict.answer, 1);
  t.is(verdict.confidence, 0.5);
});

test("(S2-4) confidence: voices weigh what they were sure of, near or far", (t) => {
  const neighbours = [
    past({ similarity: 0.1, confidence: 0.9 }),
    past({ similarity: 0.1, confidence: 0.5, answer: 0 }),
  ];
  const verdict = castVotes({ logits, neighbours, anchors: none, nowMs: 0 }, { ...settings, strategy: "confidence" });
  t.is(verdict.answer, 0);
  near(t, verdict.confidence, 1.1 / 2);
});

test("fewer than three voices halve the confidence where neighbours are the voters, and not in the ensemble", (t) => {
  for (const strategy of ["majority", "weighted", "confidence"] as const) {
    const two = castVotes(
      { logits, neighbours: [past({ answer: 0 })], anchors: none, nowMs: 0 },
      { ...settings, strategy },
    );
    t.is(two.confidence, 0.5, strategy);
    const three = [past({ answer: 0 }), past({ answer: 0 })];
    t.is(
      castVotes({ logits, neighbours: three, anchors: none, nowMs: 0 }, { ...settings, strategy }).confidence,
      1,
      strategy,
    );
  }
  const alone = castVotes({ logits, neighbours: [], anchors: none, nowMs: 0 }, { ...settings, strategy: "ensemble" });
  t.is(alone.confidence, at(softmax(logits), 0));
});

test("without a voice beside it the ensemble is the model's own softmax, bit for bit, as a cold answer is", (t) => {
  const crowd = [past({ answer: 2 }), past({ answer: 2 }), past({ answer: 2 })];
  const verdict = castVotes(
    { logits, neighbours: crowd, anchors: none, nowMs: 0 },
    { ...settings, strategy: "ensemble" },
  );
  t.deepEqual(verdict.shares, softmax(logits));
  t.is(verdict.voters, 1);
  const cold = ownVerdict(logits);
  t.deepEqual(cold.shares, verdict.shares);
  t.is(cold.voters, 1);
});

test("a tie goes to the model's own answer, a neighbour from the future or on the far side has no extra weight", (t) => {
  const tie = castVotes(
    { logits, neighbours: [past({ answer: 2 })], anchors: none, nowMs: 0 },
    { ...settings, strategy: "majority" },
  );
  t.is(tie.answer, 0);
  const odd = [past({ atMs: hourMs }), past({ similarity: -0.4 })];
  const verdict = castVotes(
    { logits, neighbours: odd, anchors: none, nowMs: 0 },
    { ...settings, strategy: "weighted" },
  );
  t.deepEqual(
    verdict.votes.slice(1).map((vote) => vote.weight),
    [1, 0],
  );
});

test("neighbours are read from their columns row by row, and every strategy has a name", (t) => {
  const columns = emptyNeighbours(2, 3);
  columns.found[1] = 2;
  columns.seqs[3] = 9;
  columns.indexes[3] = 4;
  columns.similarities[3] = 0.5;
  columns.verified[4] = 1;
  t.deepEqual(neighboursOf(columns, 0), []);
  const rows = neighboursOf(columns, 1);
  t.deepEqual(rows[0]?.position, { seq: 9, index: 4 });
  t.deepEqual(
    rows.map((row) => row.verified),
    [false, true],
  );
  t.deepEqual(Object.keys(strategies).sort(), ["confidence", "ensemble", "majority", "weighted"]);
});
