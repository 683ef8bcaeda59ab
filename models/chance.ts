// What is drawn from a source of chance: an order, a normal number.
//
// Owns: the two draws. Does not own: the source (clock.ts), which is an argument (law 11).
import type { Random } from "./clock.js";

/** Fisher-Yates, on a copy. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    const [a, b] = [order[i], order[other]];
    if (a !== undefined && b !== undefined) [order[i], order[other]] = [b, a];
  }
  return order;
}

/** Normal with mean 0 and deviation 1. Source: Box and Muller, 1958. */
export function standardNormal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
