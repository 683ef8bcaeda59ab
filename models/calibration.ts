// What clean data looked like to the source model: measured once, at registration, never changed afterwards.
//
// Owns: the shape of the calibration and its file. Does not own: how it is measured (models/adoption/calibrate.ts),
// what is done with it (models/adaptation/domains.ts, models/policy/policy.ts).
//
// Channels of all adaptable normalisation layers stand behind one another: layer after layer, C in all.
import { z } from "zod";
import { BlocksError, float32Block, readBlocks, uint8Block, writeBlocks } from "./numbers/blocks.js";

/** How requests are told apart by their first layer (models/adaptation/signature.ts). */
export interface SignatureBasis {
  /** S, the length of a signature. */
  readonly size: number;
  /** [2 * firstLayerChannels] mean over clean inputs of the first layer's means and root mean squares. */
  readonly mean: Float32Array;
  /** [2 * firstLayerChannels, S] */
  readonly whitener: Float32Array;
  /** Squared distance from which an input is none of the drifts it is compared with. */
  readonly limit: number;
}

export interface Calibration {
  /** C: the sum over the adaptable layers. */
  readonly channels: number;
  readonly firstLayerChannels: number;
  readonly classes: number;
  /** Width of an embedding. */
  readonly width: number;
  /** [C] the source's normalisation, stated around mean and variance of what is measured: y = gamma (z - mean) / sqrt(variance + eps) + beta. */
  readonly mean: Float32Array;
  readonly variance: Float32Array;
  readonly gamma: Float32Array;
  readonly beta: Float32Array;
  readonly eps: number;
  /** [classes, C] mean of z, and of z squared, as the graph's moments measure them, over clean examples of each class. */
  readonly classMean: Float32Array;
  readonly classSquare: Float32Array;
  /** [anchorCount, width] embeddings of known clean examples, of unit length. */
  readonly anchors: Float32Array;
  /** [anchorCount] */
  readonly anchorLabels: Uint8Array;
  readonly anchorCount: number;
  /** [anchorCount, width] the same embeddings as the head sees them. */
  readonly anchorEmbeddings: Float32Array;
  /** Density k of clean embeddings (mean cosine to the 5 nearest anchors): mean, deviation, 7th and 25th percentile. */
  readonly density: { readonly mean: number; readonly deviation: number; readonly low: number; readonly high: number };
  /** 99th percentile of the first layer's moment distance on clean examples (models/adaptation/domains.ts, `momentDistance`). */
  readonly momentDistance99: number;
  readonly signature: SignatureBasis;
  /** [width * classes + classes] the source head: W row-major [width, classes], then b. */
  readonly head: Float32Array;
}

const positive = z.number().int().positive();

const headerSchema = z.strictObject({
  kind: z.literal("calibration"),
  channels: positive,
  firstLayerChannels: positive,
  classes: positive.min(2).max(256),
  width: positive,
  anchorCount: positive.min(5),
  eps: z.number().positive(),
  density: z.strictObject({ mean: z.number(), deviation: z.number().positive(), low: z.number(), high: z.number() }),
  momentDistance99: z.number().positive(),
  signature: z.strictObject({ size: positive.max(1024), limit: z.number().positive() }),
});

export function writeCalibration(calibration: Calibration): Uint8Array {
  const { channels, firstLayerChannels, classes, width, anchorCount, eps, density, momentDistance99, ...rest } =
    calibration;
  const { signature, ...arrays } = rest;
  const header = {
    kind: "calibration",
    channels,
    firstLayerChannels,
    classes,
    width,
    anchorCount,
    eps,
    density: { ...density },
    momentDistance99,
    signature: { size: signature.size, limit: signature.limit },
  };
  const { anchors: _derived, ...stored } = arrays;
  return writeBlocks(header, {
    ...stored,
    signatureMean: signature.mean,
    signatureWhitener: signature.whitener,
  });
}

/** Throws BlocksError where bytes and header disagree. */
export function readCalibration(bytes: Uint8Array): Calibration {
  const blocks = readBlocks(bytes);
  const parsed = headerSchema.safeParse(blocks.header);
  if (!parsed.success) throw new BlocksError(`not a calibration: ${z.prettifyError(parsed.error)}`);
  const { kind: _, ...sizes } = parsed.data;
  const { channels, classes, width, anchorCount } = sizes;
  if (sizes.firstLayerChannels > channels) throw new BlocksError("the first layer has more channels than all layers");
  const variance = float32Block(blocks, "variance", channels);
  if (variance.some((value) => value < 0)) throw new BlocksError('block "variance" holds a negative value');
  const firsts = 2 * sizes.firstLayerChannels;
  const signature: SignatureBasis = {
    ...sizes.signature,
    mean: float32Block(blocks, "signatureMean", firsts),
    whitener: float32Block(blocks, "signatureWhitener", firsts * sizes.signature.size),
  };
  const anchorLabels = uint8Block(blocks, "anchorLabels", anchorCount);
  if (anchorLabels.some((label) => label >= classes)) throw new BlocksError("an anchor's label is not a class");
  const anchorEmbeddings = float32Block(blocks, "anchorEmbeddings", anchorCount * width);
  return {
    ...sizes,
    mean: float32Block(blocks, "mean", channels),
    variance,
    gamma: float32Block(blocks, "gamma", channels),
    beta: float32Block(blocks, "beta", channels),
    classMean: float32Block(blocks, "classMean", classes * channels),
    classSquare: float32Block(blocks, "classSquare", classes * channels),
    anchors: unitRows(anchorEmbeddings, width),
    anchorLabels,
    anchorEmbeddings,
    signature,
    head: float32Block(blocks, "head", width * classes + classes),
  };
}

/** rows [n, width] -> the same directions with length 1; a row of zeros stays zero. */
export function unitRows(rows: Float32Array, width: number): Float32Array {
  const units = new Float32Array(rows.length);
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width);
    const length = Math.hypot(...row);
    if (length === 0) continue;
    for (let i = 0; i < width; i++) units[start + i] = (row[i] ?? 0) / length;
  }
  return units;
}
