// Ten more ways in which pictures drift, each in five severities, held back from the choice of settings.
//
// Owns: the drifts; pure functions on one picture [28, 28] of ink 0..1, chance as an argument.
// Does not own: the drifts that settings are chosen on, the sampling of pictures (sim/drift.ts), which drift comes when (sim/stream.ts).
//
// U1. Their streams judge, and nothing is tuned by what comes out: a setting chosen on them would make them seen. One was, after a look at
//     them: the floor's lead (docs/learning.md). Whoever needs a judge of the floor has to invent others.
//
// The levels are set by the source model alone, so that severities 1 to 5 leave it roughly 0.9, 0.75, 0.57, 0.4 and 0.25
// of its answers, whatever adaptation makes of them.
import type { Random } from "../models/clock.js";
import { side } from "../models/digits/idx.js";
import { type Drift, drifted, inkAt, perPixel, resample, type Severity } from "./drift.js";

const diagonal = (side - 1) * Math.SQRT2;
/** Of the camera from the middle of a tilted sheet, in pixels. */
const cameraDistance = 40;
/** Pixels from one crest of a wobbling sheet to the next. */
const wavelength = 14;
/** Pixels from the middle of the picture to the middle of a blot, at most. */
const blotReach = 6;

const drifts = {
  /** Side of a cell in pixels; every cell shows its mean, as a coarse sensor does. */
  pixelate: { levels: [2.65, 3.15, 3.7, 4.1, 4.8], apply: pixelate },
  /** Degrees by which the sheet is tilted away from the camera, towards any side. */
  tilt: { levels: [56, 64, 69.5, 73.5, 78], apply: tilt },
  /** Pixels by which a crumpled sheet shifts what is on it, along two waves. */
  wobble: { levels: [1.55, 2, 2.35, 2.75, 3.35], apply: wobble },
  /** Pixels that strokes lose on every side. */
  erode: { levels: [0.66, 0.88, 1.15, 1.37, 1.63], apply: erode },
  /** Pixels that strokes gain on every side. */
  thicken: { levels: [2.1, 2.5, 3.15, 3.6, 4.3], apply: thicken },
  /** Share of the pixels that show full ink or none, whatever was there. */
  speckle: { levels: [0.072, 0.105, 0.143, 0.178, 0.235], apply: speckle },
  /** Ink added in the upper left corner, falling evenly to none in the lower right one: light from there. */
  shade: { levels: [0.66, 0.81, 0.94, 1.1, 1.3], apply: shade },
  /** Pixels over which the picture is dragged, in any direction. */
  smudge: { levels: [3.2, 4.1, 5.1, 6.3, 8.4], apply: smudge },
  /** Share of the rows that are lost. */
  dropout: { levels: [0.145, 0.255, 0.39, 0.515, 0.665], apply: dropout },
  /** Radius in pixels of a round blot of ink near the middle. */
  blot: { levels: [3.7, 5, 7, 9.4, 10.3], apply: blot },
} as const satisfies Readonly<Record<string, Drift>>;

export type UnseenDriftName = keyof typeof drifts;

export const unseenDriftNames: readonly UnseenDriftName[] = [
  "pixelate",
  "tilt",
  "wobble",
  "erode",
  "thicken",
  "speckle",
  "shade",
  "smudge",
  "dropout",
  "blot",
];

/** A new picture [784], ink 0..1; the one given is not changed. Throws a RangeError for a picture of another size. */
export function unseenDrift(
  name: UnseenDriftName,
  severity: Severity,
  picture: Float32Array,
  random: Random,
): Float32Array {
  return drifted(drifts[name], severity, picture, random);
}

function pixelate(picture: Float32Array, size: number): Float32Array {
  const cell = (at: number) => Math.floor(at / size);
  const from = (index: number) => Math.max(0, Math.ceil(index * size));
  return perPixel((x, y) => {
    const [column, row] = [cell(x), cell(y)];
    let [ink, pixels] = [0, 0];
    for (let v = from(row); v < Math.min(side, (row + 1) * size); v++)
      for (let u = from(column); u < Math.min(side, (column + 1) * size); u++, pixels++) ink += inkAt(picture, u, v);
    return pixels === 0 ? inkAt(picture, x, y) : ink / pixels;
  });
}

/** The pinhole camera's view of a plane, turned about an axis through the picture's middle. */
function tilt(picture: Float32Array, degrees: number, random: Random): Float32Array {
  const towards = 2 * Math.PI * random();
  const [right, down] = [Math.cos(towards), Math.sin(towards)];
  const turn = (Math.min(degrees, 89) * Math.PI) / 180;
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  return resample(picture, (x, y) => {
    const [along, across] = [x * right + y * down, y * right - x * down];
    const depth = cameraDistance * cos - along * sin;
    // Beyond the horizon the sheet is not seen.
    if (depth <= 0) return [side, side];
    const u = (along * cameraDistance) / depth;
    const v = (across * (cameraDistance + u * sin)) / cameraDistance;
    return [u * right - v * down, u * down + v * right];
  });
}

function wobble(picture: Float32Array, pixels: number, random: Random): Float32Array {
  const [phase, otherPhase] = [2 * Math.PI * random(), 2 * Math.PI * random()];
  const wave = (at: number, start: number) => pixels * Math.sin((2 * Math.PI * at) / wavelength + start);
  return resample(picture, (x, y) => [x + wave(y, phase), y + wave(x, otherPhase)]);
}

function erode(picture: Float32Array, pixels: number): Float32Array {
  return spread(picture, pixels, Math.min);
}

function thicken(picture: Float32Array, pixels: number): Float32Array {
  return spread(picture, pixels, Math.max);
}

function speckle(picture: Float32Array, share: number, random: Random): Float32Array {
  return picture.map((ink) => {
    const [hit, full] = [random() < share, random() < 0.5];
    if (!hit) return ink;
    return full ? 1 : 0;
  });
}

function shade(picture: Float32Array, ink: number): Float32Array {
  return perPixel((x, y) => inkAt(picture, x, y) + ink * (1 - (x + y) / (Math.SQRT2 * diagonal)));
}

function smudge(picture: Float32Array, pixels: number, random: Random): Float32Array {
  const direction = Math.PI * random();
  const steps = 2 * Math.ceil(pixels) + 1;
  const sum = new Float32Array(picture.length);
  for (let step = 0; step < steps; step++) {
    const way = pixels * (step / (steps - 1) - 0.5);
    const [right, down] = [way * Math.cos(direction), way * Math.sin(direction)];
    const shifted = resample(picture, (x, y) => [x - right, y - down]);
    shifted.forEach((ink, i) => {
      sum[i] = (sum[i] ?? 0) + ink / steps;
    });
  }
  return sum;
}

function dropout(picture: Float32Array, share: number, random: Random): Float32Array {
  const lost = Array.from({ length: side }, () => random() < share);
  return perPixel((x, y) => (lost[y] === true ? 0 : inkAt(picture, x, y)));
}

function blot(picture: Float32Array, radius: number, random: Random): Float32Array {
  const [direction, away] = [2 * Math.PI * random(), blotReach * Math.sqrt(random())];
  const [column, row] = [side / 2 + away * Math.cos(direction), side / 2 + away * Math.sin(direction)];
  // One pixel of soft edge.
  return perPixel((x, y) => Math.max(inkAt(picture, x, y), Math.min(1, radius - Math.hypot(x - column, y - row))));
}

/** Each pixel takes the `extreme` of itself and its four neighbours, once per pixel of `reach`; a fraction of one in part. */
function spread(picture: Float32Array, reach: number, extreme: (...inks: number[]) => number): Float32Array {
  let current = picture;
  for (let left = reach; left > 0; left--) {
    const before = current;
    const share = Math.min(1, left);
    current = perPixel((x, y) => {
      const ink = inkAt(before, x, y);
      const [aside, above] = [
        [inkAt(before, x - 1, y), inkAt(before, x + 1, y)],
        [inkAt(before, x, y - 1), inkAt(before, x, y + 1)],
      ];
      return ink + share * (extreme(ink, ...aside, ...above) - ink);
    });
  }
  return current;
}
