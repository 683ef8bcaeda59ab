// Eigenvalues and eigenvectors, on matrices whose own are known, and against their definition.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { symmetricEigen } from "../../models/numbers/symmetric-eigen.js";

const near = (found: number | undefined, expected: number, within = 1e-10): boolean =>
  Math.abs((found ?? Number.NaN) - expected) <= within;

/** Column j. */
function vectorOf(vectors: Float64Array, size: number, j: number): readonly number[] {
  return Array.from({ length: size }, (_, i) => vectors[i * size + j] ?? Number.NaN);
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? Number.NaN), 0);

test("[2 1; 1 2] stretches its diagonals by 3 and by 1", (t) => {
  const { values, vectors } = symmetricEigen(Float64Array.of(2, 1, 1, 2), 2);
  const order = [...values.keys()].sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const [least = 0, most = 0] = order;
  t.true(near(values[least], 1) && near(values[most], 3), `${values}`);
  // Which way a vector points is open: the product of its parts is not.
  const product = (j: number) => vectorOf(vectors, 2, j).reduce((all, part) => all * part, 1);
  t.true(near(product(most), 0.5) && near(product(least), -0.5));
});

test("a matrix that is diagonal already keeps its values in their places, equal ones too", (t) => {
  const { values, vectors } = symmetricEigen(Float64Array.of(4, 0, 0, 0, 4, 0, 0, 0, -1), 3);
  t.deepEqual([...values], [4, 4, -1]);
  t.deepEqual([...vectors], [1, 0, 0, 0, 1, 0, 0, 0, 1]);
});

test("nothing but zeros, and one number alone", (t) => {
  t.deepEqual([...symmetricEigen(new Float64Array(9), 3).values], [0, 0, 0]);
  t.deepEqual([...symmetricEigen(Float64Array.of(-7), 1).values], [-7]);
});

test("one direction alone: the outer product of (1, 2, 2) has the value 9 there, and nought beside", (t) => {
  const direction = [1, 2, 2];
  const matrix = Float64Array.from(direction.flatMap((a) => direction.map((b) => a * b)));
  const { values, vectors } = symmetricEigen(matrix, 3);
  const top = values.indexOf(Math.max(...values));
  t.true(near(values[top], 9));
  t.true(values.every((value, j) => j === top || near(value, 0)));
  t.true(near(Math.abs(dot(vectorOf(vectors, 3, top), direction)), 3), "it is (1, 2, 2) / 3");
});

test("of any symmetric matrix: A v = value v, vectors of length one at right angles, and the matrix stays as it was", (t) => {
  const random = seededRandom(8);
  for (const size of [2, 5, 12, 40]) {
    const matrix = new Float64Array(size * size);
    for (let i = 0; i < size; i++)
      for (let j = 0; j <= i; j++) {
        // Sizes differ by orders of magnitude, as variances do.
        const value = (2 * random() - 1) * 10 ** -(i % 4);
        matrix[i * size + j] = value;
        matrix[j * size + i] = value;
      }
    const before = matrix.slice();
    const { values, vectors } = symmetricEigen(matrix, size);
    t.deepEqual(matrix, before);
    const columns = Array.from({ length: size }, (_, j) => vectorOf(vectors, size, j));
    for (const [j, v] of columns.entries()) {
      for (const [other, w] of columns.entries())
        t.true(near(dot(v, w), j === other ? 1 : 0), `${size}: ${j}, ${other}`);
      for (let i = 0; i < size; i++)
        t.true(near(dot([...matrix.subarray(i * size, (i + 1) * size)], v), (values[j] ?? 0) * (v[i] ?? 0), 1e-9));
    }
    const trace = Array.from({ length: size }, (_, i) => matrix[i * size + i] ?? 0).reduce(
      (sum, value) => sum + value,
      0,
    );
    t.true(
      near(
        values.reduce((sum, value) => sum + value, 0),
        trace,
        1e-9,
      ),
    );
  }
});
