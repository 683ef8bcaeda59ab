// LAME (Boudiaf et al., CVPR 2022): the source's probabilities, corrected so that neighbours within a window answer alike.
//
// A window of the newest 64 slides along: each request is answered when it comes, as the window's last row. (The paper corrects disjoint
// batches; with a window that slides nobody waits.) Affinity: 1 for the 5 nearest by Euclidean distance of unit embeddings.
import { sourceParameters } from "../../../models/adaptation/adaptation.js";
import { unitRows } from "../../../models/calibration.js";
import { argmax, softmax } from "../../../models/numbers/softmax.js";
import type { MethodKind } from "./method.js";
import { rowsOf, ServingGraph } from "./serving-graph.js";

const windowRows = 64;
const neighbours = 5;
const iterationsMax = 100;
const tolerance = 1e-8;
const floor = 1e-10;

interface Row {
  readonly unit: Float32Array;
  readonly probabilities: Float64Array;
}

export const lame: MethodKind = {
  name: "lame",
  about: "Laplacian correction of the source's answers within the newest 64 (Boudiaf et al. 2022)",
  own: false,
  batch: 1,
  async open({ model }) {
    const graph = await ServingGraph.open(model);
    const parameters = sourceParameters(model);
    const { width } = model.calibration;
    let window: readonly Row[] = [];
    const rowsIn = async (inputs: readonly Float32Array[]): Promise<Row[]> => {
      const { logits, embeddings } = await graph.run(inputs, parameters);
      const units = rowsOf(unitRows(embeddings, width), inputs.length);
      return rowsOf(logits, inputs.length).map((row, i) => ({ unit: units[i] ?? row, probabilities: softmax(row) }));
    };
    return {
      async answer(inputs) {
        const answers: number[] = [];
        for (const row of await rowsIn(inputs)) {
          window = [...window, row].slice(-windowRows);
          answers.push(corrected(window).at(-1) ?? 0);
        }
        return answers;
      },
      answerFrozen: async (inputs) => corrected(await rowsIn(inputs)),
      get passes() {
        return graph.passes;
      },
      close: () => graph.close(),
    };
  },
};

function corrected(rows: readonly Row[]): number[] {
  const assigned = laplacianAssignment(
    rows.map(({ probabilities }) => probabilities),
    nearestIn(rows.map(({ unit }) => unit)),
  );
  return assigned.map(argmax);
}

/** For each row the places of its nearest others: the largest cosines, the lower place of equals. */
export function nearestIn(units: readonly Float32Array[], k = neighbours): readonly (readonly number[])[] {
  return units.map((own, i) => {
    const best: { place: number; cosine: number }[] = [];
    for (const [place, other] of units.entries()) {
      const near = place === i ? Number.NEGATIVE_INFINITY : cosine(own, other);
      if (place === i || (best.length === k && !(near > (best[k - 1]?.cosine ?? 0)))) continue;
      const at = best.findIndex((each) => near > each.cosine);
      best.splice(at < 0 ? best.length : at, 0, { place, cosine: near });
      best.splice(k);
    }
    return best.map(({ place }) => place);
  });
}

function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? Number.NaN) * (b[i] ?? Number.NaN);
  return sum;
}

/**
 * Minimises sum_i KL(z_i || p_i) - sum_ij w_ij z_i z_j by z_i <- softmax(log p_i + sum_j w_ij z_j) (eq. 5 and 6 of the paper), until the energy
 * stands still. w_ij = 1 where j is among the nearest of i. Each probabilities [classes]; so is each result.
 */
export function laplacianAssignment(
  probabilities: readonly Float64Array[],
  nearest: readonly (readonly number[])[],
): readonly Float64Array[] {
  const classes = probabilities[0]?.length ?? 0;
  const logs = Float64Array.from(
    probabilities.flatMap((row) => [...row]),
    (p) => Math.log(p + floor),
  );
  const assigned = new Float64Array(logs.length);
  const pulls = new Float64Array(logs.length);
  let before = Number.POSITIVE_INFINITY;
  assign(assigned, logs, pulls, classes);
  for (let iteration = 0; iteration < iterationsMax; iteration++) {
    pull(pulls, assigned, nearest, classes);
    const energy = assign(assigned, logs, pulls, classes);
    if (iteration > 1 && Math.abs(energy - before) <= tolerance * Math.abs(before)) break;
    before = energy;
  }
  return probabilities.map((_, row) => assigned.slice(row * classes, (row + 1) * classes));
}

/** pulls_i = sum of the rows of `assigned` that are near to i. */
function pull(
  pulls: Float64Array,
  assigned: Float64Array,
  nearest: readonly (readonly number[])[],
  classes: number,
): void {
  pulls.fill(0);
  for (const [row, places] of nearest.entries())
    for (const place of places)
      for (let c = 0; c < classes; c++)
        pulls[row * classes + c] =
          (pulls[row * classes + c] ?? Number.NaN) + (assigned[place * classes + c] ?? Number.NaN);
}

/** assigned_i <- softmax(logs_i + pulls_i); returns the energy, in which log z = logs + pulls - log sum, so that per row only -log sum is left. */
function assign(assigned: Float64Array, logs: Float64Array, pulls: Float64Array, classes: number): number {
  let energy = 0;
  for (let start = 0; start < logs.length; start += classes) {
    let top = Number.NEGATIVE_INFINITY;
    for (let i = start; i < start + classes; i++) top = Math.max(top, (logs[i] ?? 0) + (pulls[i] ?? 0));
    let sum = 0;
    for (let i = start; i < start + classes; i++) {
      const power = Math.exp((logs[i] ?? 0) + (pulls[i] ?? 0) - top);
      assigned[i] = power;
      sum += power;
    }
    for (let i = start; i < start + classes; i++) assigned[i] = (assigned[i] ?? 0) / sum;
    energy -= top + Math.log(sum);
  }
  return energy;
}
