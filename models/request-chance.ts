// The chance of one request: it follows from the request's id and from nothing else.
//
// So a request that is judged again after a crash gets the same slot and wants the same looks, a replay can tell what they were, and it makes no
// difference which node answered it.
import { type Random, seededRandom } from "./clock.js";

/** What chance decides of a request: each has a sequence of its own. */
export type Purpose = "slot" | "looks";

const salts: Readonly<Record<Purpose, number>> = { slot: 0x51071, looks: 0x100c5 };

/** A seed of 32 bits. FNV-1a, Fowler, Noll and Vo. */
export function requestSeed(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

export function requestChance(seed: number, purpose: Purpose): Random {
  return seededRandom(seed ^ salts[purpose]);
}
