// Prequential evaluation: every answer is scored before anything is learned from it, against the source model on the same input.
//
// Owns: the measures. Does not own: what is measured; the graph, the moments and the streams are those of production.
//
// V1. Inside a micro-batch the parameters are frozen, as in the cluster.
// V2. Equal options give equal figures: nothing here reads a clock.
import { seededRandom } from "../models/clock.js";
import { pictureSize } from "../models/digits/idx.js";
import type { Embedded, Parameters } from "../models/engine.js";
import type { Model } from "../models/manifest.js";
import { chooseSlot, foldMoments, type Moments, normalisation, sourceMoments } from "../models/moments.js";
import { type AdaptableSession, openAdaptableSession, openSession, type Session } from "../models/onnx-session.js";
import type { DigitPool } from "./digits.js";
import { driftingStream, type Sample, type Variant, variants } from "./stream.js";

export interface EvaluationOptions {
  readonly model: Model;
  readonly pool: DigitPool;
  readonly variant: Variant;
  readonly seed: number;
  readonly requests: number;
  /** Requests answered with the same parameters. */
  readonly microBatch: number;
}

export interface DriftAccuracy {
  readonly drift: string;
  readonly n: number;
  readonly adapting: number;
  readonly source: number;
}

export interface Evaluation {
  readonly variant: Variant;
  readonly seed: number;
  readonly requests: number;
  readonly microBatch: number;
  readonly accuracy: { readonly adapting: number; readonly source: number };
  readonly gain: number;
  /** Lowest (adapting - source) accuracy over any 200 requests in a row. */
  readonly worstWindow: number;
  readonly accuracyByDrift: readonly DriftAccuracy[];
}

const windowRequests = 200;
/** Requests of a full evaluation of one stream: about ten drifts. */
const fullRequests = 4500;
const quickRequests = 900;

/** Every variant with every seed, one request at a time; `quick` takes one seed and two drifts' worth of requests. */
export async function evaluateAll(model: Model, pool: DigitPool, quick: boolean): Promise<readonly Evaluation[]> {
  const requests = quick ? quickRequests : fullRequests;
  const evaluations: Evaluation[] = [];
  for (const variant of variants) {
    for (const seed of quick ? [1] : [1, 2, 3, 4, 5]) {
      evaluations.push(await evaluate({ model, pool, variant, seed, requests, microBatch: 1 }));
    }
  }
  return evaluations;
}

/** Answers one stream one micro-batch at a time, adapting the class-balanced moments (models/moments.ts). */
export async function evaluate(options: EvaluationOptions): Promise<Evaluation> {
  const { model, seed, requests, microBatch } = options;
  const { manifest, calibration } = model;
  const source = await openSession(model.sourceBytes);
  const { channels, width, classes } = calibration;
  const graph = { inputName: manifest.input.name, shape: manifest.input.shape, channels, width, classes };
  const adapting = await openAdaptableSession(model.modelBytes, graph);
  const moments = sourceMoments(calibration);
  const random = seededRandom(seed + 0xada97);
  const stream = driftingStream(options);
  const outcomes: Outcome[] = [];
  while (outcomes.length < requests) {
    const samples = Array.from({ length: Math.min(microBatch, requests - outcomes.length) }, () => stream.next().value);
    const parameters = { ...normalisation(moments, calibration), head: calibration.head };
    const { scored, embedded } = await answer(samples, source, adapting, parameters, classes);
    outcomes.push(...scored);
    learn(model, moments, embedded, random);
  }
  await Promise.all([source.close(), adapting.close()]);
  return summary(options, outcomes);
}

interface Outcome {
  readonly drift: string;
  readonly adapting: boolean;
  readonly source: boolean;
}

async function answer(
  samples: readonly Sample[],
  source: Session,
  adapting: AdaptableSession,
  parameters: Parameters,
  classes: number,
): Promise<{ scored: readonly Outcome[]; embedded: Embedded }> {
  const input = new Float32Array(samples.length * pictureSize);
  samples.forEach(({ picture }, row) => void input.set(picture, row * pictureSize));
  const plain = await source.run(input, samples.length);
  const embedded = await adapting.run(input, samples.length, parameters);
  const scored = samples.map(({ drift, label }, row) => ({
    drift,
    adapting: answerOf(embedded.logits, row, classes) === label,
    source: answerOf(plain, row, classes) === label,
  }));
  return { scored, embedded };
}

function learn(model: Model, moments: Moments, embedded: Embedded, random: () => number): void {
  const { calibration } = model;
  const { classes, channels } = calibration;
  for (let row = 0; row < embedded.rows; row++) {
    const own = embedded.moments.subarray(row * 2 * channels, (row + 1) * 2 * channels);
    const logits = embedded.logits.subarray(row * classes, (row + 1) * classes);
    const slot = chooseSlot(calibration, { logits, moments: own, density: embedded.density[row] ?? 0 }, random);
    foldMoments(moments, slot, own);
  }
}

function summary(options: EvaluationOptions, outcomes: readonly Outcome[]): Evaluation {
  const { variant, seed, requests, microBatch } = options;
  const accuracy = { adapting: share(outcomes, "adapting"), source: share(outcomes, "source") };
  const drifts = [...new Set(outcomes.map(({ drift }) => drift))].sort();
  const accuracyByDrift = drifts.map((drift) => {
    const own = outcomes.filter((outcome) => outcome.drift === drift);
    return { drift, n: own.length, adapting: share(own, "adapting"), source: share(own, "source") };
  });
  const gain = accuracy.adapting - accuracy.source;
  return { variant, seed, requests, microBatch, accuracy, gain, worstWindow: worstWindow(outcomes), accuracyByDrift };
}

/** NaN when there are fewer requests than one window. */
function worstWindow(outcomes: readonly Outcome[]): number {
  let sum = 0;
  let worst = Number.POSITIVE_INFINITY;
  const difference = (outcome: Outcome | undefined) => Number(outcome?.adapting ?? 0) - Number(outcome?.source ?? 0);
  outcomes.forEach((outcome, i) => {
    sum += difference(outcome) - difference(outcomes[i - windowRequests]);
    if (i + 1 >= windowRequests) worst = Math.min(worst, sum / windowRequests);
  });
  return Number.isFinite(worst) ? worst : Number.NaN;
}

function share(outcomes: readonly Outcome[], who: "adapting" | "source"): number {
  return outcomes.filter((outcome) => outcome[who]).length / outcomes.length;
}

function answerOf(logits: Float32Array, row: number, classes: number): number {
  const own = logits.subarray(row * classes, (row + 1) * classes);
  return own.indexOf(Math.max(...own));
}
