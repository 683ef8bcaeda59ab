// Ten ways in which pictures drift away from what a model was trained on, each in five severities.
//
// Owns: the drifts; pure functions on one picture [28, 28] of ink 0..1, chance as an argument; the sampling of pictures.
// Does not own: which drift comes when (sim/stream.ts), the drifts held back from tuning (sim/unseen-drifts.ts).
//
// The levels are set by the source model alone, so that severities 1 to 5 leave it roughly 0.9, 0.75, 0.57, 0.4 and 0.25
// of its answers, whatever adaptation makes of them. Geometric drifts sample the picture bilinearly from where each pixel
// came from; outside it there is no ink.
import { standardNormal } from "../models/chance.js";
import type { Random } from "../models/clock.js";
import { pictureSize, side } from "../models/digits/idx.js";

export type Severity = 1 | 2 | 3 | 4 | 5;

type Levels = readonly [number, number, number, number, number];
type Apply = (picture: Float32Array, level: number, random: Random) => Float32Array;

export interface Drift {
  readonly levels: Levels;
  readonly apply: Apply;
}

/** Each picture of a drift differs a little from the next: the level times 1 +- this. */
const jitter = 0.1;
const centre = (side - 1) / 2;

const drifts = {
  /** Degrees, clockwise. */
  rotate: { levels: [25, 35, 45, 54, 62], apply: rotate },
  /** Pixels, in any direction. */
  translate: { levels: [3, 4, 5, 6, 7], apply: translate },
  /** Size relative to the original. */
  scale: { levels: [0.6, 0.53, 0.46, 0.41, 0.36], apply: scale },
  /** Pixels sideways per pixel down. */
  shear: { levels: [0.85, 1.1, 1.3, 1.5, 1.7], apply: shear },
  /** Standard deviation in pixels. */
  blur: { levels: [0.8, 1, 1.15, 1.35, 1.55], apply: blur },
  /** Standard deviation in ink. */
  noise: { levels: [0.26, 0.32, 0.37, 0.42, 0.48], apply: noise },
  /** What is left of the difference to middle grey. */
  contrast: { levels: [0.6, 0.53, 0.48, 0.44, 0.39], apply: contrast },
  /** Ink added everywhere. */
  brightness: { levels: [0.37, 0.43, 0.48, 0.52, 0.57], apply: brightness },
  /** Share of the width, from the right, in which ink and ground change places. */
  inversion: { levels: [0.4, 0.55, 0.6, 0.65, 0.7], apply: inversion },
  /** Ink at least, on every fourth column. */
  stripe: { levels: [0.5, 0.6, 0.75, 0.88, 1], apply: stripe },
} as const satisfies Readonly<Record<string, Drift>>;

export type DriftName = keyof typeof drifts;

export const driftNames: readonly DriftName[] = [
  "rotate",
  "translate",
  "scale",
  "shear",
  "blur",
  "noise",
  "contrast",
  "brightness",
  "inversion",
  "stripe",
];

/** A new picture [784], ink 0..1; the one given is not changed. */
export function drift(name: DriftName, severity: Severity, picture: Float32Array, random: Random): Float32Array {
  return drifted(drifts[name], severity, picture, random);
}

/** What `drift` does, for any drift: a new picture [784], ink 0..1. Throws a RangeError for a picture of another size. */
export function drifted(
  { levels, apply }: Drift,
  severity: Severity,
  picture: Float32Array,
  random: Random,
): Float32Array {
  if (picture.length !== pictureSize) throw new RangeError(`a picture of ${picture.length} values`);
  const level = (levels[severity - 1] ?? 0) * (1 + jitter * (2 * random() - 1));
  return apply(picture, level, random).map((ink) => Math.min(1, Math.max(0, ink)));
}

function rotate(picture: Float32Array, degrees: number): Float32Array {
  const turn = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  return resample(picture, (x, y) => [cos * x + sin * y, cos * y - sin * x]);
}

function translate(picture: Float32Array, pixels: number, random: Random): Float32Array {
  const direction = 2 * Math.PI * random();
  const [right, down] = [pixels * Math.cos(direction), pixels * Math.sin(direction)];
  return resample(picture, (x, y) => [x - right, y - down]);
}

function scale(picture: Float32Array, size: number): Float32Array {
  return resample(picture, (x, y) => [x / size, y / size]);
}

function shear(picture: Float32Array, slope: number): Float32Array {
  return resample(picture, (x, y) => [x + slope * y, y]);
}

function blur(picture: Float32Array, deviation: number): Float32Array {
  const reach = Math.ceil(3 * deviation);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * deviation ** 2)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const along = (source: Float32Array, dx: number, dy: number) =>
    perPixel((x, y) => {
      let ink = 0;
      weights.forEach((weight, i) => {
        ink += (weight / total) * inkAt(source, x + dx * (i - reach), y + dy * (i - reach));
      });
      return ink;
    });
  return along(along(picture, 1, 0), 0, 1);
}

function noise(picture: Float32Array, deviation: number, random: Random): Float32Array {
  return picture.map((ink) => ink + deviation * standardNormal(random));
}

function contrast(picture: Float32Array, left: number): Float32Array {
  return picture.map((ink) => 0.5 + left * (ink - 0.5));
}

function brightness(picture: Float32Array, added: number): Float32Array {
  return picture.map((ink) => ink + added);
}

function inversion(picture: Float32Array, share: number): Float32Array {
  const edge = side * (1 - share);
  return perPixel((x, y) => (x < edge ? inkAt(picture, x, y) : 1 - inkAt(picture, x, y)));
}

function stripe(picture: Float32Array, ink: number): Float32Array {
  return perPixel((x, y) => (x % 4 === 0 ? Math.max(ink, inkAt(picture, x, y)) : inkAt(picture, x, y)));
}

/** `origin` tells, relative to the centre, where the ink at (x, y) comes from. */
export function resample(
  picture: Float32Array,
  origin: (x: number, y: number) => readonly [number, number],
): Float32Array {
  return perPixel((column, row) => {
    const [fromX, fromY] = origin(column - centre, row - centre);
    const [x, y] = [fromX + centre, fromY + centre];
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [right, down] = [x - left, y - top];
    const upper = inkAt(picture, left, top) * (1 - right) + inkAt(picture, left + 1, top) * right;
    const lower = inkAt(picture, left, top + 1) * (1 - right) + inkAt(picture, left + 1, top + 1) * right;
    return upper * (1 - down) + lower * down;
  });
}

export function perPixel(inkOf: (x: number, y: number) => number): Float32Array {
  return Float32Array.from({ length: pictureSize }, (_, i) => inkOf(i % side, Math.floor(i / side)));
}

/** No ink outside the picture. */
export function inkAt(picture: Float32Array, x: number, y: number): number {
  if (x < 0 || x >= side || y < 0 || y >= side) return 0;
  return picture[y * side + x] ?? 0;
}
