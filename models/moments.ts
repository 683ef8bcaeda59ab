// Class-balanced moments: normalisation that follows the input, without labels and without gradients.
//
// Each answered request leaves the moments of every channel, as they were before normalisation, in a ring of its class;
// the mean over classes of the ring means says where the channels are now, whatever the mix of classes was.
// A memory balanced over predicted classes: RoTTA (Yuan et al., CVPR 2023, CSTU) and NOTE (Gong et al., NeurIPS 2022,
// PBRS). Statistics between source and target: Schneider et al., NeurIPS 2020, eq. 3; here the weight of the target
// is not the number of samples but the size of the shift, so that nothing happens where nothing drifted.
//
// Owns: the rings, the choice of slot, scale and shift. Does not own: when and in which order rows are folded (the log).
//
// M1. Pure and deterministic: equal rings give equal bits of scale and shift.
// M2. Rings as they start give exactly the source's scale and shift (w = 0).
// M3. The slot is never the vote's. A vote remembers its own mistakes; letting it choose locked a drift at 0.107.

import type { Calibration } from "./calibration.js";
import { ClassShifts } from "./class-shifts.js";
import type { Random } from "./clock.js";

/** Plain state, to be snapshotted as it is. */
export interface Moments {
  readonly perClass: number;
  /** [classes, perClass, 2C]: first moments, then second, of the newest rows of each class. */
  readonly rings: Float32Array;
  /** [classes] where the next row of each class goes. */
  readonly cursors: Uint8Array;
}

/** y = scale z + shift for every channel; both [C]. */
export interface Normalisation {
  readonly scale: Float32Array;
  readonly shift: Float32Array;
}

/** What one answered request says about its class. */
export interface MomentRow {
  /** [classes] */
  readonly logits: Float32Array;
  /** [2C] */
  readonly moments: Float32Array;
  /** k: mean cosine of the embedding to its 5 nearest anchors. */
  readonly density: number;
}

const perClass = 6;
/** Softness of the density gate, in units of k. */
const gateWidth = 0.01;
/** d at which target and source weigh the same: w = d / (d + halfShift). */
const halfShift = 0.01;

/** Rings full of the clean class moments. */
export function sourceMoments(calibration: Calibration): Moments {
  const { classes, channels } = calibration;
  const rings = new Float32Array(classes * perClass * 2 * channels);
  for (let slot = 0; slot < classes; slot++) {
    for (let place = 0; place < perClass; place++) {
      const start = (slot * perClass + place) * 2 * channels;
      rings.set(calibration.classMean.subarray(slot * channels, (slot + 1) * channels), start);
      rings.set(calibration.classSquare.subarray(slot * channels, (slot + 1) * channels), start + channels);
    }
  }
  return { perClass, rings, cursors: new Uint8Array(classes) };
}

/**
 * The class whose ring takes this row: the predicted one while the input looks clean; under drift the predicted one with
 * probability sigmoid((k - te) / 0.01), otherwise any, so that wrong answers spread evenly instead of feeding one class.
 */
export function chooseSlot(calibration: Calibration, row: MomentRow, random: Random): number {
  const predicted = argmax(row.logits);
  if (momentDistance(calibration, row.moments) < calibration.momentDistance99) return predicted;
  const trust = 1 / (1 + Math.exp((calibration.density.low - row.density) / gateWidth));
  if (random() < trust) return predicted;
  return Math.min(calibration.classes - 1, Math.floor(random() * calibration.classes));
}

/** How far one input's first-layer means are from the source's: mean over its channels of (m1 - mean)^2 / variance. */
export function momentDistance(calibration: Calibration, moments: Float32Array): number {
  const { firstLayerChannels, mean, variance, eps } = calibration;
  let sum = 0;
  for (let c = 0; c < firstLayerChannels; c++) {
    const shift = at(moments, c) - at(mean, c);
    sum += (shift * shift) / (at(variance, c) + eps);
  }
  return sum / firstLayerChannels;
}

/** Puts one row [2C] in the place of the oldest of its class. In place. */
export function foldMoments(moments: Moments, slot: number, row: Float32Array): void {
  const classes = moments.cursors.length;
  const rowLength = moments.rings.length / (classes * moments.perClass);
  if (!(Number.isInteger(slot) && slot >= 0 && slot < classes)) throw new RangeError(`slot ${slot} of ${classes}`);
  if (row.length !== rowLength) throw new RangeError(`a row of ${row.length} moments instead of ${rowLength}`);
  const cursor = at(moments.cursors, slot);
  moments.rings.set(row, (slot * moments.perClass + cursor) * rowLength);
  moments.cursors[slot] = (cursor + 1) % moments.perClass;
}

/**
 * Scale and shift that the rings ask for. Per channel, with D1, D2 the mean over classes of (ring mean - clean class mean)
 * of first and second moments, and d = mean((D1)^2 / variance) over all channels, w = d / (d + 0.01):
 *   mu = mean + w D1;  var = variance + w D2 - (2 mean w D1 + (w D1)^2)   [= M2 - mu^2]
 *   scale = gamma / sqrt(var + eps);  shift = beta - mu scale
 * Shifts against the clean class moments, rather than the moments themselves, make M2 hold to the bit. `kept` are the sums of earlier
 * calls over the same rings; whoever gives them says which rings moved.
 */
export function normalisation(
  moments: Moments,
  calibration: Calibration,
  kept: ClassShifts = new ClassShifts(calibration, moments.perClass),
): Normalisation {
  const { channels, mean, variance, eps } = calibration;
  const shifts = kept.means(moments.rings);
  let distance = 0;
  for (let c = 0; c < channels; c++) distance += at(shifts, c) ** 2 / (at(variance, c) + eps);
  distance /= channels;
  const weight = distance / (distance + halfShift);
  const mu = new Float64Array(channels);
  const spread = new Float64Array(channels);
  for (let c = 0; c < channels; c++) {
    const first = weight * at(shifts, c);
    mu[c] = at(mean, c) + first;
    spread[c] = at(variance, c) + weight * at(shifts, channels + c) - (2 * at(mean, c) * first + first * first);
  }
  return affine(calibration, mu, spread);
}

export function sourceNormalisation(calibration: Calibration): Normalisation {
  return affine(calibration, Float64Array.from(calibration.mean), Float64Array.from(calibration.variance));
}

function affine(calibration: Calibration, mu: Float64Array, spread: Float64Array): Normalisation {
  const { channels, gamma, beta, eps } = calibration;
  const scale = new Float32Array(channels);
  const shift = new Float32Array(channels);
  for (let c = 0; c < channels; c++) {
    // Rings of few rows can push the estimate below zero; a channel that does not vary must not blow up.
    const factor = at(gamma, c) / Math.sqrt(Math.max(0, at(spread, c)) + eps);
    scale[c] = factor;
    shift[c] = at(beta, c) - at(mu, c) * factor;
  }
  return { scale, shift };
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (at(values, i) > at(values, best)) best = i;
  return best;
}

/** Element of a typed array; every index in this file is bounded by the calibration's sizes. */
function at(values: Float32Array | Float64Array | Uint8Array, index: number): number {
  return values[index] ?? Number.NaN;
}
