// What a stage of adaptation adds to a request, in one thread, against the source graph: the same model, all constant.
//
// Measures: what a serving node does for one micro-batch before it is judged, and what the fold does after it (the graph, each row's slot, the
// fold, the next parameters), with stage A alone and with A and B: once where B's gate stays shut (clean traffic) and once where it is open,
// the domain is surveyed, and its best views are looked through. Every stage meets the same digits in the same order, turned for the last.
//
// While it is timed, a stage folds and makes the next parameters, but goes on with those it began with: what is measured stays the same.
import {
  type AdaptationRow,
  AdaptedView,
  emptyAdaptation,
  foldRow,
  sourceParameters,
} from "../models/adaptation/adaptation.js";
import { chooseSlot } from "../models/adaptation/domains.js";
import type { Embedded, Parameters } from "../models/adaptation/pass.js";
import { standingOf } from "../models/adaptation/standing.js";
import { type Clock, seededRandom } from "../models/clock.js";
import { pictureSize, readDigits } from "../models/digits/idx.js";
import type { Model } from "../models/manifest.js";
import { argmax, at } from "../models/numbers/softmax.js";
import { requestChance, requestSeed } from "../models/request-chance.js";
import { look, lookSetup } from "../models/serving/looking.js";
import type { LearningSettings } from "../models/settings.js";
import { drift } from "../sim/drift.js";
import { type Contender, interleave, timedOf } from "./interleave.js";
import { type Graphs, openGraphs } from "./onnx-floor.js";
import { ratiosOf, type Spread, spreadOf } from "./statistics.js";

export interface StageCost {
  readonly stage: string;
  readonly batch: number;
  /** Microseconds of one request. */
  readonly us: Spread;
  /** Time of the stage / time of the source graph, round by round. */
  readonly ratio: Spread;
}

const floor = "source graph, all constant";
const batches = [1, 8, 64] as const;
/** About what one batch takes; only sets how often it is repeated. */
const guessUs = { perRun: 60, perRow: 60 };
/** Digits that are timed, in turn: one digit alone may be an easy one. */
const timedDigits = 64;
/** Digits that each adaptation meets before it is timed: at least, at most, and how many at once. */
const metLeast = 256;
const metDigits = 1024;
const metAtOnce = 16;

type Stages = LearningSettings["stages"];
const a: Stages = { moments: true, views: false, head: false, floor: false };
const b: Stages = { ...a, views: true };

interface Digits {
  readonly met: readonly Float32Array[];
  readonly timed: readonly Float32Array[];
}

export async function measureStages(model: Model, rounds: number, roundMs: number, clock: Clock): Promise<StageCost[]> {
  const graphs = await openGraphs(model);
  const clean = await digits((picture) => picture);
  const random = seededRandom(1);
  const turned = await digits((picture) => drift("rotate", 3, picture, random));
  const costs: StageCost[] = [];
  for (const rows of batches) {
    const count = Math.ceil((roundMs * 1000) / (guessUs.perRun + guessUs.perRow * rows));
    const runs = await contendersOf(model, graphs, { clean, turned }, rows);
    const contenders = runs.map(([name, run]) => repeated(name, count, run));
    const timed = await interleave(contenders, rounds, clock);
    const perRow = (name: string): number[] => timedOf(timed, name).map((us) => us / rows);
    for (const { name } of timed) {
      costs.push({
        stage: name,
        batch: rows,
        us: spreadOf(perRow(name)),
        ratio: ratiosOf(perRow(name), perRow(floor)),
      });
    }
  }
  await graphs.close();
  return costs;
}

/** Test digits, each as `change` leaves it. */
async function digits(change: (picture: Float32Array) => Float32Array): Promise<Digits> {
  const { pixels } = await readDigits("test");
  const all = Array.from({ length: timedDigits + metDigits }, (_, i) =>
    change(Float32Array.from(pixels.subarray(i * pictureSize, (i + 1) * pictureSize), (ink) => ink / 255)),
  );
  return { timed: all.slice(0, timedDigits), met: all.slice(timedDigits) };
}

type Run = () => Promise<unknown>;

async function contendersOf(
  model: Model,
  graphs: Graphs,
  { clean, turned }: { readonly clean: Digits; readonly turned: Digits },
  rows: number,
): Promise<readonly (readonly [string, Run])[]> {
  const fixed = sourceParameters(model);
  const [forSource, forGraph] = [inTurn(clean.timed, rows), inTurn(clean.timed, rows)];
  const stageA = await serving(model, a, graphs, clean, false);
  const shut = await serving(model, b, graphs, clean, false);
  const open = await serving(model, b, graphs, turned, true);
  return [
    [floor, () => graphs.source.run(forSource(), rows)],
    ["A, its graph alone", () => graphs.adaptable.run(forGraph(), rows, fixed)],
    ["A, with slots, fold and the next parameters", served(stageA, clean, rows)],
    ["A and B, clean digits: one look each", served(shut, clean, rows)],
    ["A and B, turned digits: the best views too", served(open, turned, rows)],
  ];
}

type Serve = (input: Float32Array, rows: number) => Promise<void>;

function served(serve: Serve, { timed }: Digits, rows: number): Run {
  const next = inTurn(timed, rows);
  return () => serve(next(), rows);
}

/** Micro-batches of `rows` pictures, one after the other, and again from the first. */
function inTurn(pictures: readonly Float32Array[], rows: number): () => Float32Array {
  const stacked = Array.from({ length: Math.floor(pictures.length / rows) }, (_, batch) => {
    const input = new Float32Array(rows * pictureSize);
    for (let row = 0; row < rows; row += 1) input.set(pictures[batch * rows + row] ?? [], row * pictureSize);
    return input;
  });
  let turn = 0;
  return () => {
    const input = stacked[turn % stacked.length];
    turn += 1;
    if (input === undefined) throw new RangeError(`fewer than ${rows} pictures`);
    return input;
  };
}

/**
 * Answers a micro-batch and folds it, with the parameters of an adaptation that has met some digits: until it looks more than once, or for a
 * while, and then it must not.
 */
async function serving(
  given: Model,
  stages: Stages,
  { adaptable }: Graphs,
  { met }: Digits,
  looksTwice: boolean,
): Promise<Serve> {
  const { manifest, calibration } = given;
  const model = { ...given, manifest: { ...manifest, learning: { ...manifest.learning, stages } } };
  const setup = lookSetup(model);
  const adaptation = emptyAdaptation(model);
  const view = new AdaptedView(model, adaptation);
  let parameters: Parameters = { ...view.adapted, head: calibration.head };
  let asked = 0;
  const serve = async (input: Float32Array, rows: number): Promise<Parameters> => {
    const seeds = Uint32Array.from({ length: rows }, (_, row) => requestSeed(`bench-${asked + row}`));
    asked += rows;
    const embedded = await look(adaptable, setup, input, rows, parameters, seeds);
    for (let row = 0; row < rows; row += 1) {
      const folded = foldRow(adaptation, model, rowOf(model, embedded, row, at(seeds, row)));
      if (folded !== undefined) view.folded(folded);
    }
    return { ...view.adapted, head: calibration.head };
  };
  // Most traffic is of one domain.
  const isLookingTwice = (): boolean => {
    const { open, surveyed } = standingOf(adaptation.standing, calibration, argmax(adaptation.domains.rows));
    return stages.views && open && surveyed;
  };
  const next = inTurn(met, metAtOnce);
  while (asked < metLeast || (looksTwice && !isLookingTwice() && asked < metDigits))
    parameters = await serve(next(), metAtOnce);
  if (isLookingTwice() !== looksTwice)
    throw new Error(`after ${asked} digits they get ${looksTwice ? "one look" : "more than one look"}`);
  return async (input, rows) => void (await serve(input, rows));
}

function rowOf({ calibration }: Model, embedded: Embedded, row: number, seed: number): AdaptationRow {
  const { channels, classes } = calibration;
  const logits = embedded.plain.subarray(row * classes, (row + 1) * classes);
  const density = at(embedded.density, row);
  return {
    moments: embedded.moments.subarray(row * 2 * channels, (row + 1) * 2 * channels),
    slot: chooseSlot(calibration, { logits, density }, requestChance(seed, "slot")).slot,
    density,
    bySource: at(embedded.bySource, row) === 1,
    looks: looksOf(embedded, row, classes),
  };
}

function looksOf({ looks }: Embedded, row: number, classes: number): AdaptationRow["looks"] {
  const own: AdaptationRow["looks"][number][] = [];
  for (let i = looks.rows.indexOf(row); i >= 0 && looks.rows[i] === row; i += 1)
    own.push({
      kind: at(looks.kinds, i),
      density: at(looks.densities, i),
      answer: looks.answers.subarray(i * classes, (i + 1) * classes),
    });
  return own;
}

function repeated(name: string, count: number, run: Run): Contender {
  return {
    name,
    count,
    work: async (times) => {
      for (let done = 0; done < times; done += 1) await run();
    },
  };
}
