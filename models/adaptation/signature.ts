// The signature of a request: what its first layer says about the kind of input it is, with what the content says taken out.
//
// The first layer's moments, as they are before normalisation, follow from the input alone, whatever has been adapted. Among clean inputs
// they differ by content; whitened against that, content is small in every direction and a change of the input itself is not. One digit is
// enough to tell ten drifts from each other, nearest mean, in 75 to 100 of 100 cases, but for translation (docs/learning.md). A Mahalanobis distance
// (Mahalanobis 1936; for what a network was not trained on: Lee et al., NeurIPS 2018).
//
// Owns: the projection and the levels measured with it. Does not own: which drifts are known (domains.ts), the same sums in the graph
// (adaptable-layer.ts).
import type { Calibration, SignatureBasis } from "../calibration.js";
import { seededRandom } from "../clock.js";
import { at } from "../numbers/softmax.js";
import { symmetricEigen } from "../numbers/symmetric-eigen.js";

/** Longer ones only cost: distances survive the projection (Johnson and Lindenstrauss 1984). */
const sizeMax = 64;
/** Added to every variance, as a share of them all: directions in which clean inputs hardly differ count much, but not without bound. */
const varianceFloor = 0.01;
/** The limit, in 99th percentiles of clean inputs. */
const limitFactor = 3;
/** Where clean inputs do not differ at all; the graph holds the limit as float32, and there it must be above nought. */
const limitMin = 1e-6;

/** [2 * firstLayerChannels] means and root mean squares of the first layer, of one row of moments [2C]. */
export function firstLayerOf({ channels, firstLayerChannels }: Sizes, moments: Float32Array): Float64Array {
  const first = new Float64Array(2 * firstLayerChannels);
  for (let i = 0; i < first.length; i++) first[i] = firstLayerAt(channels, firstLayerChannels, moments, i);
  return first;
}

function firstLayerAt(channels: number, firstLayerChannels: number, moments: Float32Array, i: number): number {
  if (i < firstLayerChannels) return at(moments, i);
  return Math.sqrt(Math.max(0, at(moments, channels + i - firstLayerChannels)));
}

/** [S] */
export function signatureOf(calibration: Calibration, moments: Float32Array): Float64Array {
  return signatureInto(calibration, moments, new Float64Array(calibration.signature.size));
}

/** The same, written over `signature` [S], which is returned: memory of its own for every row costs more than its signature. */
export function signatureInto(
  { channels, firstLayerChannels, signature: { size, mean, whitener } }: Calibration,
  moments: Float32Array,
  signature: Float64Array,
): Float64Array {
  const length = 2 * firstLayerChannels;
  if (aways.length !== length) aways = new Float64Array(length);
  for (let i = 0; i < length; i++) aways[i] = firstLayerAt(channels, firstLayerChannels, moments, i) - at(mean, i);
  let s = 0;
  for (; s + together <= size; s += together) fourOf(aways, whitener, size, s, signature);
  for (; s < size; s++) {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += at(aways, i) * at(whitener, i * size + s);
    signature[s] = sum;
  }
  return signature;
}

/** Written and read within one call. */
let aways = new Float64Array(0);
/** Values that are summed side by side: a sum has to wait for the one before it, four need not wait for one another. */
const together = 4;

/** Each is the sum of its products in index order, whatever its neighbours are. Accesses are inline: every request pays for this loop. */
function fourOf(from: Float64Array, whitener: Float32Array, size: number, s: number, signature: Float64Array): void {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let i = 0, w = s; i < from.length; i++, w += size) {
    const away = from[i] ?? Number.NaN;
    s0 += away * (whitener[w] ?? Number.NaN);
    s1 += away * (whitener[w + 1] ?? Number.NaN);
    s2 += away * (whitener[w + 2] ?? Number.NaN);
    s3 += away * (whitener[w + 3] ?? Number.NaN);
  }
  signature[s] = s0;
  signature[s + 1] = s1;
  signature[s + 2] = s2;
  signature[s + 3] = s3;
}

/** Left off where it reaches `enough`: then it is some number that is as large. */
export function squaredDistance(
  a: Float64Array,
  b: Float32Array | Float64Array,
  start = 0,
  enough = Number.POSITIVE_INFINITY,
): number {
  let sum = 0;
  for (let i = 0; i < a.length && !(sum >= enough); i++) {
    const away = at(a, i) - at(b, start + i);
    sum += away * away;
  }
  return sum;
}

type Sizes = Pick<Calibration, "channels" | "firstLayerChannels">;

/** Measures the basis on clean rows of moments, each [2C]; at least two. Deterministic. */
export function signatureBasis(sizes: Sizes, rows: readonly Float32Array[]): SignatureBasis {
  const firsts = rows.map((row) => firstLayerOf(sizes, row));
  const length = 2 * sizes.firstLayerChannels;
  const mean = new Float64Array(length);
  for (const first of firsts) for (let i = 0; i < length; i++) mean[i] = at(mean, i) + at(first, i) / rows.length;
  const projection = projectionOf(length);
  const size = projection === null ? length : sizeMax;
  const centred = firsts.map((first) =>
    projected(
      first.map((value, i) => value - at(mean, i)),
      projection,
      size,
    ),
  );
  const { values, vectors } = symmetricEigen(covariance(centred, size), size);
  const total = values.reduce((sum, value) => sum + value, 0);
  const factors = values.map((value) => 1 / Math.sqrt(Math.max(0, value) + varianceFloor * total));
  // A model whose first layer says nothing at all has one kind of input.
  const whitening = Float64Array.from(vectors, (value, i) =>
    Number.isFinite(at(factors, i % size)) ? value * at(factors, i % size) : 0,
  );
  const whitener = Float32Array.from(projection === null ? whitening : product(projection, whitening, length, size));
  const basis = { size, mean: Float32Array.from(mean), whitener };
  return { ...basis, limit: limitOf(centred, whitening, size) };
}

/** Three times the 99th percentile of the clean rows' squared lengths. */
function limitOf(centred: readonly Float64Array[], whitening: Float64Array, size: number): number {
  const lengths = Float64Array.from(centred, (row) => {
    const white = product(row, whitening, 1, size);
    return white.reduce((sum, value) => sum + value * value, 0);
  }).sort();
  const high = at(lengths, Math.min(lengths.length - 1, Math.floor(0.99 * lengths.length)));
  return Math.max(limitFactor * high, limitMin);
}

/** [length, sizeMax] of random signs, the same for every model of this width; null where there is nothing to shorten. */
function projectionOf(length: number): Float64Array | null {
  if (length <= sizeMax) return null;
  const random = seededRandom(length);
  return Float64Array.from({ length: length * sizeMax }, () => (random() < 0.5 ? -1 : 1) / Math.sqrt(sizeMax));
}

function projected(row: Float64Array, projection: Float64Array | null, size: number): Float64Array {
  return projection === null ? row : product(row, projection, 1, size);
}

/** [size, size] */
function covariance(rows: readonly Float64Array[], size: number): Float64Array {
  const sums = new Float64Array(size * size);
  for (const row of rows)
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++)
        sums[i * size + j] = at(sums, i * size + j) + (at(row, i) * at(row, j)) / rows.length;
  return sums;
}

/** a [rows, inner] times b [inner, columns]; inner follows from a's length. */
function product(a: Float64Array, b: Float64Array, rows: number, columns: number): Float64Array {
  const inner = a.length / rows;
  const out = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < inner; i++) {
      const factor = at(a, row * inner + i);
      for (let column = 0; column < columns; column++)
        out[row * columns + column] = at(out, row * columns + column) + factor * at(b, i * columns + column);
    }
  return out;
}
