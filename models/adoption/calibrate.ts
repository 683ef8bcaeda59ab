// Measures what clean data look like to a classifier: class moments, anchors, and the levels of normal.
//
// Owns: the measures and how many rows they take. Does not own: which rows are given, the calibration's shape and file
// (models/calibration.ts), how rows become embeddings (the caller's graph).
//
// C1. Equal rows in equal order give equal bits.
// C2. Memory does not grow with the rows: the first pass keeps sums and anchors, the second one number or two of each row.

import { sourceParameters } from "../adaptation/adaptation.js";
import { domainsMax, momentDistance, sourceNormalisation } from "../adaptation/domains.js";
import type { Run } from "../adaptation/pass.js";
import { signatureBasis } from "../adaptation/signature.js";
import { type Calibration, type SignatureBasis, unitRows } from "../calibration.js";
import { argmax, at } from "../numbers/softmax.js";
import { openAdaptableSession } from "../serving/onnx-session.js";
import type { GraphLevels } from "./rewrite.js";

/** What is known of a classifier without any data. */
export type SourceModel = Pick<
  Calibration,
  "channels" | "firstLayerChannels" | "classes" | "width" | "mean" | "variance" | "gamma" | "beta" | "eps" | "head"
>;

/** Results of `rows` in order, at the source's parameters. */
export type Embed = (rows: Uint32Array, levels: GraphLevels) => AsyncIterable<Run>;

export interface Calibrated {
  readonly calibration: Calibration;
  /** Of all rows, 0..1. */
  readonly accuracy: number;
  /** [classes] */
  readonly rowsOfClass: readonly number[];
  readonly rightOfClass: readonly number[];
}

/** Of each class at most so many rows that the source answers rightly become anchors, and never more than half of its rows. */
const anchorsPerClass = 50;
const anchorsMin = 5;
const rowsPerRun = 100;
/** Rows that the signature is measured on at most: they are held in memory. */
const signatureRows = 5000;
/** What cannot be told apart from no spread at all; the file holds positive levels only. */
const levelMin = 1e-6;

/** labels [rows]: the true class of each row. Rows come through `embed` twice. At least 10 rows. */
export async function calibrate(source: SourceModel, labels: Uint8Array, embed: Embed): Promise<Calibrated> {
  const { width, classes } = source;
  // The first pass knows no anchors yet; any five directions keep the graph whole.
  const blank = unitRows(new Float32Array(anchorsMin * width).fill(1), width);
  const first = new FirstPass(source, labels);
  for await (const run of embed(allOf(labels.length), { anchors: blank, signature: blankSignature(source) }))
    first.take(run);
  const anchors = first.anchors();
  const anchorEmbeddings = Float32Array.from(anchors.flatMap(({ embedding }) => [...embedding]));
  const measured: Calibration = {
    ...restated(source, first.classMoments()),
    signature: first.signature(),
    anchors: unitRows(anchorEmbeddings, width),
    anchorEmbeddings,
    anchorCount: anchors.length,
    anchorLabels: Uint8Array.from(anchors, ({ row }) => labels[row] ?? 0),
    density: { mean: 0, deviation: 1, low: 0, high: 0 },
    momentDistance99: 1,
  };
  // Anchors are their own nearest neighbours: normal is what the other rows show.
  const known = new Set(anchors.map(({ row }) => row));
  const others = allOf(labels.length).filter((row) => !known.has(row));
  const calibration = { ...measured, ...(await levels(measured, embed(others, measured))) };
  const accuracy = first.right.reduce((sum, count) => sum + count, 0) / labels.length;
  return { calibration, accuracy, rowsOfClass: [...first.counts].slice(0, classes), rightOfClass: [...first.right] };
}

/**
 * Rows through a serving graph that is written anew for each set of anchors. `fill` puts one row's input, of the graph's
 * shape, into the array it is given.
 */
export function embedWith(
  source: SourceModel,
  graph: { readonly inputName: string; readonly shape: readonly number[]; readonly inputSize: number },
  graphFor: (levels: GraphLevels) => Uint8Array,
  fill: (row: number, into: Float32Array) => void,
): Embed {
  return async function* (rows, levels) {
    const unmeasured = { ...source, ...blankMeasures, ...levels };
    const parameters = sourceParameters({ calibration: unmeasured, manifest: { views: [] } });
    const session = await openAdaptableSession(graphFor(levels), {
      ...source,
      ...graph,
      signatureSize: levels.signature.size,
      domains: domainsMax,
    });
    try {
      for (let start = 0; start < rows.length; start += rowsPerRun) {
        const run = rows.subarray(start, start + rowsPerRun);
        const input = new Float32Array(run.length * graph.inputSize);
        run.forEach((row, i) => void fill(row, input.subarray(i * graph.inputSize, (i + 1) * graph.inputSize)));
        yield await session.run(input, run.length, parameters);
      }
    } finally {
      await session.close();
    }
  };
}

const blankMeasures = {
  classMean: new Float32Array(),
  classSquare: new Float32Array(),
  anchorLabels: new Uint8Array(),
  anchorCount: 0,
  anchorEmbeddings: new Float32Array(),
  density: { mean: 0, deviation: 1, low: 0, high: 0 },
  momentDistance99: 1,
};

/** Every input has the same signature: what the graph is given until it has been measured. */
function blankSignature({ firstLayerChannels }: SourceModel): SignatureBasis {
  const length = 2 * firstLayerChannels;
  return { size: 1, mean: new Float32Array(length), whitener: new Float32Array(length), limit: 1 };
}

/**
 * The same map y = gamma (z - mean) / sqrt(variance + eps) + beta, stated around the mean and variance of what the graph's moments measure:
 * of a layer before a pool these are the pooled values, whose mean is higher than that of the values normalisation was trained on.
 */
function restated(
  trained: SourceModel,
  { classMean, classSquare }: Pick<Calibration, "classMean" | "classSquare">,
): SourceModel & Pick<Calibration, "classMean" | "classSquare"> {
  const { channels, classes, eps } = trained;
  const average = (values: Float32Array, c: number): number => {
    let sum = 0;
    for (let label = 0; label < classes; label++) sum += at(values, label * channels + c);
    return sum / classes;
  };
  const mean = trained.mean.map((_, c) => average(classMean, c));
  const variance = mean.map((first, c) => Math.max(0, average(classSquare, c) - first * first));
  const { scale, shift } = sourceNormalisation({
    ...trained,
    ...blankMeasures,
    anchors: new Float32Array(),
    signature: blankSignature(trained),
  });
  const gamma = scale.map((factor, c) => factor * Math.sqrt(at(variance, c) + eps));
  const beta = shift.map((offset, c) => offset + at(mean, c) * at(scale, c));
  return { ...trained, mean, variance, gamma, beta, classMean, classSquare };
}

interface Anchor {
  readonly row: number;
  readonly embedding: Float32Array;
}

/** Sums of moments by class, and the first rows of each class that the source answers rightly. */
class FirstPass {
  readonly counts: Float64Array;
  readonly right: Float64Array;
  readonly #sums: Float64Array;
  readonly #right: Anchor[][];
  readonly #wrong: Anchor[] = [];
  readonly #firstMoments: Float32Array[] = [];
  readonly #anchorsMax: readonly number[];
  #row = 0;

  constructor(
    readonly source: SourceModel,
    readonly labels: Uint8Array,
  ) {
    const { classes, channels } = source;
    this.counts = new Float64Array(classes);
    this.right = new Float64Array(classes);
    this.#sums = new Float64Array(classes * 2 * channels);
    this.#right = Array.from({ length: classes }, () => []);
    for (const label of labels) this.counts[label] = at(this.counts, label) + 1;
    this.#anchorsMax = Array.from(this.counts, (count) => Math.min(anchorsPerClass, Math.floor(count / 2)));
  }

  take({ rows, logits, embeddings, moments }: Run): void {
    const { classes, channels, width } = this.source;
    for (let i = 0; i < rows; i++) {
      const row = this.#row++;
      const label = at(this.labels, row);
      const start = label * 2 * channels;
      for (let c = 0; c < 2 * channels; c++)
        this.#sums[start + c] = at(this.#sums, start + c) + at(moments, i * 2 * channels + c);
      // Spread over all rows: they may come class after class.
      if (row % Math.ceil(this.labels.length / signatureRows) === 0)
        this.#firstMoments.push(moments.slice(i * 2 * channels, (i + 1) * 2 * channels));
      const isRight = argmax(logits.subarray(i * classes, (i + 1) * classes)) === label;
      if (isRight) this.right[label] = at(this.right, label) + 1;
      const own = isRight ? this.#right[label] : this.#wrong;
      const most = isRight ? (this.#anchorsMax[label] ?? 0) : anchorsMin;
      if (own !== undefined && own.length < most)
        own.push({ row, embedding: embeddings.slice(i * width, (i + 1) * width) });
    }
  }

  /** Class after class; filled up with rows answered wrongly where fewer than five are right. */
  anchors(): readonly Anchor[] {
    const right = this.#right.flat();
    return [...right, ...this.#wrong.slice(0, Math.max(0, anchorsMin - right.length))];
  }

  signature(): SignatureBasis {
    return signatureBasis(this.source, this.#firstMoments);
  }

  /** A class without rows gets the mean of those that have some. */
  classMoments(): Pick<Calibration, "classMean" | "classSquare"> {
    const { classes, channels } = this.source;
    const seen = Array.from(this.counts, (_, label) => label).filter((label) => at(this.counts, label) > 0);
    const meanOf = (label: number, i: number) => at(this.#sums, label * 2 * channels + i) / at(this.counts, label);
    const part = (offset: number) =>
      Float32Array.from({ length: classes * channels }, (_, i) => {
        const label = Math.floor(i / channels);
        const column = offset + (i % channels);
        if (at(this.counts, label) > 0) return meanOf(label, column);
        return seen.reduce((sum, each) => sum + meanOf(each, column), 0) / seen.length;
      });
    return { classMean: part(0), classSquare: part(channels) };
  }
}

async function levels(
  calibration: Calibration,
  embedded: AsyncIterable<Run>,
): Promise<Pick<Calibration, "density" | "momentDistance99">> {
  const densities: number[] = [];
  const distances: number[] = [];
  const length = 2 * calibration.channels;
  for await (const { rows, density, moments } of embedded)
    for (let i = 0; i < rows; i++) {
      densities.push(at(density, i));
      distances.push(momentDistance(calibration, moments.subarray(i * length, (i + 1) * length)));
    }
  const sorted = Float32Array.from(densities).sort();
  const mean = sorted.reduce((sum, k) => sum + k, 0) / sorted.length;
  const deviation = Math.sqrt(sorted.reduce((sum, k) => sum + (k - mean) ** 2, 0) / sorted.length);
  const low = percentile(sorted, 0.07);
  return {
    density: { mean, deviation: Math.max(deviation, levelMin), low, high: percentile(sorted, 0.25) },
    momentDistance99: Math.max(percentile(Float64Array.from(distances).sort(), 0.99), levelMin),
  };
}

function percentile(sorted: Float32Array | Float64Array, share: number): number {
  return at(sorted, Math.min(sorted.length - 1, Math.floor(share * sorted.length)));
}

function allOf(rows: number): Uint32Array {
  return Uint32Array.from({ length: rows }, (_, row) => row);
}
