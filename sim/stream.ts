// Endless streams of labelled digits that drift: what the demo, the evaluations and the stability test send.
//
// Owns: the order of drifts and of classes, all from one seed. Does not own: the drifts themselves (sim/drift.ts,
// sim/unseen-drifts.ts).
//
// T1. Equal options give equal streams, picture for picture.
import { shuffled, standardNormal } from "../models/chance.js";
import { type Random, seededRandom } from "../models/clock.js";
import { type Digit, type DigitPool, drawDigit, drawDigitOf } from "./digits.js";
import { type DriftName, drift, driftNames, type Severity } from "./drift.js";
import { type UnseenDriftName, unseenDrift, unseenDriftNames } from "./unseen-drifts.js";

/**
 * iid          ten drifts one after the other, classes mixed evenly
 * noniid       the same drifts, classes in bursts
 * mixed        every request another drift
 * recur        three drifts that keep coming back, a clean stretch of a third of a segment after each round of the three
 * clean        no drift, classes mixed evenly
 * cleanBursts  no drift, classes in bursts
 * unseen       as iid, with ten drifts that no setting was chosen on
 * unseenBursts as noniid, with the same
 */
export type Variant = "iid" | "noniid" | "mixed" | "recur" | "clean" | "cleanBursts" | "unseen" | "unseenBursts";

/** Those that settings may be chosen on, and that are taken where nobody names any. */
export const variants: readonly Variant[] = ["iid", "noniid", "mixed", "recur", "clean", "cleanBursts"];

/** Those that only judge what was chosen elsewhere: taken by name. */
export const unseenVariants: readonly Variant[] = ["unseen", "unseenBursts"];

export type AnyDriftName = DriftName | UnseenDriftName;

export interface StreamOptions {
  readonly pool: DigitPool;
  readonly seed: number;
  readonly variant: Variant;
  /** Requests of one drift: from..to, inclusive. */
  readonly segment?: readonly [number, number];
}

export interface Sample {
  /** [784] ink 0..1. */
  readonly picture: Float32Array;
  /** The truth, for whoever scores; it never enters the cluster. */
  readonly label: number;
  readonly drift: AnyDriftName | "none";
  /** 0 for no drift. */
  readonly severity: Severity | 0;
  /** 0 for the first. */
  readonly index: number;
}

interface Segment {
  readonly drift: AnyDriftName | "none";
  readonly severity: Severity | 0;
  readonly requests: number;
}

const defaultSegment = [300, 600] as const;
/** Requests that share one draw of class shares, and the concentration of that draw: Dirichlet(0.1). */
const burst = { requests: 50, concentration: 0.1 };
const classes = 10;
const recurring = 3;

export function* driftingStream(options: StreamOptions): Generator<Sample, never, undefined> {
  const { pool, seed, variant } = options;
  // Own generators for order, classes and pictures: a change in one does not shift the others.
  const segments = segmentsOf(variant, options.segment ?? defaultSegment, seededRandom(seed));
  const digits = digitsOf(variant, pool, seededRandom(seed + 0x5eed));
  const random = seededRandom(seed + 0xd41f7);
  for (let index = 0; ; ) {
    const { drift: name, severity, requests } = segments.next().value;
    for (let i = 0; i < requests; i++, index++) {
      const { picture, label } = digits.next().value;
      const drifted = name === "none" || severity === 0 ? picture : driftedBy(name, severity, picture, random);
      yield { picture: drifted, label, drift: name, severity, index };
    }
  }
}

const unseenNames: ReadonlySet<AnyDriftName> = new Set(unseenDriftNames);

function isUnseen(name: AnyDriftName): name is UnseenDriftName {
  return unseenNames.has(name);
}

function driftedBy(name: AnyDriftName, severity: Severity, picture: Float32Array, random: Random): Float32Array {
  return isUnseen(name) ? unseenDrift(name, severity, picture, random) : drift(name, severity, picture, random);
}

function* segmentsOf(
  variant: Variant,
  [from, to]: readonly [number, number],
  random: Random,
): Generator<Segment, never, undefined> {
  const requests = () => from + Math.floor(random() * (to - from + 1));
  const clean = (count: number): Segment => ({ drift: "none", severity: 0, requests: count });
  const severities: readonly Severity[] = [2, 3, 4];
  const severity = () => severities[Math.floor(random() * severities.length)] ?? 3;
  const returning = shuffled(driftNames, random)
    .slice(0, recurring)
    .map((name) => ({ drift: name, severity: severity() }));
  for (;;) {
    switch (variant) {
      case "clean":
      case "cleanBursts":
        yield clean(requests());
        break;
      case "recur":
        for (const one of returning) yield { ...one, requests: requests() };
        yield clean(Math.ceil(requests() / 3));
        break;
      case "mixed":
        for (const name of shuffled(driftNames, random)) yield { drift: name, severity: severity(), requests: 1 };
        break;
      case "iid":
      case "noniid":
        for (const name of shuffled(driftNames, random))
          yield { drift: name, severity: severity(), requests: requests() };
        break;
      case "unseen":
      case "unseenBursts":
        for (const name of shuffled(unseenDriftNames, random))
          yield { drift: name, severity: severity(), requests: requests() };
        break;
      default:
        variant satisfies never;
    }
  }
}

function* digitsOf(variant: Variant, pool: DigitPool, random: Random): Generator<Digit, never, undefined> {
  const bursts = variant === "noniid" || variant === "cleanBursts" || variant === "unseenBursts";
  for (;;) {
    if (!bursts) {
      yield drawDigit(pool, random);
      continue;
    }
    const shares = dirichlet(classes, burst.concentration, random);
    for (let i = 0; i < burst.requests; i++) yield drawDigitOf(pool, chosenBy(shares, random), random);
  }
}

/** Shares that sum to 1. */
function dirichlet(count: number, concentration: number, random: Random): readonly number[] {
  const draws = Array.from({ length: count }, () => gamma(concentration, random));
  const total = draws.reduce((sum, draw) => sum + draw, 0);
  return total > 0 ? draws.map((draw) => draw / total) : dirichlet(count, concentration, random);
}

/** Gamma(shape, 1). Source: Marsaglia and Tsang, 2000, with their power of a uniform for shapes under 1. */
function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * random() ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = standardNormal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

function chosenBy(shares: readonly number[], random: Random): number {
  let left = random();
  for (const [index, share] of shares.entries()) {
    left -= share;
    if (left < 0) return index;
  }
  return shares.length - 1;
}
