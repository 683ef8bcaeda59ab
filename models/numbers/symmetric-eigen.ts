// Eigenvalues and eigenvectors of a symmetric matrix. Source: Jacobi 1846; Golub and Van Loan, Matrix Computations, 8.5.
//
// Owns: the sweeps. Small matrices only (tens of rows), at calibration.
import { at } from "./softmax.js";

export interface Eigen {
  /** [size], in no order. */
  readonly values: Float64Array;
  /** [size, size]: column j belongs to values[j], of unit length. */
  readonly vectors: Float64Array;
}

const sweepsMax = 60;

/** matrix [size, size], symmetric; it is not changed. */
export function symmetricEigen(matrix: Float64Array, size: number): Eigen {
  const a = matrix.slice();
  const vectors = new Float64Array(size * size);
  for (let i = 0; i < size; i++) vectors[i * size + i] = 1;
  const scale = a.reduce((sum, value) => sum + value * value, 0);
  for (let sweep = 0; sweep < sweepsMax; sweep++) {
    let off = 0;
    for (let p = 0; p < size; p++)
      for (let q = p + 1; q < size; q++) {
        off += at(a, p * size + q) ** 2;
        rotate(a, vectors, p, q, size);
      }
    if (off <= 1e-28 * scale) break;
  }
  return { values: Float64Array.from({ length: size }, (_, i) => at(a, i * size + i)), vectors };
}

/** One rotation in the plane of p and q, after which a[p, q] is nought. In place. */
function rotate(a: Float64Array, vectors: Float64Array, p: number, q: number, size: number): void {
  const coupling = at(a, p * size + q);
  if (coupling === 0) return;
  const theta = (at(a, q * size + q) - at(a, p * size + p)) / (2 * coupling);
  const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const cos = 1 / Math.sqrt(tangent * tangent + 1);
  const sin = tangent * cos;
  for (let k = 0; k < size; k++) mix(a, k * size + p, k * size + q, cos, sin);
  for (let k = 0; k < size; k++) mix(a, p * size + k, q * size + k, cos, sin);
  for (let k = 0; k < size; k++) mix(vectors, k * size + p, k * size + q, cos, sin);
}

function mix(values: Float64Array, i: number, j: number, cos: number, sin: number): void {
  const [x, y] = [at(values, i), at(values, j)];
  values[i] = cos * x - sin * y;
  values[j] = sin * x + cos * y;
}
