import test from "ava";
import { coherenceAt, reward } from "../../models/judging/reward.js";
import type { Neighbours } from "../../models/memory/memory.js";

/** Of the second of two rows; the first one's say nothing of it. */
function neighbours(similarities: readonly number[], answers: readonly number[]): Neighbours {
  const k = similarities.length;
  const cells = 2 * k;
  return {
    rows: 2,
    k,
    found: Uint8Array.of(0, k),
    seqs: new Float64Array(cells),
    indexes: new Uint16Array(cells),
    similarities: Float32Array.of(...new Array<number>(k).fill(1), ...similarities),
    answers: Uint16Array.of(...new Array<number>(k).fill(0), ...answers),
    confidences: new Float32Array(cells).fill(1),
    atMs: new Float64Array(cells),
    verified: new Uint8Array(cells),
  };
}

test("the task part asks whether the model alone answers as the vote does", (t) => {
  const quiet = { density: 1, momentDistance: 0, momentDistance99: 1 };
  t.is(reward({ own: 1, answer: 1, coherence: 0, ...quiet }).task, 1);
  t.is(reward({ own: 0, answer: 1, coherence: 0, ...quiet }).task, 0);
});

test("novelty rises with an empty neighbourhood and with shifted moments, and stays within 0..1", (t) => {
  const at = (density: number, momentDistance: number): number =>
    reward({ own: 0, answer: 0, coherence: 0, density, momentDistance, momentDistance99: 1 }).novelty;
  t.is(at(1, 0), 0);
  t.is(at(0.5, 0), 0.25);
  t.is(at(1, 1), 0.25);
  t.true(at(-1, 1e9) <= 1);
});

test("coherence is the share of similarity that answers the same; the sum weighs the parts 1, 0.3 and 0.2", (t) => {
  const coherence = coherenceAt(neighbours([0.75, 0.25, -1], [0, 2, 2]), 1, 0);
  const found = reward({ own: 0, answer: 0, coherence, density: 0.5, momentDistance: 0, momentDistance99: 1 });
  t.is(found.coherence, 0.75);
  t.is(found.total, 1 + 0.3 * 0.25 + 0.2 * 0.75);
  t.is(coherenceAt(neighbours([0.75], [0]), 0, 0), 0, "of a row for which none was found");
});
