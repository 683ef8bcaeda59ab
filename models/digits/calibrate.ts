// Measures what clean digits look like to the trained network: class moments, anchors, and the levels of normal.
//
// Owns: which digits are looked at. Does not own: the calibration's shape and file (models/calibration.ts).
import { type Calibration, unitRows } from "../calibration.js";
import { type Random, seededRandom } from "../clock.js";
import type { Embedded } from "../engine.js";
import { type Network, servingGraph } from "../graph.js";
import { momentDistance, sourceNormalisation } from "../moments.js";
import { openAdaptableSession } from "../onnx-session.js";
import { type DigitSet, pictureOf, pictureSize } from "./idx.js";

/** Digits of each class whose moments and embeddings are taken. */
const perClass = 1000;
/** Of these, the first so many that the source answers rightly become anchors. */
const anchorsPerClass = 50;
const rowsPerRun = 100;

/** digits: clean examples. Deterministic for a seed. */
export async function calibrate(network: Network, digits: DigitSet, seed: number): Promise<Calibration> {
  const chosen = balancedSample(digits, network.classes, seededRandom(seed));
  const bare = withoutMeasurements(network);
  const labels = Uint8Array.from(chosen, (digit) => digits.labels[digit] ?? 0);
  // The first pass knows no anchors yet; any five directions keep the graph whole.
  const first = await embedAll(
    network,
    bare,
    unitRows(new Float32Array(5 * network.width).fill(1), network.width),
    digits,
    chosen,
  );
  const anchorRows = anchorsOf(first, labels, network.classes);
  const anchorEmbeddings = Float32Array.from(
    anchorRows.flatMap((row) => [...rowOf(first.embeddings, row, network.width)]),
  );
  const anchors = unitRows(anchorEmbeddings, network.width);
  const measured: Calibration = {
    ...bare,
    ...classMoments(first.moments, labels, network.classes, bare.channels),
    anchors,
    anchorEmbeddings,
    anchorCount: anchorRows.length,
    anchorLabels: Uint8Array.from(anchorRows, (row) => labels[row] ?? 0),
  };
  // Anchors are their own nearest neighbours: normal is what the other examples show.
  const known = new Set(anchorRows);
  const others = chosen.filter((_, row) => !known.has(row));
  return { ...measured, ...levelsOf(await embedAll(network, measured, anchors, digits, others), measured) };
}

function withoutMeasurements(network: Network): Calibration {
  const { convolutions, linear, width, classes, head, eps } = network;
  const norms = [...convolutions, linear].map((layer) => layer.norm);
  const mean = Float32Array.from(norms.flatMap((norm) => [...norm.mean]));
  return {
    channels: mean.length,
    firstLayerChannels: convolutions[0]?.channels ?? width,
    classes,
    width,
    mean,
    variance: Float32Array.from(norms.flatMap((norm) => [...norm.variance])),
    gamma: Float32Array.from(norms.flatMap((norm) => [...norm.gamma])),
    beta: Float32Array.from(norms.flatMap((norm) => [...norm.beta])),
    eps,
    classMean: new Float32Array(classes * mean.length),
    classSquare: new Float32Array(classes * mean.length),
    anchors: new Float32Array(),
    anchorLabels: new Uint8Array(),
    anchorCount: 0,
    anchorEmbeddings: new Float32Array(),
    density: { mean: 0, deviation: 1, low: 0, high: 0 },
    momentDistance99: 1,
    head,
  };
}

/** Rows in the order of `chosen`, through the serving graph at the source's parameters. */
async function embedAll(
  network: Network,
  calibration: Calibration,
  anchors: Float32Array,
  digits: DigitSet,
  chosen: Uint32Array,
): Promise<Embedded> {
  const { inputName, shape, width, classes } = network;
  const { channels } = calibration;
  const session = await openAdaptableSession(servingGraph(network, anchors), {
    inputName,
    shape,
    channels,
    width,
    classes,
  });
  const parameters = { ...sourceNormalisation(calibration), head: network.head };
  const all = {
    rows: chosen.length,
    logits: new Float32Array(chosen.length * classes),
    embeddings: new Float32Array(chosen.length * width),
    moments: new Float32Array(chosen.length * 2 * channels),
    density: new Float32Array(chosen.length),
  };
  for (let start = 0; start < chosen.length; start += rowsPerRun) {
    const run = chosen.subarray(start, start + rowsPerRun);
    const input = new Float32Array(run.length * pictureSize);
    run.forEach((digit, row) => void input.set(pictureOf(digits, digit), row * pictureSize));
    const embedded = await session.run(input, run.length, parameters);
    all.logits.set(embedded.logits, start * classes);
    all.embeddings.set(embedded.embeddings, start * width);
    all.moments.set(embedded.moments, start * 2 * channels);
    all.density.set(embedded.density, start);
  }
  await session.close();
  return all;
}

/** perClass digits of every class, class after class, drawn without putting back. */
function balancedSample(digits: DigitSet, classes: number, random: Random): Uint32Array {
  const byClass = Array.from({ length: classes }, (): number[] => []);
  digits.labels.forEach((label, digit) => void byClass[label]?.push(digit));
  return Uint32Array.from(
    byClass.flatMap((members) => {
      for (let i = 0; i < perClass; i++) {
        const other = i + Math.floor(random() * (members.length - i));
        [members[i], members[other]] = [members[other] ?? 0, members[i] ?? 0];
      }
      return members.slice(0, perClass);
    }),
  );
}

function anchorsOf(embedded: Embedded, labels: Uint8Array, classes: number): readonly number[] {
  return Array.from({ length: classes }, (_, label) => {
    const right: number[] = [];
    labels.forEach((own, row) => {
      const logits = rowOf(embedded.logits, row, classes);
      if (own === label && logits.indexOf(Math.max(...logits)) === label) right.push(row);
    });
    return right.slice(0, anchorsPerClass);
  }).flat();
}

function classMoments(
  moments: Float32Array,
  labels: Uint8Array,
  classes: number,
  channels: number,
): Pick<Calibration, "classMean" | "classSquare"> {
  const sums = new Float64Array(classes * 2 * channels);
  const counts = new Float64Array(classes);
  labels.forEach((label, row) => {
    counts[label] = (counts[label] ?? 0) + 1;
    const start = label * 2 * channels;
    rowOf(moments, row, 2 * channels).forEach((value, i) => {
      sums[start + i] = (sums[start + i] ?? 0) + value;
    });
  });
  const part = (offset: number) =>
    Float32Array.from({ length: classes * channels }, (_, i) => {
      const label = Math.floor(i / channels);
      return (sums[label * 2 * channels + offset + (i % channels)] ?? 0) / (counts[label] ?? 1);
    });
  return { classMean: part(0), classSquare: part(channels) };
}

function levelsOf(embedded: Embedded, calibration: Calibration): Pick<Calibration, "density" | "momentDistance99"> {
  const densities = embedded.density.slice().sort();
  const mean = densities.reduce((sum, k) => sum + k, 0) / densities.length;
  const deviation = Math.sqrt(densities.reduce((sum, k) => sum + (k - mean) ** 2, 0) / densities.length);
  const row = 2 * calibration.channels;
  const distances = Float64Array.from(embedded.density, (_, i) =>
    momentDistance(calibration, rowOf(embedded.moments, i, row)),
  );
  return {
    density: { mean, deviation, low: percentile(densities, 0.07), high: percentile(densities, 0.25) },
    momentDistance99: percentile(distances.sort(), 0.99),
  };
}

function percentile(sorted: Float32Array | Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

function rowOf(values: Float32Array, row: number, length: number): Float32Array {
  return values.subarray(row * length, (row + 1) * length);
}
