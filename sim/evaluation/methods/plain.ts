// The plain loop that test-time reinforcement learning is usually sketched as: a memory of the model's answers votes, and the vote teaches the head.
//
//   vote   the model and its 5 nearest past answers by similarity x recency x confidence (models/memory/vote.ts, "weighted"); remembered is the
//          model's own answer (with the vote's instead, the memory locks: .20 instead of .58 on an iid stream whose source is .59)
//   gate   below .7 an answer is learned from (models/judging/gate.ts), after 100 requests
//   step   cross-entropy against the vote, Adam 1e-4 on the head; served is the running average, .999
import { sourceParameters } from "../../../models/adaptation/adaptation.js";
import { gate, isCold } from "../../../models/judging/gate.js";
import { plainHeadGradient } from "../../../models/learning/head-gradient.js";
import { castVotes, type Neighbour, ownVerdict, type Verdict } from "../../../models/memory/vote.js";
import { defaults } from "../../../models/settings.js";
import { Adam } from "./adam.js";
import type { Method, MethodKind, World } from "./method.js";
import { NearestRows } from "./nearest.js";
import { rowsOf, ServingGraph } from "./serving-graph.js";

const settings = {
  strategy: "weighted",
  recencyMs: defaults.recencyMs,
  labelled: defaults.labelled,
  gate: 0.7,
  coldStart: 100,
} as const;
const neighbours = 5;
const rate = 1e-4;
const keep = 0.999;
const noBase = 0;
/** Anchors have no voice in this loop. */
const none = () => [];

export const plain: MethodKind = {
  name: "plain",
  about:
    "vote of past answers, gate .7, pseudo-label step on the head, lr 1e-4, EMA .999 (after TTRL, Zuo et al. 2025)",
  own: false,
  batch: 1,
  open: openPlain,
};

async function openPlain({ model }: World): Promise<Method> {
  const graph = await ServingGraph.open(model);
  const { width, classes } = model.calibration;
  const parameters = sourceParameters(model);
  const memory = new NearestRows(width, defaults.capacity);
  const live = parameters.head.slice();
  const adam = new Adam(live.length, rate);
  let served = parameters.head;
  let seen = 0;
  const judged = async (inputs: readonly Float32Array[]) => {
    const { logits, embeddings } = await graph.run(inputs, { ...parameters, head: served });
    const embedded = rowsOf(embeddings, inputs.length);
    return rowsOf(logits, inputs.length).map((row, i) => {
      const embedding = embedded[i] ?? row;
      return { embedding, own: ownVerdict(row), verdict: verdictOf(row, embedding, memory, seen) };
    });
  };
  return {
    async answer(inputs) {
      const rows = await judged(inputs);
      for (const { embedding, own, verdict } of rows) {
        memory.add(embedding, own.answer, own.confidence);
        if (gate(verdict.confidence, isCold(seen, settings), settings) === "learn") {
          adam.step(live, pseudoLabelGradient(live, embedding, verdict.answer, classes));
          served = served.map((value, i) => keep * value + (1 - keep) * (live[i] ?? Number.NaN));
        }
        seen += 1;
      }
      return rows.map(({ verdict }) => verdict.answer);
    },
    answerFrozen: async (inputs) => (await judged(inputs)).map(({ verdict }) => verdict.answer),
    get passes() {
      return graph.passes;
    },
    close: () => graph.close(),
  };
}

function verdictOf(logits: Float32Array, embedding: Float32Array, memory: NearestRows, seen: number): Verdict {
  if (isCold(seen, settings)) return ownVerdict(logits);
  const found = memory.search(embedding, neighbours).map(
    ({ cosine, label, confidence, entered }): Neighbour => ({
      position: { seq: entered, index: 0 },
      similarity: cosine,
      answer: label,
      confidence,
      atMs: entered,
      verified: false,
    }),
  );
  return castVotes({ logits, neighbours: found, anchors: none, nowMs: seen }, settings);
}

/** Of -log pi(label): the gradient of -pi(label) over pi(label). */
export function pseudoLabelGradient(
  head: Float32Array,
  embedding: Float32Array,
  label: number,
  classes: number,
): Float32Array {
  const { gradient, reward } = plainHeadGradient(head, {
    rows: 1,
    width: embedding.length,
    classes,
    embeddings: embedding,
    votes: Uint16Array.of(label),
    baseLog: new Float32Array(classes).fill(-Math.log(classes)),
    klWeight: noBase,
  });
  return gradient.map((slope) => slope / Math.max(reward, 1e-6));
}
