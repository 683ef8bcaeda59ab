// Where the shipped digits model stands, seen from the compiled tests, and pictures to try it with.
import { fileURLToPath } from "node:url";
import { pictureOf, pictureSize, readDigits } from "../../models/digits/idx.js";

/** Compiled tests are in <output folder>/test/models. */
export const digitsFolder = fileURLToPath(new URL("../../../models/digits", import.meta.url));

/** The first test digits, [rows, 784] behind one another, in a buffer of their own. */
export async function firstDigits(rows: number): Promise<{ input: Float32Array; labels: Uint8Array }> {
  const digits = await readDigits("test");
  const input = new Float32Array(rows * pictureSize);
  for (let row = 0; row < rows; row++) input.set(pictureOf(digits, row), row * pictureSize);
  return { input, labels: digits.labels.subarray(0, rows) };
}

/** These rows of pictures, in this order. */
export function chosen(order: readonly number[], of: (row: number) => Float32Array): Float32Array {
  return Float32Array.from(order.flatMap((row) => [...of(row)]));
}
