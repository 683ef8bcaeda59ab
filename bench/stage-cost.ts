// What a stage of adaptation adds to a request, in one thread, against the source graph: the same model, all constant.
//
// Measures: the whole of stage A as a serving node does it for one micro-batch (the serving graph, the choice of each row's ring, the fold,
// the next scale and shift), and the graph alone. A stage with passes of its own adds its contenders to `contendersOf`: once where its gate
// stays shut (clean traffic) and once where it opens.
import { ClassShifts } from "../models/class-shifts.js";
import { type Clock, seededRandom } from "../models/clock.js";
import { readDigits } from "../models/digits/idx.js";
import type { Embedded } from "../models/engine.js";
import type { Model } from "../models/manifest.js";
import { chooseSlot, foldMoments, normalisation, sourceMoments, sourceNormalisation } from "../models/moments.js";
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

export async function measureStages(model: Model, rounds: number, roundMs: number, clock: Clock): Promise<StageCost[]> {
  const graphs = await openGraphs(model);
  const { pixels } = await readDigits("test");
  const costs: StageCost[] = [];
  for (const rows of batches) {
    const input = Float32Array.from(pixels.subarray(0, rows * 28 * 28), (ink) => ink / 255);
    const count = Math.ceil((roundMs * 1000) / (guessUs.perRun + guessUs.perRow * rows));
    const contenders = contendersOf(model, graphs, input, rows).map(([name, run]) => repeated(name, count, run));
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

type Run = () => Promise<unknown>;

function contendersOf(
  model: Model,
  { source, adaptable }: Graphs,
  input: Float32Array,
  rows: number,
): readonly [string, Run][] {
  const { calibration } = model;
  const fixed = { ...sourceNormalisation(calibration), head: calibration.head };
  const fold = foldOf(model);
  let parameters = fixed;
  return [
    [floor, () => source.run(input, rows)],
    ["A, its graph alone", () => adaptable.run(input, rows, fixed)],
    [
      "A, with slots, fold and the next scale and shift",
      async () => {
        const scaleAndShift = fold(await adaptable.run(input, rows, parameters));
        parameters = { ...scaleAndShift, head: calibration.head };
      },
    ],
  ];
}

/** Folds one micro-batch into moments of its own, and gives the scale and shift of the next. */
function foldOf({ calibration }: Model): (embedded: Embedded) => ReturnType<typeof normalisation> {
  const { channels, classes } = calibration;
  const moments = sourceMoments(calibration);
  const shifts = new ClassShifts(calibration, moments.perClass);
  const random = seededRandom(1);
  return (embedded) => {
    for (let row = 0; row < embedded.rows; row += 1) {
      const own = embedded.moments.subarray(row * 2 * channels, (row + 1) * 2 * channels);
      const logits = embedded.logits.subarray(row * classes, (row + 1) * classes);
      const density = embedded.density[row] ?? Number.NaN;
      const slot = chooseSlot(calibration, { logits, moments: own, density }, random);
      foldMoments(moments, slot, own);
      shifts.moved(slot);
    }
    return normalisation(moments, calibration, shifts);
  };
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
