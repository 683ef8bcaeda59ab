// Nearest neighbours in place of the head, after AdaNPC (Zhang et al., ICML 2023): a memory that begins with labelled clean embeddings and
// takes in confident inputs.
//
//   p(class) ~ sum over the 10 nearest of exp(cosine / 0.1); an input enters as the head's answer, if that is sure to .9
//
// With the neighbours' own answer instead of the head's, the memory feeds on itself: .25 and .40 instead of .55 and .51 on two iid streams
// whose source is .59 and .54.
import { sourceParameters } from "../../../models/adaptation/adaptation.js";
import type { Model } from "../../../models/manifest.js";
import { argmax, at, softmax } from "../../../models/numbers/softmax.js";
import type { MethodKind } from "./method.js";
import { type Near, NearestRows } from "./nearest.js";
import { rowsOf, ServingGraph } from "./serving-graph.js";

const neighbours = 10;
const temperature = 0.1;
const confidentFrom = 0.9;
const capacity = 10_000;

export const knn: MethodKind = {
  name: "knn",
  about: "10 nearest of clean anchors and confident inputs (after AdaNPC, Zhang et al. 2023)",
  own: false,
  batch: 1,
  async open({ model }) {
    const graph = await ServingGraph.open(model);
    const parameters = sourceParameters(model);
    const { classes } = model.calibration;
    const memory = anchored(model);
    const looked = async (inputs: readonly Float32Array[]) => {
      const { embeddings, logits } = await graph.run(inputs, parameters);
      const heads = rowsOf(logits, inputs.length).map(softmax);
      return rowsOf(embeddings, inputs.length).map((embedding, i) => ({
        embedding,
        head: heads[i] ?? new Float64Array(classes),
        answer: argmax(sharesOf(memory.search(embedding, neighbours), classes)),
      }));
    };
    return {
      async answer(inputs) {
        const rows = await looked(inputs);
        for (const { embedding, head } of rows) {
          const own = argmax(head);
          if (at(head, own) >= confidentFrom) memory.add(embedding, own, at(head, own));
        }
        return rows.map(({ answer }) => answer);
      },
      answerFrozen: async (inputs) => (await looked(inputs)).map(({ answer }) => answer),
      get passes() {
        return graph.passes;
      },
      close: () => graph.close(),
    };
  },
};

function anchored({ calibration }: Model): NearestRows {
  const { width, anchorCount, anchorEmbeddings, anchorLabels } = calibration;
  const memory = new NearestRows(width, capacity + anchorCount, anchorCount);
  for (const [i, row] of rowsOf(anchorEmbeddings, anchorCount).entries()) memory.add(row, anchorLabels[i] ?? 0, 1);
  return memory;
}

/** [classes], sums to 1. */
export function sharesOf(near: readonly Near[], classes: number): Float64Array {
  const shares = new Float64Array(classes);
  let total = 0;
  for (const { cosine, label } of near) {
    const weight = Math.exp((cosine - 1) / temperature);
    shares[label] = (shares[label] ?? 0) + weight;
    total += weight;
  }
  return total === 0 ? shares : shares.map((sum) => sum / total);
}
