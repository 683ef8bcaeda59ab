// Planted streams, one danger each, in a world of three classes whose every axis has a meaning. The guards' tests live through them with one
// guard taken away; the floor can be tried on the same ones.
//
// Axes 0, 1, 2 are the evidence for the classes: the source head reads them with weight 4. All others are nought in the source head, so
// that the source model does not care what stands there; learning does. The anchors know axes 0 to 2, unless a stream says otherwise.
import { unitRows } from "../../models/calibration.js";
import { type Random, seededRandom } from "../../models/clock.js";
import type { Subject } from "../../models/manifest.js";
import type { LearningSettings } from "../../models/settings.js";
import type { Life, Passage } from "./live-through.js";
import { channels, classes, smallSubject } from "./small-world.js";

export interface GuardStream {
  readonly passages: readonly Passage[];
  /** [passages] 1 = this is what the danger threatens, and what counts. */
  readonly threatened: Uint8Array;
  subject(overrides?: Partial<LearningSettings>): Subject;
}

/** An input that has nothing of any class: no answer to it is right. */
const nothing = -1;
const evidence = 4;
const hazeAxis = 3;
const faintAxis = 4;
const narrow = 8;
/** First of the common axes of the wide world, and their end. */
const common = { from: 8, to: 108 };
const cold = 100;

/**
 * Junk: most requests show nothing at all through a haze, and the source model answers 0 to each, unsure. A few real ones come through the
 * same haze, rightly answered by a small margin. Who learns from unsure answers learns that haze means 0.
 */
export function junkInHaze(seed: number): GuardStream {
  const { random, about } = chances(seed);
  return stream(narrow, 0, 900, 300, (i) => {
    const kind = random();
    if (i < cold || kind < 0.3) return clear(random, about, narrow);
    if (kind >= 0.4) {
      const axes = { 0: about(0.25, 0.05), 1: about(0.1, 0.05), 2: about(0.1, 0.05), [hazeAxis]: about(3, 0.3) };
      return { embedding: vector(narrow, axes), truth: nothing };
    }
    const truth = random() < 0.5 ? 1 : 2;
    const axes = { [truth]: about(0.26, 0.02), 0: about(0.2, 0.02), [3 - truth]: 0.05, [hazeAxis]: 3 };
    return { embedding: vector(narrow, axes), truth, threatened: true };
  });
}

/**
 * Spike: thirty requests with one channel two thousand times too large, as a channel whose estimated variance falls to nought gives it
 * (1 / sqrt(1e-5) = 316 times what it was). Then a drift that late labels mend, on the axis that spiked. Nobody is answered wrongly because of
 * the spike itself: without the clip the optimiser has seen a gradient so large that its steps on this axis are too small afterwards.
 */
export function spikeBeforeDrift(seed: number): GuardStream {
  const { random, about } = chances(seed);
  return stream(narrow, 0, 900, 400, (i) => {
    const kind = random();
    if (i >= 120 && i < 150) return { embedding: vector(narrow, { 0: about(0.5, 0.03), [hazeAxis]: 2_000 }), truth: 0 };
    if (i < 120 || kind < 0.4) return clear(random, about, narrow);
    const axes = { 0: about(0.3, 0.03), 1: about(0.25, 0.03), [hazeAxis]: about(1, 0.2) };
    const drifted = { embedding: vector(narrow, axes), truth: 1, threatened: true };
    return random() < 0.2 ? { ...drifted, label: 1 } : drifted;
  });
}

/**
 * Faint feature: for a long time one axis, a thousandth of its size, is all that tells two kinds of unsure request apart. The optimiser's steps
 * are as large on an axis that hardly speaks as on any other, and the KL term cannot see them there. Then requests come in which this axis
 * is fully on and means nothing.
 */
export function faintThenFull(seed: number): GuardStream {
  const { random, about } = chances(seed);
  return stream(narrow, 0, 1_600, 1_300, (i) => {
    if (i < 120 || random() < 0.2) return clear(random, about, narrow);
    if (i >= 1_300) {
      const axes = { 0: about(0.3, 0.1), 1: about(0.7, 0.1), [faintAxis]: 1 };
      return { embedding: vector(narrow, axes), truth: 1, threatened: true };
    }
    const truth = random() < 0.5 ? 0 : 1;
    const axes = { 0: about(0.4, 0.02), 1: about(0.4, 0.02), [faintAxis]: truth === 0 ? 0.001 : 0 };
    return { embedding: vector(narrow, axes), truth, label: truth };
  });
}

/**
 * Swing: a model whose embeddings are wide and large, so that the shipped rate makes steps of several logits: the head swings from one side to
 * the other. The anchors have the same size: they and the KL limit refuse the worst, what passes is served.
 */
export function swingingHead(seed: number): GuardStream {
  return wide(seed, 30, 30);
}

/** Glare: the same size comes with a drift. The anchors were measured without it and see nothing; the KL limit is alone. */
export function glare(seed: number): GuardStream {
  return wide(seed, 300, 0);
}

function wide(seed: number, level: number, anchorLevel: number): GuardStream {
  const { random, about } = chances(seed);
  const width = common.to;
  return stream(width, anchorLevel, 600, 150, (i) => {
    const truth = Math.floor(random() * classes);
    const unsure = i >= cold && random() < 0.4;
    const axes = unsure
      ? { [truth]: about(0.35, 0.05), [(truth + 1) % classes]: about(0.2, 0.05) }
      : { [truth]: about(1, 0.1) };
    const embedding = vector(width, axes);
    for (let axis = common.from; axis < common.to; axis++) embedding[axis] = about(level, 0.3 * level);
    return { embedding, truth, threatened: unsure };
  });
}

/** Share of right answers among what the danger threatens: of the served head and of the source's. */
export function threatenedAccuracy({ threatened }: GuardStream, life: Life): { served: number; source: number } {
  const places = [...threatened.keys()].filter((i) => threatened[i] === 1);
  const share = (right: Uint8Array) => places.filter((i) => right[i] === 1).length / places.length;
  return { served: share(life.right), source: share(life.sourceRight) };
}

interface Planted extends Passage {
  readonly threatened?: boolean;
}

type About = (value: number, spread: number) => number;

function chances(seed: number): { random: Random; about: About } {
  const random = seededRandom(seed);
  return { random, about: (value, spread) => Math.max(0, value + spread * (2 * random() - 1)) };
}

function clear(random: Random, about: About, width: number): Planted {
  const truth = Math.floor(random() * classes);
  return { embedding: vector(width, { [truth]: about(1, 0.1) }), truth };
}

function vector(width: number, axes: Readonly<Record<number, number>>): Float32Array {
  const embedding = new Float32Array(width);
  for (const [axis, value] of Object.entries(axes)) embedding[Number(axis)] = value;
  return embedding;
}

/** Counts from passage `from` on. */
function stream(
  width: number,
  anchorLevel: number,
  length: number,
  from: number,
  passage: (i: number) => Planted,
): GuardStream {
  const planted = Array.from({ length }, (_, i) => passage(i));
  return {
    passages: planted,
    threatened: Uint8Array.from(planted, ({ threatened }, i) => (threatened === true && i >= from ? 1 : 0)),
    subject: (overrides = {}) => subjectOf(width, anchorLevel, overrides),
  };
}

function subjectOf(width: number, anchorLevel: number, overrides: Partial<LearningSettings>): Subject {
  const { calibration, manifest } = smallSubject({ coldStart: cold, ...overrides });
  const { anchorLabels, anchorCount } = calibration;
  const head = new Float32Array((width + 1) * classes);
  for (let label = 0; label < classes; label++) head[label * classes + label] = evidence;
  const { about } = chances(3);
  const anchorEmbeddings = new Float32Array(anchorCount * width);
  for (const [row, label] of anchorLabels.entries()) {
    anchorEmbeddings.set(vector(width, { [label]: about(1, 0.1) }), row * width);
    anchorEmbeddings.fill(anchorLevel, row * width + Math.min(width, common.from), (row + 1) * width);
  }
  const anchors = unitRows(anchorEmbeddings, width);
  return {
    calibration: { ...calibration, channels, width, head, anchorEmbeddings, anchors },
    manifest: { ...manifest, embeddingWidth: width },
  };
}
