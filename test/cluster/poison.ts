// Pictures that are poison to a poisonable node: a mark in two corners that no digit has.

export type Poison = "abort" | "throw";

const marks: Readonly<Record<Poison, readonly [number, number]>> = { abort: [0.125, 0.875], throw: [0.25, 0.75] };
const size = 784;

export function poisoned(ink: Float32Array, poison: Poison): Float32Array {
  const marked = ink.slice();
  [marked[0], marked[size - 1]] = marks[poison];
  return marked;
}

/** The poison in any row of a batch. */
export function poisonOf(input: Float32Array, rows: number): Poison | undefined {
  for (let row = 0; row < rows; row += 1)
    for (const poison of ["abort", "throw"] as const) {
      const [first, last] = marks[poison];
      if (input[row * size] === first && input[(row + 1) * size - 1] === last) return poison;
    }
  return undefined;
}
