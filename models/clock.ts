// Time and chance as arguments (law 11).
//
// Owns: the interfaces through which every room asks for time and randomness, and the seeded generator.
// Does not own: the real clock; that is supervision/clock.ts, the only file that reads it.

export interface Clock {
  /** Milliseconds since the epoch. For people and for ages in the log; may jump. */
  nowMs(): number;
  /** Milliseconds since some fixed moment; never goes back. For deadlines and durations. */
  monotonicMs(): number;
  /** Resolves after `ms`, or at once when `signal` aborts (it never rejects: the caller looks at the signal). */
  delay(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms`; the returned function cancels. */
  after(ms: number, run: () => void): () => void;
}

/** Uniform in [0, 1). */
export type Random = () => number;

/**
 * A generator whose whole sequence follows from `seed` (any 32-bit integer).
 * Source: mulberry32, Tommy Ettinger, public domain; period 2^32, passes gjrand.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
