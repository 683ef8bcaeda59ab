// The floor under everything: ONNX Runtime alone, in this process, without wire, actors or memory.
//
// Measures: the source graph (constants folded) and, beside it, the serving graph, whose normalisation and head are inputs and which
// also gives embedding, moments and density.
import { sourceParameters } from "../models/adaptation/adaptation.js";
import { type AdaptableSession, graphOf } from "../models/adaptation/pass.js";
import type { Clock } from "../models/clock.js";
import { readDigits } from "../models/digits/idx.js";
import type { Model } from "../models/manifest.js";
import { openAdaptableSession, openSession, type Session } from "../models/serving/onnx-session.js";
import { interleave, timedOf } from "./interleave.js";
import { ratiosOf, type Spread, spreadOf } from "./statistics.js";

export interface OnnxFloor {
  readonly batch: number;
  /** Inferences per second. */
  readonly source: Spread;
  readonly adaptable: Spread;
  /** adaptable / source */
  readonly ratio: Spread;
}

const batches = [1, 16, 64] as const;
/** About what the batches take on a slow core; only sets how often each is repeated. */
const guessUs = { perRun: 60, perRow: 60 };

export async function measureOnnx(model: Model, rounds: number, roundMs: number, clock: Clock): Promise<OnnxFloor[]> {
  const { source, adaptable, close } = await openGraphs(model);
  const parameters = sourceParameters(model);
  const { pixels } = await readDigits("test");
  const contenders = batches.flatMap((rows) => {
    const input = Float32Array.from(pixels.subarray(0, rows * 28 * 28), (ink) => ink / 255);
    const count = Math.ceil((roundMs * 1000) / (guessUs.perRun + guessUs.perRow * rows));
    return [
      { name: `source ${rows}`, count, work: times(() => source.run(input, rows)) },
      { name: `adaptable ${rows}`, count, work: times(() => adaptable.run(input, rows, parameters)) },
    ];
  });
  const timed = await interleave(contenders, rounds, clock);
  await close();
  return batches.map((rows) => {
    const perSecond = (name: string): number[] => timedOf(timed, `${name} ${rows}`).map((us) => (rows * 1e6) / us);
    const of = { source: perSecond("source"), adaptable: perSecond("adaptable") };
    return {
      batch: rows,
      source: spreadOf(of.source),
      adaptable: spreadOf(of.adaptable),
      ratio: ratiosOf(of.adaptable, of.source),
    };
  });
}

export interface Graphs {
  readonly source: Session;
  readonly adaptable: AdaptableSession;
  close(): Promise<void>;
}

/** Both graphs of a model, in this thread. */
export async function openGraphs(model: Model): Promise<Graphs> {
  const source = await openSession(model.sourceBytes);
  const adaptable = await openAdaptableSession(model.modelBytes, graphOf(model));
  return {
    source,
    adaptable,
    async close() {
      await Promise.all([source.close(), adaptable.close()]);
    },
  };
}

function times(run: () => Promise<unknown>): (count: number) => Promise<void> {
  return async (count) => {
    for (let done = 0; done < count; done += 1) await run();
  };
}
