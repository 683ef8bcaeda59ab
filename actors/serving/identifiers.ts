// Identifiers made on this node: trace ids and request ids that nobody gave.
//
// Owns: a pool of random bytes, so that a request does not pay a call into the system for sixteen of them.

import { randomFillSync } from "node:crypto";

const pool = Buffer.alloc(8_192);
let used = pool.length;

/** `bytes` random bytes, as hex digits: 16 for a W3C trace id. */
export function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += bytes;
  return pool.toString("hex", used - bytes, used);
}
