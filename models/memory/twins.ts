// Items with equal vectors: one of them stands in the graph for all.
//
// Thousands of equal points (a camera that is stuck, a health check) link to each other alone: half of 10,000 points equal, and a search among the
// other half found 0.007 of its neighbours; with one point for all of them, as many as without them.
//
// Owns: who stands for whom. Does not own: vectors (memory-vectors.ts), the graph (memory-index.ts).
//
// W1. Equal is equal bit by bit: then equally near to everything, so the oldest come first (N2) and no other of them needs to be looked at.
// W2. Whoever leaves is replaced by the oldest that is left, at no cost that grows with their number.

import type { MemoryVectors } from "./memory-vectors.js";

interface Group {
  readonly key: number;
  /** Oldest first; the first one stands in the graph. */
  readonly members: Set<number>;
}

/** What is to be done in the graph when a slot left: its point goes, or is that of `heir` from now on, or it never had one. */
export type Left =
  | { readonly kind: "alone" }
  | { readonly kind: "heir"; readonly heir: number }
  | { readonly kind: "stood_behind" };

export class Twins {
  readonly #vectors: MemoryVectors;
  /** Who stands for a vector, by its hash. Of two vectors with one hash the second stands for itself alone, and is not here. */
  readonly #standing = new Map<number, number>();
  /** Of everybody who has, or had, an equal. */
  readonly #groups = new Map<number, Group>();

  constructor(vectors: MemoryVectors) {
    this.#vectors = vectors;
  }

  /** Younger than all that came before. True: nobody stands for it, it needs a point of its own. */
  join(slot: number): boolean {
    const key = this.#vectors.hash(slot);
    const standing = this.#standing.get(key);
    if (standing === undefined) this.#standing.set(key, slot);
    if (standing === undefined || !this.#vectors.isEqual(standing, slot)) return true;
    let group = this.#groups.get(standing);
    if (group === undefined) {
      group = { key, members: new Set([standing]) };
      this.#groups.set(standing, group);
    }
    group.members.add(slot);
    this.#groups.set(slot, group);
    return false;
  }

  /** Before its vector is written over. */
  leave(slot: number): Left {
    const group = this.#groups.get(slot);
    if (group === undefined) {
      const key = this.#vectors.hash(slot);
      if (this.#standing.get(key) === slot) this.#standing.delete(key);
      return { kind: "alone" };
    }
    this.#groups.delete(slot);
    group.members.delete(slot);
    if (this.#standing.get(group.key) !== slot) return { kind: "stood_behind" };
    const [heir] = group.members;
    if (heir === undefined) {
      this.#standing.delete(group.key);
      return { kind: "alone" };
    }
    this.#standing.set(group.key, heir);
    return { kind: "heir", heir };
  }

  /** The oldest `k` at most of those that a slot stands for, itself included. */
  give(slot: number, k: number, take: (slot: number) => void): void {
    const group = this.#groups.get(slot);
    if (group === undefined) {
      take(slot);
      return;
    }
    let left = k;
    for (const each of group.members) {
      if (left === 0) return;
      take(each);
      left -= 1;
    }
  }
}
