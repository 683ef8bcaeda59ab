// The digits that simulated clients send: the 10,000 of the test part, which no model has seen.
//
// Owns: the drawing of digits, evenly or by class. Does not own: the files (models/digits/idx.ts).
import type { Random } from "../models/clock.js";
import { type DigitSet, pictureOf, readDigits } from "../models/digits/idx.js";

export interface Digit {
  /** [784] ink 0..1. */
  readonly picture: Float32Array;
  /** 0..9 */
  readonly label: number;
}

export interface DigitPool {
  readonly digits: DigitSet;
  /** Indexes of the digits of each class. */
  readonly byClass: readonly Uint32Array[];
}

export async function loadDigitPool(): Promise<DigitPool> {
  return poolOf(await readDigits("test"));
}

/** Any set of ten classes. */
export function poolOf(digits: DigitSet): DigitPool {
  const byClass = Array.from({ length: 10 }, (_, label) =>
    Uint32Array.from([...digits.labels.keys()].filter((index) => digits.labels[index] === label)),
  );
  return { digits, byClass };
}

/** Any digit, all equally likely. */
export function drawDigit(pool: DigitPool, random: Random): Digit {
  return digitAt(pool.digits, Math.floor(random() * pool.digits.count));
}

/** A digit of the class, all of it equally likely. */
export function drawDigitOf(pool: DigitPool, label: number, random: Random): Digit {
  const members = pool.byClass[label];
  if (members === undefined || members.length === 0) throw new RangeError(`no digits of class ${label}`);
  return digitAt(pool.digits, members[Math.floor(random() * members.length)] ?? 0);
}

function digitAt(digits: DigitSet, index: number): Digit {
  return { picture: pictureOf(digits, index), label: digits.labels[index] ?? 0 };
}
